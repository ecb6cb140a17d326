//! What targets share: heads made of lines, and readers of their own that take every liberty a server may take.
//!
//! Nothing here uses the crate's own reading of anything, so that the two can be compared.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, request::Parts};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// A head by its text: `METHOD target version`, and lines of `name: value`. Lines that cannot be headers are left out.
pub fn head(text: &[u8]) -> Option<Parts> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let mut words = lines.next()?.split(|&byte| byte == b' ');
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(words.next()?).ok()?;
    parts.uri = Uri::try_from(words.next()?).ok()?;
    parts.version = match words.next() {
        Some(b"1.0") => Version::HTTP_10,
        Some(b"2") => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    parts.headers = headers(lines);
    Some(parts)
}

/// Headers by their lines.
pub fn headers<'l>(lines: impl Iterator<Item = &'l [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let mut halves = line.splitn(2, |&byte| byte == b':');
        let (Some(name), Some(value)) = (halves.next(), halves.next()) else {
            continue;
        };
        let value = HeaderValue::from_bytes(value.trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
            headers.append(name, value);
        }
    }
    headers
}

/// The lines of one header, in order.
pub fn lines<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h [u8]> {
    let lines = headers.get_all(name).iter();
    lines.map(HeaderValue::as_bytes).collect()
}

/// Names of headers and cookies that speak of identity, with any sign for a `-`.
pub fn claims(headers: &HeaderMap) -> Vec<String> {
    let names = headers.keys().map(|name| name.as_str().as_bytes().to_vec());
    let cookies = headers.get_all("cookie").iter().flat_map(|line| {
        let pairs = line.as_bytes().split(|byte| b";,".contains(byte));
        pairs.map(|pair| {
            let name = decode(pair.split(|&byte| byte == b'=').next().unwrap());
            let start = name.iter().position(u8::is_ascii_alphanumeric);
            name[start.unwrap_or(name.len())..].to_vec()
        })
    });
    names
        .chain(cookies)
        .map(|name| {
            let plain = |&byte: &u8| match char::from(byte) {
                letter if letter.is_ascii_alphanumeric() => letter.to_ascii_lowercase(),
                _ => '-',
            };
            name.iter().map(plain).collect::<String>()
        })
        .filter(|name| FAMILY.iter().any(|family| name.starts_with(family)))
        .collect()
}

/// Undoes the percent-escapes of `text` once, `%u` as well.
pub fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let (digits, wide) = match after {
            [b'u' | b'U', after @ ..] => (after.get(..4), true),
            _ => (after.get(..2), false),
        };
        let code = digits
            .filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        let Some(code) = code else {
            decoded.push(*first);
            rest = after;
            continue;
        };
        match char::from_u32(code) {
            Some(letter) if wide => decoded.extend(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            None if wide => decoded.push(0xff),
            _ => decoded.push(code as u8),
        }
        rest = &after[if wide { 5 } else { 2 }..];
    }
    decoded
}

/// The names some server could see in a path that has been decoded as often as it will be: in lower case, without empty
/// segments, and without what follows `;`, `:`, `?`, `#` or NUL, or dots and blanks at the end.
pub fn names(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|byte| b"/\\".contains(byte)).map(|segment| {
        let mut name = segment
            .split(|byte| b";:?#\0".contains(byte))
            .next()
            .unwrap();
        while let [before @ .., b'.' | b' '] = name {
            name = before;
        }
        name.to_ascii_lowercase()
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// The path with its dot segments resolved.
pub fn resolved(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| b"/\\".contains(byte)) {
        match segment
            .split(|byte| b";:?#\0".contains(byte))
            .next()
            .unwrap()
            .trim_ascii()
        {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    kept.join(&b"/"[..])
}

/// Whether some server that decodes up to `decodings` times could take the path for one of the internal ones.
pub fn is_internal(path: &[u8], decodings: usize) -> bool {
    let mut form = path.to_vec();
    for _ in 0..=decodings {
        for reading in [names(&form), names(&resolved(&form))] {
            let [root, rest @ ..] = reading.as_slice() else {
                continue;
            };
            let is_ours = ROOTS.contains(&root.as_slice());
            let is_internal =
                |name: &Vec<u8>| matches!(name.as_slice(), b"proxylogon.owa" | b"ping.owa");
            if is_ours && rest.iter().any(is_internal) {
                return true;
            }
        }
        form = decode(&form);
    }
    false
}

pub const ROOTS: [&[u8]; 4] = [b"owa", b"exchange", b"exchweb", b"public"];

const FAMILY: [&str; 14] = [
    "x-owa-proxy",
    "x-owa-explicitlogonuser",
    "x-logontype",
    "msexch",
    "x-eas-",
    "x-commonaccesstoken",
    "x-rps-cat",
    "x-beresource",
    "x-beserver",
    "x-backendcookie",
    "x-backendheader",
    "x-anonresource",
    "x-isfromcafe",
    "x-sourcecafeserver",
];

/// Runs something in a world of its own, in which time passes when there is nothing else to do.
pub fn run<T>(something: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(something)
}

/// Sends `bytes` to a server and gives all that comes back until it hangs up, or has been silent for ten minutes.
pub async fn converse(mut stream: DuplexStream, bytes: &[u8]) -> Vec<u8> {
    // It may hang up before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = async { while matches!(stream.read_buf(&mut answer).await, Ok(1..)) {} };
    let _ = tokio::time::timeout(Duration::from_secs(600), reading).await;
    answer
}

/// No browser may see a cookie for a whole domain, or what is between two CASs.
pub fn check_for_browsers(answer: &[u8]) {
    for line in answer.split(|&byte| byte == b'\n') {
        let line = line.to_ascii_lowercase();
        if line.starts_with(b"set-cookie:") {
            let mut attributes = line.split(|&byte| byte == b';').skip(1);
            let is_domain = |attribute: &[u8]| {
                let name = attribute.split(|&byte| byte == b'=').next().unwrap();
                name.trim_ascii() == b"domain"
            };
            assert!(!attributes.any(is_domain));
        }
        for name in ["x-owa-proxy", "www-authenticate:", "proxy-authenticate:"] {
            assert!(!line.starts_with(name.as_bytes()), "{name}");
        }
    }
}
