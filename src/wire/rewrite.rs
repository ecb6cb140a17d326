//! Headers that name hosts: each side is told of hosts that it knows.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::cookies;
use crate::directory::Origin;

/// Makes the headers of an answer from `second` fit for a client that knows `first`: absolute URLs of `second` in
/// `Location`, `Content-Location` and `Refresh` become URLs of `first`, and `Domain` is taken out of `Set-Cookie`.
///
/// ```
/// use cas_proxy::{directory::InternalUrl, wire::rewrite};
/// use http::{HeaderMap, HeaderValue};
///
/// let dallas: InternalUrl = "https://dallas.corp/owa".parse()?;
/// let mail: InternalUrl = "https://mail.contoso.com/owa".parse()?;
/// let mut headers = HeaderMap::new();
/// headers.insert("location", HeaderValue::from_static("https://dallas.corp:443/owa/?x"));
/// headers.insert("set-cookie", HeaderValue::from_static("a=1; Domain=dallas.corp; path=/"));
///
/// rewrite::response(&mut headers, dallas.origin(), mail.origin());
/// assert_eq!(headers["location"], "https://mail.contoso.com/owa/?x");
/// assert_eq!(headers["set-cookie"], "a=1; path=/");
/// # Ok::<(), cas_proxy::directory::UrlError>(())
/// ```
///
/// URLs without a host, and those of any other, are left as they are; so are all bytes behind the host.
pub fn response(headers: &mut HeaderMap, second: &Origin, first: &Origin) {
    for (name, value) in headers.iter_mut() {
        let rewritten = match name.as_str() {
            //= src/docs/protocol.md#location
            "location" | "content-location" => url(value, 0, second, first),
            "refresh" => {
                refresh_url(value.as_bytes()).and_then(|start| url(value, start, second, first))
            }
            //= src/docs/protocol.md#cookies
            "set-cookie" => without_domain(value),
            _ => None,
        };
        if let Some(rewritten) = rewritten {
            *value = rewritten;
        }
    }
}

/// Makes the headers of a request to `second` fit for it: a `Destination` at `first`, as WebDAV's COPY and MOVE have it,
/// becomes one at `second`.
pub fn request(headers: &mut HeaderMap, first: &Origin, second: &Origin) {
    //= src/docs/protocol.md#location
    if !headers.contains_key(DESTINATION) {
        return;
    }
    for (name, value) in headers.iter_mut() {
        if *name == DESTINATION
            && let Some(rewritten) = url(value, 0, first, second)
        {
            *value = rewritten;
        }
    }
}

const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// The cookies by which the first CAS signs users in, which are nobody else's business: `cadata` and whatever begins so,
/// and `sessionid`, unless said otherwise.
///
/// ```
/// use cas_proxy::wire::rewrite::LogOnCookies;
/// use http::{HeaderMap, HeaderValue, header::COOKIE};
///
/// let cookies = LogOnCookies::new(["session", "auth*"])?;
/// let mut headers = HeaderMap::new();
/// headers.insert(COOKIE, HeaderValue::from_static("session=1; Auth-Key=2; UserContext=3"));
/// cookies.strip(&mut headers);
/// assert_eq!(headers[COOKIE], "UserContext=3");
/// # Ok::<(), cas_proxy::wire::rewrite::InvalidCookieName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOnCookies(Box<[Pattern]>);

impl LogOnCookies {
    /// Cookies of these names, in any case; a `*` at the end stands for any more letters. None at all is in order, for
    /// whoever signs users in without a cookie.
    ///
    /// # Errors
    /// If a name is empty, or holds what cannot stand in a cookie's name, or a `*` before its end.
    pub fn new<Name: AsRef<str>>(
        names: impl IntoIterator<Item = Name>,
    ) -> Result<Self, InvalidCookieName> {
        let pattern = |name: Name| {
            let (name, is_prefix) = match name.as_ref().strip_suffix('*') {
                Some(name) => (name, true),
                None => (name.as_ref(), false),
            };
            let is_valid =
                |byte: u8| byte.is_ascii_graphic() && !br#"*()<>@,;:\"/[]?={}"#.contains(&byte);
            if name.is_empty() || !name.bytes().all(is_valid) {
                return Err(InvalidCookieName(()));
            }
            Ok(Pattern {
                name: name.into(),
                is_prefix,
            })
        };
        Ok(Self(
            names.into_iter().map(pattern).collect::<Result<_, _>>()?,
        ))
    }

