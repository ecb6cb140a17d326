//! When a request fails: what layers outside read of it, and that it is never done twice or by halves.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cas_proxy::{
    directory::Origin,
    first_cas::CasProxyLayer,
    outbound::{Outbound, OutboundBody, OutboundService, SendError, SendFuture},
    telemetry::{Culprit, Failure, Outcome, Phase},
};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tower::service_fn;

use crate::support::*;

/// Every connection is refused.
struct Nowhere;

impl Outbound for Nowhere {
    fn send(&self, _: &Origin, _: Request<OutboundBody>) -> SendFuture {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        Box::pin(async { Err(SendError::unreachable(refused)) })
    }
}

/// A first CAS whose back-ends are told a password, with user 2 in Dallas and user 3 on Exchange 2003.
fn layer(outbound: impl Outbound) -> CasProxyLayer {
    CasProxyLayer::with_outbound(here(), topology(&["dallas"]), lookup(), outbound)
        .back_end_credentials(|_: &_, _: &_, _: &_| Some(HeaderValue::from_static("Basic eDp5")))
}

async fn failure(layer: &CasProxyLayer, rid: u32) -> Failure {
    let answer = through(layer, get(rid, "/owa/")).await;
    match answer.extensions().get::<Outcome>() {
        Some(Outcome::Refused(failure)) => failure.clone(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check(failure: &Failure, culprit: Culprit, phase: Phase, words: &str) {
    assert_eq!((failure.culprit(), failure.phase()), (culprit, phase));
    assert_eq!(failure.to_string(), words);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_said_not_to_be_reached() {
    let layer = layer(Nowhere);
    let words = |server| format!("reach {server}: connect: connection refused");
    let dallas = failure(&layer, 2).await;
    check(
        &dallas,
        Culprit::SecondCas,
        Phase::Connect,
        &words("dallas"),
    );
    assert!(!dallas.was_anything_sent());
    let legacy = failure(&layer, 3).await;
    check(&legacy, Culprit::BackEnd, Phase::Connect, &words("legacy1"));
    assert!(!legacy.was_anything_sent());
}

#[tokio::test]
async fn a_failure_of_a_back_end_is_not_laid_to_a_second_cas() {
    let unauthorized = || {
        let mut answer: Response<String> = status(401);
        let offered = HeaderValue::from_static("Basic realm=x");
        answer.headers_mut().insert("www-authenticate", offered);
        answer
    };
    let peer = Peer::answering([unauthorized(), unauthorized()]);
    let layer = layer(peer.outbound());
    let words = |server| {
        format!(
            "log the user in at {server}: it answered 401 and offers only Basic: \
             its virtual directory lacks Integrated Windows authentication, enable it there"
        )
    };
    let legacy = failure(&layer, 3).await;
    check(&legacy, Culprit::BackEnd, Phase::Login, &words("legacy1"));
    let dallas = failure(&layer, 2).await;
    check(&dallas, Culprit::SecondCas, Phase::Login, &words("dallas"));
}

//= src/docs/protocol.md#error-status
#[tokio::test(start_paused = true)]
async fn a_large_body_that_has_left_is_refused_and_never_sent_short() {
    let peer = Peer::answering([
        status(441),
        status(241),
        answer(200, "hello"),
        status(441),
        status(241),
    ]);
    let layer = first_cas(&peer, &["dallas"]);
    assert_status(&through(&layer, get(2, "/owa/")).await, 200);
    // The user is known there, and this peer never says 100 Continue: after a second the body leaves. Then the peer
    // turns out to have forgotten the user.
    let body = vec![b'x'; 300 * 1024];
    let refused = through(&layer, post(2, "/owa/upload", body.clone())).await;
    assert_status(&refused, 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    let seen = peer.seen();
    assert_eq!(seen.len(), 5, "one upload, and the login after it");
    assert_eq!(seen[3].body, body);
    assert_eq!(seen[4].uri.path(), "/owa/proxyLogon.owa");
}

/// The first server that is asked hangs up after it was sent the request.
fn first_one_hangs_up() -> (CasProxyLayer, Arc<AtomicUsize>) {
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let outbound = OutboundService::new(service_fn(move |request: Request<OutboundBody>| {
        let count = Arc::clone(&count);
        async move {
            let body = request.into_body().collect().await;
            body.map_err(io::Error::other)?;
            match count.fetch_add(1, Ordering::Relaxed) {
                0 => Err(io::Error::other("hung up")),
                _ => Ok(answer(200, "mail of Dallas")),
            }
        }
    }));
    let topology = topology(&["dallas1", "dallas2"]);
    let layer = CasProxyLayer::with_outbound(here(), topology, lookup(), outbound);
    (layer, asked)
}

//= src/docs/protocol.md#failover-when
#[tokio::test]
async fn a_get_goes_to_the_next_server_and_a_post_that_may_have_been_done_does_not() {
    let (layer, asked) = first_one_hangs_up();
    let answer = through(&layer, get(2, "/owa/")).await;
    assert_eq!(answer.body(), "mail of Dallas");
    assert_eq!(asked.load(Ordering::Relaxed), 2);

    let (layer, asked) = first_one_hangs_up();
    let refused = through(&layer, post(2, "/owa/", "a letter")).await;
    assert_status(&refused, 503);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
