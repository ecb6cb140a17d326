//! What goes on to the next hop is what belongs to the message, and says in one way only where it ends.
#![no_main]

use cas_proxy::wire::{
    hop_by_hop::{self, Client, Framing, Via},
    limits::HeadLimits,
    names::strip_identity,
};
use cas_proxy_fuzz::{claims, head, headers, lines};
use http::{HeaderMap, HeaderName, StatusCode, Version, request::Parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Some(mut parts) = head(text) else { return };
    if HeadLimits::new().check(&parts.uri, &parts.headers).is_err() {
        return;
    }
    let mut trailers = parts.headers.clone();
    hop_by_hop::prepare_trailers(&mut trailers);
    check_trailers(&trailers);
    strip_identity(&mut parts.headers);
    assert_eq!(claims(&parts.headers), Vec::<String>::new());
    for trusted in [false, true] {
        request(&parts, trusted);
    }
    response(&parts);
});

fn request(parts: &Parts, trusted: bool) {
    let peer = Some(([192, 0, 2, 1], 4711).into());
    let client = Client {
        peer,
        https: true,
        trusted,
    };
    let mut after = parts.headers.clone();
    let version = parts.version;
    let via = Via::new("seattle").unwrap();
    let prepared = hop_by_hop::prepare_request(
        &parts.method,
        &parts.uri,
        version,
        &mut after,
        &via,
        &client,
    );
    let Ok(prepared) = prepared else { return };

    // Whoever serves it here has no more to object to than whoever sends it on.
    hop_by_hop::check_request(&parts.method, &parts.uri, version, &parts.headers)
        .expect("as strict");
    let nominated = nominated(&parts.headers);
    for protected in [
        "host",
        "authorization",
        "cookie",
        "content-length",
        "via",
        "x-forwarded-for",
        "forwarded",
        "range",
    ] {
        assert!(
            !nominated.iter().any(|name| name == protected),
            "{protected}"
        );
    }
    let gone = |name: &HeaderName| {
        let of_hop = OF_HOP.contains(&name.as_str())
            || ["host", "authorization", "expect"].contains(&name.as_str());
        of_hop || nominated.contains(&name.as_str().to_owned())
    };
    check_framing(&after, prepared.framing);
    assert!(via.is_in(&after));
    let te = lines(&after, &http::header::TE);
    assert!(te.is_empty() || te == [b"trailers"]);
    for name in after.keys().filter(|name| **name != "te") {
        assert!(!gone(name), "{name}");
    }
    let mut lost = parts.headers.clone();
    for (name, value) in &after {
        if !OURS.contains(&name.as_str()) {
            assert!(
                parts
                    .headers
                    .get_all(name)
                    .iter()
                    .any(|before| before == value),
                "{name} is not the client's"
            );
        }
        lost.remove(name);
    }
    for name in lost.keys() {
        // Any sign may stand for a `-`.
        let is_account = matches!(name.as_str().as_bytes(), [b'x', sign, ..] if !sign.is_ascii_alphanumeric())
            || *name == "forwarded";
        let may_go = *name == "content-length" || *name == "http2-settings";
        assert!(
            gone(name) || may_go || !trusted && is_account,
            "{name} is lost"
        );
    }
    for name in parts
        .headers
        .keys()
        .filter(|name| !OURS.contains(&name.as_str()) && after.contains_key(*name))
    {
        assert_eq!(
            lines(&parts.headers, name),
            lines(&after, name),
            "in number and order"
        );
    }
    let cookies = lines(&parts.headers, &http::header::COOKIE).join(&b"; "[..]);
    assert_eq!(lines(&after, &http::header::COOKIE).concat(), cookies);
    if !trusted {
        assert_eq!(lines(&after, &http::header::FORWARDED).len(), 1);
        assert_eq!(
            lines(&after, &HeaderName::from_static("x-forwarded-for")),
            [b"192.0.2.1"]
        );
    }
    if let Some(upgrade) = &prepared.upgrade {
        assert_eq!(
            lines(&parts.headers, &http::header::UPGRADE),
            [upgrade.as_bytes()]
        );
        assert!(version == Version::HTTP_11 && nominated.iter().any(|name| name == "upgrade"));
        assert!(!upgrade.as_bytes().to_ascii_lowercase().starts_with(b"h2"));
    }
    prepared.frame(&mut after, Version::HTTP_11);
    check_wire(&after);
}

