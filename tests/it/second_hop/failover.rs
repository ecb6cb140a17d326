//! When the next candidate is tried, and when it is not.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cas_proxy::{
    directory::ClientAccessServer,
    first_cas::CasProxyLayer,
    outbound::OutboundService,
    pages::NOT_RESPONDING,
    telemetry::{Event, Outcome},
};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    Peer, assert_status,
    body::Counted,
    by, first_cas, get,
    logs::Logs,
    post,
    site::{Setup, Site, before, cas_at, code, whole},
    status, through,
    wire::{ACCEPTED, CONTINUE, Listener, NEED_IDENTITY, OK},
};

/// These servers in the order in which user 2 comes to them.
pub(super) async fn in_turn<const N: usize>(names: [&'static str; N]) -> [&'static str; N] {
    let peer = Peer::answering((0..N).map(|_| status(503)));
    through(&first_cas(&peer, &names), get(2, "/owa/")).await;
    let seen = peer.seen();
    std::array::from_fn(|at| {
        let host = seen[at].uri.host().unwrap();
        let (server, _) = host.split_once('.').unwrap();
        names.into_iter().find(|name| *name == server).unwrap()
    })
}

async fn two() -> [&'static str; 2] {
    in_turn(["dallas1", "dallas2"]).await
}

/// A server at an address where nobody listens.
async fn absent(name: &str) -> ClientAccessServer {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    cas_at(name, &format!("http://{address}/owa"))
}

/// A site whose answers are those given, in their order; `0` hangs up instead.
async fn scripted(answers: &[u16]) -> Site {
    let answers = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
    let connection = |request: Request<hyper::body::Incoming>, status| async move {
        let asked = format!("{} {}", request.method(), request.uri().path());
        let _ = request.into_body().collect().await;
        let mut answer = code(status);
        *answer.body_mut() = whole(format!("{status} to {asked}"));
        answer
    };
    Setup::plain()
        .serve(move |request| {
            let status = answers.lock().unwrap().pop_front();
            connection(request, status.expect("an answer in the script"))
        })
        .await
}

fn event<B>(answer: &Response<B>) -> Option<Event> {
    match answer.extensions().get() {
        Some(Outcome::Refused(failure)) => failure.event(),
        _ => None,
    }
}

/// Posts a large body, which waits for `100 Continue`.
fn upload(layer: CasProxyLayer) -> tokio::task::JoinHandle<Response<Bytes>> {
    upload_of(layer, Counted::new(100_000, true).0)
}

fn upload_of(layer: CasProxyLayer, body: Counted) -> tokio::task::JoinHandle<Response<Bytes>> {
    tokio::spawn(async move {
        let never = service_fn(|_: Request<Counted>| async {
            Err::<Response<String>, _>(std::io::Error::other("not served here"))
        });
        let request = by(2, Method::POST, "/owa/upload").body(body).unwrap();
        let answer = layer.layer(never).oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    })
}

//= src/docs/protocol.md#failover-when
#[tokio::test]
async fn a_server_that_cannot_be_reached_costs_nobody_a_request_of_any_kind() {
    let [first, second] = two().await;
    let unknown = cas_at(first, "http://nowhere.invalid/owa");
    for unreachable in [absent(first).await, unknown] {
        let site = scripted(&[200; 5]).await;
        let logs = Logs::default();
        let _guard = logs.collect();
        let layer = before([unreachable, site.as_cas(second)]);
        for method in ["GET", "POST", "DELETE", "MOVE"] {
            let request = by(2, method.parse().unwrap(), "/owa/x")
                .body(Full::from("letter"))
                .unwrap();
            let answer = through(&layer, request).await;
            assert_eq!(answer.body(), &format!("200 to {method} /owa/x"));
        }
        // After the second failure it rests, and is not asked.
        assert_eq!(logs.events(), vec![format!("39 {first}"); 2]);
    }
}

//= src/docs/protocol.md#failover-when
//= src/docs/protocol.md#error-not-responding
//= src/docs/protocol.md#decide-none-responding
#[tokio::test]
async fn if_nobody_can_be_reached_each_is_tried_once_and_the_site_does_not_respond() {
    let [first, second, third] = in_turn(["dallas1", "dallas2", "dallas3"]).await;
    let logs = Logs::default();
    let _guard = logs.collect();
    let layer = before([
        absent(second).await,
        absent(third).await,
        absent(first).await,
    ]);
    let answer = through(&layer, get(2, "/owa/")).await;
    assert_status(&answer, 503);
    assert_eq!(event(&answer), Some(Event::AllAttemptsFailed));
    assert!(String::from_utf8_lossy(answer.body()).contains(NOT_RESPONDING));
    assert!(answer.headers().contains_key("retry-after"));
    let hops = [("39", first), ("39", second), ("40", third)];
    assert_eq!(
        logs.events(),
        hops.map(|(event, name)| format!("{event} {name}"))
    );
}

//= src/docs/protocol.md#failover-when
#[tokio::test]
async fn a_connection_closed_before_an_answer_moves_what_may_be_done_twice() {
    let [first, second] = two().await;
    for (method, moves) in [
        ("GET", true),
        ("HEAD", true),
        ("OPTIONS", true),
        ("PROPFIND", true),
        ("SEARCH", true),
        ("POST", false),
        ("PUT", false),
        ("DELETE", false),
        ("MOVE", false),
        ("BPROPPATCH", false),
    ] {
        let (listener, site) = (Listener::new().await, scripted(&[200]).await);
        let logs = Logs::default();
        let _guard = logs.collect();
        let layer = before([listener.as_cas(first), site.as_cas(second)]);
        let client = tokio::spawn(async move {
            let request = by(2, method.parse().unwrap(), "/owa/x")
                .body(Full::from("letter"))
                .unwrap();
            through(&layer, request).await
        });
        let mut hop = listener.accept().await;
        hop.head().await;
        hop.exactly(6).await;
        drop(hop);
        let answer = client.await.unwrap();
        if moves {
            assert_status(&answer, 200);
            assert_eq!(logs.events(), [format!("39 {first}")], "{method}");
        } else {
            assert_status(&answer, 503);
            assert_eq!(site.connections(), 0, "{method}");
            assert_eq!(logs.events(), [format!("40 {first}")], "{method}");
        }
    }
}

//= src/docs/protocol.md#failover-when
#[tokio::test]
async fn a_body_that_never_left_moves_with_its_request() {
    let [first, second] = two().await;
    let endings: [Option<&str>; 3] = [
        None,
        Some("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"),
        Some("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"),
    ];
    for ending in endings {
        let (one, two) = (Listener::new().await, Listener::new().await);
        let client = upload(before([one.as_cas(first), two.as_cas(second)]));
        let mut hop = one.accept().await;
        assert!(hop.head().await.contains("expect: 100-continue"));
        match ending {
            Some(answer) => hop.answer(answer).await,
            None => drop(hop),
        }
        let mut hop = two.accept().await;
        hop.head().await;
        hop.answer(CONTINUE).await;
        let arrived = hop.exactly(100_000).await;
        assert!(
            arrived
                .iter()
                .zip(0..)
                .all(|(byte, at)| *byte == Counted::byte(at))
        );
        hop.answer(OK).await;
        assert_status(&client.await.unwrap(), 200);
    }
}

/// Its gate never opens the second time, but there is nothing behind it: all of the request has left.
//= src/docs/protocol.md#failover-when
#[tokio::test]
async fn a_body_that_turned_out_empty_is_none_that_never_left() {
    let [first, second] = two().await;
    let (one, two) = (Listener::new().await, scripted(&[]).await);
    let layer = before([one.as_cas(first), two.as_cas(second)]);
    let client = upload_of(layer, Counted::new(0, false).0);
    let mut hop = one.accept().await;
    hop.head().await;
    hop.answer(CONTINUE).await;
    hop.chunked().await;
    hop.answer(NEED_IDENTITY).await;
    let head = hop.head().await;
    hop.body(&head).await;
    hop.answer(ACCEPTED).await;
    let head = hop.head().await;
    assert!(
        !head.contains("expect") && head.contains("content-length: 0"),
        "{head}"
    );
    drop(hop);
    assert_status(&client.await.unwrap(), 503);
    assert_eq!(two.connections(), 0);
}

//= src/docs/protocol.md#failover-when
#[tokio::test]
async fn a_body_that_has_left_does_not() {
    let [first, second] = two().await;
    for answer in [None, Some(503)] {
        let (one, two) = (Listener::new().await, scripted(&[]).await);
        let client = upload(before([one.as_cas(first), two.as_cas(second)]));
        let mut hop = one.accept().await;
        hop.head().await;
        hop.answer(CONTINUE).await;
        hop.exactly(100_000).await;
        if let Some(status) = answer {
            let answer = format!("HTTP/1.1 {status} Later\r\ncontent-length: 5\r\n\r\nlater");
            hop.answer(&answer).await;
        }
        drop(hop);
        let answered = client.await.unwrap();
        assert_status(&answered, 503);
        // Its own answer, where it gave one.
        assert_eq!(answered.body() == "later", answer.is_some());
        assert_eq!(two.connections(), 0);
    }
}

//= src/docs/protocol.md#failover-when
#[tokio::test]
async fn a_502_or_503_moves_what_may_be_done_twice_and_other_failures_pass() {
    let [first, second] = two().await;
    for (method, status, moves) in [
        ("GET", 502, true),
        ("GET", 503, true),
        ("SEARCH", 503, true),
        ("GET", 500, false),
        ("GET", 504, false),
        ("GET", 404, false),
        ("POST", 502, false),
        ("POST", 503, false),
    ] {
        let (one, two) = (scripted(&[status]).await, scripted(&[200]).await);
        let layer = before([one.as_cas(first), two.as_cas(second)]);
        let request = by(2, method.parse().unwrap(), "/owa/x")
            .body(Full::from("letter"))
            .unwrap();
        let answer = through(&layer, request).await;
        let expected = if moves { 200 } else { status };
        assert_status(&answer, expected);
        assert_eq!(answer.body(), &format!("{expected} to {method} /owa/x"));
        assert_eq!(two.connections(), usize::from(moves));
    }
}

//= src/docs/protocol.md#failover-when
#[tokio::test]
async fn the_last_candidates_own_502_or_503_is_the_answer() {
    let [first, second] = two().await;
    for (method, statuses, events) in [
        (
            "GET",
            [502, 503],
            vec![format!("39 {first}"), "40".to_owned()],
        ),
        (
            "GET",
            [503, 502],
            vec![format!("39 {first}"), "40".to_owned()],
        ),
        // Not to be done twice: it stays with the first, which is then the last.
        ("POST", [503, 0], vec!["40".to_owned()]),
    ] {
        let logs = Logs::default();
        let _guard = logs.collect();
        let (one, two) = (
            scripted(&statuses[..1]).await,
            scripted(&statuses[1..]).await,
        );
        let layer = before([one.as_cas(first), two.as_cas(second)]);
        let request = by(2, method.parse().unwrap(), "/owa/x")
            .body(Full::default())
            .unwrap();
        let answer = through(&layer, request).await;
        let last = if statuses[1] == 0 {
            statuses[0]
        } else {
            statuses[1]
        };
        assert_status(&answer, last);
        assert_eq!(answer.body(), &format!("{last} to {method} /owa/x"));
        let Some(Outcome::Proxied { candidates, .. }) = answer.extensions().get() else {
            panic!("{last} to {method} was not proxied");
        };
        assert_eq!(*candidates, events.len());
        assert_eq!(logs.events(), events);
    }
}

//= src/docs/protocol.md#error-not-responding
#[tokio::test]
async fn an_answer_is_better_than_none() {
    let [first, second] = two().await;
    let site = scripted(&[503]).await;
    let logs = Logs::default();
    let _guard = logs.collect();
    let layer = before([site.as_cas(first), absent(second).await]);
    let answer = through(&layer, get(2, "/owa/")).await;
    assert_status(&answer, 503);
    assert_eq!(answer.body(), "503 to GET /owa/");
    let Some(Outcome::Proxied { candidates, .. }) = answer.extensions().get() else {
        panic!("{answer:?}");
    };
    assert_eq!(*candidates, 2, "one behind the one that answered");
    assert_eq!(logs.events(), [format!("39 {first}"), "40".to_owned()]);
}

//= src/docs/protocol.md#error-not-responding
#[tokio::test]
async fn an_answer_outlives_the_connection_it_came_by() {
    let [first, second] = two().await;
    let listener = Listener::new().await;
    let client = upload(before([listener.as_cas(first), absent(second).await]));
    let mut hop = listener.accept().await;
    hop.head().await;
    hop.answer("HTTP/1.1 503 Later\r\ncontent-length: 10\r\n\r\n")
        .await;
    hop.answer("later, ple").await;
    let answer = client.await.unwrap();
    assert_status(&answer, 503);
    assert_eq!(answer.body(), "later, ple");
    assert_eq!(hop.closed().await, 0, "the body that waited is gone");
}

/// The body of the request stays behind, unread; that of the answer has to arrive all the same.
#[tokio::test]
async fn a_503_to_a_body_that_never_left_arrives_whole() {
    let listener = Listener::new().await;
    let client = upload(before([listener.as_cas("dallas")]));
    let mut hop = listener.accept().await;
    hop.head().await;
    let page = "x".repeat(1_000_000);
    let answer = format!(
        "HTTP/1.1 503 Later\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    );
    let answering = tokio::spawn(async move { hop.answer(&answer).await });
    let answer = client.await.unwrap();
    assert_status(&answer, 503);
    assert!(answer.body() == &page);
    answering.await.unwrap();
}

//= src/docs/protocol.md#failover-when
//= src/docs/protocol.md#login-answers
#[tokio::test]
async fn a_login_that_finds_nobody_moves_even_a_post() {
    let [first, second] = two().await;
    for answer in [None, Some(502), Some(503)] {
        let (one, two) = (Listener::new().await, scripted(&[200]).await);
        let logs = Logs::default();
        let _guard = logs.collect();
        let layer = before([one.as_cas(first), two.as_cas(second)]);
        let client =
            tokio::spawn(async move { through(&layer, post(2, "/owa/x", "letter")).await });
        let mut hop = one.accept().await;
        hop.head().await;
        hop.exactly(6).await;
        hop.answer(NEED_IDENTITY).await;
        assert!(hop.head().await.contains("/owa/proxyLogon.owa"));
        if let Some(status) = answer {
            let answer = format!("HTTP/1.1 {status} Later\r\ncontent-length: 0\r\n\r\n");
            hop.answer(&answer).await;
        }
        drop(hop);
        let answer = client.await.unwrap();
        assert_status(&answer, 200);
        assert_eq!(answer.body(), "200 to POST /owa/x");
        assert_eq!(logs.events(), [format!("39 {first}")]);
    }
}

//= src/docs/protocol.md#failover-when
#[tokio::test]
async fn a_stale_connection_is_replaced_and_is_no_attempt() {
    let [first, second] = two().await;
    let (one, two) = (scripted(&[200; 4]).await, scripted(&[]).await);
    let logs = Logs::default();
    let _guard = logs.collect();
    let layer = before([one.as_cas(first), two.as_cas(second)]);
    for connections in 1..=4 {
        let answer = through(&layer, post(2, "/owa/x", "letter")).await;
        assert_status(&answer, 200);
        assert_eq!(one.connections(), connections);
        one.hang_up();
        one.all_closed().await;
    }
    assert_eq!(two.connections(), 0);
    assert!(logs.events().is_empty());
}

//= src/docs/protocol.md#failover-when
#[tokio::test(start_paused = true)]
async fn a_time_out_while_waiting_moves_nothing() {
    let [first, _] = two().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let silent = OutboundService::new(service_fn(move |request: Request<_>| {
        let host = request.uri().host().unwrap().to_owned();
        notes.lock().unwrap().push(host);
        std::future::pending::<Result<Response<String>, std::io::Error>>()
    }));
    let peer = Peer::default();
    let layer = first_cas(&peer, &["dallas1", "dallas2"]).outbound(silent);
    let logs = Logs::default();
    let _guard = logs.collect();
    assert_status(&through(&layer, get(2, "/owa/")).await, 504);
    assert_eq!(*asked.lock().unwrap(), [format!("{first}.corp")]);
    assert!(logs.events().is_empty());
}
