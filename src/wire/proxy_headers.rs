//! The headers that make a request a proxied one, written by the first CAS and read by the second.

use std::{fmt, str::FromStr};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::names::{
    X_OWA_EXPLICIT_LOGON_USER, X_OWA_PROXY_SID, X_OWA_PROXY_URI, X_OWA_PROXY_VERSION,
    X_OWA_PROXY_WEB_PART,
};
use crate::{
    csc::Sid,
    directory::{ExchangeVersion, InternalUrl, SmtpAddress},
};

/// What the headers of a proxied request say, every one of them parsed.
///
/// ```
/// use cas_proxy::wire::proxy_headers::{self, ProxyHeaders};
/// use http::{HeaderMap, HeaderValue};
///
/// let uri = HeaderValue::from_static("https://mail.contoso.com/owa");
/// let version = HeaderValue::from_static("8.1.240.5");
/// let sid = HeaderValue::from_static("S-1-5-21-1-2-3-1105");
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(ProxyHeaders::read(&headers)?, None);
///
/// proxy_headers::write(&mut headers, &uri, &version, &sid, false, None);
/// let read = ProxyHeaders::read(&headers)?.expect("all three headers are there");
/// assert_eq!(read.uri, uri);
/// assert_eq!(read.version.to_string(), "8.1.240.5");
/// assert_eq!(read.sid.to_string(), "S-1-5-21-1-2-3-1105");
/// # Ok::<(), cas_proxy::wire::proxy_headers::ProxyHeadersError>(())
/// ```
///
/// They are words like any others: whether the peer may say them is for the second CAS to verify.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyHeaders {
    /// Where browsers reach the first CAS: scheme, host, port if need be, `/owa`, and nothing behind.
    pub uri: HeaderValue,
    /// The version of the first CAS.
    pub version: ExchangeVersion,
    /// The user's SID.
    pub sid: Sid,
    /// Whether the request asks for a web part.
    pub web_part: bool,
    /// The mailbox the path names, if it names one.
    pub explicit_logon: Option<SmtpAddress>,
}

impl ProxyHeaders {
    /// Reads what [`write()`] wrote. `None` is an ordinary request, one that bears none of Uri, Version and Sid.
    ///
    /// # Errors
    /// If one or two of these three are missing, or any header read here is repeated or malformed.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, ProxyHeadersError> {
        let uri = once(headers, X_OWA_PROXY_URI, read_uri)?;
        let version = once(headers, X_OWA_PROXY_VERSION, read_text::<ExchangeVersion>)?;
        let sid = once(headers, X_OWA_PROXY_SID, read_text::<Sid>)?;
        let web_part = once(headers, X_OWA_PROXY_WEB_PART, read_web_part)?;
        let explicit_logon = once(headers, X_OWA_EXPLICIT_LOGON_USER, read_text)?;
        //= src/docs/protocol.md#header-all-or-none
        let (uri, version, sid) = match (uri, version, sid) {
            (Some(uri), Some(version), Some(sid)) => (uri, version, sid),
            (None, None, None) => return Ok(None),
            (None, _, _) => return Err(Flaw::Missing.of(X_OWA_PROXY_URI)),
            (_, None, _) => return Err(Flaw::Missing.of(X_OWA_PROXY_VERSION)),
            (_, _, None) => return Err(Flaw::Missing.of(X_OWA_PROXY_SID)),
        };
        Ok(Some(Self {
            uri,
            version,
            sid,
            web_part: web_part.is_some(),
            explicit_logon,
        }))
    }
}

/// Sets the headers of a proxied request, in place of whatever was there; those it does not set it removes.
///
/// The values are passed on as they are and cost no formatting: build them once, where they come from. The SID and the
/// address are marked sensitive, which keeps them out of `Debug` and of HTTP/2's compression tables.
pub fn write(
    headers: &mut HeaderMap,
    uri: &HeaderValue,
    version: &HeaderValue,
    sid: &HeaderValue,
    web_part: bool,
    explicit_logon: Option<&HeaderValue>,
) {
    //= src/docs/protocol.md#header-uri
    headers.insert(X_OWA_PROXY_URI, uri.clone());
    //= src/docs/protocol.md#header-version
    headers.insert(X_OWA_PROXY_VERSION, version.clone());
    //= src/docs/protocol.md#header-sid
    headers.insert(X_OWA_PROXY_SID, sensitive(sid));
    //= src/docs/protocol.md#header-webpart
    match web_part {
        true => headers.insert(X_OWA_PROXY_WEB_PART, WEB_PART),
        false => headers.remove(X_OWA_PROXY_WEB_PART),
    };
    //= src/docs/protocol.md#header-explicit
    match explicit_logon {
        Some(address) => headers.insert(X_OWA_EXPLICIT_LOGON_USER, sensitive(address)),
        None => headers.remove(X_OWA_EXPLICIT_LOGON_USER),
    };
}

