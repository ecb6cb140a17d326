//! What has to be true before a byte flows, shown to a second CAS that is driven by hand.

use super::*;
use crate::support::wire::{ACCEPTED, OK};

//= src/docs/protocol.md#upgrade-checked
#[tokio::test(start_paused = true)]
async fn bytes_behind_an_upgrade_wait_for_its_101_and_are_no_request() {
    let mut line = Line::new();
    line.client.answer(&format!("{ASK}{SMUGGLED}")).await;
    let mut hop = line.dallas.accept().await;
    let head = hop.head().await;
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    // After a 441 neither: nothing but heads and the login has come.
    hop.answer(NEED_IDENTITY_AND_CLOSE).await;
    assert_eq!(hop.closed().await, 0);
    let mut hop = line.dallas.accept().await;
    let login = hop.head().await;
    assert!(login.starts_with("POST /owa/proxyLogon.owa "), "{login}");
    assert!(!login.contains("upgrade"), "{login}");
    hop.body(&login).await;
    hop.answer(ACCEPTED).await;
    // An upgrade has a connection that nobody has used.
    let mut hop = line.dallas.accept().await;
    assert!(hop.head().await.contains("\r\nupgrade: websocket\r\n"));
    assert!(hop.is_silent().await);
    hop.answer(SWITCHED).await;
    let answer = line.client.head().await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains("\r\nupgrade: websocket\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: upgrade\r\n"), "{answer}");
    assert!(answer.contains("\r\nsec-websocket-accept: "), "{answer}");
    assert_eq!(hop.exactly(SMUGGLED.len()).await, SMUGGLED.as_bytes());
    hop.answer("and back").await;
    assert_eq!(line.client.exactly(8).await, b"and back");
}

//= src/docs/protocol.md#upgrade-checked
#[tokio::test(start_paused = true)]
async fn any_other_answer_to_an_upgrade_is_an_ordinary_one_and_ends_the_connection() {
    for answer in [
        OK,
        "HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 2\r\n\r\nok",
    ] {
        let mut line = Line::new();
        line.client.answer(&format!("{ASK}{SMUGGLED}")).await;
        let mut hop = line.dallas.accept().await;
        hop.head().await;
        hop.answer(answer).await;
        let head = line.client.head().await;
        assert!(head.starts_with(&answer[..12]), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        assert!(!head.contains("\r\nupgrade:"), "{head}");
        assert_eq!(line.client.rest().await, b"ok");
        // Neither here nor on a connection of its own did the smuggled request arrive.
        assert_eq!(hop.closed().await, 0);
        assert!(line.dallas.is_silent().await);
    }
}

//= src/docs/protocol.md#upgrade-checked
#[tokio::test(start_paused = true)]
async fn a_101_that_was_not_asked_for_is_a_502() {
    let ask = |line: &str| format!("GET /owa/ HTTP/1.1\r\nhost: a\r\n{line}\r\n");
    let switched = |lines: &str| format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n");
    let rows = [
        // To a request without an upgrade, or with one that was not passed on.
        (ask(""), SWITCHED.to_owned()),
        (ask("upgrade: websocket\r\n"), SWITCHED.to_owned()),
        (
            ask("connection: upgrade\r\nupgrade: h2c\r\n"),
            SWITCHED.to_owned(),
        ),
        // For another protocol, none, two, or one that `Connection` does not name.
        (ASK.to_owned(), SWITCHED.replace("websocket", "h2c")),
        (ASK.to_owned(), SWITCHED.replace("websocket", "mail-push/1")),
        (
            ASK.to_owned(),
            SWITCHED.replace("websocket", "websocket, mail-push/1"),
        ),
        (
            ASK.to_owned(),
            SWITCHED.replace("connection: Upgrade\r\n", ""),
        ),
        (ASK.to_owned(), switched("")),
        // Without the digest of the client's key, or with two.
        (
            ASK.to_owned(),
            switched("connection: upgrade\r\nupgrade: websocket\r\n"),
        ),
        (
            ASK.to_owned(),
            SWITCHED.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "yes"),
        ),
        (
            ASK.to_owned(),
            SWITCHED.replace(
                "sec-w",
                "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-w",
            ),
        ),
    ];
    for (asked, answer) in rows {
        let mut line = Line::new();
        line.client.answer(&asked).await;
        let mut hop = line.dallas.accept().await;
        let head = hop.head().await;
        assert_eq!(head.contains("upgrade"), asked == ASK, "{head}");
        hop.answer(&format!("{answer}tunnel bytes")).await;
        let head = line.client.head().await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{asked}{answer}{head}");
        assert_eq!(hop.closed().await, 0, "{asked}{answer}");
        let page = line.client.next_body(&head).await.unwrap();
        assert!(!String::from_utf8(page).unwrap().contains("tunnel bytes"));
    }
}

/// Refused before anything was offered to anybody: for want of a user, or of a mailbox, or for where the request has been.
//= src/docs/protocol.md#upgrade-checked
#[tokio::test(start_paused = true)]
async fn a_page_of_ours_ends_the_connection_of_an_upgrade() {
    let usual: fn(CasProxyLayer) -> CasProxyLayer = |layer| layer;
    let nobody: fn(CasProxyLayer) -> CasProxyLayer = |layer| layer.identify(|_| None);
    let elsewhere: fn(CasProxyLayer) -> CasProxyLayer = |layer| layer.identify(|_| Some(user(99)));
    let looped = ASK.replace("upgrade: w", "via: 1.1 seattle\r\nupgrade: w");
    for (layer, ask, status) in [
        (nobody, ASK, "401"),
        (elsewhere, ASK, "404"),
        (usual, &looped, "508"),
    ] {
        let mut line = Line::set_up(layer);
        line.client.answer(&format!("{ask}{SMUGGLED}")).await;
        let head = line.client.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        line.client.body(&head).await;
        assert_eq!(line.client.rest().await, b"", "{status}");
        assert!(line.dallas.is_silent().await);
    }
}

pub const SMUGGLED: &str =
    "GET /owa/smuggled HTTP/1.1\r\nhost: dallas\r\nx-owa-proxysid: S-1-5-21-1-2-3-500\r\n\r\n";
