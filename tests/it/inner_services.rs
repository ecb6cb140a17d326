//! What may stand inside a first CAS, and around it: whatever tower, tower-http and axum have, without an adapter.

use std::{
    convert::Infallible,
    future::{Ready, pending, ready},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, response::IntoResponse, routing::get as on_get};
use bytes::Bytes;
use cas_proxy::{
    directory::MailboxKey,
    first_cas::{CasProxyLayer, ResponseBody},
    lookup::{Answer, CouldNotAsk, MailboxLookup},
    outbound::BoxError,
};
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, buffer::BufferLayer, limit::ConcurrencyLimitLayer,
    service_fn,
};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer, trace::TraceLayer};

use crate::support::{Peer, answer, first_cas, get, here, lookup, topology, user};

/// Whose request it is comes by a header here: a connection has users of all kinds.
fn signed_in<B>(mut request: Request<B>) -> Request<B> {
    let rid = request.headers_mut().remove("rid").unwrap();
    let rid = rid.to_str().unwrap().parse().unwrap();
    request.extensions_mut().insert(user(rid));
    request
}

fn layer(peer: &Peer) -> CasProxyLayer {
    first_cas(peer, &["dallas"])
}

/// The answers of `second hop` to two requests, the first by a user of here.
fn peer() -> Peer {
    Peer::answering([answer(200, "mail of Dallas")])
}

/// Asks once for a user of here and once for one of Dallas.
async fn asks(
    stream: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
) -> [String; 2] {
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut texts = [const { String::new() }; 2];
    for (text, rid) in texts.iter_mut().zip(["1", "2"]) {
        let request = Request::get("/owa/x")
            .header("host", "mail.contoso.com")
            .header("rid", rid);
        let answer = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap());
        let body = answer.await.unwrap().into_body().collect().await.unwrap();
        *text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    }
    texts
}

/// Serves by hyper-util: any error will do.
async fn served_by_hyper<S, B>(service: S) -> [String; 2]
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let service = TowerToHyperService::new(
        ServiceBuilder::new()
            .map_request(signed_in)
            .service(service),
    );
    tokio::spawn(async move {
        let server = auto::Builder::new(TokioExecutor::new());
        server
            .serve_connection(TokioIo::new(theirs), service)
            .await
            .unwrap();
    });
    asks(TokioIo::new(ours)).await
}

/// Serves by axum: errors are `Infallible`.
async fn served_by_axum<S>(service: S) -> [String; 2]
where
    S: Service<axum::extract::Request, Response: IntoResponse, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = ServiceBuilder::new()
        .map_request(signed_in)
        .service(service);
    let router = Router::new().fallback_service(service);
    let serving = tokio::spawn(async { axum::serve(listener, router).await });
    let stream = TcpStream::connect(address).await.unwrap();
    let texts = asks(TokioIo::new(stream)).await;
    serving.abort();
    texts
}

async fn mail<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new("served here".into()))
}

fn router() -> Router {
    Router::new().route("/owa/x", on_get(async || "served here"))
}

const BOTH: [&str; 2] = ["served here", "mail of Dallas"];

#[tokio::test]
async fn an_axum_router() {
    assert_eq!(served_by_hyper(layer(&peer()).layer(router())).await, BOTH);
    assert_eq!(served_by_axum(layer(&peer()).layer(router())).await, BOTH);
    // As one service among others.
    let mut all = Router::new().fallback_service(layer(&peer()).layer(router()));
    all = all.route("/elsewhere", on_get(async || "elsewhere"));
    assert_eq!(served_by_axum(all).await, BOTH);
}

#[tokio::test]
async fn a_function() {
    assert_eq!(
        served_by_hyper(layer(&peer()).layer(service_fn(mail))).await,
        BOTH
    );
    assert_eq!(
        served_by_axum(layer(&peer()).layer(service_fn(mail))).await,
        BOTH
    );
}

#[tokio::test]
async fn a_concurrency_limit() {
    let one = ConcurrencyLimitLayer::new(1);
    let inner = one.layer(service_fn(mail));
    assert_eq!(served_by_hyper(layer(&peer()).layer(inner)).await, BOTH);
    let inner = one.layer(service_fn(mail));
    assert_eq!(served_by_axum(layer(&peer()).layer(inner)).await, BOTH);
}

/// Its error is a box, so axum would want it handled.
#[tokio::test]
async fn a_buffer() {
    let inner = BufferLayer::new(1).layer(service_fn(mail));
    assert_eq!(served_by_hyper(layer(&peer()).layer(inner)).await, BOTH);
}

#[tokio::test]
async fn what_tower_http_has_inside_and_outside() {
    let second = Duration::from_secs(1);
    let timeout = || TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, second);
    let inner = || {
        ServiceBuilder::new()
            .layer(TraceLayer::new_for_http())
            .layer(timeout())
            .service(router())
    };
    assert_eq!(served_by_hyper(layer(&peer()).layer(inner())).await, BOTH);
    assert_eq!(served_by_axum(layer(&peer()).layer(inner())).await, BOTH);
    let around = || {
        ServiceBuilder::new()
            .layer(CatchPanicLayer::new())
            .layer(TraceLayer::new_for_http())
            .layer(timeout())
            .layer(layer(&peer()))
            .service(router())
    };
    assert_eq!(served_by_hyper(around()).await, BOTH);
    assert_eq!(served_by_axum(around()).await, BOTH);
    assert_eq!(served_by_axum(router().layer(layer(&peer()))).await, BOTH);
}

