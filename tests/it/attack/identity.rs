//! Whoever says who he is, is not believed: on every branch, in every spelling.

use std::convert::Infallible;

use bytes::Bytes;
use cas_proxy::{
    csc::ClientSecurityContext,
    first_cas::{CasProxyLayer, forward_basic},
    second_cas::{SecondCasLayer, danger::StaticCredential, unless_proxied},
};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, layer::layer_fn, service_fn};

use super::{
    chain::{Chain, by, run, status_of},
    oracle::judge,
};
use crate::support::{Peer, answer, first_cas, get, here, lookup, status, through, topology, user};

/// Every name of the family, and more of what later versions of the product believed.
const FORGED: [(&str, &str); 16] = [
    ("X-OWA-ProxyUri", "https://evil.example/owa"),
    ("X-OWA-ProxyVersion", "8.3.83.6"),
    (
        "X-OWA-ProxySid",
        "S-1-5-21-1004336348-1177238915-682003330-1",
    ),
    ("X-OWA-ProxyWebPart", "1"),
    ("X-OWA-ProxyAnything", "1"),
    ("X-OWA-ExplicitLogonUser", "bob@contoso.com"),
    ("X-LogonType", "1"),
    ("msExchLogonAccount", "S-1-5-18"),
    ("msExchLogonMailbox", "S-1-5-18"),
    ("msExchTargetServer", "evil~1942062522"),
    ("X-EAS-Proxy", "S-1-5-18"),
    ("X-CommonAccessToken", "VgEAVAdXaW5kb3dz"),
    ("X-Rps-CAT", "VgEAVAdXaW5kb3dz"),
    ("X-BEResource", "localhost~1942062522"),
    ("X-AnonResource-Backend", "localhost/ecp/default.flt?~3"),
    ("X-BackEndHeader-X-CommonAccessToken", "VgEAVAdXaW5kb3dz"),
];

const BRANCHES: [(u32, &str); 4] = [
    (1, "/owa/"),
    (2, "/owa/"),
    (1, "/owa/auth/logon.aspx"),
    (1, "/elsewhere"),
];

fn spellings(name: &str) -> Vec<String> {
    let dot = name.replacen('-', ".", 1);
    let mixed: String = name
        .char_indices()
        .map(|(at, letter)| {
            if at % 2 == 0 {
                letter.to_ascii_uppercase()
            } else {
                letter.to_ascii_lowercase()
            }
        })
        .collect();
    vec![
        name.to_owned(),
        name.to_ascii_uppercase(),
        name.replace('-', "_"),
        dot,
        mixed,
        name.replace('-', "~"),
    ]
}

/// Sends a request of each branch with these lines, by someone signed in; whatever happens, nobody is fooled.
async fn harmless(chain: &Chain, lines: &str) {
    for (rid, path) in BRANCHES {
        chain
            .send(format!("{}{lines}\r\n", by(rid, &format!("GET {path}"))).as_bytes())
            .await;
        judge(&chain.seen(), &[rid]);
    }
}

//= src/docs/protocol.md#header-client-never
#[test]
fn forged_headers_reach_nobody_in_any_spelling() {
    run(async {
        let chain = Chain::new();
        for (name, value) in FORGED {
            for name in spellings(name) {
                for (rid, path) in BRANCHES {
                    let line = format!("{name}: {value}\r\n");
                    let head = by(rid, &format!("GET {path}"));
                    let answer = chain
                        .send(format!("{head}{line}{line}\r\n").as_bytes())
                        .await;
                    assert_eq!(status_of(&answer), Some(200), "{name} {path}");
                    let seen = chain.seen();
                    judge(&seen, &[rid]);
                    assert_eq!(seen.here.len() + seen.there.len(), 1, "{name} {path}");
                }
            }
        }
    });
}

//= src/docs/protocol.md#header-client-never
#[test]
fn forged_cookies_reach_nobody_in_any_spelling() {
    run(async {
        let chain = Chain::new();
        for (name, value) in FORGED {
            let escaped = name.replace('-', "%2D");
            for name in [name.to_ascii_lowercase(), name.replace('-', "_")] {
                for line in [
                    format!("a=1; {name}={value}; b=2"),
                    format!("{name}={value}\r\ncookie: {name} = x"),
                    format!("a=\"1; {name}={value}\""),
                    format!("a=1, {name}={value}"),
                    format!("\"{name}\"={value}; {escaped}={value}"),
                    format!("$Version=1; {name}"),
                ] {
                    harmless(&chain, &format!("cookie: {line}\r\n")).await;
                }
            }
        }
    });
}

