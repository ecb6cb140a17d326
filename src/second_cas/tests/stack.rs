//! The layer among others: order, readiness, bodies, errors, logs, and a real server.

use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::Empty;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{ServiceExt, layer::layer_fn, service_fn};

use super::*;
use crate::{
    telemetry::{Culprit, Event, Outcome, Phase, collected::Logs},
    wire::mark::PassedFirstCas,
};

#[tokio::test]
async fn below_the_first_cas_it_judges_too_late_and_says_so() {
    let logs = Logs::default();
    let _guard = logs.collect_from(tracing::Level::TRACE);
    let server = server(&layer());
    let mut request = get(Peer::Chicago, "/owa/");
    request.extensions_mut().insert(PassedFirstCas);
    let answer = server.send(request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.answered),
        (500, Some(Answered::Misplaced))
    );
    assert!(server.taken().is_none());
    assert!(
        logs.text()
            .contains("SecondCasLayer must be outside CasProxyLayer")
    );
}

#[tokio::test]
async fn operators_read_what_failed_and_no_secret() {
    let logs = Logs::default();
    let _guard = logs.collect_from(tracing::Level::TRACE);
    let server = server(&layer());
    server
        .send(for_user(get(Peer::Impostor, "/owa/"), ANNA))
        .await;
    server.log_in(Peer::Chicago, ANNA).await;
    let body = context(ANNA, "anna").replace(
        "</r>",
        &format!("{}</r>", "<s t=\"1\">S-1-1-0</s>".repeat(3000)),
    );
    server.send(login(Peer::Chicago, ANNA, &body)).await;
    let text = logs.text();
    assert!(
        text.contains("event_id=45") && text.contains("wrong secret"),
        "{text}"
    );
    assert!(
        text.contains("proxy login accepted") && text.contains("caller=\"chicago\""),
        "{text}"
    );
    assert!(text.contains("event_id=44"), "{text}");
    assert!(!text.contains(ANNA) && !text.contains("anna"), "{text}");
}

#[tokio::test]
async fn outer_layers_read_the_outcome_of_what_it_answers_itself() {
    let server = server(&layer());
    let outcome = async |request| {
        let answer = server.service.clone().call(request).await.unwrap();
        answer.extensions().get::<Outcome>().cloned()
    };
    let request = || for_user(get(Peer::Chicago, "/owa/"), ANNA);
    assert!(matches!(
        outcome(request()).await,
        Some(Outcome::IdentityNeeded)
    ));
    let login = login(Peer::Chicago, ANNA, &context(ANNA, "anna"));
    assert!(matches!(outcome(login).await, Some(Outcome::LoginAccepted)));
    // The inner service's answer.
    assert!(outcome(request()).await.is_none());

    let malformed = || get(Peer::Chicago, "/owa/%2e%2e/");
    for (request, culprit, phase, event) in [
        (
            get(Peer::Impostor, "/owa/ping.owa"),
            Culprit::Client,
            Phase::VerifyCaller,
            Some(Event::CallerNotVerified),
        ),
        (
            get(Peer::Unlucky, "/owa/ping.owa"),
            Culprit::Here,
            Phase::VerifyCaller,
            None,
        ),
        (
            super::login(Peer::Chicago, ANNA, "no context"),
            Culprit::Client,
            Phase::ReadLogin,
            None,
        ),
        (malformed(), Culprit::Client, Phase::Accept, None),
    ] {
        let Some(Outcome::Refused(failure)) = outcome(request).await else {
            panic!("expected a failure");
        };
        let found = (failure.culprit(), failure.phase(), failure.event());
        assert_eq!(found, (culprit, phase, event));
    }
}

