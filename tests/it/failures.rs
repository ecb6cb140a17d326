//! What layers outside the first CAS read in the extensions of its answers.

use std::io;

use cas_proxy::{
    directory::Origin,
    first_cas::CasProxyLayer,
    outbound::{Outbound, OutboundBody, SendError, SendFuture},
    telemetry::{Culprit, Failure, Outcome, Phase},
};
use http::{HeaderValue, Request, Response};

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
             its virtual directory lacks Integrated Windows authentication"
        )
    };
    let legacy = failure(&layer, 3).await;
    check(&legacy, Culprit::BackEnd, Phase::Login, &words("legacy1"));
    let dallas = failure(&layer, 2).await;
    check(&dallas, Culprit::SecondCas, Phase::Login, &words("dallas"));
}
