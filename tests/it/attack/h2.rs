//! What HTTP/2 could bring that HTTP/1.1 would read as something else: frames written by hand, against every make of
//! server. Most of it is refused by the h2 crate, which is shown here; the rest by us.

use super::{
    chain::{Arrived, Chain, run},
    oracle::judge,
};

type Field<'f> = (&'f str, &'f [u8]);

/// A frame of stream 1 or of the connection.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// HPACK literals, not indexed and without Huffman's code (RFC 7541 section 6.2.2): any byte can be said.
fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    let mut string = |text: &[u8]| {
        if text.len() < 127 {
            block.push(text.len() as u8);
        } else {
            block.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                block.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            block.push(rest as u8);
        }
        block.extend(text);
    };
    for (name, value) in fields {
        // The name has no index: zero, as the length of nothing is.
        string(b"");
        string(name.as_bytes());
        string(value);
    }
    block
}

/// The bytes of a connection with one request, and a body if there is one.
fn request(fields: &[Field<'_>], body: Option<&[u8]>, trailers: Option<&[Field<'_>]>) -> Vec<u8> {
    let ends = u8::from(body.is_none() && trailers.is_none());
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes.extend(frame(1, 4 | ends, 1, &block(fields)));
    if let Some(body) = body {
        bytes.extend(frame(0, u8::from(trailers.is_none()), 1, body));
    }
    if let Some(trailers) = trailers {
        bytes.extend(frame(1, 5, 1, &block(trailers)));
    }
    bytes
}

/// What every request begins with, by a user whose mailbox is in Dallas.
const GET: [Field<'_>; 5] = [
    (":method", b"GET"),
    (":scheme", b"https"),
    (":path", b"/owa/x"),
    (":authority", b"mail.contoso.com"),
    ("authorization", b"user 2"),
];

fn with<'f>(more: &[Field<'f>]) -> Vec<Field<'f>> {
    GET.iter().chain(more).copied().collect()
}

fn instead<'f>(name: &str, value: &'f [u8]) -> Vec<Field<'f>> {
    let replaced = |field: Field<'f>| {
        if field.0 == name {
            (field.0, value)
        } else {
            field
        }
    };
    GET.into_iter().map(replaced).collect()
}

async fn refused(chain: &Chain, bytes: &[u8], what: &str) {
    let answer = chain.send(bytes).await;
    let seen = chain.seen();
    assert!(
        seen.here.is_empty() && seen.there.is_empty(),
        "{what}: {seen:?}"
    );
    judge(&seen, &[2]);
    // `:status: 200` has an index of its own in HPACK, and begins the block.
    assert!(!answers(&answer).any(|first| first == 0x88), "{what}");
}

/// The first byte of each block of headers in what came back.
fn answers(mut bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    std::iter::from_fn(move || {
        loop {
            let head = bytes.get(..9)?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let payload = bytes.get(9..9 + length)?;
            let kind = head[3];
            bytes = &bytes[9 + length..];
            if kind == 1 {
                return payload.first().copied();
            }
        }
    })
}

#[test]
fn a_sound_request_gets_through() {
    run(async {
        for chain in Chain::of_every_make() {
            let rows: [(Vec<u8>, &str); 3] = [
                (request(&GET, None, None), ""),
                (request(&GET, Some(b"abc"), None), "abc"),
                (
                    request(&with(&[("content-length", b"3")]), Some(b"abc"), None),
                    "abc",
                ),
            ];
            for (bytes, body) in rows {
                let answer = chain.send(&bytes).await;
                assert!(answers(&answer).eq([0x88]), "{answer:?}");
                let seen = chain.seen();
                judge(&seen, &[2]);
                let arrived: Vec<_> = seen.here.iter().chain(&seen.there).collect();
                assert_eq!(arrived.len(), 1);
                assert_eq!(arrived[0].body, body);
                assert_eq!(arrived[0].proxied, chain.proxies());
            }
        }
    });
}

//= src/docs/protocol.md#copy-request
#[test]
fn nothing_in_a_field_becomes_a_line_of_the_second_hop() {
    run(async {
        for chain in Chain::of_every_make() {
            let values: [&[u8]; 7] = [
                b"a\r\nx-owa-proxysid: S-1-5-18",
                b"a\nx: y",
                b"a\rx: y",
                b"a\0b",
                b"a\r\n\r\nGET /owa/smuggled HTTP/1.1\r\nhost: x\r\n\r\n",
                b"\x01",
                b"\x7f",
            ];
            for value in values {
                for name in ["x", "cookie", "accept", "user-agent", "host"] {
                    refused(&chain, &request(&with(&[(name, value)]), None, None), name).await;
                }
                for name in [":path", ":authority", ":method", ":scheme"] {
                    refused(&chain, &request(&instead(name, value), None, None), name).await;
                }
                refused(
                    &chain,
                    &request(&GET, Some(b"a"), Some(&[("x", value)])),
                    "trailer",
                )
                .await;
            }
            for name in [
                "x\r\nhost",
                "x: y",
                "x\n",
                "X-Upper",
                "x y",
                "",
                "x\0",
                "x\u{e9}",
                ":x",
                "x:",
            ] {
                refused(&chain, &request(&with(&[(name, b"1")]), None, None), name).await;
            }
        }
    });
}