/// What [`write()`] is given.
pub(crate) struct ProxyLines<'l> {
    pub(crate) uri: &'l HeaderValue,
    pub(crate) version: &'l HeaderValue,
    pub(crate) sid: &'l HeaderValue,
    pub(crate) web_part: bool,
    pub(crate) explicit_logon: Option<HeaderValue>,
}

impl ProxyLines<'_> {
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let explicit_logon = self.explicit_logon.as_ref();
        let web_part = self.web_part;
        write(
            headers,
            self.uri,
            self.version,
            self.sid,
            web_part,
            explicit_logon,
        );
    }

    /// Writes those that few requests have, where none of these headers can be yet.
    pub(super) fn write_rare(&self, headers: &mut HeaderMap) {
        //= src/docs/protocol.md#header-webpart
        if self.web_part {
            headers.insert(X_OWA_PROXY_WEB_PART, WEB_PART);
        }
        //= src/docs/protocol.md#header-explicit
        if let Some(address) = &self.explicit_logon {
            headers.insert(X_OWA_EXPLICIT_LOGON_USER, sensitive(address));
        }
    }
}

/// The headers of a proxied request are not as they must be. Says which one and why, never what it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyHeadersError {
    header: HeaderName,
    flaw: Flaw,
}

impl ProxyHeadersError {
    /// The first header found wanting.
    #[must_use]
    pub fn header(&self) -> &HeaderName {
        &self.header
    }
}

impl fmt::Display for ProxyHeadersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flaw = match self.flaw {
            Flaw::Missing => "missing",
            Flaw::Repeated => "repeated",
            Flaw::Malformed => "malformed",
        };
        write!(f, "{flaw} header {}", self.header)
    }
}

impl std::error::Error for ProxyHeadersError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    Missing,
    Repeated,
    Malformed,
}

impl Flaw {
    fn of(self, header: HeaderName) -> ProxyHeadersError {
        ProxyHeadersError { header, flaw: self }
    }
}

fn once<T>(
    headers: &HeaderMap,
    header: HeaderName,
    read: impl Fn(&HeaderValue) -> Option<T>,
) -> Result<Option<T>, ProxyHeadersError> {
    let mut lines = headers.get_all(&header).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    //= src/docs/protocol.md#header-all-or-none
    if lines.next().is_some() {
        return Err(Flaw::Repeated.of(header));
    }
    match read(line) {
        Some(value) => Ok(Some(value)),
        None => Err(Flaw::Malformed.of(header)),
    }
}

pub(super) fn sensitive(value: &HeaderValue) -> HeaderValue {
    let mut value = value.clone();
    value.set_sensitive(true);
    value
}

fn read_uri(line: &HeaderValue) -> Option<HeaderValue> {
    let text = line.to_str().ok()?;
    //= src/docs/protocol.md#header-uri
    // An InternalURL has the same form, but for a slash that may end it.
    let is_valid = !text.ends_with('/') && text.parse::<InternalUrl>().is_ok();
    is_valid.then(|| line.clone())
}

fn read_text<T: FromStr>(line: &HeaderValue) -> Option<T> {
    line.to_str().ok()?.parse().ok()
}

fn read_web_part(line: &HeaderValue) -> Option<()> {
    (line == WEB_PART).then_some(())
}