//= src/docs/protocol.md#header-client-never
#[test]
fn forged_trailers_reach_nobody() {
    run(async {
        let chain = Chain::new();
        for (name, value) in FORGED {
            for announced in [true, false] {
                for (rid, path) in BRANCHES {
                    let mut head = by(rid, &format!("POST {path}"));
                    if announced {
                        head += &format!("trailer: {name}\r\n");
                    }
                    let body = format!(
                        "3\r\nabc\r\n0\r\n{name}: {value}\r\ncookie: {name}={value}\r\n\r\n"
                    );
                    let bytes = format!("{head}transfer-encoding: chunked\r\n\r\n{body}");
                    let answer = chain.send(bytes.as_bytes()).await;
                    assert_eq!(status_of(&answer), Some(200), "{name} {path}");
                    let seen = chain.seen();
                    judge(&seen, &[rid]);
                    let arrived = seen.here.iter().chain(&seen.there).next().unwrap();
                    assert_eq!(arrived.body, "abc");
                    assert!(arrived.trailers.is_empty(), "{:?}", arrived.trailers);
                }
            }
        }
    });
}

//= src/docs/protocol.md#copy-request
#[test]
fn nominating_a_header_takes_nothing_of_ours_away() {
    for nominated in [
        "x-owa-proxysid",
        "X-OWA-ProxyUri, x-owa-proxyversion",
        "host",
        "authorization",
        "cookie",
        "via",
        "x-forwarded-for",
        "forwarded",
        "signature",
        "signature-input",
        "content-length",
        "content-type",
        "content-digest",
        "close, host",
        "x-a\r\nconnection: host",
        "\u{9}host\u{9},",
    ] {
        run(async {
            let chain = Chain::new();
            let head = by(2, "GET /owa/");
            let answer = chain
                .send(format!("{head}connection: {nominated}\r\n\r\n").as_bytes())
                .await;
            assert_eq!(status_of(&answer), Some(400), "{nominated}");
            assert!(chain.seen().sent.is_empty(), "{nominated}");
        });
        run(async {
            let chain = Chain::new();
            let lines = format!("connection: {nominated}\r\nx-owa-proxysid: S-1-5-18\r\n");
            harmless(&chain, &lines).await;
        });
    }
    // One that is the client's own goes, and its header with it.
    run(async {
        let chain = Chain::new();
        let head = by(2, "GET /owa/");
        chain
            .send(format!("{head}connection: x-mine, close\r\nx-mine: 1\r\n\r\n").as_bytes())
            .await;
        let seen = chain.seen();
        judge(&seen, &[2]);
        assert!(!seen.there[0].headers.contains_key("x-mine"));
    });
}

#[test]
fn two_users_are_nobody() {
    run(async {
        let chain = Chain::new();
        for line in [
            "authorization: user 1",
            "authorization: Basic Ym9i",
            "authorization:",
        ] {
            let head = by(2, "GET /owa/");
            let answer = chain.send(format!("{head}{line}\r\n\r\n").as_bytes()).await;
            assert_eq!(status_of(&answer), Some(400), "{line}");
        }
        let seen = chain.seen();
        assert!(seen.here.is_empty() && seen.sent.is_empty());
    });
}

#[test]
fn without_a_log_on_nothing_is_proxied() {
    run(async {
        let chain = Chain::new();
        for line in [
            "",
            "cookie: cadata=1; SecurityToken=x; sessionid=2\r\n",
            "authorization: user 9\r\n",
            "authorization: user 2, user 1\r\n",
        ] {
            for path in [
                "/owa/",
                "/owa/anna@contoso.com/",
                "/exchange/",
                "/public/",
                "/owa/?cmd=contents&X-Rps-CAT=VgEA",
            ] {
                let head = format!("GET {path} HTTP/1.1\r\nhost: mail.contoso.com\r\n{line}\r\n");
                let answer = chain.send(head.as_bytes()).await;
                assert_eq!(status_of(&answer), Some(401), "{path} {line}");
            }
        }
        let seen = chain.seen();
        assert!(seen.here.is_empty() && seen.sent.is_empty());
    });
}