//= src/docs/protocol.md#copy-request
#[test]
fn what_belongs_to_an_http_1_connection_is_refused() {
    run(async {
        for chain in Chain::of_every_make() {
            let fields: [Field<'_>; 9] = [
                ("transfer-encoding", b"chunked"),
                ("transfer-encoding", b"identity"),
                ("connection", b"close"),
                ("connection", b"x-owa-proxysid"),
                ("keep-alive", b"timeout=5"),
                ("proxy-connection", b"keep-alive"),
                ("upgrade", b"h2c"),
                ("te", b"chunked"),
                ("te", b"trailers, chunked"),
            ];
            for (name, value) in fields {
                for body in [None, Some(&b"0\r\n\r\nGET /owa/y HTTP/1.1\r\n\r\n"[..])] {
                    let bytes = request(&with(&[(name, value)]), body, None);
                    refused(&chain, &bytes, name).await;
                }
            }
        }
    });
}

//= src/docs/protocol.md#copy-request
#[test]
fn a_length_has_to_be_that_of_the_frames() {
    run(async {
        for chain in Chain::of_every_make() {
            for length in [
                &b"0"[..],
                b"2",
                b"4",
                b"+3",
                b"3, 3",
                b"",
                b"3 ",
                b"99999999999999999999",
            ] {
                let bytes = request(&with(&[("content-length", length)]), Some(b"abc"), None);
                refused(&chain, &bytes, "length").await;
            }
            let twice = with(&[("content-length", b"3"), ("content-length", b"4")]);
            refused(&chain, &request(&twice, Some(b"abc"), None), "two lengths").await;
            let bytes = request(&with(&[("content-length", b"3")]), None, None);
            refused(&chain, &bytes, "no body").await;
        }
    });
}

/// A request says once what it asks for, and of whom.
//= src/docs/protocol.md#copy-request
#[test]
fn pseudo_headers_have_one_reading() {
    run(async {
        for chain in Chain::of_every_make() {
            for name in [":method", ":scheme", ":path", ":authority"] {
                let value = GET.iter().find(|field| field.0 == name).unwrap().1;
                let mut twice = vec![(name, value)];
                twice.extend(GET);
                refused(&chain, &request(&twice, None, None), "twice").await;
                // Behind an ordinary field.
                let without = GET.into_iter().filter(|field| field.0 != name);
                let behind: Vec<_> = without.clone().chain([(name, value)]).collect();
                refused(&chain, &request(&behind, None, None), "behind").await;
                if name != ":authority" {
                    let without: Vec<_> = without.collect();
                    refused(&chain, &request(&without, None, None), "missing").await;
                }
                // As a trailer it is dropped.
                chain
                    .send(&request(&GET, Some(b"a"), Some(&[(name, value)])))
                    .await;
                let seen = chain.seen();
                judge(&seen, &[2]);
                let trailed = |arrived: &Arrived| !arrived.trailers.is_empty();
                assert!(
                    !seen.here.iter().chain(&seen.there).any(trailed),
                    "{seen:?}"
                );
            }
            refused(
                &chain,
                &request(&with(&[(":status", b"200")]), None, None),
                "status",
            )
            .await;
            refused(
                &chain,
                &request(&with(&[("host", b"evil.example")]), None, None),
                "host",
            )
            .await;
            let paths: [&[u8]; 8] = [
                b"",
                b"owa/x",
                b"/owa/x HTTP/1.1\r\nx: y",
                b"/owa/ x",
                b"/owa/\\x",
                b"/owa/\xe9",
                b"/owa/../x",
                b"/x/../owa/",
            ];
            for path in paths {
                refused(
                    &chain,
                    &request(&instead(":path", path), None, None),
                    "path",
                )
                .await;
            }
            let hosts: [&[u8]; 6] = [
                b"",
                b"evil@mail.contoso.com",
                b"a b",
                b"a/b",
                b"a:b",
                b"m\xc3\xbcnchen",
            ];
            for host in hosts {
                refused(
                    &chain,
                    &request(&instead(":authority", host), None, None),
                    "host",
                )
                .await;
            }
            let methods: [&[u8]; 4] = [b"", b"G ET", b"GET /x HTTP/1.1\r\n", b"CONNECT"];
            for method in methods {
                refused(
                    &chain,
                    &request(&instead(":method", method), None, None),
                    "method",
                )
                .await;
            }
        }
    });
}

/// Cookies come in crumbs, and go as one line; what was hidden in one is still found.
//= src/docs/protocol.md#header-client-never
#[test]
fn names_of_the_family_are_stripped_here_too() {
    run(async {
        for chain in Chain::of_every_make() {
            let fields = with(&[
                ("x-owa-proxywebpart", b"1"),
                ("x-owa-explicitlogonuser", b"bob@contoso.com"),
                ("msexchlogonmailbox", b"S-1-5-18"),
                ("cookie", b"a=1"),
                ("cookie", b"X-BEResource=evil"),
                ("cookie", b"b=2; x-anonresource=true"),
            ]);
            let trailers: [Field<'_>; 2] = [
                ("x-owa-proxysid", b"S-1-5-18"),
                ("cookie", b"X-BEResource=1"),
            ];
            let answer = chain
                .send(&request(&fields, Some(b"abc"), Some(&trailers)))
                .await;
            assert!(answers(&answer).eq([0x88]), "{answer:?}");
            let seen = chain.seen();
            judge(&seen, &[2]);
            let arrived = seen.here.iter().chain(&seen.there).next().unwrap();
            let cookies: Vec<_> = arrived.headers.get_all("cookie").iter().collect();
            if chain.proxies() {
                assert_eq!(cookies, ["a=1; b=2"]);
            } else {
                assert_eq!(cookies, ["a=1", "b=2"]);
            }
        }
    });
}
