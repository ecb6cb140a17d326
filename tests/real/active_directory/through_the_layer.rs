//! What users get: the first CAS in Seattle with the real directory behind it, and a second CAS and an Exchange 2003
//! back-end at the hosts that the directory names.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use cas_proxy::{
    csc::{ClientSecurityContext, Sid},
    decision::Here,
    directory::{InternalUrl, MailboxKey, SiteName},
    first_cas::CasProxyLayer,
    lookup::{
        Cached, MailboxLookup,
        active_directory::{ActiveDirectory, Identity},
    },
    outbound::{OutboundBody, OutboundService},
    second_cas::{SecondCasLayer, SharedKeys},
    telemetry::Outcome,
    wire::signature::SharedKey,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::{Administrator, at, here, name, samba};
use crate::relay::{Mode, Relay};

#[tokio::test]
#[ignore = "needs samba"]
//= src/docs/protocol.md#decide-lookup
//= src/docs/protocol.md#decide-local
//= src/docs/protocol.md#decide-proxy
//= src/docs/protocol.md#decide-redirect
//= src/docs/protocol.md#decide-legacy
//= src/docs/protocol.md#decide-none-responding
//= src/docs/protocol.md#decide-none-configured
//= src/docs/protocol.md#decide-no-mailbox
async fn every_outcome_reaches_the_user() {
    let directory = samba().await;
    let company = Company::default();
    let layer = company.first_cas(&directory, Cached::new(directory.clone()));
    let mut wrong = Vec::new();
    for (name, path, status, text, outcome) in [
        ("anna", "/owa/", 200, "mail of Seattle", "local"),
        ("bert", "/owa/", 200, "mail of Dallas", "proxied to Dallas"),
        (
            "clara",
            "/owa/",
            200,
            "https://mail.london.fourthcoffee.test/owa",
            "redirected to https://mail.london.fourthcoffee.test/owa",
        ),
        ("dora", "/owa/", 200, "mail of 2003", "back-end OLD-MBX-03"),
        ("emil", "/owa/", 503, "not-responding", "refused with 40"),
        ("finn", "/owa/", 500, "not-configured", "refused with 41"),
        ("gus", "/owa/", 404, "no-mailbox", "refused"),
        ("hana", "/owa/", 200, "mail of Dallas", "proxied to Dallas"),
        // On a server that is no longer in the directory.
        (
            "jan",
            "/owa/",
            503,
            "directory-unreachable",
            "refused with 57",
        ),
        // Mailboxes of others, by their addresses.
        (
            "anna",
            "/owa/bertram@fourthcoffee.test/",
            200,
            "mail of Dallas",
            "proxied to Dallas",
        ),
        (
            "bert",
            "/owa/anna@fourthcoffee.test/",
            200,
            "mail of Seattle",
            "local",
        ),
        (
            "anna",
            "/owa/nobody@fourthcoffee.test/",
            404,
            "no-mailbox",
            "refused",
        ),
        (
            "anna",
            "/owa/info@fourthcoffee.test/",
            500,
            "ambiguous",
            "refused with 57",
        ),
    ] {
        let user = context(&directory, name).await;
        let (answer, how) = visit(&layer, &user, path).await;
        let said = String::from_utf8_lossy(answer.body());
        if (answer.status().as_u16(), &*how) != (status, outcome) || !said.contains(text) {
            wrong.push(format!("{name} {path}: {how}, {} {said}", answer.status()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
#[ignore = "needs samba"]
//= src/docs/protocol.md#login-attributes
async fn the_second_cas_learns_the_groups_that_groups_are_in() {
    let directory = samba().await;
    let mut administrator = Administrator::sign_in().await;
    let company = Company::default();
    let layer = company.first_cas(&directory, Cached::new(directory.clone()));
    let bert = context(&directory, "bert").await;
    let (answer, _) = visit(&layer, &bert, "/owa/").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let users = company.users.lock().unwrap().clone();
    let [user] = &users[..] else {
        panic!("{users:?}");
    };
    assert_eq!((user.user(), user.groups()), (bert.user(), bert.groups()));
    let groups: Vec<Sid> = user.groups().iter().map(|group| group.sid).collect();
    for group in ["Baristas", "Kitchen", "Coffee Staff", "Domain Users"] {
        let sid = administrator.group(group).await;
        assert!(groups.contains(&sid), "{group}");
    }
    assert!(!groups.contains(&administrator.group("Domain Admins").await));
}

#[tokio::test]
#[ignore = "needs samba"]
//= src/docs/protocol.md#error-status
async fn without_the_directory_those_who_are_known_are_served() {
    let relay = Relay::to("127.0.88.1:636").await;
    let url = format!("ldaps://{}", relay.address);
    let directory = at(&[&url]).here(here()).connect().await.unwrap();
    let users = [
        context(&directory, "anna").await,
        context(&directory, "ivan").await,
    ];
    let cached = Cached::builder(directory.clone())
        .time_to_live(Duration::ZERO)
        .build();
    let company = Company::default();
    let layer = company.first_cas(&directory, cached.clone());
    assert_eq!(visit(&layer, &users[0], "/owa/").await.1, "local");

    relay.set(Mode::Cut);
    let stale = visit(&layer, &users[0], "/owa/").await;
    assert_eq!((stale.0.status(), &*stale.1), (StatusCode::OK, "local"));
    assert!(cached.age(&MailboxKey::Sid(*users[0].user())).is_some());
    let unknown = visit(&layer, &users[1], "/owa/").await;
    assert_eq!(unknown.0.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(unknown.1, "refused with 57");
}

/// Everything beyond the first CAS.
#[derive(Clone, Default)]
struct Company {
    /// Whom the second CAS served.
    users: Arc<Mutex<Vec<ClientSecurityContext>>>,
}

impl Company {
    fn first_cas(&self, directory: &ActiveDirectory, lookup: impl MailboxLookup) -> CasProxyLayer {
        let seattle = SiteName::new("Seattle").unwrap();
        let here = Here::new(here(), seattle, "8.1.240.6".parse().unwrap());
        let company = self.clone();
        let dallas = self.second_cas();
        let outbound = OutboundService::new(service_fn(move |request: Request<OutboundBody>| {
            let host = request.uri().host().unwrap().to_owned();
            let (company, dallas) = (company.clone(), dallas.clone());
            async move {
                match &*host {
                    "dal-cas-01.fourthcoffee.test" | "dal-cas-02.fourthcoffee.test" => {
                        let mail = service_fn(move |request| company.clone().mail(request));
                        let answer = dallas.layer(mail).oneshot(request).await;
                        Ok(answer.unwrap().map(|body| body.boxed_unsync()))
                    }
                    "old-mbx-03.fourthcoffee.test" => {
                        assert_eq!(request.headers()["authorization"], "Negotiate dora");
                        let body = Full::new(Bytes::from("mail of 2003"));
                        let body = body.map_err(|never: Infallible| match never {});
                        Ok(Response::new(body.boxed_unsync()))
                    }
                    _ => Err(io::Error::other("nobody has this host")),
                }
            }
        }));
        CasProxyLayer::with_outbound(here, directory.clone(), lookup, outbound)
            .credentials(key())
            .back_end_credentials(|_: &_, user: &ClientSecurityContext, _: &_| {
                let name = user.logon_name().split('@').next()?;
                HeaderValue::try_from(format!("Negotiate {name}")).ok()
            })
    }

    fn second_cas(&self) -> SecondCasLayer {
        let urls: [InternalUrl; 2] = [
            "https://dal-cas-01.fourthcoffee.test/owa",
            "https://dal-cas-02.fourthcoffee.test/owa",
        ]
        .map(|url| url.parse().unwrap());
        let callers = SharedKeys::for_internal_urls(&urls).unwrap().accept(key());
        SecondCasLayer::new(callers).version("8.1.240.6".parse().unwrap())
    }

    async fn mail<B>(self, request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
        let user = request.extensions().get::<ClientSecurityContext>();
        self.users.lock().unwrap().push(user.unwrap().clone());
        Ok(Response::new(Full::new(Bytes::from("mail of Dallas"))))
    }
}

fn key() -> SharedKey {
    SharedKey::new("seattle", &[7; 32]).unwrap()
}

/// A user with all groups, as the layer that signed in got it from the directory.
async fn context(directory: &ActiveDirectory, user: &str) -> ClientSecurityContext {
    let logon_name = format!("{user}@fourthcoffee.test");
    match directory.identify(&name(&logon_name)).await.unwrap() {
        Identity::Known(context) => context,
        // The account here is disabled, for the user's own one is in another forest.
        Identity::Unknown if user == "hana" => {
            let sid = "S-1-5-21-1111111111-2222222222-333333333-1107";
            ClientSecurityContext::builder(sid.parse().unwrap(), "Negotiate", r"OTHER\hana")
                .build()
                .unwrap()
        }
        other => panic!("{user}: {other:?}"),
    }
}

/// What a user gets, and how it came about.
async fn visit(
    layer: &CasProxyLayer,
    user: &ClientSecurityContext,
    path: &str,
) -> (Response<Bytes>, String) {
    let mail = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("mail of Seattle"))))
    });
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("mail.fourthcoffee.test"));
    let mut request = Request::get(path).body(Full::new(Bytes::new())).unwrap();
    *request.headers_mut() = headers;
    request.extensions_mut().insert(user.clone());
    let answer = layer.layer(mail).oneshot(request).await.unwrap();
    let how = match answer.extensions().get() {
        None => "local".to_owned(),
        Some(Outcome::Proxied { site, .. }) => format!("proxied to {site}"),
        Some(Outcome::Redirected { url, .. }) => format!("redirected to {}", url.as_str()),
        Some(Outcome::BackEnd { server, .. }) => format!("back-end {server}"),
        Some(Outcome::Refused(failure)) => match failure.event() {
            Some(event) => format!("refused with {}", event.number()),
            None => "refused".to_owned(),
        },
        other => panic!("{other:?}"),
    };
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(parts, body), how)
}
