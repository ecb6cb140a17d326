//! Answers of a second hop that is broken, or in bad hands: nothing of them reaches a client in two readings, and nothing
//! of one user's reaches another.

use std::{sync::Arc, time::Duration};

use cas_proxy::{
    decision::Policy,
    first_cas::{CasProxyLayer, Timeouts},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::chain::status_of;
use crate::support::{
    browser, get, here, lookup, pipes::Pipes, site::before, through, wire::Listener,
};

/// A first CAS before one second CAS that is played by the test.
async fn first_cas() -> (CasProxyLayer, Listener) {
    let listener = Listener::new().await;
    (before([listener.as_cas("dallas")]), listener)
}

/// What a browser reads, byte for byte, when the second hop answers like this.
async fn read(request: &str, answer: &str) -> (Option<u16>, String) {
    let (layer, listener) = first_cas().await;
    let mut client = browser::connect(&layer, 2);
    let request =
        format!("{request} HTTP/1.1\r\nhost: mail.contoso.com\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut hop = listener.accept().await;
    hop.head().await;
    let answer: Vec<u8> = answer.chars().map(|sign| u32::from(sign) as u8).collect();
    // It may hang up in the midst.
    let _ = hop.try_answer(&answer).await;
    // A body without a length ends with its connection.
    drop(hop);
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.unwrap();
    let text = bytes.iter().map(|&byte| char::from(byte)).collect();
    (status_of(&bytes), text)
}

/// Such an answer is not passed on.
async fn refused(answer: &str) {
    let (status, text) = read("GET /owa/", answer).await;
    assert!(matches!(status, Some(502 | 503)), "{answer:?}: {text}");
    assert!(
        !text.contains("evil") && !text.contains("secret"),
        "{answer:?}: {text}"
    );
}

//= src/docs/protocol.md#copy-response
#[tokio::test]
async fn answers_with_two_lengths_or_torn_lines_are_502() {
    for lines in [
        "content-length: 6\r\ncontent-length: 7\r\n",
        "content-length: 6, 7\r\n",
        "content-length: +6\r\n",
        "content-length: 0x6\r\n",
        "content-length: -1\r\n",
        "content-length: 18446744073709551616\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "x: a\r\n evil: 1\r\n",
        "x: a\rset-cookie: evil=1\r\n",
        "x: a\0b\r\n",
        "x: a\u{1}b\r\n",
        "x : evil\r\n",
        "x\r\n",
        ": evil\r\n",
        "x y: evil\r\n",
        "x\u{e9}: evil\r\n",
    ] {
        refused(&format!("HTTP/1.1 200 OK\r\n{lines}\r\nsecret")).await;
    }
    for line in [
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 abc OK",
        "HTTP/1.1 099 OK",
        "HTTP/3.0 200 OK",
        "HTP/1.1 200 OK",
        "ICY 200 OK",
        "200 OK",
        "\u{16}\u{3}\u{1}",
        "GET / HTTP/1.1",
    ] {
        refused(&format!("{line}\r\ncontent-length: 6\r\n\r\nsecret")).await;
    }
}

/// What is behind a header in the same line stays one value: no line of the client's answer is of the second hop's making.
//= src/docs/protocol.md#location
#[tokio::test]
async fn no_value_becomes_a_line_of_its_own() {
    for value in [
        "/owa/?x=%0d%0aset-cookie:%20evil=1",
        "/owa/\u{85}set-cookie: evil=1",
        "/owa/\u{8d}\u{8a}set-cookie: evil=1",
        "/owa/\tset-cookie: evil=1",
    ] {
        let answer =
            format!("HTTP/1.1 302 Found\r\nlocation: {value}\r\ncontent-length: 0\r\n\r\n");
        let (status, text) = read("GET /owa/", &answer).await;
        assert_eq!(status, Some(302), "{text}");
        let lines = text
            .lines()
            .filter(|line| line.to_ascii_lowercase().starts_with("set-cookie"));
        assert_eq!(lines.count(), 0, "{text}");
    }
    // The reason phrase is this server's own.
    let (status, text) = read(
        "GET /owa/",
        "HTTP/1.1 200 evil\u{85}x\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert!(
        matches!(status, Some(200 | 502)) && !text.contains("evil"),
        "{text}"
    );
}

#[tokio::test]
async fn an_answer_in_chunks_and_with_a_length_is_framed_anew() {
    for lines in [
        "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
        "content-length: 3\r\ntransfer-encoding: chunked\r\n",
    ] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{lines}\r\n4;x=y\r\nmail\r\n0\r\nset-cookie: evil=1\r\n\r\n"
        );
        let (status, text) = read("GET /owa/", &answer).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(status, Some(200), "{text}");
        assert!(
            !head.to_ascii_lowercase().contains("content-length"),
            "{text}"
        );
        assert!(!text.contains("evil") && !text.contains("x=y"), "{text}");
        assert!(body.starts_with("4\r\nmail\r\n0\r\n"), "{text}");
    }
}