    /// No cookies at all.
    pub(super) fn none() -> Self {
        Self(Box::default())
    }

    /// Whether one of them stands in this line.
    pub(super) fn are_in(&self, line: &HeaderValue) -> bool {
        cookies::any(
            line,
            |byte| self.may_begin_with(byte),
            |name| self.fits(name),
        )
    }

    /// Removes these cookies from a request. Allocates only if there are any.
    pub fn strip(&self, headers: &mut HeaderMap) {
        //= src/docs/protocol.md#cookies
        cookies::remove(
            headers,
            |byte| self.may_begin_with(byte),
            |name| self.fits(name),
        );
    }

    fn may_begin_with(&self, byte: u8) -> bool {
        self.0.iter().any(|pattern| pattern.may_begin_with(byte))
    }

    fn fits(&self, name: &[u8]) -> bool {
        self.0.iter().any(|pattern| pattern.matches(name))
    }
}

impl Default for LogOnCookies {
    fn default() -> Self {
        //= src/docs/protocol.md#cookies
        Self(Box::new([
            Pattern {
                name: "cadata".into(),
                is_prefix: true,
            },
            Pattern {
                name: "sessionid".into(),
                is_prefix: false,
            },
        ]))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    name: Box<str>,
    is_prefix: bool,
}

impl Pattern {
    fn may_begin_with(&self, byte: u8) -> bool {
        let first = self.name.as_bytes().first();
        first.is_some_and(|first| first.eq_ignore_ascii_case(&byte))
    }

    fn matches(&self, name: &[u8]) -> bool {
        let beginning = name.get(..self.name.len()).unwrap_or_default();
        (self.is_prefix || name.len() == self.name.len())
            && beginning.eq_ignore_ascii_case(self.name.as_bytes())
    }
}

/// Not the name of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCookieName(());

impl fmt::Display for InvalidCookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text is not the name of a cookie")
    }
}

impl std::error::Error for InvalidCookieName {}

/// `value` with `to` for `from` in the URL that begins at `start`, if it is one of `from`.
fn url(value: &HeaderValue, start: usize, from: &Origin, to: &Origin) -> Option<HeaderValue> {
    let (before, url) = value.as_bytes().split_at_checked(start)?;
    let rest = behind_origin(url, from)?;
    let origin = [to.scheme().as_str(), "://", to.authority().as_str()].concat();
    rebuilt(value, [before, origin.as_bytes(), rest].concat())
}

/// What follows `origin` in a URL that names it. A URL without a scheme but with a host (`//host/…`) names it, too.
fn behind_origin<'u>(url: &'u [u8], origin: &Origin) -> Option<&'u [u8]> {
    let scheme = origin.scheme().as_str();
    let url = match url.split_at_checked(scheme.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(scheme.as_bytes()) => {
            rest.strip_prefix(b":")?
        }
        _ => url,
    };
    let url = url.strip_prefix(b"//")?;
    let end = url
        .iter()
        .position(|byte| !is_of_authority(*byte))
        .unwrap_or(url.len());
    let (authority, rest) = url.split_at_checked(end)?;
    let ends = matches!(
        rest.first(),
        None | Some(b'/' | b'?' | b'#' | b'"' | b'\'' | b' ')
    );
    let authority = std::str::from_utf8(authority).ok()?;
    (ends && origin.is_in_url(authority)).then_some(rest)
}