//= src/docs/protocol.md#cookies
#[tokio::test]
async fn what_signs_users_in_here_never_leaves() {
    let peer = Peer::answering([answer(200, "mail")]);
    let mut request = get(2, "/owa/");
    let headers = request.headers_mut();
    for (name, value) in [
        ("authorization", "Basic YW5uYTpzZWNyZXQ="),
        ("proxy-authorization", "Basic YW5uYTpzZWNyZXQ="),
        (
            "cookie",
            "cadata=1; UserContext=2; cadataKey=3; sessionid=4",
        ),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    through(&first_cas(&peer, &["dallas"]), request).await;
    let sent = &peer.seen()[0].headers;
    assert_eq!(sent["cookie"], "UserContext=2");
    assert!(!sent.contains_key("authorization") && !sent.contains_key("proxy-authorization"));
}

//= src/docs/protocol.md#back-end-identity
#[tokio::test]
async fn a_back_end_is_told_nothing_that_a_client_made_up() {
    let peer = Peer::answering([answer(200, "old mail")]);
    let layer = first_cas(&peer, &["dallas"]).back_end_credentials(forward_basic);
    let mut request = get(3, "/owa/");
    for (name, value) in FORGED {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let basic = "Basic YW5uYTpzZWNyZXQ=";
    request
        .headers_mut()
        .insert("authorization", basic.parse().unwrap());
    assert_eq!(through(&layer, request).await.status(), 200);
    let sent = &peer.seen()[0];
    assert_eq!(sent.uri, "https://legacy1.corp/exchange/");
    assert_eq!(sent.headers["authorization"], basic);
    for (name, _) in FORGED {
        assert!(!sent.headers.contains_key(name), "{name}");
    }
}

//= src/docs/protocol.md#header-client-never
#[tokio::test]
async fn every_sending_again_carries_our_word_and_no_other() {
    let peer = Peer::answering([status(441), status(241), answer(200, "mail")]);
    let mut request = get(2, "/owa/");
    for (name, value) in FORGED {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    through(&first_cas(&peer, &["dallas"]), request).await;
    let seen = peer.seen();
    assert_eq!(seen.len(), 3);
    for sent in seen {
        let of_family = sent.headers.iter().filter(|(name, _)| {
            FORGED
                .iter()
                .any(|(forged, _)| name.as_str().eq_ignore_ascii_case(forged))
        });
        let names: Vec<_> = of_family.map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["x-owa-proxyuri", "x-owa-proxyversion", "x-owa-proxysid"]
        );
        assert_eq!(sent.headers["x-owa-proxysid"], user(2).user().to_string());
        assert_eq!(
            sent.headers["x-owa-proxyuri"],
            "https://mail.contoso.com/owa"
        );
    }
}

/// A verified CAS says who the user is. A log-on of the user's own, found in a cookie that came along, says nothing.
//= src/docs/protocol.md#identity-order
#[tokio::test]
async fn the_calling_cas_has_the_last_word_on_who_the_user_is() {
    let inner = service_fn(|request: Request<Full<Bytes>>| async move {
        let user = request.extensions().get::<ClientSecurityContext>();
        let sid = user.map_or("nobody".to_owned(), |user| user.user().to_string());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(sid))))
    });
    // At this site: user 1 is served, user 2 is in Dallas.
    let first = CasProxyLayer::with_outbound(
        here(),
        topology(&["dallas"]),
        lookup(),
        Peer::default().outbound(),
    )
    .identify(|request| request.headers.contains_key("cookie").then(|| user(2)))
    .layer(inner);
    let sign_in = layer_fn(|inner| inner);
    let second = SecondCasLayer::new(StaticCredential::basic("lab", "secret"))
        .layer(unless_proxied(sign_in).layer(first));
    let request = |method: &str, path: &str, body: &'static str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", "seattle.corp")
            .header("authorization", "Basic bGFiOnNlY3JldA==")
            .header("x-owa-proxyuri", "https://mail.contoso.com/owa")
            .header("x-owa-proxyversion", "8.3.83.6")
            .header("x-owa-proxysid", user(1).user().to_string())
            .header("cookie", "session=of-user-2")
            .body(Full::new(Bytes::from(body)))
            .unwrap()
    };
    let context = cas_proxy::csc::xml::write(&user(1)).unwrap();
    let context = std::str::from_utf8(&context).unwrap().to_owned().leak();
    let answer = second
        .clone()
        .oneshot(request("POST", "/owa/proxyLogon.owa", context))
        .await
        .unwrap();
    assert_eq!(answer.status(), 241);
    let answer = second
        .clone()
        .oneshot(request("GET", "/owa/", ""))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let body = http_body_util::BodyExt::collect(answer.into_body())
        .await
        .unwrap()
        .to_bytes();
    assert_eq!(body, user(1).user().to_string());
}

/// It could answer 441 to learn who its users are.
#[tokio::test]
async fn a_back_end_gets_no_proxy_login_out_of_us() {
    let peer = Peer::answering([status(441), status(241), status(442)]);
    let layer = first_cas(&peer, &["dallas"]).back_end_credentials(|_: &_, _: &_, _: &_| {
        Some(http::HeaderValue::from_static("Basic x"))
    });
    for _ in 0..3 {
        assert_eq!(through(&layer, get(3, "/exchange/")).await.status(), 502);
    }
    assert!(
        peer.seen()
            .iter()
            .all(|sent| !sent.uri.path().contains("proxyLogon"))
    );
    assert_eq!(peer.seen().len(), 3);
}
