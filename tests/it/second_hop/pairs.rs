//! HTTP/1.1 and HTTP/2 on either side: what is a message's own arrives, what is a hop's does not.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cas_proxy::first_cas::CasProxyLayer;
use http::{HeaderMap, Method, Request, Response, Version, request::Parts};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Collected, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    browser::{Browser, connect},
    site::{Answer, Authority, Setup, Site, before, code, text, whole},
    wire::Listener,
};

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// What the second hop saw: head, body, and whether the head alone said that there is none.
struct Saw {
    head: Parts,
    body: Collected<Bytes>,
    without_body: bool,
}

/// A second hop of one version, whose answers are made by a function, and a first CAS before it.
struct Hop {
    layer: CasProxyLayer,
    saw: Arc<Mutex<Option<Saw>>>,
    _site: Site,
}

impl Hop {
    async fn new(
        version: Version,
        answer: impl Fn(&Parts) -> Response<Answer> + Clone + Send + Sync + 'static,
    ) -> Self {
        let authority = Authority::new();
        let setup = match version {
            Version::HTTP_2 => Setup::tls(&authority.certificate(), &["h2"]),
            _ => Setup::plain(),
        };
        let saw = Arc::<Mutex<Option<Saw>>>::default();
        let noted = Arc::clone(&saw);
        let site = setup.serve(move |request| {
            let (head, body) = request.into_parts();
            let (noted, answer) = (Arc::clone(&noted), answer(&head));
            async move {
                let without_body = body.is_end_stream();
                let body = body.collect().await.unwrap();
                if head.uri.path() == "/owa/proxyLogon.owa" {
                    return code(241);
                }
                *noted.lock().unwrap() = Some(Saw {
                    head,
                    body,
                    without_body,
                });
                answer
            }
        });
        let site = site.await;
        let layer = before([site.as_cas("dallas")])
            .outbound(authority.client().build())
            .external_url(&"https://mail.contoso.com/owa".parse().unwrap());
        Self {
            layer,
            saw,
            _site: site,
        }
    }

    fn saw(&self) -> Saw {
        self.saw.lock().unwrap().take().expect("a request")
    }
}

/// Sends a request over every pair of versions, and has a look at what arrived at either end.
async fn check(
    request: impl Fn() -> Request<Answer>,
    answer: impl Fn(&Parts) -> Response<Answer> + Clone + Send + Sync + 'static,
    look: impl Fn([Version; 2], Saw, Response<Collected<Bytes>>),
) {
    for second in VERSIONS {
        let hop = Hop::new(second, answer.clone()).await;
        for first in VERSIONS {
            let mut browser = Browser::new(&hop.layer, 2, first).await;
            let answer = browser.fetch(request()).await;
            let saw = hop.saw();
            assert_eq!(saw.head.version, second);
            assert_eq!(answer.version(), first);
            look([first, second], saw, answer);
        }
    }
}

fn to(method: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri("/owa/x%2By/%C3%A4?a=+b&c=%2f")
}

fn empty() -> Answer {
    http_body_util::Empty::new()
        .map_err(|never| match never {})
        .boxed()
}

/// A body in two pieces, of unknown length, with trailers if there are some.
fn chunked(trailers: Option<HeaderMap>) -> Answer {
    let pieces = ["let", "ter"].map(|piece| Frame::data(Bytes::from(piece)));
    let frames = pieces
        .into_iter()
        .chain(trailers.map(Frame::trailers))
        .map(Ok);
    StreamBody::new(futures_util::stream::iter(frames)).boxed()
}

fn field<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next().map(|line| line.to_str().unwrap());
    assert!(lines.next().is_none(), "{name} once at most");
    line
}