const WEB_PART: HeaderValue = HeaderValue::from_static("1");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const URI: (&str, &str) = ("x-owa-proxyuri", "https://mail.contoso.com/owa");
    const VERSION: (&str, &str) = ("x-owa-proxyversion", "8.1.240.5");
    const SID: (&str, &str) = ("x-owa-proxysid", "S-1-5-21-1-2-3-1105");
    const PART: (&str, &str) = ("x-owa-proxywebpart", "1");
    const EXPLICIT: (&str, &str) = ("x-owa-explicitlogonuser", "anna@contoso.com");

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(name.parse::<HeaderName>().unwrap(), value);
        }
        headers
    }

    fn read(lines: &[(&str, &str)]) -> Result<Option<ProxyHeaders>, String> {
        ProxyHeaders::read(&headers(lines)).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(lines: &[(&str, &str)], error: &str) {
        assert_eq!(read(lines), Err(error.to_owned()), "{lines:?}");
    }

    #[test]
    //= src/docs/protocol.md#header-all-or-none
    fn three_headers_make_a_proxied_request() {
        let bare = read(&[URI, VERSION, SID]).unwrap().unwrap();
        assert_eq!(bare.uri, URI.1);
        assert_eq!(bare.version, VERSION.1.parse().unwrap());
        assert_eq!(bare.sid, SID.1.parse().unwrap());
        assert!(!bare.web_part);
        assert_eq!(bare.explicit_logon, None);
        let full = read(&[URI, VERSION, SID, PART, EXPLICIT]).unwrap().unwrap();
        assert!(full.web_part);
        assert_eq!(full.explicit_logon, Some(EXPLICIT.1.parse().unwrap()));
    }

    #[test]
    //= src/docs/protocol.md#header-all-or-none
    fn none_of_the_three_is_an_ordinary_request() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("host", "mail"), PART, EXPLICIT]), Ok(None));
    }

    #[test]
    //= src/docs/protocol.md#header-all-or-none
    fn anything_between_is_refused() {
        refused(&[URI], "missing header x-owa-proxyversion");
        refused(&[VERSION], "missing header x-owa-proxyuri");
        refused(&[SID], "missing header x-owa-proxyuri");
        refused(&[URI, VERSION], "missing header x-owa-proxysid");
        refused(&[URI, SID], "missing header x-owa-proxyversion");
        refused(&[VERSION, SID], "missing header x-owa-proxyuri");
    }

    #[test]
    //= src/docs/protocol.md#header-all-or-none
    fn each_header_comes_at_most_once() {
        for repeated in [URI, VERSION, SID, PART, EXPLICIT] {
            let error = format!("repeated header {}", repeated.0);
            refused(&[URI, VERSION, SID, PART, EXPLICIT, repeated], &error);
            refused(&[repeated, repeated], &error);
        }
    }

    #[test]
    //= src/docs/protocol.md#header-uri
    fn the_uri_is_an_origin_and_owa() {
        for uri in [
            "https://mail/owa",
            "http://10.0.0.1:8080/owa",
            "https://[2001:db8::1]/owa",
            "HTTPS://Mail.Contoso.com/OWA",
        ] {
            assert!(
                read(&[("x-owa-proxyuri", uri), VERSION, SID]).is_ok(),
                "{uri}"
            );
        }
        for uri in [
            "",
            "mail.contoso.com",
            "//mail.contoso.com/owa",
            "https://mail.contoso.com",
            "https://mail.contoso.com/",
            "https://mail.contoso.com/owa/",
            "https://mail.contoso.com//owa",
            "https://mail.contoso.com/exchange",
            "https://mail.contoso.com/owa?x",
            "https://mail.contoso.com/owa#x",
            "https://user@mail.contoso.com/owa",
            "https://mail.contoso.com:0/owa",
            "https://mail.contoso.com\\@evil/owa",
            "https://e\"><script>/owa",
            "https://m\u{e4}il/owa",
            "javascript://mail/owa",
            "https:///owa",
            "https://mail.contoso.com/owa, https://evil/owa",
        ] {
            refused(
                &[("x-owa-proxyuri", uri), VERSION, SID],
                "malformed header x-owa-proxyuri",
            );
        }
    }

    #[test]
    //= src/docs/protocol.md#header-version
    fn the_version_is_dotted_decimal() {
        for version in ["8.1.240", "14.3.9999.9999"] {
            assert!(
                read(&[URI, ("x-owa-proxyversion", version), SID]).is_ok(),
                "{version}"
            );
        }
        for version in [
            "",
            "8",
            "8.1",
            "8.1.240.5.1",
            "8.1.240.",
            "8.1.24000.5",
            "8.1.x.5",
            "v8.1.240",
        ] {
            refused(
                &[URI, ("x-owa-proxyversion", version), SID],
                "malformed header x-owa-proxyversion",
            );
        }
    }

    #[test]
    //= src/docs/protocol.md#header-sid
    fn the_sid_is_text_in_its_one_form() {
        for sid in [
            "",
            "s-1-5-21-1-2-3-1105",
            "S-1-5-21-1-2-3-01105",
            "S-1-5-18 S-1-5-18",
            "anna",
        ] {
            refused(
                &[URI, VERSION, ("x-owa-proxysid", sid)],
                "malformed header x-owa-proxysid",
            );
        }
    }

    #[test]
    //= src/docs/protocol.md#header-webpart
    fn the_web_part_header_is_one_or_absent() {
        for part in ["", "0", "01", "1, 1", "true"] {
            refused(
                &[URI, VERSION, SID, ("x-owa-proxywebpart", part)],
                "malformed header x-owa-proxywebpart",
            );
        }
    }

    #[test]
    //= src/docs/protocol.md#header-explicit
    fn the_explicit_user_is_an_address() {
        for user in [
            "",
            "anna",
            "anna@",
            "anna@contoso.com, bob@contoso.com",
            "an/na@contoso.com",
        ] {
            refused(
                &[URI, VERSION, SID, ("x-owa-explicitlogonuser", user)],
                "malformed header x-owa-explicitlogonuser",
            );
        }
    }

    #[test]
    //= src/docs/protocol.md#header-webpart
    //= src/docs/protocol.md#header-explicit
    fn writing_sets_or_strips() {
        let [uri, version, sid] =
            [URI, VERSION, SID].map(|(_, value)| HeaderValue::from_static(value));
        let forged = [URI, URI, VERSION, SID, SID, PART, PART, EXPLICIT, EXPLICIT];
        let mut written = headers(&forged);
        write(&mut written, &uri, &version, &sid, false, None);
        assert_eq!(written, headers(&[URI, VERSION, SID]));
        assert!(written["x-owa-proxysid"].is_sensitive());

        let mut written = headers(&forged);
        let address = HeaderValue::from_static(EXPLICIT.1);
        write(&mut written, &uri, &version, &sid, true, Some(&address));
        assert_eq!(written, headers(&[URI, VERSION, SID, PART, EXPLICIT]));
        assert!(written["x-owa-explicitlogonuser"].is_sensitive());
    }

    #[test]
    fn an_error_keeps_the_value_to_itself() {
        let headers = headers(&[URI, VERSION, ("x-owa-proxysid", "secret")]);
        let error = ProxyHeaders::read(&headers).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("secret"));
        assert_eq!(error.header(), X_OWA_PROXY_SID);
    }

    proptest! {
        #[test]
        //= src/docs/protocol.md#header-all-or-none
        fn any_bytes_are_read_or_refused(name in 0..5_usize, bytes: Vec<u8>) {
            let name = [URI, VERSION, SID, PART, EXPLICIT][name].0;
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = headers(&[URI, VERSION, SID]);
                headers.insert(name, value.clone());
                prop_assert!(ProxyHeaders::read(&headers).is_err() || value.to_str().is_ok());
            }
        }

        #[test]
        //= src/docs/protocol.md#header-sid
        fn what_is_written_is_read(rid: u32, build in 0..9999_u16, port in 1..u16::MAX, web_part: bool) {
            let uri = HeaderValue::try_from(format!("https://mail:{port}/owa")).unwrap();
            let version = ExchangeVersion::from_parts(8, 1, build, 0).unwrap();
            let sid = Sid::from_parts(5, &[21, 1, 2, 3, rid]).unwrap();
            let sid_header = HeaderValue::try_from(sid.to_string()).unwrap();
            let mut headers = HeaderMap::new();
            write(&mut headers, &uri, &version.to_header_value(), &sid_header, web_part, None);
            let read = ProxyHeaders::read(&headers).unwrap().unwrap();
            prop_assert_eq!(read, ProxyHeaders { uri, version, sid, web_part, explicit_logon: None });
        }
    }
}