/// What `TimeoutLayer` and others ask of a body they have no bytes for, whatever the inner body is.
#[test]
fn a_body_has_a_default() {
    struct NoDefault;
    let body = ResponseBody::<NoDefault>::default();
    drop(body);
    let body = ResponseBody::<Incoming>::default();
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
}

/// A service that panics unless the very instance that is called was ready before.
struct Strict {
    is_ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { is_ready: false }
    }
}

impl<B> Service<Request<B>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.is_ready),
            "called without being ready"
        );
        ready(Ok(Response::new("served here".into())))
    }
}

/// Knows everybody, after a while; whoever is asked for first, never.
fn slow_lookup(hanging: u32) -> impl MailboxLookup {
    let known = lookup();
    move |key: MailboxKey| {
        let (answer, hangs) = (
            known.peek(&key),
            key == MailboxKey::Sid(*user(hanging).user()),
        );
        async move {
            if hangs {
                pending::<()>().await;
            }
            tokio::task::yield_now().await;
            Ok::<_, CouldNotAsk>(answer.unwrap_or(Answer::NotFound))
        }
    }
}

fn layer_asking(lookup: impl MailboxLookup) -> CasProxyLayer {
    CasProxyLayer::with_outbound(here(), topology(&[]), lookup, Peer::default().outbound())
}

#[tokio::test]
async fn the_instance_that_is_called_was_ready() {
    let strict = Strict { is_ready: false };
    let at_once = layer(&Peer::default()).layer(strict.clone());
    let after_a_lookup = layer_asking(slow_lookup(0)).layer(strict);
    for service in [at_once, after_a_lookup] {
        for path in ["/owa/", "/elsewhere", "/owa/auth/logon.aspx"] {
            let mut service = service.clone();
            for _ in 0..3 {
                let ready = ServiceExt::<Request<Full<Bytes>>>::ready(&mut service);
                let answer = ready.await.unwrap().call(get(1, path)).await.unwrap();
                assert_eq!(answer.status(), 200);
            }
        }
    }
}

/// Whoever waits for the directory keeps nobody from the inner service.
#[tokio::test(start_paused = true)]
async fn no_place_is_held_while_the_directory_is_asked() {
    let layer = || layer_asking(slow_lookup(2));
    let limited = layer().layer(ConcurrencyLimitLayer::new(1).layer(service_fn(mail)));
    let buffered = layer().layer(BufferLayer::new(1).layer(service_fn(mail)));
    let limited = limited.map_err(BoxError::from);
    check(limited).await;
    check(buffered).await;

    async fn check<S, B>(service: S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = BoxError>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: Send + 'static,
    {
        let waiting: Vec<_> = (0..10)
            .map(|_| tokio::spawn(service.clone().oneshot(get(2, "/owa/"))))
            .collect();
        tokio::task::yield_now().await;
        let started = tokio::time::Instant::now();
        for _ in 0..10 {
            let answer = service.clone().oneshot(get(1, "/owa/")).await.unwrap();
            assert_eq!(answer.status(), 200);
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap().unwrap().status(), 503);
        }
    }
}

/// Below `nest`, a service sees a path without its beginning; what is decided and sent on is the path of the client.
#[tokio::test]
async fn what_axum_has_stripped_is_sent_on_all_the_same() {
    let peer = Peer::answering([answer(200, "mail of Dallas")]);
    let inner = Router::new().route(
        "/x%2By/",
        on_get(async |uri: http::Uri| format!("here: {uri}")),
    );
    let nested = Router::new().nest_service("/owa", layer(&peer).layer(inner));
    let ask = |rid| {
        let request = get(rid, "/owa/x%2By/?a=+b").map(axum::body::Body::new);
        let service = nested.clone();
        async move {
            let answer = service.oneshot(request).await.unwrap();
            answer.into_body().collect().await.unwrap().to_bytes()
        }
    };
    assert_eq!(ask(1).await, "here: /x%2By/?a=+b");
    assert_eq!(ask(2).await, "mail of Dallas");
    assert_eq!(peer.seen()[0].uri, "https://dallas.corp/owa/x%2By/?a=+b");
}

/// A limit that was asked in vain has its asker stand in a queue.
#[tokio::test]
async fn a_shed_request_leaves_no_place_taken() {
    let gate = Arc::new(Notify::new());
    let waits = Arc::clone(&gate);
    let inner = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(1)
        .service(service_fn(move |request: Request<Full<Bytes>>| {
            let waits = Arc::clone(&waits);
            async move {
                if request.uri().query() == Some("wait") {
                    waits.notified().await;
                }
                Ok::<_, Infallible>(Response::new(Full::from("served here")))
            }
        }));
    let mut busy = layer(&Peer::default()).layer(inner);
    let mut shed = busy.clone();
    let first = tokio::spawn(busy.call(get(1, "/owa/?wait")));
    tokio::task::yield_now().await;
    assert!(shed.call(get(1, "/owa/")).await.is_err());
    gate.notify_one();
    first.await.unwrap().unwrap();
    for _ in 0..3 {
        busy.call(get(1, "/owa/")).await.unwrap();
    }
    drop(shed);
}

/// Fails for good, and may not be asked again.
#[derive(Clone, Default)]
struct Failing {
    failed: bool,
}

impl<B> Service<Request<B>> for Failing {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        assert!(!self.failed, "asked again");
        self.failed = true;
        Poll::Ready(Err("failed"))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        unreachable!("not ready")
    }
}

#[tokio::test]
async fn a_service_that_failed_is_not_asked_again() {
    let mut service = layer(&Peer::default()).layer(Failing::default());
    for _ in 0..2 {
        let answer = service.call(get(1, "/owa/")).await;
        assert_eq!(answer.err(), Some("failed"));
    }
}
