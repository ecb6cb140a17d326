use super::{
    Origin,
    name::{ServerName, SiteName},
    url::{BackEndUrl, ExternalUrl, InternalUrl},
    version::ExchangeVersion,
    virtual_directory::{AuthenticationMethods, OwaVirtualDirectory},
};

/// A Client Access server, as the directory describes it.
///
/// ```
/// use cas_proxy::directory::{ClientAccessServer, ServerName, SiteName};
///
/// let cas = ClientAccessServer::new(
///     ServerName::new("CAS-DAL-01")?,
///     SiteName::new("Dallas")?,
///     "8.1.240.5".parse()?,
/// )
/// .with_internal_url("https://cas-dal-01.contoso.com/owa")
/// .with_integrated_windows_authentication();
///
/// assert!(cas.owa().proxy_target().is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// As it comes from [`new`](ClientAccessServer::new) it has no URL and no authentication method, so nobody is sent
/// to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAccessServer {
    name: ServerName,
    site: SiteName,
    version: ExchangeVersion,
    owa: OwaVirtualDirectory,
}

impl ClientAccessServer {
    /// A server in a site.
    #[must_use]
    pub fn new(name: ServerName, site: SiteName, version: ExchangeVersion) -> Self {
        Self {
            name,
            site,
            version,
            owa: OwaVirtualDirectory::default(),
        }
    }

    /// Sets the whole `/owa` virtual directory.
    #[must_use]
    pub fn with_owa(mut self, owa: OwaVirtualDirectory) -> Self {
        self.owa = owa;
        self
    }

    /// Sets the InternalURL. A malformed one counts as none and is reported as event 38.
    #[must_use]
    pub fn with_internal_url(mut self, url: &str) -> Self {
        self.owa.internal_url = Some(url.parse());
        self
    }

    /// Sets the ExternalURL. A malformed one counts as none and is reported as event 38.
    #[must_use]
    pub fn with_external_url(mut self, url: &str) -> Self {
        self.owa.external_url = Some(url.parse());
        self
    }

    /// Sets the authentication methods of the InternalURL.
    #[must_use]
    pub fn with_internal_authentication(mut self, methods: AuthenticationMethods) -> Self {
        self.owa.internal_authentication = methods;
        self
    }

    /// Adds Integrated Windows authentication to those methods: other CASs may proxy to this one.
    #[must_use]
    pub fn with_integrated_windows_authentication(mut self) -> Self {
        let methods = &mut self.owa.internal_authentication;
        *methods = methods.union(AuthenticationMethods::WINDOWS_INTEGRATED);
        self
    }

    /// The server's name.
    #[must_use]
    pub fn name(&self) -> &ServerName {
        &self.name
    }

    /// The AD site it stands in.
    #[must_use]
    pub fn site(&self) -> &SiteName {
        &self.site
    }

    /// Its version of Exchange.
    #[must_use]
    pub fn version(&self) -> ExchangeVersion {
        self.version
    }

    /// Its `/owa` virtual directory.
    #[must_use]
    pub fn owa(&self) -> &OwaVirtualDirectory {
        &self.owa
    }

    /// Whether its InternalURL or its ExternalURL has this origin: what is sent there comes to this server.
    #[must_use]
    pub fn answers_at(&self, origin: &Origin) -> bool {
        self.origins().contains(&Some(origin))
    }

    /// A necessary condition for [`answers_at`](Self::answers_at), to be asked of many origins.
    pub(crate) fn origin_hashes(&self) -> [u64; 2] {
        self.origins()
            .map(|origin| origin.map_or(0, Origin::known_hash))
    }

    fn origins(&self) -> [Option<&Origin>; 2] {
        [
            self.owa.proxy_target().map(InternalUrl::origin),
            self.owa.redirect_target().map(ExternalUrl::origin),
        ]
    }
}

/// An Exchange 2003 mailbox server, which answers for its mailboxes itself.
///
/// ```
/// use cas_proxy::directory::{BackEnd, ServerName};
///
/// let back_end = BackEnd::new(ServerName::new("MBX-2003")?, "http://mbx-2003.contoso.com".parse()?)
///     .with_integrated_windows_authentication();
///
/// assert!(back_end.integrated_windows_authentication());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackEnd {
    name: ServerName,
    url: BackEndUrl,
    integrated_windows_authentication: bool,
}

impl BackEnd {
    /// A back-end whose `/Exchange` virtual directory has no Integrated Windows authentication (yet).
    #[must_use]
    pub fn new(name: ServerName, url: BackEndUrl) -> Self {
        Self {
            name,
            url,
            integrated_windows_authentication: false,
        }
    }

    /// Says that its `/Exchange` virtual directory has Integrated Windows authentication, without which nothing is
    /// sent there.
    #[must_use]
    pub fn with_integrated_windows_authentication(mut self) -> Self {
        self.integrated_windows_authentication = true;
        self
    }

    /// The server's name.
    #[must_use]
    pub fn name(&self) -> &ServerName {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &BackEndUrl {
        &self.url
    }

    /// Whether its `/Exchange` virtual directory has Integrated Windows authentication.
    #[must_use]
    pub fn integrated_windows_authentication(&self) -> bool {
        self.integrated_windows_authentication
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrated_windows_authentication_is_added_to_what_is_there() {
        let cas = ClientAccessServer::new(
            ServerName::new("CAS").unwrap(),
            SiteName::new("Dallas").unwrap(),
            "8.1.240.5".parse().unwrap(),
        );
        assert_eq!(cas.owa(), &OwaVirtualDirectory::default());
        let cas = cas
            .with_internal_authentication(AuthenticationMethods::FORMS)
            .with_integrated_windows_authentication();
        assert_eq!(cas.owa().internal_authentication.bits(), 20);
    }

    #[test]
    fn a_server_answers_at_both_of_its_urls() {
        let cas = ClientAccessServer::new(
            ServerName::new("CAS").unwrap(),
            SiteName::new("Dallas").unwrap(),
            "8.1.240.5".parse().unwrap(),
        )
        .with_internal_url("https://cas/owa")
        .with_external_url("https://mail/owa");
        for (url, answers) in [
            ("https://CAS:443", true),
            ("https://mail", true),
            ("http://cas", false),
            ("https://other", false),
        ] {
            let url: BackEndUrl = url.parse().unwrap();
            assert_eq!(cas.answers_at(url.origin()), answers, "{url}");
        }
    }
}
