//! The shortest first CAS: a finished axum router, and the layer around it.
//!
//! ```sh
//! cargo run --example axum_router
//! curl http://127.0.0.1:8080/owa/
//! ```

use std::sync::Arc;

use axum::{Extension, Router, routing::get};
use cas_proxy::{CasProxyLayer, ClientAccessServer, ClientSecurityContext, Here, InMemory};
use cas_proxy::{Mailbox, MailboxKey, Topology};
use tower::Layer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = Here::new("seattle".parse()?, "Seattle".parse()?, "8.3.83.6".parse()?);
    let dallas = ClientAccessServer::new("dallas".parse()?, "Dallas".parse()?, "8.3.83.6".parse()?)
        .with_internal_url("https://dallas.contoso.com/owa")
        .with_integrated_windows_authentication();
    let topology = Topology::builder().client_access_server(dallas).build()?;
    let sid = "S-1-5-21-1-2-3-1105".parse()?;
    let anna = ClientSecurityContext::builder(sid, "Basic", "anna").build()?;
    let home = Mailbox::new("mailbox1".parse()?, "8.3.83.6".parse()?).with_site("Seattle".parse()?);
    let lookup = InMemory::new().insert(MailboxKey::Sid(sid), home);

    let mailboxes = Router::new().route("/owa/", get(|| async { "your mail" }));
    let first_cas = CasProxyLayer::new(here, Arc::new(topology), lookup).layer(mailboxes);
    let app = Extension(anna).layer(first_cas); // where your log-on goes
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    Ok(axum::serve(listener, Router::new().fallback_service(app)).await?)
}
