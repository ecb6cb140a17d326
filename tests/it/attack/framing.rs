//! Where does a request end, and for whom is it? Raw bytes at hyper and the layers: what hyper refuses is shown to be
//! refused, what it lets through is refused by us, and what passes both leaves the second hop in one reading.

use super::{
    chain::{Chain, by, run, status_of},
    oracle::judge,
};

/// A mailbox here, one in Dallas, a path that needs no log-on, and one that is not ours.
const PLACES: [(u32, &str); 4] = [
    (1, "/owa/"),
    (2, "/owa/"),
    (1, "/owa/auth/logon.aspx"),
    (1, "/elsewhere"),
];

/// Sends a request whose lines and body follow those of [`by`].
async fn send(chain: &Chain, rid: u32, line: &str, rest: &str) -> Vec<u8> {
    let mut bytes = by(rid, line).into_bytes();
    bytes.extend(rest.chars().map(|letter| u8::try_from(letter).unwrap()));
    chain.send(&bytes).await
}

/// Nobody behind the layers sees anything of such a request, wherever it goes.
fn refused(line: &str, rest: &str) {
    run(async {
        for chain in Chain::of_every_make() {
            for (rid, path) in PLACES {
                let answer = send(&chain, rid, &line.replace("PATH", path), rest).await;
                let status = status_of(&answer);
                assert!(
                    status.is_some_and(|status| (400..=505).contains(&status)),
                    "{path} {rest:?}: {status:?}"
                );
                let seen = chain.seen();
                assert!(
                    seen.here.is_empty() && seen.there.is_empty(),
                    "{path} {rest:?}: {seen:?}"
                );
                judge(&seen, &[]);
            }
        }
    });
}

/// Such a request arrives once, with this body; whatever follows it on the connection is no part of it.
fn arrives(line: &str, rest: &str, body: &str) {
    run(async {
        for chain in Chain::of_every_make() {
            for (rid, path) in PLACES {
                let answer = send(&chain, rid, &line.replace("PATH", path), rest).await;
                assert_eq!(status_of(&answer), Some(200), "{path} {rest:?}");
                let seen = chain.seen();
                judge(&seen, &[rid]);
                let arrived: Vec<_> = seen.here.iter().chain(&seen.there).collect();
                assert_eq!(arrived.len(), 1, "{path} {rest:?}");
                assert_eq!(arrived[0].body, body, "{path} {rest:?}");
                assert_eq!(arrived[0].proxied, rid == 2 && chain.proxies());
            }
        }
    });
}