//= src/docs/protocol.md#error-status
#[tokio::test]
async fn answers_with_too_large_a_head_are_502() {
    let lines = |count: usize| {
        (0..count)
            .map(|at| format!("x{at}: y\r\n"))
            .collect::<String>()
    };
    refused(&format!(
        "HTTP/1.1 200 OK\r\n{}content-length: 6\r\n\r\nsecret",
        lines(100)
    ))
    .await;
    for length in [70_000, 1_000_000] {
        let value = "a".repeat(length);
        refused(&format!(
            "HTTP/1.1 200 OK\r\nx: {value}\r\ncontent-length: 6\r\n\r\nsecret"
        ))
        .await;
        refused(&format!(
            "HTTP/1.1 200 {value}\r\ncontent-length: 6\r\n\r\nsecret"
        ))
        .await;
    }
    let answer = format!(
        "HTTP/1.1 200 OK\r\n{}content-length: 4\r\n\r\nmail",
        lines(90)
    );
    assert_eq!(read("GET /owa/", &answer).await.0, Some(200));
}

//= src/docs/protocol.md#status-private
#[tokio::test]
async fn private_and_informational_statuses_stay_between_servers() {
    // What 441 leads to is told elsewhere.
    for status in [101, 241, 242] {
        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
        let (status, text) = read("GET /owa/", &answer).await;
        assert!(matches!(status, Some(502 | 503)), "{text}");
    }
    for status in [100, 102, 103, 199] {
        let answer = format!(
            "HTTP/1.1 {status} x\r\nlink: evil\r\nset-cookie: evil=1\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmail"
        );
        let (status, text) = read("GET /owa/", &answer).await;
        assert!(
            matches!(status, Some(200)) && !text.contains("evil"),
            "{text}"
        );
    }
}

/// A second hop that says nothing but 1xx says nothing.
#[tokio::test]
async fn a_flood_of_informational_answers_ends_with_the_time_out() {
    let (layer, listener) = first_cas().await;
    let mut timeouts = Timeouts::default();
    timeouts.response_head = Duration::from_millis(300);
    let layer = layer.timeouts(timeouts);
    let flood = async {
        let mut hop = listener.accept().await;
        hop.head().await;
        let hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(100);
        let mut sent = 0_usize;
        while hop.try_answer(&hints).await.is_ok() {
            sent += hints.len();
        }
        sent
    };
    let (answer, sent) = tokio::join!(through(&layer, get(2, "/owa/")), flood);
    assert_eq!(answer.status(), 504);
    // The connection was closed, and until then all of it was read.
    assert!(sent > 10_000, "{sent}");
}

/// The first user's second hop says more than it was asked for. The next user must not be given it.
#[tokio::test(start_paused = true)]
async fn what_is_left_on_a_connection_is_no_answer_to_the_next_user() {
    for (method, answer) in [
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 44\r\n\r\n",
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 44\r\n\r\n"),
        ("GET", "HTTP/1.1 441 x\r\ncontent-length: 0\r\n\r\n"),
    ] {
        // In one write, or a moment later.
        for at_once in [true, false] {
            if !at_once && answer.contains("441") {
                // A moment later the login is under way over this very connection.
                continue;
            }
            next_is_clean(method, answer, at_once).await;
        }
    }
}

async fn next_is_clean(method: &str, answer: &str, at_once: bool) {
    let leftover = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";
    let pipes = Arc::new(Pipes::new());
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = true;
    let topology = Pipes::topology(&["dallas"]);
    let layer = CasProxyLayer::with_outbound(here(), topology, lookup(), pipes.client());
    let layer = layer.policy(policy);
    let mut request = get(2, "/owa/");
    *request.method_mut() = method.parse().unwrap();
    let first = tokio::spawn({
        let layer = layer.clone();
        async move { through(&layer, request).await }
    });
    let mut spoilt = pipes.accept().await;
    spoilt.head().await;
    let others = tokio::spawn(answer_all(Arc::clone(&pipes)));
    if at_once {
        spoilt.answer(&[answer, leftover].concat()).await;
    } else {
        spoilt.answer(answer).await;
    }
    first.await.unwrap();
    if !at_once {
        // Closed already, for another reason, is as good.
        let _ = spoilt.try_answer(leftover).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let second = through(&layer, get(2, "/owa/second")).await;
    assert_eq!(second.body(), "clean", "{method} {answer:?} {at_once}");
    assert_eq!(
        spoilt.next_head().await,
        None,
        "{method} {answer:?} {at_once}"
    );
    others.abort();
}

/// Answers whatever comes over any further connection.
async fn answer_all(pipes: Arc<Pipes>) {
    loop {
        let mut hop = pipes.accept().await;
        tokio::spawn(async move {
            while let Some(head) = hop.next_head().await {
                hop.next_body(&head).await;
                hop.answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nclean")
                    .await;
            }
        });
    }
}
