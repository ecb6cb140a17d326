use std::{
    fmt,
    hash::{Hash, Hasher},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use http::{
    HeaderValue,
    uri::{Authority, Scheme},
};

use super::{
    name::fold,
    url_error::{UrlError, UrlErrorKind},
};

/// Where a URL of the directory leads: scheme, host and port, parsed once.
///
/// ```
/// use cas_proxy::directory::InternalUrl;
///
/// let url: InternalUrl = "https://CAS-DAL-01.contoso.com:443/owa".parse()?;
/// let origin = url.origin();
/// assert!(origin.is_https());
/// assert_eq!(origin.host(), "cas-dal-01.contoso.com");
/// assert_eq!(origin.port(), 443);
/// assert_eq!(origin.host_header(), "cas-dal-01.contoso.com");
/// # Ok::<(), cas_proxy::directory::UrlError>(())
/// ```
///
/// It is kept in one normal form (lower-case host, canonical IP address, no default port), so that two origins
/// are equal exactly if a connection to one is a connection to the other. Everything is prepared: reading a part
/// neither parses nor allocates.
#[derive(Clone)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
    host: Arc<str>,
    port: u16,
    host_header: HeaderValue,
    https: bool,
    ip_address: bool,
    hash: u64,
}

impl Origin {
    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Host and port as they stand in a URI; the port is left out if it is the scheme's own.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The host in lower case, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 80 or 443 if the URL named none. Never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of `Host` in a request to this origin.
    #[must_use]
    pub fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// Whether the connection is to be encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whether the host is an IP address, for which there is no Kerberos service principal name.
    #[must_use]
    pub fn is_ip_address(&self) -> bool {
        self.ip_address
    }

    /// Whether `authority`, as in a `Host` header, names this host and port.
    ///
    /// Case and the dot at the end of a name do not count. A port that is missing or unreadable is taken for this
    /// origin's: whoever asks wants to avoid a loop, and no scheme is known to tell the default from.
    #[must_use]
    pub fn has_authority(&self, authority: &str) -> bool {
        let (host, port) = split_port(authority);
        let host = host.strip_suffix('.').unwrap_or(host);
        let same_host = host.eq_ignore_ascii_case(&self.host)
            || self.ip_address && host.parse::<IpAddr>().ok() == self.host.parse().ok();
        same_host && port.and_then(|text| text.parse().ok()).unwrap_or(self.port) == self.port
    }

    /// Whether `authority`, in a URL of this scheme, names this host and port. Unlike [`Self::has_authority`] this takes
    /// a port that is missing for the scheme's own, and one that is unreadable for none.
    pub(crate) fn is_in_url(&self, authority: &str) -> bool {
        let default_port = if self.is_https() { 443 } else { 80 };
        let port = match split_port(authority).1 {
            None | Some("") => Some(default_port),
            Some(text) => text.parse().ok(),
        };
        let is_bracketed = |text: &str| text.starts_with('[');
        port == Some(self.port)
            && is_bracketed(authority) == is_bracketed(self.authority.as_str())
            && self.has_authority(authority)
    }

    /// Equal for equal origins, and hardly ever for others.
    #[inline]
    pub(crate) fn known_hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn parse(scheme: &str, authority: &str) -> Result<Self, UrlError> {
        let https = match scheme {
            scheme if scheme.eq_ignore_ascii_case("https") => true,
            scheme if scheme.eq_ignore_ascii_case("http") => false,
            _ => return Err(UrlErrorKind::Scheme.into()),
        };
        if authority.contains('@') {
            return Err(UrlErrorKind::UserInfo.into());
        }
        let (host, port) = split_port(authority);
        let default_port = if https { 443 } else { 80 };
        let (host, shown, ip_address) = if authority.starts_with('[') {
            let address: Ipv6Addr = host.parse().map_err(|_| UrlErrorKind::Host)?;
            (address.to_string(), format!("[{address}]"), true)
        } else {
            let ip_address = check_host(host)?;
            let host = host.to_ascii_lowercase();
            (host.clone(), host, ip_address)
        };
        let port = match port {
            Some(text) => read_port(text)?,
            None => default_port,
        };
        let shown = if port == default_port {
            shown
        } else {
            format!("{shown}:{port}")
        };
        Ok(Self {
            scheme: if https { Scheme::HTTPS } else { Scheme::HTTP },
            hash: fold(&shown) ^ u64::from(https),
            host_header: HeaderValue::from_str(&shown).map_err(|_| UrlErrorKind::Host)?,
            authority: Authority::try_from(shown).map_err(|_| UrlErrorKind::Host)?,
            host: host.into(),
            port,
            https,
            ip_address,
        })
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && self.https == other.https
            && self.authority.as_str() == other.authority.as_str()
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

/// Splits `host:port`; the host of `[::1]:8443` is `::1`.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            // Something else behind the bracket: no host looks like this.
            None => (authority, None),
        };
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}

fn read_port(text: &str) -> Result<u16, UrlErrorKind> {
    // `parse` alone would let a sign pass.
    match text.parse() {
        Ok(port) if port != 0 && text.len() <= 5 && !text.starts_with('+') => Ok(port),
        _ => Err(UrlErrorKind::Port),
    }
}

