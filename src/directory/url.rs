use std::{fmt, str::FromStr, sync::Arc};

use http::HeaderValue;

use super::{
    origin::Origin,
    url_error::{UrlError, UrlErrorKind},
};

/// The InternalURL of a `/owa` virtual directory: where other CASs reach this one.
///
/// ```
/// use cas_proxy::directory::{InternalUrl, UrlErrorKind};
///
/// let url: InternalUrl = "https://cas-dal-01.contoso.com/owa/".parse()?;
/// assert_eq!(url.path(), "/owa");
///
/// let error = "https://cas-dal-01.contoso.com/exchange".parse::<InternalUrl>().unwrap_err();
/// assert_eq!(error.kind(), UrlErrorKind::Path);
/// # Ok::<(), cas_proxy::directory::UrlError>(())
/// ```
///
/// Absolute, http or https, with the path `/owa` or `/owa/` in any case, and without user info, query and
/// fragment (`internal-url`).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct InternalUrl {
    origin: Origin,
    path: Arc<str>,
}

impl InternalUrl {
    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// `/owa` in the case it was written in, without a slash at the end.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for InternalUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (origin, path) = split(text)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        //= src/docs/protocol.md#internal-url
        if !path.eq_ignore_ascii_case("/owa") {
            return Err(UrlErrorKind::Path.into());
        }
        Ok(Self {
            origin,
            path: path.into(),
        })
    }
}

impl fmt::Display for InternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

impl fmt::Debug for InternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InternalUrl({self})")
    }
}

/// The ExternalURL of a `/owa` virtual directory: where browsers reach this CAS.
///
/// ```
/// use cas_proxy::directory::ExternalUrl;
///
/// let url: ExternalUrl = "https://Mail.contoso.com/owa/".parse()?;
/// assert_eq!(url.as_str(), "https://mail.contoso.com/owa");
/// assert!(url.same_host("mail.contoso.com:443"));
/// assert!("javascript:alert(1)".parse::<ExternalUrl>().is_err());
/// # Ok::<(), cas_proxy::directory::UrlError>(())
/// ```
///
/// Absolute, http or https, without user info, query, fragment and dot segments, and of nothing but the
/// characters of RFC 3986: it can stand in a header as it is, and in a page once `&` and `'` are escaped.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ExternalUrl {
    origin: Origin,
    text: Arc<str>,
    header_value: HeaderValue,
}

impl ExternalUrl {
    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The whole URL: scheme and host in lower case, no default port, no slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `authority`, as in a `Host` header, leads to the same place; see [`Origin::has_authority`].
    #[must_use]
    pub fn same_host(&self, authority: &str) -> bool {
        self.origin.has_authority(authority)
    }

    /// The value of `X-OWA-ProxyUri`: this origin and `/owa`, whatever the path of the URL. A cheap clone.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        self.header_value.clone()
    }
}

impl FromStr for ExternalUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (origin, path) = split(text)?;
        if path.split('/').any(is_dot_segment) {
            return Err(UrlErrorKind::Path.into());
        }
        //= src/docs/protocol.md#header-uri
        let header_value =
            HeaderValue::try_from(format!("{origin}/owa")).map_err(|_| UrlErrorKind::Character)?;
        let path = path.trim_end_matches('/');
        Ok(Self {
            text: format!("{origin}{path}").into(),
            origin,
            header_value,
        })
    }
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExternalUrl({self})")
    }
}

/// Where an Exchange 2003 back-end listens.
///
/// ```
/// use cas_proxy::directory::BackEndUrl;
///
/// let url: BackEndUrl = "http://mbx-2003.contoso.com/".parse()?;
/// assert_eq!(url.origin().port(), 80);
/// # Ok::<(), cas_proxy::directory::UrlError>(())
/// ```
///
/// Absolute, http or https, and no path but `/`: the path of a request is passed on as it came.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BackEndUrl {
    origin: Origin,
}

impl BackEndUrl {
    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl FromStr for BackEndUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        match split(text)? {
            (origin, "" | "/") => Ok(Self { origin }),
            _ => Err(UrlErrorKind::Path.into()),
        }
    }
}