fn response(parts: &Parts) {
    let status = StatusCode::from_u16(100 + (parts.uri.path().len() as u16 % 500)).unwrap();
    let mut after = parts.headers.clone();
    let via = Via::new("seattle").unwrap();
    let prepared =
        hop_by_hop::prepare_response(&parts.method, status, parts.version, &mut after, &via);
    let Ok(prepared) = prepared else { return };
    for name in [
        "server",
        "www-authenticate",
        "authentication-info",
        "x-powered-by",
        "alt-svc",
    ] {
        assert!(!after.contains_key(name), "{name}");
    }
    for name in nominated(&parts.headers)
        .iter()
        .chain(&OF_HOP.map(str::to_owned))
    {
        let stays = ["content-length", "via", "close"].contains(&name.as_str());
        assert!(stays || !after.contains_key(name), "{name}");
    }
    assert_eq!(claims(&cookies_aside(&after)), Vec::<String>::new());
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        assert!(!after.contains_key("content-length"));
    }
    if prepared.framing != Framing::Undeclared {
        check_framing(&after, prepared.framing);
    }
    prepared.frame(&mut after, Version::HTTP_11);
    check_wire(&after);
}

fn check_trailers(trailers: &HeaderMap) {
    assert_eq!(claims(trailers), Vec::<String>::new());
    for name in [
        "host",
        "cookie",
        "authorization",
        "content-length",
        "content-type",
        "via",
        "set-cookie",
        "location",
    ] {
        assert!(!trailers.contains_key(name), "{name}");
    }
    assert!(OF_HOP.iter().all(|name| !trailers.contains_key(*name)));
}

/// Everything any `Connection` line names.
fn nominated(headers: &HeaderMap) -> Vec<String> {
    let lines = lines(headers, &http::header::CONNECTION).join(&b","[..]);
    let names = lines.split(|&byte| byte == b',');
    let names = names.map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase());
    // The end of the connection is told by a name that no header has.
    names
        .filter(|name| !name.is_empty() && name != "close")
        .collect()
}

/// Before the hop frames it, a message has at most one length and no coding.
fn check_framing(headers: &HeaderMap, framing: Framing) {
    assert!(!headers.contains_key("transfer-encoding"));
    let lengths = lines(headers, &http::header::CONTENT_LENGTH);
    match framing {
        Framing::Length(length) => {
            let [text] = lengths.as_slice() else {
                panic!("{lengths:?}")
            };
            let digits = std::str::from_utf8(text).unwrap().trim_start_matches('0');
            assert_eq!(
                if digits.is_empty() { "0" } else { digits },
                length.to_string()
            );
        }
        _ => assert!(lengths.is_empty(), "{lengths:?}"),
    }
}

/// Written down and read by anyone, the head is the same, with one framing at most.
fn check_wire(after: &HeaderMap) {
    let mut text = Vec::new();
    for (name, value) in after {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
    }
    assert!(!text.contains(&b'\r') && !text.contains(&0));
    let read = headers(text.split(|&byte| byte == b'\n'));
    assert_eq!(read.len(), after.len());
    let framings =
        ["transfer-encoding", "content-length"].map(|name| after.get_all(name).iter().count());
    assert!(framings.iter().sum::<usize>() <= 1, "{after:?}");
    assert!(
        after
            .get("transfer-encoding")
            .is_none_or(|coding| coding == "chunked")
    );
    assert!(after.get_all("connection").iter().count() <= 1);
}

/// The cookies of an answer would be `Set-Cookie`.
fn cookies_aside(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove("cookie");
    headers
}

const OF_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
];
/// Written, or written to, by us.
const OURS: [&str; 8] = [
    "te",
    "via",
    "cookie",
    "content-length",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];