#[tokio::test]
async fn the_sign_in_layer_sees_everybody_but_the_users_of_a_verified_cas() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let inner = Inner {
        seen: Arc::clone(&seen),
        ready: false,
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let sign_in = layer_fn(|_: Inner| {
        let asked = Arc::clone(&asked);
        service_fn(move |_: Request<TestBody>| {
            asked.fetch_add(1, Ordering::Relaxed);
            ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
        })
    });
    let both = unless_proxied(sign_in).layer(inner);
    let service = layer().layer(both.clone());
    let answer = service
        .clone()
        .oneshot(login(Peer::Chicago, ANNA, &context(ANNA, "anna")))
        .await
        .unwrap();
    assert_eq!(answer.status(), 241);
    let send = async |request| {
        service
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .collect()
            .await
            .unwrap()
            .to_bytes()
    };

    assert_eq!(
        send(for_user(get(Peer::Chicago, "/owa/"), ANNA)).await,
        "mail"
    );
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let taken = seen.lock().unwrap().pop().unwrap();
    assert!(
        taken
            .extensions
            .get::<crate::csc::ClientSecurityContext>()
            .is_some()
    );

    for request in [
        get(Peer::Client, "/owa/"),
        get(Peer::Chicago, "/owa/"),
        for_user(get(Peer::Chicago, "/ews/"), ANNA),
    ] {
        assert_eq!(send(request).await, "");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    // Without the second CAS outside, nobody passes, whatever the headers say.
    both.oneshot(for_user(get(Peer::Chicago, "/owa/"), ANNA))
        .await
        .unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn errors_of_the_inner_service_pass_untouched() {
    #[derive(Debug, PartialEq)]
    struct Mine;
    let failing = service_fn(|_: Request<TestBody>| ready(Err::<Response<Empty<Bytes>>, _>(Mine)));
    assert_eq!(
        layer()
            .layer(failing)
            .oneshot(get(Peer::Client, "/"))
            .await
            .unwrap_err(),
        Mine
    );
}

#[tokio::test]
async fn an_inner_service_that_is_not_ready_holds_up_its_own_requests_only() {
    let (inner, mut handle) = tower_test::mock::pair::<Request<TestBody>, Response<Empty<Bytes>>>();
    handle.allow(0);
    let service = layer().layer(inner);
    let answer = service
        .clone()
        .oneshot(get(Peer::Chicago, "/owa/ping.owa"))
        .await
        .unwrap();
    assert_eq!(answer.status(), 242);
    let answer = service
        .clone()
        .oneshot(for_user(get(Peer::Client, "/owa/"), ANNA))
        .await
        .unwrap();
    assert_eq!(answer.status(), 403);
    let mut direct = by_hand(service.oneshot(get(Peer::Client, "/owa/")));
    assert!(direct.poll().is_pending());
    handle.allow(1);
    assert!(direct.poll().is_pending());
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(Response::default());
    assert!(direct.poll().is_ready());
}

#[tokio::test]
async fn bodies_keep_their_size_and_any_has_a_default() {
    let server = server(&layer());
    let body = server
        .service
        .clone()
        .call(get(Peer::Client, "/"))
        .await
        .unwrap()
        .into_body();
    assert_eq!(
        (body.size_hint().exact(), body.is_end_stream()),
        (Some(4), false)
    );
    let body = server
        .service
        .clone()
        .call(get(Peer::Chicago, "/owa/ping.owa"))
        .await
        .unwrap()
        .into_body();
    assert_eq!(
        (body.size_hint().exact(), body.is_end_stream()),
        (Some(0), true)
    );
    let nothing = ResponseBody::<TestBody>::default();
    assert!(nothing.is_end_stream());
    assert!(EitherBody::<Full<Bytes>, TestBody>::default().is_end_stream());
}

#[test]
fn types_are_as_free_as_their_parts() {
    fn is_service<S: Service<R, Future: Send> + Clone + Send + Sync, R>(_: &S) {}
    is_service::<_, Request<TestBody>>(&server(&layer()).service);
    fn is_layer<L: Clone + Send + Sync + 'static + std::fmt::Debug>(_: &L) {}
    is_layer(&layer());
    // What axum asks of a layer.
    let _router: axum::Router = axum::Router::new()
        .layer(layer())
        .layer(unless_proxied(layer()));
}

/// hyper sends 100 Continue when a body is first read: a 441 that reads none never asks for it.
#[tokio::test]
//= src/docs/protocol.md#status-441
async fn a_real_server_answers_441_without_asking_for_the_body() {
    let mail = service_fn(|_: Request<hyper::body::Incoming>| {
        ready(Ok::<_, Infallible>(Response::new(Full::from("mail"))))
    });
    let trusting = |_: &Parts| Verdict::Now(Ok(VerifiedCaller::vouched_for("chicago")));
    let service = TowerToHyperService::new(SecondCasLayer::new(trusting).layer(mail));
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let serving =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let serving = tokio::spawn(serving);
    let head = format!(
        "POST /owa/ev.owa HTTP/1.1\r\nHost: dallas\r\nX-OWA-ProxyUri: https://mail.contoso.com/owa\r\n\
         X-OWA-ProxyVersion: 8.1.240.5\r\nX-OWA-ProxySid: {ANNA}\r\nExpect: 100-continue\r\nContent-Length: 20000000\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 441 "), "{answer}");
    serving.await.unwrap().unwrap();
}

fn by_hand<F: Future>(future: F) -> Task<F> {
    Task {
        future: Box::pin(future),
    }
}

/// A future polled by hand.
struct Task<F> {
    future: Pin<Box<F>>,
}

impl<F: Future> Task<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        self.future
            .as_mut()
            .poll(&mut Context::from_waker(std::task::Waker::noop()))
    }
}
