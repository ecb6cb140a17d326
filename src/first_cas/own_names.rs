//! Under which names clients know this CAS.

use std::fmt;

use http::HeaderValue;

use crate::directory::{ExternalUrl, InternalUrl, Origin, ServerName};

/// What a request's `X-OWA-ProxyUri` can say: never a `Host` that was not listed.
#[derive(Clone, Debug)]
pub(super) struct OwnNames {
    fallback: OwnName,
    /// Whether the fallback is an ExternalURL, and no makeshift.
    configured: bool,
    hosts: Vec<OwnName>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct OwnName {
    origin: Origin,
    proxy_uri: HeaderValue,
}

impl OwnNames {
    /// Before anything is configured, the server's own name has to do.
    pub(super) fn of_server(name: &ServerName) -> Self {
        Self {
            fallback: OwnName::new(false, name.as_str()).unwrap_or_else(OwnName::localhost),
            configured: false,
            hosts: Vec::new(),
        }
    }

    /// The listener's address stands in while there is no ExternalURL.
    pub(super) fn set_listener(&mut self, address: std::net::SocketAddr) {
        if let Some(name) = OwnName::new(false, &address.to_string())
            && !self.configured
        {
            self.fallback = name;
        }
    }

    pub(super) fn set_external_url(&mut self, url: &ExternalUrl) {
        self.fallback = OwnName::of(url);
        self.configured = true;
    }

    /// Lists one more host that clients may name.
    pub(super) fn add_host(&mut self, authority: &str, https: bool) -> Result<(), InvalidHost> {
        let name = OwnName::new(https, authority);
        self.hosts
            .push(name.ok_or_else(|| InvalidHost(authority.to_owned()))?);
        Ok(())
    }

    /// The name this client used, as far as it is one of ours.
    //= src/docs/protocol.md#header-uri
    pub(super) fn used(&self, host: &[u8]) -> Used {
        if self.hosts.is_empty() {
            return Used(None);
        }
        let listed = |host| {
            let mut hosts = self.hosts.iter();
            hosts.position(|own| own.origin.has_authority(host))
        };
        Used(std::str::from_utf8(host).ok().and_then(listed))
    }

    pub(super) fn get(&self, used: Used) -> &OwnName {
        used.0
            .and_then(|at| self.hosts.get(at))
            .unwrap_or(&self.fallback)
    }
}

/// Which of the names a client used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used(Option<usize>);

/// Text that is no host by which clients could reach a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHost(String);

impl fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not `host` or `host:port`",
            self.0.escape_debug()
        )
    }
}

impl std::error::Error for InvalidHost {}

impl OwnName {
    fn new(https: bool, authority: &str) -> Option<Self> {
        let scheme = if https { "https" } else { "http" };
        let url = format!("{scheme}://{authority}/owa");
        // An InternalURL has no room for a path, which an "authority" could bring along.
        url.parse::<InternalUrl>().ok()?;
        Some(Self::of(&url.parse().ok()?))
    }

    fn of(url: &ExternalUrl) -> Self {
        Self {
            origin: url.origin().clone(),
            proxy_uri: url.to_header_value(),
        }
    }

    #[expect(clippy::expect_used, reason = "a constant that a test parses")]
    fn localhost() -> Self {
        Self::new(false, "localhost").expect("a valid URL")
    }

    pub(super) fn proxy_uri(&self) -> &HeaderValue {
        &self.proxy_uri
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> OwnNames {
        let mut names = OwnNames::of_server(&ServerName::new("seattle").unwrap());
        names.set_external_url(&"https://mail.contoso.com/owa".parse().unwrap());
        names.add_host("owa.contoso.com:8443", true).unwrap();
        names
    }

    #[track_caller]
    fn check(host: &str, proxy_uri: &str) {
        let names = names();
        let used = names.used(host.as_bytes());
        assert_eq!(names.get(used).proxy_uri(), proxy_uri);
    }

    //= src/docs/protocol.md#header-uri
    #[test]
    fn a_listed_host_is_used_and_any_other_is_not() {
        check("OWA.contoso.com:8443", "https://owa.contoso.com:8443/owa");
        check("owa.contoso.com", "https://owa.contoso.com:8443/owa");
        check("owa.contoso.com:443", "https://mail.contoso.com/owa");
        check("evil.example", "https://mail.contoso.com/owa");
        check("", "https://mail.contoso.com/owa");
    }

    //= src/docs/protocol.md#header-uri
    #[test]
    fn without_an_external_url_the_listener_stands_in() {
        let mut names = OwnNames::of_server(&ServerName::new("SEA CAS 1").unwrap());
        assert_eq!(
            names.get(names.used(b"")).proxy_uri(),
            "http://localhost/owa"
        );
        names.set_listener(([127, 0, 0, 1], 8080).into());
        assert_eq!(
            names.get(names.used(b"")).proxy_uri(),
            "http://127.0.0.1:8080/owa"
        );
    }

    #[test]
    fn what_is_no_authority_is_not_listed() {
        let mut names = names();
        for wrong in ["", "user@host", "a b", "host/path", "\u{e9}.example"] {
            assert!(names.add_host(wrong, true).is_err(), "{wrong:?}");
        }
        assert_eq!(
            names.add_host("https://x", true).unwrap_err().to_string(),
            "`https://x` is not `host` or `host:port`"
        );
    }
}
