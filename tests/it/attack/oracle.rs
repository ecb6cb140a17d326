//! What must never happen, whatever was sent: judged by code of its own, which shares nothing with the crate's.

use http::HeaderMap;

use super::chain::{Arrived, Seen, Sent};

/// Panics if anything that was seen should not have been. `rid` is whom the log-on layer signed in, if anyone.
#[track_caller]
pub fn judge(seen: &Seen, signed_in: &[u32]) {
    for arrived in seen.here.iter().chain(&seen.there) {
        check_identity(arrived, signed_in);
        assert!(
            !is_internal(arrived.uri.path()),
            "internal path: {arrived:?}"
        );
    }
    for arrived in &seen.there {
        assert!(arrived.proxied && arrived.user.is_some(), "{arrived:?}");
        check_explicit_logon(arrived);
    }
    for sent in &seen.sent {
        check_destination(sent);
    }
}

/// The user is whom the log-on layer put in, or nobody; and nothing else says who it is.
fn check_identity(arrived: &Arrived, signed_in: &[u32]) {
    if let Some(user) = &arrived.user {
        let sids: Vec<_> = signed_in
            .iter()
            .map(|&rid| crate::support::user(rid))
            .collect();
        assert!(sids.contains(user), "{arrived:?} by {signed_in:?}");
    }
    for fields in [&arrived.headers, &arrived.trailers] {
        assert_eq!(claims(fields), Vec::<String>::new(), "{arrived:?}");
    }
}

/// Names of fields and cookies that speak of identity, in whatever spelling.
fn claims(fields: &HeaderMap) -> Vec<String> {
    let names = fields.keys().map(|name| name.as_str().as_bytes());
    let cookies = fields.get_all("cookie").iter().flat_map(|line| {
        let pairs = line.as_bytes().split(|byte| b";,".contains(byte));
        let names = pairs.map(|pair| pair.split(|&byte| byte == b'=').next().unwrap());
        // In quotes or not.
        names.map(|name| {
            name.trim_ascii()
                .strip_prefix(b"\"")
                .unwrap_or(name.trim_ascii())
        })
    });
    names
        .chain(cookies)
        .map(|name| {
            let letter = |&byte: &u8| match byte.to_ascii_lowercase() {
                letter @ (b'a'..=b'z' | b'0'..=b'9') => char::from(letter),
                // Whoever makes variables of names makes one sign of all.
                _ => '-',
            };
            decode(name).iter().map(letter).collect()
        })
        .filter(|name: &String| FAMILY.iter().any(|family| name.starts_with(family)))
        .collect()
}

/// The mailbox that a request opens is the one its path names.
fn check_explicit_logon(arrived: &Arrived) {
    let path = String::from_utf8(decode(arrived.uri.path().as_bytes())).unwrap();
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let named = segments.nth(1).filter(|segment| {
        segment.contains('@')
            && path
                .trim_start_matches('/')
                .to_ascii_lowercase()
                .starts_with("owa")
    });
    assert_eq!(arrived.explicit_logon.as_deref(), named, "{arrived:?}");
}

/// It went where the directory says, and its bytes say one thing only.
fn check_destination(sent: &Sent) {
    assert_eq!(sent.origin.to_string(), "https://dallas.corp", "{sent:?}");
    assert_eq!(sent.uri.scheme_str(), Some("https"), "{sent:?}");
    assert_eq!(sent.uri.authority().unwrap(), "dallas.corp", "{sent:?}");
    let bytes = sent.bytes.lock().unwrap().clone();
    if bytes.is_empty() {
        return;
    }
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let mut lines = head.split("\r\n");
    let request_line = lines.next().unwrap();
    let words: Vec<_> = request_line.split(' ').collect();
    assert!(words.len() == 3 && words[2] == "HTTP/1.1", "{request_line}");
    let target = sent.uri.path_and_query().unwrap().as_str();
    assert!(
        words[1].chars().eq(target.bytes().map(char::from)),
        "{sent:?}"
    );
    assert!(words[1].starts_with('/'), "{request_line}");
    let (mut hosts, mut lengths, mut chunked) = (0, Vec::new(), 0);
    for line in lines {
        assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
        let (name, value) = line.split_once(':').expect("a field");
        assert!(
            !name.is_empty() && name.bytes().all(is_token) && !value.starts_with("  "),
            "{line:?}"
        );
        match name.to_ascii_lowercase().as_str() {
            "host" => {
                assert_eq!(value.trim(), "dallas.corp");
                hosts += 1;
            }
            "content-length" => lengths.push(value.trim().parse::<usize>().expect("a number")),
            "transfer-encoding" => {
                assert_eq!(value.trim(), "chunked");
                chunked += 1;
            }
            "authorization" | "proxy-authorization" | "keep-alive" | "proxy-connection" => {
                panic!("of one hop: {line}")
            }
            _ => {}
        }
    }
    assert_eq!(hosts, 1, "{head}");
    assert!(lengths.len() + chunked <= 1, "two framings: {head}");
    match lengths.first() {
        Some(&length) => assert!(body.len() <= length, "more than one request: {text}"),
        None if chunked == 0 => assert_eq!(body, "", "{text}"),
        None => check_chunks(body),
    }
}

/// Nothing stands behind the last chunk.
fn check_chunks(mut body: &str) {
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk's size, bare");
        if size == 0 {
            assert_eq!(rest, "\r\n", "behind the last chunk");
            return;
        }
        if rest.len() < size + 2 {
            return;
        }
        assert_eq!(rest.get(size..size + 2), Some("\r\n"));
        body = &rest[size + 2..];
    }
}

/// Whether any reader, however forgiving, could find one of the internal names in a path of ours.
fn is_internal(path: &str) -> bool {
    let mut form = path.as_bytes().to_vec();
    for _ in 0..8 {
        let text = String::from_utf8_lossy(&form).to_ascii_lowercase();
        let mut names = text.split(['/', '\\']).map(|name| {
            let end = name.find([';', ':', '?', '#', '\0']).unwrap_or(name.len());
            name[..end].trim_end_matches(['.', ' '])
        });
        let names: Vec<_> = names.by_ref().filter(|name| !name.is_empty()).collect();
        let ours = names
            .first()
            .is_some_and(|root| ["owa", "exchange", "exchweb", "public"].contains(root));
        if ours
            && names
                .iter()
                .any(|name| ["proxylogon.owa", "ping.owa"].contains(name))
        {
            return true;
        }
        form = decode(&form);
    }
    false
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(code) if byte == b'%' && after[0] != b'+' => {
                decoded.push(code);
                rest = &after[2..];
            }
            _ => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    decoded
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

const FAMILY: [&str; 9] = [
    "x-owa-proxy",
    "x-owa-explicitlogonuser",
    "x-logontype",
    "msexch",
    "x-eas",
    "x-commonaccesstoken",
    "x-rps-cat",
    "x-beresource",
    "x-anonresource",
];