//= src/docs/protocol.md#copy-request
#[test]
fn content_length_has_one_reading() {
    for length in [
        "+3", "-3", "0x3", "3,4", "3, 4", "3 4", "3;a", "", "abc", "3.0", "1e1",
    ] {
        refused("POST PATH", &format!("content-length: {length}\r\n\r\nabc"));
    }
    refused(
        "POST PATH",
        "content-length: 18446744073709551616\r\n\r\nabc",
    );
    refused(
        "POST PATH",
        "content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    );
    refused("POST PATH", "content-length: \u{b2}\r\n\r\nab");
    arrives("POST PATH", "content-length: 3\r\n\r\nabc", "abc");
    arrives(
        "POST PATH",
        "content-length: 3\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc",
        "abc",
    );
    arrives("POST PATH", "content-length:\t3 \r\n\r\nabc", "abc");
}

//= src/docs/protocol.md#copy-request
#[test]
fn a_transfer_coding_is_one_chunked_or_the_request_is_refused() {
    for coding in [
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked, identity",
        "xchunked",
        "chunkedx",
        "chunked;a=b",
        "\"chunked\"",
        "chunk\u{e9}d",
        ",chunked",
        "chunked,",
        "\u{b}chunked",
        "\u{a0}chunked",
        "",
    ] {
        refused(
            "POST PATH",
            &format!("transfer-encoding: {coding}\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        );
    }
    refused(
        "POST PATH",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    refused(
        "POST PATH",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    refused("POST PATH", "transfer-encoding : chunked\r\n\r\n0\r\n\r\n");
    refused(
        "POST PATH",
        "transfer-encoding\r\n : chunked\r\n\r\n0\r\n\r\n",
    );
    refused(
        "POST PATH",
        "x: y\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    arrives(
        "POST PATH",
        "transfer-encoding: ChunKed\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "abc",
    );
    arrives(
        "GET PATH",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "abc",
    );
}

//= src/docs/protocol.md#copy-request
#[test]
fn a_length_beside_chunks_counts_for_nothing_and_ends_the_connection() {
    let smuggled =
        "GET /owa/smuggled HTTP/1.1\r\nhost: mail.contoso.com\r\nauthorization: user 2\r\n\r\n";
    for lines in [
        "content-length: 6\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 6\r\n",
        "content-length: 0\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 6\r\ncontent-length: 7\r\n",
    ] {
        arrives(
            "POST PATH",
            &format!("{lines}\r\n3\r\nabc\r\n0\r\n\r\n{smuggled}"),
            "abc",
        );
    }
    refused(
        "POST PATH",
        "content-length: 6, 7\r\ntransfer-encoding: gzip\r\n\r\n",
    );
}

#[test]
fn a_body_ends_where_it_says_and_the_next_request_begins_there() {
    run(async {
        let chain = Chain::new();
        let second = by(1, "GET /owa/second");
        for body in [
            "content-length: 3\r\n\r\nabc",
            "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ] {
            let answer = send(&chain, 2, "POST /owa/first", &format!("{body}{second}\r\n")).await;
            assert_eq!(
                answer
                    .windows(9)
                    .filter(|part| part == b"HTTP/1.1 ")
                    .count(),
                2
            );
            let seen = chain.seen();
            judge(&seen, &[1, 2]);
            assert_eq!(seen.there[0].uri.path(), "/owa/first");
            assert_eq!(seen.here[0].uri.path(), "/owa/second");
            // Each request is its own user's, though they share a connection.
            assert_eq!(seen.here[0].user.as_ref(), Some(&crate::support::user(1)));
        }
    });
}

#[test]
fn malformed_chunks_are_no_body() {
    for chunks in [
        "3\nabc\r\n0\r\n\r\n",
        "3;a\n\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "g\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "10000000000000000\r\nabc\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nx : y\r\n\r\n",
        "3\r\nabc\r\n0\r\nx\u{0}: y\r\n\r\n",
        "3\r\nabc\r\n0\r\n x: y\r\n\r\n",
    ] {
        let rest = format!("transfer-encoding: chunked\r\n\r\n{chunks}");
        run(async {
            let chain = Chain::new();
            for (rid, path) in [(1, "/owa/"), (2, "/owa/")] {
                send(&chain, rid, &format!("POST {path}"), &rest).await;
                let seen = chain.seen();
                judge(&seen, &[rid]);
                assert!(
                    seen.here.is_empty() && seen.there.is_empty(),
                    "{chunks:?}: {seen:?}"
                );
            }
        });
    }
    // An extension is for this hop alone, and is lost.
    arrives(
        "POST PATH",
        "transfer-encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\n\r\n",
        "abc",
    );
    arrives(
        "POST PATH",
        "transfer-encoding: chunked\r\n\r\n003 \r\nabc\r\n0;x\r\n\r\n",
        "abc",
    );
}

#[test]
fn chunk_extensions_without_end_are_cut_off() {
    let rest = format!(
        "transfer-encoding: chunked\r\n\r\n3;{}\r\nabc\r\n0\r\n\r\n",
        "a".repeat(20_000)
    );
    refused_late(&rest);
    // The same in small coins: a little with each of many chunks.
    let chunk = format!("1;{}\r\nx\r\n", "a".repeat(100));
    refused_late(&format!(
        "transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(200)
    ));
    let trailers = format!(
        "transfer-encoding: chunked\r\n\r\n0\r\nx: {}\r\n\r\n",
        "a".repeat(20_000)
    );
    refused_late(&trailers);
}

/// The head is fine, so the refusal may come in the midst; no mailbox takes the request for a whole one.
fn refused_late(rest: &str) {
    run(async {
        let chain = Chain::new();
        for rid in [1, 2] {
            send(&chain, rid, "POST /owa/", rest).await;
            let seen = chain.seen();
            assert!(seen.here.is_empty() && seen.there.is_empty());
        }
    });
}

#[test]
fn a_head_is_made_of_lines() {
    for lines in [
        "x: a\r\n b\r\n",
        "x: a\r\n\tb\r\n",
        "x: a\rb\r\n",
        "x: a\0b\r\n",
        "x: a\u{1}b\r\n",
        "x: a\u{7f}b\r\n",
        "x : a\r\n",
        "x\t: a\r\n",
        "x\r\n",
        ": a\r\n",
        "x(y): a\r\n",
        "x\u{e9}: a\r\n",
        "x y: a\r\n",
        "\u{0}: a\r\n",
        "\rx: a\r\n",
    ] {
        refused("GET PATH", &format!("{lines}\r\n"));
    }
    // A value may hold bytes beyond ASCII; they go on as they are.
    arrives("GET PATH", "x: caf\u{e9}\r\n\r\n", "");
}

#[test]
fn a_request_line_has_three_words() {
    for line in [
        "GET  PATH",
        "GET PATH ",
        "GET\tPATH",
        " GET PATH",
        "G(T PATH",
        "G\u{e9}T PATH",
        "GET PATH x",
        "PATH",
    ] {
        refused(line, "\r\n");
    }
    for version in [
        "HTTP/1.2",
        "HTTP/0.9",
        "HTTP/2.0",
        "HTTP/1.10",
        "http/1.1",
        "HTTP/1.1\t",
        "HTTP/11",
        "",
    ] {
        run(async {
            let chain = Chain::new();
            for (_, path) in PLACES {
                let line = format!(
                    "GET {path} {version}\r\nhost: mail.contoso.com\r\nauthorization: user 2\r\n\r\n"
                );
                chain.send(line.as_bytes()).await;
                let seen = chain.seen();
                assert!(
                    seen.here.is_empty() && seen.there.is_empty(),
                    "{version}: {seen:?}"
                );
            }
        });
    }
}

#[test]
fn http_1_0_has_no_chunks() {
    run(async {
        let chain = Chain::new();
        for (rid, path) in PLACES {
            let head = format!(
                "POST {path} HTTP/1.0\r\nhost: mail.contoso.com\r\nauthorization: user {rid}\r\n"
            );
            chain
                .send(
                    format!("{head}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
                        .as_bytes(),
                )
                .await;
            let seen = chain.seen();
            assert!(seen.here.is_empty() && seen.there.is_empty(), "{path}");
            let answer = chain
                .send(format!("{head}content-length: 3\r\n\r\nabc").as_bytes())
                .await;
            assert_eq!(status_of(&answer), Some(200));
            let seen = chain.seen();
            judge(&seen, &[rid]);
            assert_eq!(
                seen.here.iter().chain(&seen.there).next().unwrap().body,
                "abc"
            );
        }
    });
}

//= src/docs/protocol.md#copy-request
#[test]
fn in_scope_there_is_one_host() {
    run(async {
        let each = PLACES.into_iter().take(3);
        for (chain, (rid, path)) in Chain::of_every_make()
            .into_iter()
            .flat_map(|chain| each.clone().map(move |place| (chain.clone(), place)))
        {
            for lines in [
                "",
                "host: mail.contoso.com\r\nhost: mail.contoso.com\r\n",
                "host: mail.contoso.com\r\nhost: evil.example\r\n",
                "host: mail.contoso.com, evil.example\r\n",
                "host: evil@mail.contoso.com\r\n",
                "host: mail.contoso.com/owa\r\n",
                "host: mail.contoso.com:99999999\r\n",
                "host: [::1%25eth0]\r\n",
                "host: m\u{fc}nchen.example\r\n",
                "host: \r\n",
                "host: a b\r\n",
            ] {
                let lines: Vec<u8> = lines
                    .chars()
                    .map(|letter| u32::from(letter) as u8)
                    .collect();
                let mut head =
                    format!("GET {path} HTTP/1.1\r\nauthorization: user {rid}\r\n").into_bytes();
                head.extend(lines);
                head.extend(b"\r\n");
                let answer = chain.send(&head).await;
                assert_eq!(
                    status_of(&answer),
                    Some(400),
                    "{}",
                    String::from_utf8_lossy(&head)
                );
                let seen = chain.seen();
                assert!(seen.here.is_empty() && seen.sent.is_empty());
            }
        }
    });
}

//= src/docs/protocol.md#error-status
#[test]
fn heads_have_their_limits() {
    let lines = |count: usize| {
        (0..count)
            .map(|at| format!("x{at}: y\r\n"))
            .collect::<String>()
    };
    // Host and Authorization are two of the hundred; the second hop adds a few that count there.
    arrives("GET PATH", &format!("{}\r\n", lines(85)), "");
    refused("GET PATH", &format!("{}\r\n", lines(99)));
    arrives(
        "GET PATH",
        &format!("x: {}\r\n\r\n", "a".repeat(32_000)),
        "",
    );
    refused("GET PATH", &format!("x: {}\r\n\r\n", "a".repeat(33_000)));
    refused(
        "GET PATH",
        &format!("{}\r\n", "x: aaaaaaaaaaaaaaaa\r\n".repeat(99)),
    );
    arrives(&format!("GET PATH?{}", "a".repeat(8_000)), "\r\n", "");
    refused(&format!("GET PATH?{}", "a".repeat(8_200)), "\r\n");
    refused(&format!("GET PATH?{}", "a".repeat(70_000)), "\r\n");
}

#[test]
fn nobody_takes_us_for_a_forward_proxy() {
    run(async {
        for chain in Chain::of_every_make() {
            no_forward_proxy(&chain).await;
        }
    });
}

async fn no_forward_proxy(chain: &Chain) {
    for target in [
        "evil.example:443",
        "mail.contoso.com:443",
        "dallas.corp:443",
        "[::1]:443",
    ] {
        let head =
            format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\nauthorization: user 2\r\n\r\n");
        let answer = chain.send(head.as_bytes()).await;
        assert_eq!(status_of(&answer), Some(501), "{target}");
    }
    for (rid, path) in PLACES.into_iter().take(3) {
        let answer = send(chain, rid, &format!("TRACE {path}"), "\r\n").await;
        assert_eq!(status_of(&answer), Some(501), "{path}");
    }
    let seen = chain.seen();
    assert!(seen.here.is_empty() && seen.sent.is_empty());
}

#[test]
fn an_absolute_target_moves_nothing() {
    run(async {
        let chain = Chain::new();
        for target in [
            "http://mail.contoso.com/owa/",
            "https://mail.contoso.com:1/owa/",
            "http://evil.example/owa/",
            "http://127.0.0.1:25/owa/",
            "ftp://evil.example/owa/",
            "http://[::ffff:127.0.0.1]/owa/",
        ] {
            let uri: http::Uri = target.parse().unwrap();
            let host = uri.authority().unwrap();
            let head =
                format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nauthorization: user 2\r\n\r\n");
            let answer = chain.send(head.as_bytes()).await;
            assert_eq!(status_of(&answer), Some(200), "{target}");
            let seen = chain.seen();
            judge(&seen, &[2]);
            assert_eq!(seen.there.len(), 1);
        }
        for target in [
            "@evil/owa/",
            "owa/",
            "http:/owa/",
            "http:///owa/",
            "//",
            "http://u:p@evil/owa/",
            "http://evil",
            "http://dallas.corp@evil/owa/",
        ] {
            for host in ["mail.contoso.com", "evil"] {
                let head = format!(
                    "GET {target} HTTP/1.1\r\nhost: {host}\r\nauthorization: user 2\r\n\r\n"
                );
                chain.send(head.as_bytes()).await;
                let seen = chain.seen();
                assert!(seen.sent.is_empty(), "{target}: {seen:?}");
            }
        }
    });
}