//= src/docs/protocol.md#copy-path
//= src/docs/protocol.md#header-via
#[tokio::test]
async fn a_get_without_a_body_has_none() {
    let look = |[first, second]: [Version; 2], saw: Saw, answer: Response<Collected<Bytes>>| {
        assert!(saw.without_body);
        assert_eq!(saw.head.method, Method::GET);
        let target = saw.head.uri.path_and_query().unwrap();
        assert_eq!(target, "/owa/x%2By/%C3%A4?a=+b&c=%2f");
        for name in [
            "content-length",
            "transfer-encoding",
            "connection",
            "te",
            "expect",
        ] {
            assert_eq!(field(&saw.head.headers, name), None, "{name}");
        }
        let number = |version| {
            if version == Version::HTTP_2 {
                "2"
            } else {
                "1.1"
            }
        };
        assert_eq!(
            field(&saw.head.headers, "via").unwrap(),
            format!("{} seattle", number(first))
        );
        assert_eq!(
            field(answer.headers(), "via").unwrap(),
            format!("{} seattle", number(second))
        );
        assert_eq!(answer.into_body().to_bytes(), "mail");
    };
    check(|| to("GET").body(empty()).unwrap(), |_| text("mail"), look).await;
}

//= src/docs/protocol.md#copy-request
#[tokio::test]
async fn a_body_arrives_whole_whatever_the_method_and_however_it_is_framed() {
    for method in ["GET", "POST", "PUT", "DELETE", "PROPFIND"] {
        let look = |[_, second]: [Version; 2], saw: Saw, _: Response<_>| {
            let framing = if second == Version::HTTP_11 {
                Some("chunked")
            } else {
                None
            };
            assert_eq!(field(&saw.head.headers, "transfer-encoding"), framing);
            assert_eq!(field(&saw.head.headers, "content-length"), None);
            assert_eq!(saw.body.to_bytes(), "letter", "{method}");
        };
        let request = || {
            let request = to(method).header("transfer-encoding", "chunked");
            request.body(chunked(None)).unwrap()
        };
        check(request, |_| text("mail"), look).await;
        let look = |_: [Version; 2], saw: Saw, _: Response<_>| {
            assert_eq!(field(&saw.head.headers, "transfer-encoding"), None);
            assert_eq!(field(&saw.head.headers, "content-length"), Some("6"));
            assert_eq!(saw.body.to_bytes(), "letter", "{method}");
        };
        let request = || {
            let request = to(method).header("content-length", "6");
            request.body(whole("letter")).unwrap()
        };
        check(request, |_| text("mail"), look).await;
    }
}

#[tokio::test]
async fn a_post_without_a_body_says_so() {
    let look = |_: [Version; 2], saw: Saw, _: Response<_>| {
        assert_eq!(field(&saw.head.headers, "content-length"), Some("0"));
        assert_eq!(saw.body.to_bytes(), "");
    };
    check(|| to("POST").body(empty()).unwrap(), |_| text("mail"), look).await;
}

//= src/docs/protocol.md#copy-response
#[tokio::test]
async fn answers_without_a_body_keep_the_length_they_speak_of() {
    for (method, status, length) in [
        ("HEAD", 200, Some("1234")),
        ("GET", 304, None),
        ("GET", 204, None),
    ] {
        let answer = move |_: &Parts| {
            let answer = Response::builder().status(status).header("etag", "\"1\"");
            let answer = length.iter().fold(answer, |answer, length| {
                answer.header("content-length", *length)
            });
            answer.body(empty()).unwrap()
        };
        let look = |pair: [Version; 2], _: Saw, answer: Response<Collected<Bytes>>| {
            assert_eq!(answer.status(), status);
            assert_eq!(field(answer.headers(), "etag"), Some("\"1\""));
            let seen = field(answer.headers(), "content-length");
            assert_eq!(seen, length, "{method} {status} {pair:?}");
            assert_eq!(field(answer.headers(), "transfer-encoding"), None);
            assert_eq!(answer.into_body().to_bytes(), "");
        };
        check(|| to(method).body(empty()).unwrap(), answer, look).await;
    }
}

