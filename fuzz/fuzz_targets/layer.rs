//! Any bytes from a client, through hyper and both layers: what comes out is in order, whatever went in.
//!
//! In front of a line `%%` there may be answers for the second CAS to give: a status and headers each, with an empty line
//! between them. When they run out, it answers 200.
#![no_main]

#[path = "../../tests/it/support/company.rs"]
mod company;

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use cas_proxy::{
    csc::{ClientSecurityContext, xml},
    first_cas::CasProxyLayer,
    outbound::{OutboundBody, OutboundService},
    second_cas::{Proxied, SecondCasLayer, SharedKeys, unless_proxied},
    wire::{signature::SharedKey, trailers::CleanTrailers},
};
use cas_proxy_fuzz::{check_for_browsers, claims, converse, headers, is_internal, run};
use company::{here, lookup, topology, user};
use http::{HeaderMap, Request, Response, StatusCode, Uri, header, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, ServiceExt, layer::layer_fn, service_fn};

fuzz_target!(|input: &[u8]| {
    let (script, client) = split(input, b"\n%%\n").unwrap_or((b"", input));
    let seen = Arc::new(Mutex::new(Seen {
        script: answers(script),
        ..Seen::default()
    }));
    let (answer, unfinished) = run(converse_with_both(&seen, client));
    assert_eq!(unfinished, 0, "a request without an end");
    check_for_browsers(&answer);
    // Statuses are looked for anywhere, unless a header of the script could hold one.
    if !says(script, "HTTP/") {
        for status in ["1 241", "1 242", "1 441", "1 442", "0 241", "0 441"] {
            assert!(!says(&answer, &["HTTP/1.", status].concat()), "{status}");
        }
    }
    let signed_in: Vec<_> = (1..=4)
        .filter(|rid| says(client, &format!("user {rid}")))
        .map(user)
        .collect();
    let seen = seen.lock().unwrap();
    for arrived in &seen.here {
        check_here(arrived, &signed_in);
    }
    for (sent, body) in &seen.sent {
        check_sent(sent, body, client, &signed_in);
    }
    // Two servers, each asked once, and again once a mailbox is said to have moved; each time with a login and a replay.
    assert!(
        seen.sent.len() <= 16 * seen.requests,
        "{} for {}",
        seen.sent.len(),
        seen.requests
    );
});

#[derive(Default)]
struct Seen {
    script: VecDeque<Response<()>>,
    requests: usize,
    here: Vec<Arrived>,
    sent: Vec<(Parts, Option<Bytes>)>,
}

struct Arrived {
    uri: Uri,
    headers: HeaderMap,
    trailers: HeaderMap,
    user: Option<ClientSecurityContext>,
    proxied: bool,
}

/// What a client gets back, and how many of its requests have not come to an end.
async fn converse_with_both(seen: &Arc<Mutex<Seen>>, client: &[u8]) -> (Vec<u8>, usize) {
    let chicago = SharedKey::new("chicago", b"chicago to seattle, not to dallas").unwrap();
    let trusted = SharedKeys::for_authorities(["mail.contoso.com"])
        .unwrap()
        .accept(chicago);
    let second = SecondCasLayer::new(trusted);
    let first = CasProxyLayer::with_outbound(
        here(),
        topology(&["dallas", "dallas2"]),
        lookup(),
        outbound(seen),
    )
    .external_url(&"https://mail.contoso.com/owa".parse().unwrap())
    .credentials(SharedKey::new("seattle", b"seattle to dallas, and no others").unwrap());
    let sign_in = unless_proxied(layer_fn(|inner| {
        tower::util::MapRequest::new(inner, sign_in::<Incoming>)
    }));
    let stack = second.layer(sign_in.layer(first.layer(mailbox(seen))));

    let under_way = Arc::new(());
    let (noted, token) = (Arc::clone(seen), Arc::clone(&under_way));
    let counted = service_fn(move |request: Request<Incoming>| {
        noted.lock().unwrap().requests += 1;
        let (stack, token) = (stack.clone(), Arc::clone(&token));
        async move {
            let answer = stack.oneshot(request).await?;
            Ok::<_, Infallible>(answer.map(|body| {
                body.map_frame(move |frame| {
                    let _under_way = &token;
                    frame
                })
            }))
        }
    });
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let serving = http1::Builder::new()
        .serve_connection(TokioIo::new(theirs), TowerToHyperService::new(counted));
    let serving = tokio::spawn(serving);
    let answer = converse(ours, client).await;
    // One is ours, one is the service's.
    let service = usize::from(!serving.is_finished());
    (answer, Arc::strong_count(&under_way) - 1 - service)
}

fn sign_in<B>(mut request: Request<B>) -> Request<B> {
    let mut lines = request.headers().get_all(header::AUTHORIZATION).iter();
    if let (Some(line), None) = (lines.next(), lines.next()) {
        let rid = line
            .to_str()
            .ok()
            .and_then(|line| line.strip_prefix("user ")?.parse().ok());
        if let Some(rid) = rid.filter(|rid| (1..=4).contains(rid)) {
            request.extensions_mut().insert(user(rid));
        }
    }
    request
}

type Mailbox =
    tower::util::BoxCloneSyncService<Request<Incoming>, Response<Full<Bytes>>, Infallible>;

