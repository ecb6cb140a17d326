//! The process under measurement: hyper's server, the layer, and its client.

use std::{
    convert::Infallible,
    future::Ready,
    io::Write,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use cas_proxy::{
    csc::{ClientSecurityContext, GroupAttributes, Sid},
    decision::{Here, Policy},
    directory::{ClientAccessServer, Mailbox, MailboxKey, Topology},
    first_cas::CasProxyLayer,
    lookup::{Cached, InMemory},
    outbound::{BoxError, credentials::danger::BasicCredentials},
    wire::signature::SharedKey,
};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime, task,
};
use tower_layer::Layer;
use tower_service::Service;

use super::Result;

/// Serves one connection to its end, with the layer as `kind` wants it.
pub(crate) fn serve(kind: &str, second_cas: u16) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?.port());
        std::io::stdout().flush()?;
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let user = user()?;
        // In a task of its own, as servers have it: the future of `block_on` is looked after differently.
        let served = if kind == "bare" {
            task::spawn(connection(stream, user, Mailboxes))
        } else {
            let layer = layer(kind, second_cas, &user)?;
            task::spawn(connection(stream, user, layer.layer(Mailboxes)))
        };
        Ok(served.await??)
    })
}

/// Serves requests of `user`, as a layer outside would have signed them in.
async fn connection<S, B>(
    stream: TcpStream,
    user: ClientSecurityContext,
    service: S,
) -> hyper::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes, Error: Into<BoxError>> + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(user.clone());
        service.clone().call(request)
    });
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn layer(kind: &str, second_cas: u16, user: &ClientSecurityContext) -> Result<CasProxyLayer> {
    let version = "8.3.83.6".parse()?;
    let dallas = ClientAccessServer::new("dallas".parse()?, "Dallas".parse()?, version)
        .with_internal_url(&format!("http://127.0.0.1:{second_cas}/owa"))
        .with_integrated_windows_authentication();
    let topology = Topology::builder().client_access_server(dallas).build()?;
    let site = if kind == "local" { "Seattle" } else { "Dallas" };
    let mailbox = Mailbox::new("mbx".parse()?, version).with_site(site.parse()?);
    let lookup = InMemory::new().insert(MailboxKey::Sid(*user.user()), mailbox);
    let here = Here::new("seattle".parse()?, "Seattle".parse()?, version);
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = true;
    let layer = CasProxyLayer::new(here, Arc::new(topology), Cached::new(lookup))
        .external_url(&"https://mail.contoso.com/owa".parse()?)
        .policy(policy);
    Ok(match kind {
        "signed" => layer.credentials(SharedKey::new("seattle-to-dallas", &[7; 32])?),
        _ => layer.credentials(BasicCredentials::new("seattle:a password of a lab")?),
    })
}

/// A user in 20 groups.
fn user() -> Result<ClientSecurityContext> {
    let sid = |rid| Sid::from_parts(5, &[21, 1_004_336_348, 1_177_238_915, 682_003_330, rid]);
    let mut user = ClientSecurityContext::builder(sid(1105)?, "Negotiate", "CONTOSO\\anna");
    for group in 0..20 {
        user = user.group(sid(2000 + group)?, GroupAttributes::ENABLED_GROUP);
    }
    Ok(user.build()?)
}

/// The service within: 128 bytes for everything.
#[derive(Clone)]
struct Mailboxes;

impl Service<Request<Incoming>> for Mailboxes {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<std::result::Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Incoming>) -> Self::Future {
        std::future::ready(Ok(Response::new(Full::new(Bytes::from_static(
            &[b'x'; 128],
        )))))
    }
}