#[tokio::test]
async fn an_answer_of_unknown_length_ends_where_it_ends() {
    let answer = |_: &Parts| Response::new(chunked(None));
    let look = |_: [Version; 2], _: Saw, answer: Response<Collected<Bytes>>| {
        assert_eq!(field(answer.headers(), "content-length"), None);
        assert_eq!(answer.into_body().to_bytes(), "letter");
    };
    check(|| to("GET").body(empty()).unwrap(), answer, look).await;
}

fn trailers(names: &[&'static str]) -> HeaderMap {
    let value = |name| (http::HeaderName::from_static(name), "1".parse().unwrap());
    names.iter().copied().map(value).collect()
}

//= src/docs/protocol.md#header-client-never
#[tokio::test]
async fn trailers_pass_to_the_client_that_wants_them_without_what_is_no_business_of_theirs() {
    let answer = |_: &Parts| {
        let mut answer = Response::new(chunked(Some(trailers(&["checksum", "x-owa-proxysid"]))));
        let announced = "checksum, x-owa-proxysid".parse().unwrap();
        answer.headers_mut().insert("trailer", announced);
        answer
    };
    let look = |pair: [Version; 2], saw: Saw, answer: Response<Collected<Bytes>>| {
        assert_eq!(field(&saw.head.headers, "te"), Some("trailers"), "{pair:?}");
        let body = answer.into_body();
        assert_eq!(body.trailers(), Some(&trailers(&["checksum"])));
        assert_eq!(body.to_bytes(), "letter");
    };
    let request = || {
        let request = to("GET").header("te", "trailers");
        request.body(empty()).unwrap()
    };
    check(request, answer, look).await;
}

#[tokio::test]
async fn trailers_of_a_request_pass_only_if_they_are_let() {
    for (forwarded, left) in [(true, Some(trailers(&["checksum"]))), (false, None)] {
        for second in VERSIONS {
            let hop = Hop::new(second, |_| text("mail")).await;
            let layer = hop.layer.clone().forward_request_trailers(forwarded);
            for first in VERSIONS {
                let mut browser = Browser::new(&layer, 2, first).await;
                let sent = trailers(&["checksum", "x-owa-proxysid"]);
                let request = to("POST").header("trailer", "checksum, x-owa-proxysid");
                let request = request.body(chunked(Some(sent))).unwrap();
                browser.fetch(request).await;
                let saw = hop.saw();
                assert_eq!(saw.body.trailers(), left.as_ref(), "{first:?} {second:?}");
                assert_eq!(saw.body.to_bytes(), "letter");
            }
        }
    }
}

//= src/docs/protocol.md#copy-request
#[tokio::test]
async fn cookies_arrive_in_one_line_and_in_their_order() {
    let request = || {
        let lines = ["a=1; b=2", "c=\"3\"; sessionid=4", "d=5"];
        let request = lines
            .iter()
            .fold(to("GET"), |request, line| request.header("cookie", *line));
        request.body(empty()).unwrap()
    };
    let look = |_: [Version; 2], saw: Saw, _: Response<_>| {
        let cookies = field(&saw.head.headers, "cookie");
        assert_eq!(cookies, Some("a=1; b=2; c=\"3\"; d=5"));
    };
    check(request, |_| text("mail"), look).await;
}

//= src/docs/protocol.md#cookies
#[tokio::test]
async fn three_set_cookies_stay_three() {
    let answer = |_: &Parts| {
        let lines = [
            "a=1; Domain=dallas.corp; Path=/",
            "b=2, 3; Expires=Wed, 01 Jan 2031 00:00:00 GMT",
            "c=4",
        ];
        let answer = Response::builder().header("set-cookie", lines[0]);
        let answer = answer
            .header("set-cookie", lines[1])
            .header("set-cookie", lines[2]);
        answer.body(whole("mail")).unwrap()
    };
    let look = |_: [Version; 2], _: Saw, answer: Response<_>| {
        let lines: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
        let expected = [
            "a=1; Path=/",
            "b=2, 3; Expires=Wed, 01 Jan 2031 00:00:00 GMT",
            "c=4",
        ];
        assert_eq!(lines, expected);
    };
    check(|| to("GET").body(empty()).unwrap(), answer, look).await;
}

#[tokio::test]
async fn values_beyond_ascii_pass_both_ways() {
    let latin = http::HeaderValue::from_bytes(b"G\xe4ste; \xff").unwrap();
    let value = latin.clone();
    let answer = move |_: &Parts| {
        let mut answer = text("mail");
        answer.headers_mut().insert("subject", value.clone());
        answer
    };
    let look = |_: [Version; 2], saw: Saw, answer: Response<_>| {
        assert_eq!(saw.head.headers["subject"], latin);
        assert_eq!(answer.headers()["subject"], latin);
    };
    let request = || {
        let request = to("GET").header("subject", &latin).header("accept", &latin);
        request.header("cookie", &latin).body(empty()).unwrap()
    };
    check(request, answer, look).await;
}

//= src/docs/protocol.md#location
#[tokio::test]
async fn each_side_is_told_of_hosts_it_knows() {
    for second in VERSIONS {
        let hop = Hop::new(second, |request| {
            let headers = &request.headers;
            let host = match request.uri.authority() {
                Some(authority) => format!("https://{authority}"),
                None => format!("http://{}", field(headers, "host").unwrap()),
            };
            assert_eq!(
                field(headers, "destination").unwrap(),
                format!("{host}/owa/y?z")
            );
            let answer = Response::builder()
                .header("location", format!("{host}/owa/?a=+b"))
                .header("content-location", format!("{host}/owa/x"))
                .header("refresh", format!("5; url={host}/owa/y"))
                .header("link", format!("<{host}/owa/z>"));
            answer.body(whole("mail")).unwrap()
        });
        let hop = hop.await;
        for first in VERSIONS {
            let mut browser = Browser::new(&hop.layer, 2, first).await;
            let request = to("MOVE").header("destination", "https://mail.contoso.com/owa/y?z");
            let answer = browser.fetch(request.body(empty()).unwrap()).await;
            let own = "https://mail.contoso.com/owa";
            for (name, value) in [
                ("location", format!("{own}/?a=+b")),
                ("content-location", format!("{own}/x")),
                ("refresh", format!("5; url={own}/y")),
            ] {
                assert_eq!(answer.headers()[name], value);
            }
        }
    }
}

/// Writes a request by hand, to a second hop that does so, too. What that one read, if it was asked at all, and
/// the answer.
async fn by_hand(request: &str) -> (Option<(String, Vec<u8>)>, String) {
    let listener = Listener::new().await;
    let layer = before([listener.as_cas("dallas")]);
    let second = tokio::spawn(async move {
        let mut hop = listener.accept().await;
        let head = hop.head().await;
        let body = match head.contains("transfer-encoding: chunked") {
            true => hop.chunked().await,
            false => Vec::new(),
        };
        hop.answer("HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
            .await;
        hop.answer("HTTP/1.1 200 OK\r\nConnection: x-hop\r\nconnection: close\r\nx-hop: 1\r\n")
            .await;
        hop.answer("content-length: 4\r\n\r\nmail").await;
        (head, body)
    });
    let mut client = connect(&layer, 2);
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    if !second.is_finished() {
        second.abort();
    }
    (second.await.ok(), answer)
}

#[tokio::test]
async fn what_is_said_before_the_answer_is_not_taken_for_it() {
    let (_, answer) =
        by_hand("GET /owa/ HTTP/1.1\r\nhost: mail\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nmail"), "{answer}");
    assert!(!answer.contains("x-hop"), "{answer}");
}

//= src/docs/protocol.md#copy-request
#[tokio::test]
async fn every_connection_line_is_read_before_any_is_removed() {
    let (seen, _) = by_hand(
        "GET /owa/ HTTP/1.1\r\nhost: mail\r\nconnection: x-one, close\r\nx-one: 1\r\nx-two: 2\r\n\
         connection: keep-alive, Upgrade, X-Two\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\
         keep-alive: timeout=5\r\nx-three: 3\r\n\r\n",
    )
    .await;
    let (head, _) = seen.unwrap();
    for gone in [
        "x-one",
        "x-two",
        "connection",
        "upgrade",
        "http2-settings",
        "keep-alive",
    ] {
        assert!(!head.contains(&format!("\r\n{gone}:")), "{gone}: {head}");
    }
    assert!(head.contains("\r\nx-three: 3\r\n"), "{head}");
}

//= src/docs/protocol.md#copy-request
#[tokio::test]
async fn nobody_may_nominate_what_says_who_somebody_is() {
    for name in [
        "Host",
        "cookie",
        "Authorization",
        "X-Forwarded-For",
        "forwarded",
        "via",
        "X-OWA-ProxySid",
        "x-owa-proxyuri",
        "msExchLogonMailbox",
        "content-length",
        "Content-Type",
    ] {
        for line in [
            format!("{name}, close"),
            format!("close, x-hop ,{name}"),
            format!("close\r\nconnection: {name}"),
        ] {
            let request = format!(
                "GET /owa/ HTTP/1.1\r\nhost: mail\r\nconnection: {line}\r\ncookie: a=1\r\n\r\n"
            );
            let (seen, answer) = by_hand(&request).await;
            assert!(seen.is_none(), "{line}");
            assert!(answer.starts_with("HTTP/1.1 400 "), "{line}: {answer}");
        }
    }
}

//= src/docs/protocol.md#copy-request
#[tokio::test]
async fn a_length_beside_chunks_is_not_passed_on() {
    for framing in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 3",
    ] {
        let request = format!(
            "POST /owa/ HTTP/1.1\r\nhost: mail\r\nconnection: close\r\n{framing}\r\n\r\n6\r\nletter\r\n0\r\n\r\n"
        );
        let (seen, answer) = by_hand(&request).await;
        let (head, body) = seen.unwrap();
        assert!(!head.contains("content-length"), "{head}");
        assert_eq!(body, b"letter");
        assert!(answer.ends_with("mail"), "{answer}");
    }
    for framing in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "content-length: 6\r\ncontent-length: 7",
    ] {
        let request = format!(
            "POST /owa/ HTTP/1.1\r\nhost: mail\r\nconnection: close\r\n{framing}\r\n\r\n6\r\nletter\r\n0\r\n\r\n"
        );
        let (seen, answer) = by_hand(&request).await;
        assert!(seen.is_none(), "{framing}");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{framing}: {answer}");
    }
}

/// The client's own wish to be asked is granted when the second hop wants its body, and not before.
#[tokio::test]
async fn a_client_that_waits_to_be_asked_is_asked_when_the_body_is_wanted() {
    for (length, asks) in [("6", false), ("100000", true)] {
        let listener = Listener::new().await;
        let mut client = connect(&before([listener.as_cas("dallas")]), 2);
        let head = format!(
            "POST /owa/ HTTP/1.1\r\nhost: mail\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let mut hop = listener.accept().await;
        assert_eq!(hop.head().await.contains("expect: 100-continue"), asks);
        if asks {
            hop.answer("HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        let mut asked = [0; 25];
        client.read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(b"letter").await.unwrap();
        assert_eq!(hop.exactly(6).await, b"letter");
    }
}

#[tokio::test]
async fn a_client_of_the_last_century_gets_an_answer_it_can_read() {
    let (seen, answer) = by_hand("GET /owa/ HTTP/1.0\r\nhost: mail\r\n\r\n").await;
    let (head, _) = seen.unwrap();
    assert!(head.starts_with("GET /owa/ HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nvia: 1.0 seattle\r\n"), "{head}");
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(
        !answer.contains("chunked") && answer.ends_with("\r\n\r\nmail"),
        "{answer}"
    );
}
