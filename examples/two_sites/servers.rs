//! The servers, each on a loopback port of its own, and how their layers are stacked.

use std::{convert::Infallible, error::Error, future, net::SocketAddr, time::Duration};

use bytes::Bytes;
use cas_proxy::{
    decision::{Here, Policy},
    directory::{MailboxKey, ServerName},
    first_cas::{CasProxyLayer, forward_basic},
    lookup::Cached,
    second_cas::{SecondCasLayer, SharedKeys, unless_proxied},
    wire::signature::SharedKey,
};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::Empty;
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::mpsc,
};
use tower::{Layer as _, Service, service_fn};

use super::{
    BoxError,
    company::{Addresses, Company, EXCHANGE_2007, PASSWORD, USERS, owa},
    mailbox::Mailbox,
    recorder::{Exchange, Recorder, Watched},
    server,
    sign_in::SignIn,
};

/// Opens all of them. What each one sees and answers goes to `log`.
pub(crate) async fn open(log: mpsc::UnboundedSender<Exchange>) -> Result<Company, BoxError> {
    let [seattle, dallas, denver, legacy1, reno] = [
        listen().await?,
        listen().await?,
        listen().await?,
        listen().await?,
        listen().await?,
    ];
    let company = Company::new(Addresses {
        seattle: seattle.local_addr()?,
        dallas: dallas.local_addr()?,
        denver: denver.local_addr()?,
        legacy1: legacy1.local_addr()?,
        reno: reno.local_addr()?,
        tulsa: nobody()?,
    })?;
    let record = |server| Recorder::new(server, log.clone());

    // Seattle and Denver are where users come in. From the inside out: the mailboxes, the decision, the log-on.
    for (name, site, listener) in [
        ("seattle", "Seattle", seattle),
        ("denver", "Denver", denver),
    ] {
        let first_cas = first_cas(&company, name, site, listener.local_addr()?)?;
        let stack = sign_in()?.layer(first_cas.layer(Mailbox::new(name, site)));
        serve(listener, record(name).layer(stack));
    }

    // Dallas serves its own users, too, and those whom Seattle or Denver have signed in.
    let known = SharedKeys::for_authorities([company.at.dallas.to_string()])?
        .accept(key("seattle")?)
        .accept(key("denver")?);
    let first_cas = first_cas(&company, "dallas", "Dallas", company.at.dallas)?;
    let mailboxes = first_cas.layer(Mailbox::new("dallas", "Dallas"));
    let stack = SecondCasLayer::new(known)
        .version(EXCHANGE_2007.parse()?)
        .layer(unless_proxied(sign_in()?).layer(mailboxes));
    serve(dallas, record("dallas").layer(stack));

    // Exchange 2003 asks for name and password, and shows everybody their own mailbox.
    let stack = sign_in()?.layer(Mailbox::new("legacy1", "-"));
    serve(legacy1, record("legacy1").layer(stack));

    serve(reno, record("reno").layer(service_fn(only_ntlm)));
    Ok(company)
}

/// The layer that decides, at a server where users come in.
fn first_cas(
    company: &Company,
    name: &str,
    site: &str,
    at: SocketAddr,
) -> Result<CasProxyLayer, BoxError> {
    let here = Here::new(name.parse()?, site.parse()?, EXCHANGE_2007.parse()?);
    let directory = company.clone();
    let lookup = Cached::new(move |key: MailboxKey| {
        let directory = directory.clone();
        async move { directory.locate(key).await }
    });
    let mut policy = Policy::default();
    // Between two ports of one machine. Elsewhere mail would be readable on the way.
    policy.allow_proxying_without_ssl = true;
    Ok(CasProxyLayer::new(here, company.topology.clone(), lookup)
        .external_url(&owa(at).parse()?)
        .policy(policy)
        .credentials(key(name)?)
        .back_end_credentials(forward_basic))
}

/// The key by which Dallas knows a server. In earnest: 32 random bytes from a secret store.
fn key(name: &str) -> Result<SharedKey, BoxError> {
    let name: ServerName = name.parse()?;
    let secret = format!("the secret that {name:?} shares with dallas");
    Ok(SharedKey::new(
        format!("{name}-to-dallas"),
        secret.as_bytes(),
    )?)
}

fn sign_in() -> Result<SignIn, BoxError> {
    let mut users = Vec::with_capacity(USERS.len());
    for user in &USERS {
        users.push((user.name, PASSWORD, user.context()?));
    }
    Ok(SignIn::new(users))
}

/// A second CAS whose virtual directory was left as it is: it wants NTLM, which no shared key can give it.
async fn only_ntlm(_: Request<Watched<Incoming>>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    answer
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("NTLM"));
    Ok(answer)
}

async fn listen() -> Result<TcpListener, BoxError> {
    Ok(TcpListener::bind("127.0.0.1:0").await?)
}

/// A port that is taken, so that nobody else gets it, and where nobody listens.
fn nobody() -> Result<SocketAddr, BoxError> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = socket.local_addr()?;
    std::mem::forget(socket);
    Ok(address)
}

fn serve<S, B>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    tokio::spawn(server::serve(
        listener,
        None,
        REQUEST_HEAD,
        service,
        future::pending(),
    ));
}

const REQUEST_HEAD: Duration = Duration::from_secs(10);