/// A host and its port hold nothing else. `@` is missing: before it, there is user info and not the host.
fn is_of_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']')
}

/// Where the URL begins in a `Refresh` (HTML Standard section 4.2.5.3): `5; url='https://…'`.
fn refresh_url(value: &[u8]) -> Option<usize> {
    let is_delimiter = |byte: &u8| matches!(byte, b';' | b',') || byte.is_ascii_whitespace();
    let mut rest = value.get(value.iter().position(is_delimiter)?..)?;
    while let [b';' | b',' | b' ' | b'\t', after @ ..] = rest {
        rest = after;
    }
    if let [b'u' | b'U', b'r' | b'R', b'l' | b'L', after @ ..] = rest {
        rest = after
            .trim_ascii_start()
            .strip_prefix(b"=")?
            .trim_ascii_start();
    }
    if let [b'"' | b'\'', after @ ..] = rest {
        rest = after;
    }
    Some(value.len() - rest.len())
}

/// `None` if there is no `Domain`. Every one goes, whatever it names: what is left is a cookie of the host that the
/// client asked, and of no other.
fn without_domain(cookie: &HeaderValue) -> Option<HeaderValue> {
    let attributes = || cookie.as_bytes().split(|&byte| byte == b';');
    if !attributes().skip(1).any(is_domain) {
        return None;
    }
    let mut kept = Vec::with_capacity(cookie.len());
    for (at, attribute) in attributes().enumerate() {
        if at == 0 {
            kept.extend_from_slice(attribute);
        } else if !is_domain(attribute) {
            kept.push(b';');
            kept.extend_from_slice(attribute);
        }
    }
    rebuilt(cookie, kept)
}

fn is_domain(attribute: &[u8]) -> bool {
    let mut parts = attribute.splitn(2, |&byte| byte == b'=');
    parts
        .next()
        .unwrap_or_default()
        .trim_ascii()
        .eq_ignore_ascii_case(b"domain")
}

