//! Users sign in by Kerberos, and what the directory says of them becomes their security context.
//!
//! ```sh
//! KRB5_KTNAME=FILE:/etc/cas/mail.keytab cargo run --features negotiate --example negotiate_sign_in -- \
//!     HTTP/mail.contoso.com@CONTOSO.COM 'SEATTLE$@CONTOSO.COM' ldaps://dc1.contoso.com svc-cas-proxy@contoso.com
//! curl --negotiate -u : http://mail.contoso.com:8080/owa/
//! ```
//!
//! The password of the bind account is in the environment, as `PASSWORD`. The ticket tells the account; its groups are in
//! the ticket as well, but the Kerberos library has no safe call that shows them, so they come from `tokenGroups`.

use std::{env, error::Error, sync::Arc};

use axum::{
    Extension, Router,
    extract::Request,
    http::{StatusCode, header::WWW_AUTHENTICATE},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use cas_proxy::{
    CasProxyLayer, ClientSecurityContext, Here,
    lookup::{
        Cached,
        active_directory::{ActiveDirectory, AuthenticatedName, Identity},
    },
    second_cas::{KerberosAcceptor, NotVerifiedKind},
    wire::negotiate::CHALLENGE,
};
use tower::Layer;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [service, own_account, controller, bind] = &arguments[..] else {
        return Err(
            "usage: negotiate_sign_in SERVICE OWN-ACCOUNT DOMAIN-CONTROLLER BIND-NAME".into(),
        );
    };
    let acceptor = KerberosAcceptor::serving(service, own_account)?;
    let directory = ActiveDirectory::builder([controller.as_str()])?
        .bind(bind, env::var("PASSWORD")?)
        .here("SEA-CAS-01".parse()?)
        .connect()
        .await?;
    let here = Here::new(
        "SEA-CAS-01".parse()?,
        "Seattle".parse()?,
        "8.1.240.6".parse()?,
    );
    let mailboxes = Router::new().route("/owa/", get(mailbox));
    // A browser sends tickets along for any page's WebSocket: whoever wants one here checks its `Origin` first.
    let first_cas = CasProxyLayer::new(here, directory.clone(), Cached::new(directory.clone()))
        .upgrades::<&str>([])?;
    let app = Router::new().fallback_service(first_cas.layer(mailboxes));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    Ok(axum::serve(listener, signing_in(app, acceptor, directory)).await?)
}

async fn mailbox(Extension(user): Extension<ClientSecurityContext>) -> String {
    format!(
        "the mail of {}, who is in {} groups",
        user.logon_name(),
        user.groups().len()
    )
}

/// Whoever gets through has a [`ClientSecurityContext`] among the extensions of the request.
///
/// Asked of the directory for each request here: a real log-on keeps what it has learnt with the user's session.
pub fn signing_in(app: Router, acceptor: KerberosAcceptor, directory: ActiveDirectory) -> Router {
    let parts = Arc::new((acceptor, directory));
    app.layer(from_fn(move |request: Request, next: Next| {
        let parts = Arc::clone(&parts);
        async move { sign_in(&parts.0, &parts.1, request, next).await }
    }))
}

async fn sign_in(
    acceptor: &KerberosAcceptor,
    directory: &ActiveDirectory,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let accepted = match acceptor.accept(&parts).await {
        Ok(accepted) => accepted,
        Err(why) if why.kind() == NotVerifiedKind::Unavailable => {
            tracing::warn!(%why, "not signed in");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        // The same whatever it is; the log may tell.
        Err(why) => {
            tracing::debug!(%why, "not signed in");
            return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, CHALLENGE)]).into_response();
        }
    };
    let mut answer = match identify(directory, accepted.account()).await {
        Ok(Identity::Known(user)) => {
            parts.extensions.insert(user);
            next.run(Request::from_parts(parts, body)).await
        }
        Ok(_) => StatusCode::FORBIDDEN.into_response(),
        Err(error) => {
            tracing::warn!(error = &*error as &dyn Error, "failed to identify a user");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    };
    // By which the browser knows that it spoke to this server.
    answer
        .headers_mut()
        .insert(WWW_AUTHENTICATE, accepted.answer().clone());
    answer
}

/// Kerberos names the account and its domain, and is asked about in this form: a user principal name is another's to
/// choose. What the KDC lets into a ticket as a name is still its word; see `docs::kerberos`.
async fn identify(directory: &ActiveDirectory, account: &str) -> Result<Identity, BoxError> {
    let (account, realm) = account
        .rsplit_once('@')
        .ok_or("read a name without a realm")?;
    let name = AuthenticatedName::new("Negotiate", format!(r"{realm}\{account}"))?;
    Ok(directory.identify(&name).await?)
}