/// Serves whoever comes, and waits a minute for whoever is slow.
fn mailbox(seen: &Arc<Mutex<Seen>>) -> Mailbox {
    let seen = Arc::clone(seen);
    Mailbox::new(service_fn(move |request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            let body = CleanTrailers::new(body).collect();
            let trailers = match tokio::time::timeout(Duration::from_secs(60), body).await {
                Ok(Ok(body)) => body.trailers().cloned().unwrap_or_default(),
                _ => HeaderMap::new(),
            };
            seen.lock().unwrap().here.push(Arrived {
                proxied: parts.extensions.get::<Proxied>().is_some(),
                user: parts.extensions.get().cloned(),
                uri: parts.uri,
                headers: parts.headers,
                trailers,
            });
            Ok(Response::new(Full::new(Bytes::from_static(b"mail"))))
        }
    }))
}

fn outbound(seen: &Arc<Mutex<Seen>>) -> impl cas_proxy::outbound::Outbound {
    let seen = Arc::clone(seen);
    OutboundService::new(service_fn(move |request: Request<OutboundBody>| {
        let seen = Arc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            let number = {
                let mut seen = seen.lock().unwrap();
                seen.sent.push((parts, None));
                seen.sent.len() - 1
            };
            let body = body.collect().await.map_err(std::io::Error::other)?;
            assert_eq!(
                claims(body.trailers().unwrap_or(&HeaderMap::new())),
                Vec::<String>::new()
            );
            let mut seen = seen.lock().unwrap();
            seen.sent[number].1 = Some(body.to_bytes());
            let answer = seen.script.pop_front().unwrap_or_default();
            Ok::<_, std::io::Error>(answer.map(|()| "mail there".to_owned()))
        }
    }))
}

/// Nobody is someone else, and nothing says so.
fn check_here(arrived: &Arrived, signed_in: &[ClientSecurityContext]) {
    assert!(!arrived.proxied);
    assert!(
        arrived
            .user
            .as_ref()
            .is_none_or(|user| signed_in.contains(user))
    );
    assert_eq!(claims(&arrived.headers), Vec::<String>::new());
    assert_eq!(claims(&arrived.trailers), Vec::<String>::new());
    assert!(
        !is_internal(arrived.uri.path().as_bytes(), 8),
        "{}",
        arrived.uri
    );
}

/// It goes where the directory says, in the name of whoever signed in, and to where the client asked.
fn check_sent(
    sent: &Parts,
    body: &Option<Bytes>,
    client: &[u8],
    signed_in: &[ClientSecurityContext],
) {
    let authority = sent.uri.authority().expect("an absolute URI").as_str();
    assert!(
        ["dallas.corp", "dallas2.corp"].contains(&authority),
        "{}",
        sent.uri
    );
    assert_eq!(sent.uri.scheme_str(), Some("https"));
    assert!(
        sent.headers
            .get("host")
            .is_none_or(|host| host == authority)
    );
    let sid = one(&sent.headers, "x-owa-proxysid");
    assert!(
        signed_in.iter().any(|user| user.user().to_string() == sid),
        "{sid}"
    );
    assert_eq!(
        one(&sent.headers, "x-owa-proxyuri"),
        "https://mail.contoso.com/owa"
    );
    assert_eq!(
        one(&sent.headers, "x-owa-proxyversion"),
        company::EXCHANGE_2007
    );
    one(&sent.headers, "signature");
    let ours = [
        "x-owa-proxysid",
        "x-owa-proxyuri",
        "x-owa-proxyversion",
        "x-owa-proxywebpart",
        "x-owa-explicitlogonuser",
    ];
    assert!(
        claims(&sent.headers)
            .iter()
            .all(|claim| ours.contains(&claim.as_str()))
    );
    for name in [
        "authorization",
        "proxy-authorization",
        "keep-alive",
        "upgrade-insecure",
        "proxy-connection",
    ] {
        assert!(!sent.headers.contains_key(name), "{name}");
    }
    if sent
        .uri
        .path()
        .to_ascii_lowercase()
        .ends_with("/proxylogon.owa")
    {
        let context = xml::read(body.as_ref().expect("a login in one piece")).expect("a login");
        assert!(signed_in.contains(&context) && context.user().to_string() == sid);
        return;
    }
    assert!(!is_internal(sent.uri.path().as_bytes(), 8), "{}", sent.uri);
    let target = sent.uri.path_and_query().expect("a target").as_str();
    // hyper adds the `/` that an absolute target may lack.
    assert!(says(client, target.trim_start_matches('/')), "{target}");
}

fn one<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().expect("text"),
        other => panic!("{name}: {other:?}"),
    }
}

fn answers(script: &[u8]) -> VecDeque<Response<()>> {
    let mut answers = VecDeque::new();
    let mut lines = script.split(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let status = std::str::from_utf8(line)
            .ok()
            .and_then(|line| line.parse::<u16>().ok());
        let Some(Ok(status)) = status.map(StatusCode::from_u16) else {
            continue;
        };
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        let mut own = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.is_empty()) {
            own.push(line);
        }
        *answer.headers_mut() = headers(own.into_iter());
        answers.push_back(answer);
    }
    answers
}

fn says(text: &[u8], part: &str) -> bool {
    part.is_empty()
        || text
            .windows(part.len())
            .any(|window| window == part.as_bytes())
}

fn split<'t>(text: &'t [u8], at: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let start = text.windows(at.len()).position(|part| part == at)?;
    Some((&text[..start], &text[start + at.len()..]))
}