impl fmt::Display for BackEndUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)
    }
}

impl fmt::Debug for BackEndUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackEndUrl({self})")
    }
}

/// What all three kinds of URL have in common: an origin, and a path that is empty or begins with a slash.
fn split(text: &str) -> Result<(Origin, &str), UrlError> {
    if text.len() > MAX_BYTES {
        return Err(UrlErrorKind::TooLong.into());
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || PUNCTUATION.contains(&byte);
    if !text.bytes().all(allowed) {
        return Err(UrlErrorKind::Character.into());
    }
    let (scheme, rest) = text.split_once("://").ok_or(UrlErrorKind::Scheme)?;
    let (rest, has_fragment) = rest
        .split_once('#')
        .map_or((rest, false), |(rest, _)| (rest, true));
    let (rest, has_query) = rest
        .split_once('?')
        .map_or((rest, false), |(rest, _)| (rest, true));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let origin = Origin::parse(scheme, authority)?;
    if has_fragment {
        return Err(UrlErrorKind::Fragment.into());
    }
    if has_query {
        return Err(UrlErrorKind::Query.into());
    }
    if path.contains(['[', ']']) || path.split('%').skip(1).any(|rest| !starts_with_hex(rest)) {
        return Err(UrlErrorKind::Character.into());
    }
    Ok((origin, path))
}

fn starts_with_hex(text: &str) -> bool {
    let mut digits = text.bytes().take(2);
    digits.len() == 2 && digits.all(|byte| byte.is_ascii_hexdigit())
}

fn is_dot_segment(segment: &str) -> bool {
    let decoded = segment.replace("%2e", ".").replace("%2E", ".");
    matches!(decoded.as_str(), "." | "..")
}

const MAX_BYTES: usize = 2048;
const PUNCTUATION: &[u8] = b"-._~:/?#[]@!$&'()*+,;=%";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind_of<T>(read: Result<T, UrlError>) -> Option<UrlErrorKind> {
        read.err().map(|error| error.kind())
    }

    #[test]
    //= src/docs/protocol.md#internal-url
    fn an_internal_url_ends_in_owa() {
        for (text, shown) in [
            ("https://cas/owa", "https://cas/owa"),
            ("https://cas/owa/", "https://cas/owa"),
            ("HTTP://CAS:8080/OWA", "http://cas:8080/OWA"),
            ("https://10.0.0.1/Owa/", "https://10.0.0.1/Owa"),
            ("https://[::1]:8443/owa", "https://[::1]:8443/owa"),
            (
                "https://xn--mnchen-3ya.contoso.com/owa",
                "https://xn--mnchen-3ya.contoso.com/owa",
            ),
        ] {
            let url: InternalUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(url, shown.parse().unwrap());
        }
    }

    #[test]
    //= src/docs/protocol.md#internal-url
    fn an_internal_url_is_refused() {
        use UrlErrorKind::*;
        let long = format!("https://cas/owa{}", "/".repeat(2048));
        for (text, kind) in [
            ("", Scheme),
            ("/owa", Scheme),
            ("//cas/owa", Scheme),
            ("cas/owa", Scheme),
            ("https:/cas/owa", Scheme),
            ("file://cas/owa", Scheme),
            ("ldap://cas/owa", Scheme),
            ("javascript:alert(1)", Scheme),
            ("javascript://cas/owa", Scheme),
            ("https:///owa", Host),
            ("https://cas%2e/owa", Host),
            ("https://[fe80::1%25eth0]/owa", Host),
            ("https://münchen/owa", Character),
            ("https://u:p@cas/owa", UserInfo),
            ("https://cas@evil/owa", UserInfo),
            ("https://@cas/owa", UserInfo),
            ("https://cas:0/owa", Port),
            ("https://cas:65536/owa", Port),
            ("https://cas:/owa", Port),
            ("https://cas/owa#", Fragment),
            ("https://cas#/owa", Fragment),
            ("https://cas/owa?", Query),
            ("https://cas?/owa", Query),
            ("https://cas", Path),
            ("https://cas/", Path),
            ("https://cas/owa//", Path),
            ("https://cas//owa", Path),
            ("https://cas/owa/../", Path),
            ("https://cas/owa/x", Path),
            ("https://cas/%6fwa", Path),
            ("https://cas/owa%2f", Path),
            ("https://cas/owa%", Character),
            ("https://cas\\owa", Character),
            ("https://cas/owa ", Character),
            (" https://cas/owa", Character),
            ("https://cas/owa\r\nHost: evil", Character),
            ("https://cas/owa\0", Character),
            (&long, TooLong),
        ] {
            assert_eq!(kind_of(text.parse::<InternalUrl>()), Some(kind), "{text:?}");
        }
    }

    #[test]
    //= src/docs/protocol.md#header-uri
    fn an_external_url_keeps_its_path_and_announces_owa() {
        for (text, shown, announced) in [
            (
                "https://mail.contoso.com/owa",
                "https://mail.contoso.com/owa",
                "https://mail.contoso.com/owa",
            ),
            (
                "https://Mail.contoso.com:443/OWA/",
                "https://mail.contoso.com/OWA",
                "https://mail.contoso.com/owa",
            ),
            (
                "http://mail:8080",
                "http://mail:8080",
                "http://mail:8080/owa",
            ),
            (
                "https://mail/a/b%20c/",
                "https://mail/a/b%20c",
                "https://mail/owa",
            ),
            ("https://mail//", "https://mail", "https://mail/owa"),
        ] {
            let url: ExternalUrl = text.parse().unwrap();
            assert_eq!(url.as_str(), shown);
            assert_eq!(url.to_header_value(), announced);
        }
    }

    #[test]
    //= src/docs/protocol.md#decide-redirect
    fn an_external_url_cannot_carry_a_script_or_a_header() {
        use UrlErrorKind::*;
        for (text, kind) in [
            ("javascript:alert(1)", Scheme),
            ("data:text/html,x", Scheme),
            ("https://mail/\" onclick=\"x", Character),
            ("https://e/\"><script>", Character),
            ("https://mail/owa\r\nSet-Cookie: a=b", Character),
            ("https://mail/`", Character),
            ("https://mail/[x]", Character),
            ("https://mail/%zz", Character),
            ("https://mail/%é", Character),
            ("https://mail/owa/..", Path),
            ("https://mail/./owa", Path),
            ("https://mail/%2e%2E/owa", Path),
            ("https://mail/.%2e/owa", Path),
            ("https://mail/owa?url=https://evil", Query),
            ("https://mail/owa#x", Fragment),
            ("https://mail@evil/owa", UserInfo),
        ] {
            assert_eq!(kind_of(text.parse::<ExternalUrl>()), Some(kind), "{text:?}");
        }
    }

    #[test]
    //= src/docs/protocol.md#hop-target
    fn a_back_end_url_is_an_origin() {
        for text in ["http://mbx", "http://MBX:80/"] {
            let url: BackEndUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), "http://mbx");
        }
        for text in ["http://mbx/exchange", "http://mbx//", "http://mbx/."] {
            assert_eq!(
                kind_of(text.parse::<BackEndUrl>()),
                Some(UrlErrorKind::Path),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_reads_the_same_again(
            text in "(https?|ftp)://[a-zA-Z0-9.:\\[\\]@%_-]{0,16}[/?#a-z.%2]{0,12}|.{0,40}"
        ) {
            if let Ok(url) = text.parse::<ExternalUrl>() {
                prop_assert_eq!(&url, &url.as_str().parse::<ExternalUrl>().unwrap());
                let uri: http::Uri = url.as_str().parse().unwrap();
                prop_assert_eq!(uri.authority(), Some(url.origin().authority()));
                prop_assert_eq!(uri.scheme(), Some(url.origin().scheme()));
            }
            if let Ok(url) = text.parse::<InternalUrl>() {
                prop_assert_eq!(&url, &url.to_string().parse::<InternalUrl>().unwrap());
            }
            if let Ok(url) = text.parse::<BackEndUrl>() {
                prop_assert_eq!(&url, &url.to_string().parse::<BackEndUrl>().unwrap());
            }
        }
    }
}