/// Letters, digits, hyphens and underscores in labels; says whether the host is an IPv4 address.
fn check_host(host: &str) -> Result<bool, UrlErrorKind> {
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if host.len() > MAX_HOST_BYTES || !host.split('.').all(is_label) {
        return Err(UrlErrorKind::Host);
    }
    if host.parse::<Ipv4Addr>().is_ok() {
        return Ok(true);
    }
    // `127.1`, `2130706433` and `0x7f000001` are names to us and loopback to a resolver.
    let last = host.rsplit('.').next().unwrap_or(host);
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .get(..2)
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    if is_number {
        return Err(UrlErrorKind::Host);
    }
    Ok(false)
}

const MAX_HOST_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(scheme: &str, authority: &str) -> Origin {
        Origin::parse(scheme, authority).unwrap()
    }

    #[test]
    fn is_kept_in_one_form() {
        for (scheme, authority, host, port, shown) in [
            ("https", "cas", "cas", 443, "https://cas"),
            (
                "HTTPS",
                "CAS.Contoso.com:443",
                "cas.contoso.com",
                443,
                "https://cas.contoso.com",
            ),
            ("http", "cas:80", "cas", 80, "http://cas"),
            ("http", "cas:443", "cas", 443, "http://cas:443"),
            ("https", "cas:08443", "cas", 8443, "https://cas:8443"),
            ("http", "10.0.0.1", "10.0.0.1", 80, "http://10.0.0.1"),
            ("http", "[0:0::0:1]:8080", "::1", 8080, "http://[::1]:8080"),
            ("https", "[FE80::1]", "fe80::1", 443, "https://[fe80::1]"),
        ] {
            let origin = origin(scheme, authority);
            assert_eq!(origin.host(), host);
            assert_eq!(origin.port(), port);
            assert_eq!(origin.to_string(), shown);
            let (scheme, authority) = shown.split_once("://").unwrap();
            assert_eq!(origin.scheme().as_str(), scheme);
            assert_eq!(origin.authority().as_str(), authority);
            assert_eq!(origin.host_header(), authority);
            assert_eq!(origin, Origin::parse(scheme, authority).unwrap());
        }
    }

    #[test]
    fn knows_an_ip_address() {
        assert!(origin("http", "10.0.0.1").is_ip_address());
        assert!(origin("http", "[::1]").is_ip_address());
        assert!(!origin("http", "cas").is_ip_address());
        assert!(!origin("http", "10.0.0.1.contoso.com").is_ip_address());
    }

    #[test]
    fn refuses_hosts_that_mean_different_things_to_different_readers() {
        let long_label = "a".repeat(64);
        let long_host = [
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(63),
        ]
        .join(".");
        for authority in [
            "",
            ":443",
            ".",
            "cas.",
            ".cas",
            "a..b",
            "cas%2econtoso.com",
            "cas~1",
            "ca*s",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0X7F.1.0x",
            "256.0.0.1",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]x:80",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[v1.x]",
            "[10.0.0.1]",
            "[]",
            "x[::1]",
            &long_label,
            &long_host,
        ] {
            let error = Origin::parse("https", authority).unwrap_err();
            assert_eq!(error.kind(), UrlErrorKind::Host, "{authority:?}");
        }
    }

    #[test]
    fn refuses_ports_that_are_none() {
        for port in [
            "", "0", "00000", "65536", "-1", "+80", "8o", "080000", " 80",
        ] {
            let error = Origin::parse("https", &format!("cas:{port}")).unwrap_err();
            assert_eq!(error.kind(), UrlErrorKind::Port, "{port:?}");
        }
    }

    #[test]
    //= src/docs/protocol.md#decide-redirect
    fn recognises_the_authority_a_client_used() {
        for (authority, used, same) in [
            ("mail.contoso.com", "mail.contoso.com", true),
            ("mail.contoso.com", "MAIL.contoso.COM.", true),
            ("mail.contoso.com", "mail.contoso.com:443", true),
            ("mail.contoso.com", "mail.contoso.com.:443", true),
            ("mail.contoso.com", "mail.contoso.com:", true),
            ("mail.contoso.com", "mail.contoso.com:8443", false),
            ("mail.contoso.com:8443", "mail.contoso.com:8443", true),
            ("mail.contoso.com", "mail.contoso.com.evil", false),
            ("mail.contoso.com", "xmail.contoso.com", false),
            ("mail.contoso.com", "", false),
            ("10.0.0.1", "10.0.0.1:443", true),
            ("[::1]", "[0:0:0:0:0:0:0:1]:443", true),
            ("[::1]", "[::2]", false),
            ("[::1]", "mail.contoso.com", false),
        ] {
            let origin = origin("https", authority);
            assert_eq!(origin.has_authority(used), same, "{authority} {used}");
        }
    }

    #[test]
    fn an_encrypted_origin_is_another_one() {
        assert_ne!(origin("http", "cas:443"), origin("https", "cas"));
        assert!(origin("https", "cas").is_https());
        assert!(!origin("http", "cas").is_https());
    }
}