fn rebuilt(old: &HeaderValue, bytes: Vec<u8>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from(bytes)).ok()?;
    value.set_sensitive(old.is_sensitive());
    Some(value)
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, SET_COOKIE};
    use proptest::prelude::*;

    use super::*;
    use crate::directory::InternalUrl;

    fn origin(text: &str) -> Origin {
        format!("{text}/owa")
            .parse::<InternalUrl>()
            .unwrap()
            .origin()
            .clone()
    }

    #[track_caller]
    fn check(name: &'static str, rows: &[(&str, &str)]) {
        let (dallas, mail) = (
            origin("https://dallas.corp"),
            origin("https://mail.contoso.com:8443"),
        );
        for (value, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            match name {
                "destination" => request(&mut headers, &dallas, &mail),
                _ => response(&mut headers, &dallas, &mail),
            }
            assert_eq!(
                headers[name].as_bytes(),
                expected.as_bytes(),
                "{name}: {value}"
            );
        }
    }

    const URLS: [(&str, &str); 23] = [
        (
            "https://dallas.corp/owa/?x=https://dallas.corp/",
            "https://mail.contoso.com:8443/owa/?x=https://dallas.corp/",
        ),
        (
            "HTTPS://Dallas.Corp:443/%2F+",
            "https://mail.contoso.com:8443/%2F+",
        ),
        ("https://dallas.corp", "https://mail.contoso.com:8443"),
        ("https://dallas.corp?x", "https://mail.contoso.com:8443?x"),
        ("https://dallas.corp#x", "https://mail.contoso.com:8443#x"),
        (
            "https://dallas.corp./owa",
            "https://mail.contoso.com:8443/owa",
        ),
        ("//dallas.corp/owa", "https://mail.contoso.com:8443/owa"),
        (
            "https://dallas.corp/\u{e4}",
            "https://mail.contoso.com:8443/\u{e4}",
        ),
        ("", ""),
        ("/owa/", "/owa/"),
        ("owa/x?https://dallas.corp/", "owa/x?https://dallas.corp/"),
        ("http://dallas.corp/", "http://dallas.corp/"),
        ("https://dallas.corp:8443/", "https://dallas.corp:8443/"),
        ("https://dallas.corp.evil/", "https://dallas.corp.evil/"),
        ("https://dallas.corp@evil/", "https://dallas.corp@evil/"),
        ("https://u@dallas.corp/", "https://u@dallas.corp/"),
        ("https://dallas.corp\\@evil/", "https://dallas.corp\\@evil/"),
        ("https://dallas.corp%2eevil/", "https://dallas.corp%2eevil/"),
        ("https:/dallas.corp/", "https:/dallas.corp/"),
        ("https:dallas.corp", "https:dallas.corp"),
        ("httpsdallas.corp", "httpsdallas.corp"),
        ("https://", "https://"),
        ("https://evil/", "https://evil/"),
    ];

    #[test]
    //= src/docs/protocol.md#location
    fn urls_of_the_other_host_are_rewritten() {
        for name in ["location", "content-location", "destination"] {
            check(name, &URLS);
        }
    }

    #[test]
    //= src/docs/protocol.md#location
    fn every_line_of_a_repeated_header_is_rewritten() {
        let (dallas, mail) = (origin("https://dallas.corp"), origin("https://mail"));
        let mut headers = HeaderMap::new();
        for path in ["/a", "/b"] {
            let line = ["https://mail", path].concat();
            headers.append("destination", line.parse().unwrap());
        }
        request(&mut headers, &mail, &dallas);
        let lines: Vec<_> = headers.get_all("destination").iter().collect();
        assert_eq!(lines, ["https://dallas.corp/a", "https://dallas.corp/b"]);
    }

    #[test]
    //= src/docs/protocol.md#location
    fn another_port_of_the_other_host_is_another_host() {
        let mail = origin("https://mail.contoso.com");
        let rows = [
            ("https://dallas.corp:8443", "https://dallas.corp/", false),
            ("https://dallas.corp:8443", "//dallas.corp:/", false),
            (
                "https://dallas.corp:8443",
                "https://dallas.corp:443/",
                false,
            ),
            (
                "https://dallas.corp:8443",
                "https://dallas.corp:99999/",
                false,
            ),
            (
                "https://dallas.corp:8443",
                "https://dallas.corp:8443/",
                true,
            ),
            ("http://dallas.corp", "http://dallas.corp:/", true),
            ("http://dallas.corp", "http://dallas.corp:080/", true),
            ("https://[fd00::1]", "https://[FD00:0::1]:443/", true),
            ("https://[fd00::1]", "https://fd00::1:443/", false),
            ("https://[fd00::1]", "https://[fd00::1]:444/", false),
        ];
        for (second, location, is_rewritten) in rows {
            let mut headers = HeaderMap::new();
            headers.insert("location", location.parse().unwrap());
            response(&mut headers, &origin(second), &mail);
            let expected = if is_rewritten {
                "https://mail.contoso.com/"
            } else {
                location
            };
            assert_eq!(headers["location"], expected, "{location} of {second}");
        }
    }

    #[test]
    //= src/docs/protocol.md#location
    fn refresh_is_rewritten_behind_its_seconds() {
        check(
            "refresh",
            &[
                (
                    "5; url=https://dallas.corp/x",
                    "5; url=https://mail.contoso.com:8443/x",
                ),
                (
                    "0;URL = 'https://dallas.corp/x'",
                    "0;URL = 'https://mail.contoso.com:8443/x'",
                ),
                ("0, https://dallas.corp", "0, https://mail.contoso.com:8443"),
                (
                    "0 url=\"https://dallas.corp\"",
                    "0 url=\"https://mail.contoso.com:8443\"",
                ),
                ("5", "5"),
                ("5;", "5;"),
                ("5; url=/owa", "5; url=/owa"),
                (
                    "5; url=https://evil/?https://dallas.corp/",
                    "5; url=https://evil/?https://dallas.corp/",
                ),
                (
                    "5; urlx=https://dallas.corp/",
                    "5; urlx=https://dallas.corp/",
                ),
                ("https://dallas.corp/", "https://dallas.corp/"),
            ],
        );
    }

    #[test]
    //= src/docs/protocol.md#cookies
    fn a_cookie_loses_its_domain_and_no_other_byte() {
        check(
            "set-cookie",
            &[
                (
                    "a=1; domain=dallas.corp; Path=/; HttpOnly",
                    "a=1; Path=/; HttpOnly",
                ),
                ("a=1;DOMAIN = .corp ;secure", "a=1;secure"),
                ("a=1; path=/; domain", "a=1; path=/"),
                ("a=1; domain=x; domain=y", "a=1"),
                ("domain=1; Path=/", "domain=1; Path=/"),
                ("a=domain=x;  path=/;", "a=domain=x;  path=/;"),
                ("a=1; domainx=y", "a=1; domainx=y"),
                ("a=\u{e4}; domain=x; b", "a=\u{e4}; b"),
                ("", ""),
            ],
        );
    }

    #[test]
    //= src/docs/protocol.md#cookies
    fn several_cookies_stay_in_order() {
        let mut headers = HeaderMap::new();
        for line in ["a=1; domain=x", "b=2", "c=3; domain=x"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        response(&mut headers, &origin("https://a"), &origin("https://b"));
        let lines: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(lines, ["a=1", "b=2", "c=3"]);
    }

    #[test]
    //= src/docs/protocol.md#cookies
    fn log_on_cookies_are_never_sent_on() {
        let mut headers = HeaderMap::new();
        for line in [
            "SessionId=1; cadata=\"2\"; UserContext=3",
            "CADATAKey=4",
            "sessionids=5; xcadata=6",
        ] {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        LogOnCookies::default().strip(&mut headers);
        let lines: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(lines, ["UserContext=3", "sessionids=5; xcadata=6"]);
    }

    #[test]
    //= src/docs/protocol.md#cookies
    fn log_on_cookies_are_settable() {
        assert_eq!(
            LogOnCookies::new(["cadata*", "sessionid"]),
            Ok(LogOnCookies::default())
        );
        let none: [&str; 0] = [];
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("cadata=1"));
        LogOnCookies::new(none).unwrap().strip(&mut headers);
        assert_eq!(headers[COOKIE], "cadata=1");
        for name in ["", "*", "a b", "a=b", "a;b", "a*b", "ä", "a,b"] {
            assert!(LogOnCookies::new([name]).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        //= src/docs/protocol.md#location
        fn only_the_other_origin_is_ever_replaced(value in "(https?:)?/{0,2}[a-c.:@\\\\]{0,6}[/?#]?[ -~]{0,8}") {
            let (from, to) = (origin("https://a.b"), origin("https://new"));
            let mut headers = HeaderMap::new();
            headers.append("location", value.parse().unwrap());
            response(&mut headers, &from, &to);
            let after = headers["location"].to_str().unwrap();
            if after != value {
                let rest = after.strip_prefix("https://new").unwrap();
                let before = value.strip_suffix(rest).unwrap();
                prop_assert!(["https://a.b", "//a.b", "https://a.b.", "//a.b.", "https://a.b:", "//a.b:", "https://a.b.:", "//a.b.:"].contains(&before), "{}", before);
            }
        }

        #[test]
        //= src/docs/protocol.md#cookies
        fn any_bytes_pass_without_a_panic(bytes: Vec<u8>, name in 0..4_usize) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let name = ["location", "content-location", "refresh", "set-cookie"][name];
                let mut headers = HeaderMap::new();
                headers.append(name, value);
                response(&mut headers, &origin("https://a"), &origin("https://b"));
                prop_assert_eq!(headers.len(), 1);
            }
        }
    }
}
