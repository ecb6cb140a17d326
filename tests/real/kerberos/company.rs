//! A first CAS in Seattle, and second CASs wherever a test puts them.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use cas_proxy::{
    csc::ClientSecurityContext,
    decision::Policy,
    directory::{ClientAccessServer, MailboxKey, Topology},
    first_cas::{CasProxyLayer, Timeouts},
    lookup::InMemory,
    outbound::{Client, credentials::Integrated},
    second_cas::{MachineAccounts, Proxied, SecondCasLayer},
    telemetry::{Event, Outcome},
};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    support::{self, EXCHANGE_2007, get, here, mailbox, name, site},
    surroundings::account,
};

pub const SERVICE: &str = "HTTP/localhost@FOURTHCOFFEE.TEST";

/// Our account, with time enough on the busiest machine: a test that waits so long has found a hang.
pub fn patient() -> Integrated {
    Integrated::new().ticket_timeout(PATIENCE)
}

/// Users from 100 on live in the site of the second CAS whose InternalURL comes first, from 200 on in the next.
pub fn first_cas(internal_urls: &[&str], credentials: Integrated) -> CasProxyLayer {
    let mut topology = Topology::builder();
    let mut lookup = InMemory::new();
    for (at, internal) in internal_urls.iter().enumerate() {
        let server = format!("dallas{}", at + 1);
        let cas =
            ClientAccessServer::new(name(&server), site(&server), EXCHANGE_2007.parse().unwrap());
        topology = topology.client_access_server(
            cas.with_internal_url(internal)
                .with_integrated_windows_authentication(),
        );
        for rid in 0..USERS {
            let user = support::user(first_user(at) + rid);
            lookup = lookup.insert(
                MailboxKey::Sid(*user.user()),
                mailbox("mailbox", &server, EXCHANGE_2007),
            );
        }
    }
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = true;
    let mut timeouts = Timeouts::default();
    timeouts.login = PATIENCE;
    timeouts.response_head = PATIENCE;
    CasProxyLayer::new(here(), Arc::new(topology.build().unwrap()), lookup)
        .policy(policy)
        .credentials(credentials)
        .outbound(Client::builder().connect_timeout(PATIENCE).build())
        .timeouts(timeouts)
}

pub fn first_user(site: usize) -> u32 {
    100 * (site as u32 + 1)
}

/// What a user gets: the status, the text, and what the operator reads if it failed with event 71.
pub async fn visit(layer: &CasProxyLayer, user: u32) -> (u16, String, Option<String>) {
    visit_at(layer, user, "/owa/").await
}

/// The same at another path.
pub async fn visit_at(
    layer: &CasProxyLayer,
    user: u32,
    path: &str,
) -> (u16, String, Option<String>) {
    let answer = support::through(layer, get(user, path)).await;
    let failure = match answer.extensions().get() {
        Some(Outcome::Refused(failure)) => {
            assert_eq!(
                failure.event(),
                Some(Event::AuthenticationFailed),
                "{failure}"
            );
            Some(failure.to_string())
        }
        _ => None,
    };
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    (answer.status().as_u16(), text, failure)
}

/// A second CAS of ours in Dallas that trusts Seattle.
pub fn second_cas() -> SecondCasLayer {
    let callers = MachineAccounts::serving(SERVICE, &account("dallas")).unwrap();
    SecondCasLayer::new(callers.trust(&account("seattle")).unwrap())
        .version(EXCHANGE_2007.parse().unwrap())
}

/// Listens for as long as the process lives; the InternalURL. `change` may falsify the head of each answer.
pub async fn listen(
    layer: SecondCasLayer,
    change: impl Fn(&mut HeaderMap) + Clone + Send + Sync + 'static,
) -> String {
    let mail = service_fn(|request: Request<Incoming>| async move {
        assert!(!request.headers().contains_key("authorization"));
        let user = request
            .extensions()
            .get::<ClientSecurityContext>()
            .map(|user| user.user().to_string());
        let caller = request
            .extensions()
            .get::<Proxied>()
            .map(|proxied| proxied.caller().to_owned());
        let text = format!(
            "mail of {} by {}",
            user.unwrap_or_default(),
            caller.unwrap_or_default()
        );
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
    });
    let service = layer.layer(mail).map_response(move |mut answer| {
        change(answer.headers_mut());
        answer.map(|body| body.boxed_unsync())
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            });
        }
    });
    format!("http://localhost:{port}/owa")
}

const USERS: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(120);
