//! The first CAS against a scripted second hop: who is asked what, in which order, and what the user gets.

use crate::support::*;
use cas_proxy::pages::{NOT_CONFIGURED, NOT_RESPONDING};

//= src/docs/protocol.md#decide-local
#[tokio::test]
async fn a_local_user_is_served_here_and_nobody_is_asked() {
    let peer = Peer::default();
    let answer = through(&first_cas(&peer, &["dallas"]), get(1, "/owa/?ae=Folder")).await;
    assert_status(&answer, 200);
    assert_eq!(answer.body(), "served here");
    assert!(peer.seen().is_empty());
}

//= src/docs/protocol.md#status-441
//= src/docs/protocol.md#status-241
//= src/docs/protocol.md#login-request
//= src/docs/protocol.md#decide-proxy
#[tokio::test]
async fn the_first_visit_is_441_login_and_the_same_request_again() {
    let peer = Peer::answering([
        status(441),
        status(241),
        answer(200, "mail of Dallas"),
        answer(200, "again"),
    ]);
    let layer = first_cas(&peer, &["dallas"]);
    let first = through(&layer, post(2, "/owa/x%2By?a=+b", "a letter")).await;
    assert_status(&first, 200);
    assert_eq!(first.body(), "mail of Dallas");
    let seen = peer.seen();
    assert_eq!(seen.len(), 3);
    for request in [&seen[0], &seen[2]] {
        assert_eq!(request.uri, "https://dallas.corp/owa/x%2By?a=+b");
        assert_eq!(request.body, "a letter");
        assert_eq!(
            request.headers["x-owa-proxysid"],
            user(2).user().to_string()
        );
        assert_eq!(
            request.headers["x-owa-proxyuri"],
            "https://mail.contoso.com/owa"
        );
        assert_eq!(request.headers["x-owa-proxyversion"], EXCHANGE_2007);
        assert_eq!(request.headers["host"], "dallas.corp");
    }
    let login = &seen[1];
    assert_eq!(login.uri, "https://dallas.corp/owa/proxyLogon.owa");
    assert_eq!(login.method, http::Method::POST);
    assert_eq!(login.headers["content-type"], "text/xml; charset=utf-8");
    assert!(
        login
            .body
            .starts_with(b"<r at=\"Negotiate\" ln=\"CONTOSO\\user2\"><s>S-1-5-21-")
    );
    // The second visit has no 441.
    assert_eq!(through(&layer, get(2, "/owa/")).await.body(), "again");
    assert_eq!(peer.seen().len(), 4);
}

//= src/docs/protocol.md#login-twice
//= src/docs/protocol.md#status-private
#[tokio::test]
async fn a_441_after_a_login_ends_in_an_error_page() {
    let peer = Peer::answering([status(441), status(241), status(441)]);
    let answer = through(&first_cas(&peer, &["dallas"]), get(2, "/owa/")).await;
    assert_status(&answer, 502);
    assert_eq!(peer.seen().len(), 3);
}

//= src/docs/protocol.md#error-not-responding
//= src/docs/protocol.md#decide-none-responding
#[tokio::test]
async fn a_dead_site_reads_as_not_responding() {
    let answer = through(&first_cas(&Peer::default(), &[]), get(2, "/owa/")).await;
    assert_status(&answer, 503);
    assert!(String::from_utf8_lossy(answer.body()).contains(NOT_RESPONDING));
    assert!(answer.headers().contains_key("retry-after"));
}

//= src/docs/protocol.md#back-end-identity
#[tokio::test]
async fn a_legacy_user_without_credentials_for_the_back_end_reads_not_configured() {
    let peer = Peer::default();
    let answer = through(&first_cas(&peer, &["dallas"]), get(3, "/owa/")).await;
    assert_status(&answer, 500);
    assert!(String::from_utf8_lossy(answer.body()).contains(NOT_CONFIGURED));
    assert!(peer.seen().is_empty());
}
