use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use super::{
    name::{ServerName, SiteName},
    server::ClientAccessServer,
    topology::Topology,
    url_error::UrlError,
    virtual_directory::AuthenticationMethods,
};

impl Topology {
    /// Reports what will keep users from their mail, before a user does: the linter of the directory's data.
    ///
    /// ```
    /// use cas_proxy::directory::{ClientAccessServer, ServerName, SiteName, Topology};
    ///
    /// let here = ServerName::new("CAS-SEA-01")?;
    /// let topology = Topology::builder()
    ///     .client_access_server(ClientAccessServer::new(
    ///         here.clone(),
    ///         SiteName::new("Seattle")?,
    ///         "8.1.240.5".parse()?,
    ///     ))
    ///     .client_access_server(
    ///         ClientAccessServer::new(
    ///             ServerName::new("CAS-DAL-01")?,
    ///             SiteName::new("Dallas")?,
    ///             "8.1.240.5".parse()?,
    ///         )
    ///         .with_internal_url("cas-dal-01/owa"),
    ///     )
    ///     .build()?;
    ///
    /// let findings: Vec<String> = topology.check(&here).iter().map(|finding| finding.to_string()).collect();
    /// assert_eq!(
    ///     findings,
    ///     [
    ///         "CAS-DAL-01: InternalURL is malformed: URL is not an absolute http or https one (event 38)",
    ///         "Dallas: no CAS of the site has an ExternalURL, or an InternalURL with Integrated Windows authentication (event 41)",
    ///     ]
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// `here` is the name of the first CAS. Findings about servers come before those about sites and back-ends. None
    /// of them is an error to this crate, which copes with all, by serving fewer users.
    #[must_use]
    pub fn check(&self, here: &ServerName) -> Vec<Finding> {
        let own = self.client_access_server(here).map(AsRef::as_ref);
        let mut findings = Vec::new();
        if own.is_none() {
            findings.push(Finding::UnknownHere(here.clone()));
        }
        self.check_servers(own, &mut findings);
        self.check_sites(own, &mut findings);
        for back_end in self.back_ends() {
            let name = || back_end.name().clone();
            if !back_end.integrated_windows_authentication() {
                findings.push(Finding::BackEndNotConfigured(name()));
            }
            if own.is_some_and(|own| own.answers_at(back_end.url().origin())) {
                findings.push(Finding::LeadsHere(name()));
            }
        }
        findings
    }

    fn check_servers(&self, own: Option<&ClientAccessServer>, findings: &mut Vec<Finding>) {
        let mut first_at = HashMap::new();
        for server in self.client_access_servers() {
            let name = || server.name().clone();
            let owa = server.owa();
            if let Some(Err(error)) = owa.internal_url.clone() {
                let server = name();
                findings.push(Finding::InternalUrlMalformed { server, error });
            }
            if let Some(Err(error)) = owa.external_url.clone() {
                let server = name();
                findings.push(Finding::ExternalUrlMalformed { server, error });
            }
            if let Some(url) = owa.proxy_target() {
                if !url.origin().is_https() {
                    findings.push(Finding::PlainHttpInternalUrl(name()));
                }
                //= src/docs/protocol.md#hop-kerberos
                if url.origin().is_ip_address() && has_integrated(server) {
                    findings.push(Finding::NoServicePrincipalName(name()));
                }
                //= src/docs/protocol.md#hop-kerberos
                if offers_only_ntlm(server) {
                    findings.push(Finding::OnlyNtlm(name()));
                }
                if own.is_some_and(|own| is_remote(server, own) && own.answers_at(url.origin())) {
                    findings.push(Finding::LeadsHere(name()));
                }
                if let Some(first) = first_at.insert(url.origin(), server.name()) {
                    let (first, second) = (first.clone(), name());
                    findings.push(Finding::SharedInternalUrl { first, second });
                }
            }
            if owa
                .redirect_target()
                .is_some_and(|url| !url.origin().is_https())
            {
                findings.push(Finding::PlainHttpExternalUrl(name()));
            }
            if own.is_some_and(|own| is_remote(server, own) && server.version() > own.version()) {
                findings.push(Finding::NewerThanHere(name()));
            }
        }
    }

    fn check_sites(&self, own: Option<&ClientAccessServer>, findings: &mut Vec<Finding>) {
        let mut seen: HashSet<&SiteName> = own.map(ClientAccessServer::site).into_iter().collect();
        for site in self.client_access_servers().map(|server| server.site()) {
            let reachable = |server: &ClientAccessServer| {
                let owa = server.owa();
                owa.redirect_target().is_some()
                    || owa.proxy_target().is_some() && has_integrated(server)
            };
            if seen.insert(site) && !self.servers_in(site).iter().any(|cas| reachable(cas)) {
                findings.push(Finding::SiteNotConfigured(site.clone()));
            }
        }
    }
}

/// Something odd about a [`Topology`], with the server or site it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The first CAS is not in the directory, so loops and versions cannot be checked.
    UnknownHere(ServerName),
    /// The InternalURL counts as none (event 38).
    InternalUrlMalformed {
        /// Whose InternalURL.
        server: ServerName,
        /// What is wrong with it.
        error: UrlError,
    },
    /// The ExternalURL counts as none (event 38).
    ExternalUrlMalformed {
        /// Whose ExternalURL.
        server: ServerName,
        /// What is wrong with it.
        error: UrlError,
    },
    /// Nobody can be sent to this site (event 41).
    SiteNotConfigured(SiteName),
    /// The back-end has no Integrated Windows authentication, so nothing is sent there (event 41).
    BackEndNotConfigured(ServerName),
    /// The InternalURL is not encrypted; nothing is sent there unless the policy allows it (event 42).
    PlainHttpInternalUrl(ServerName),
    /// The server stands in another site and is newer than the first CAS, which will not proxy to it (event 46).
    NewerThanHere(ServerName),
    /// The InternalURL names an IP address, for which there is no service principal name, so Kerberos fails (event 71).
    NoServicePrincipalName(ServerName),
    /// The InternalURL offers NTLM and not Integrated Windows authentication, so the server is no candidate.
    OnlyNtlm(ServerName),
    /// Browsers are sent to a URL that is not encrypted.
    PlainHttpExternalUrl(ServerName),
    /// Two servers have one InternalURL: a login at one may be unknown to the other.
    SharedInternalUrl {
        /// The server that was added first.
        first: ServerName,
        /// The server that has the same origin.
        second: ServerName,
    },
    /// The server's URL is one of the first CAS's own; nothing is sent there, for it would come back.
    LeadsHere(ServerName),
}

impl Finding {
    /// The event number users' requests will log because of this, if it has one.
    #[must_use]
    pub fn event(&self) -> Option<u16> {
        match self {
            Self::InternalUrlMalformed { .. } | Self::ExternalUrlMalformed { .. } => Some(38),
            Self::SiteNotConfigured(_) | Self::BackEndNotConfigured(_) => Some(41),
            Self::PlainHttpInternalUrl(_) => Some(42),
            Self::NewerThanHere(_) => Some(46),
            Self::NoServicePrincipalName(_) => Some(71),
            Self::UnknownHere(_)
            | Self::OnlyNtlm(_)
            | Self::PlainHttpExternalUrl(_)
            | Self::SharedInternalUrl { .. }
            | Self::LeadsHere(_) => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownHere(server) => {
                write!(
                    f,
                    "{server}: this server is not among the CASs of the directory"
                )
            }
            Self::InternalUrlMalformed { server, error } => {
                write!(f, "{server}: InternalURL is malformed: {error}")
            }
            Self::ExternalUrlMalformed { server, error } => {
                write!(f, "{server}: ExternalURL is malformed: {error}")
            }
            Self::SiteNotConfigured(site) => write!(
                f,
                "{site}: no CAS of the site has an ExternalURL, or an InternalURL with Integrated Windows authentication"
            ),
            Self::BackEndNotConfigured(server) => {
                write!(
                    f,
                    "{server}: back-end has no Integrated Windows authentication"
                )
            }
            Self::PlainHttpInternalUrl(server) => write!(f, "{server}: InternalURL is not https"),
            Self::NewerThanHere(server) => {
                write!(f, "{server}: version is newer than this server's")
            }
            Self::NoServicePrincipalName(server) => write!(
                f,
                "{server}: InternalURL names an IP address, which has no service principal name"
            ),
            Self::OnlyNtlm(server) => write!(
                f,
                "{server}: InternalURL offers NTLM and not Integrated Windows authentication"
            ),
            Self::PlainHttpExternalUrl(server) => write!(f, "{server}: ExternalURL is not https"),
            Self::SharedInternalUrl { first, second } => {
                write!(
                    f,
                    "{second}: InternalURL leads to the same place as that of {first}"
                )
            }
            Self::LeadsHere(server) => write!(f, "{server}: URL is one of this server's own"),
        }?;
        self.event()
            .map_or(Ok(()), |number| write!(f, " (event {number})"))
    }
}

fn has_integrated(server: &ClientAccessServer) -> bool {
    let methods = server.owa().internal_authentication;
    methods.contains(AuthenticationMethods::WINDOWS_INTEGRATED)
}

fn offers_only_ntlm(server: &ClientAccessServer) -> bool {
    let methods = server.owa().internal_authentication;
    methods.contains(AuthenticationMethods::NTLM) && !has_integrated(server)
}

fn is_remote(server: &ClientAccessServer, own: &ClientAccessServer) -> bool {
    server.site() != own.site()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{BackEnd, TopologyBuilder};

    fn cas(server: &str, site: &str) -> ClientAccessServer {
        let version = "8.1.240.5".parse().unwrap();
        ClientAccessServer::new(
            ServerName::new(server).unwrap(),
            SiteName::new(site).unwrap(),
            version,
        )
    }

    /// A remote CAS with nothing to find.
    fn sound(server: &str) -> ClientAccessServer {
        cas(server, "Dallas")
            .with_internal_url(&format!("https://{server}/owa"))
            .with_integrated_windows_authentication()
    }

    fn here() -> TopologyBuilder {
        Topology::builder().client_access_server(
            cas("here", "Seattle")
                .with_internal_url("https://here/owa")
                .with_external_url("https://mail/owa"),
        )
    }

    #[track_caller]
    fn check(topology: TopologyBuilder, expected: &[&str]) {
        let findings = topology
            .build()
            .unwrap()
            .check(&ServerName::new("HERE").unwrap());
        let found: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert_eq!(found, expected);
    }

    #[track_caller]
    fn check_server(server: ClientAccessServer, expected: &[&str]) {
        check(here().client_access_server(server), expected);
    }

    #[test]
    fn a_sound_topology_has_no_findings() {
        check_server(sound("dal"), &[]);
        check_server(
            cas("dal", "Dallas").with_external_url("https://dal/owa"),
            &[],
        );
        check_server(cas("sea-2", "Seattle"), &[]);
    }

    #[test]
    //= src/docs/protocol.md#internal-url
    fn malformed_urls_are_found() {
        check_server(
            sound("dal")
                .with_internal_url("https://dal/owa?x")
                .with_external_url("https://dal"),
            &["dal: InternalURL is malformed: URL has a query (event 38)"],
        );
        check_server(
            sound("dal").with_external_url("mail"),
            &["dal: ExternalURL is malformed: URL is not an absolute http or https one (event 38)"],
        );
    }

    #[test]
    //= src/docs/protocol.md#decide-none-configured
    fn sites_nobody_can_be_sent_to_are_found_once() {
        let no_authentication = cas("dal-1", "Dallas").with_internal_url("https://dal-1/owa");
        let no_url = cas("dal-2", "Dallas").with_integrated_windows_authentication();
        let both = here()
            .client_access_server(no_authentication)
            .client_access_server(no_url);
        check(
            both.clone(),
            &[
                "Dallas: no CAS of the site has an ExternalURL, or an InternalURL with Integrated Windows authentication (event 41)",
            ],
        );
        check(both.client_access_server(sound("dal-3")), &[]);
    }

    #[test]
    //= src/docs/protocol.md#tls-required
    fn plain_http_is_found() {
        check_server(
            sound("dal")
                .with_internal_url("http://dal/owa")
                .with_external_url("http://mail-dal"),
            &[
                "dal: InternalURL is not https (event 42)",
                "dal: ExternalURL is not https",
            ],
        );
    }

    #[test]
    //= src/docs/protocol.md#hop-kerberos
    fn an_internal_url_without_a_service_principal_name_is_found() {
        for address in ["10.0.0.1", "[fe80::1]"] {
            check_server(
                sound("dal").with_internal_url(&format!("https://{address}/owa")),
                &[
                    "dal: InternalURL names an IP address, which has no service principal name (event 71)",
                ],
            );
        }
    }

    #[test]
    //= src/docs/protocol.md#hop-kerberos
    fn ntlm_without_kerberos_is_found() {
        let with = |methods| {
            here()
                .client_access_server(sound("dal-1").with_internal_authentication(methods))
                .client_access_server(sound("dal-2"))
        };
        let (ntlm, basic) = (AuthenticationMethods::NTLM, AuthenticationMethods::BASIC);
        let found = "dal-1: InternalURL offers NTLM and not Integrated Windows authentication";
        check(with(ntlm), &[found]);
        check(with(ntlm | basic), &[found]);
        check(with(basic), &[]);
        check(with(ntlm | AuthenticationMethods::WINDOWS_INTEGRATED), &[]);
    }

    #[test]
    //= src/docs/protocol.md#version-rule
    fn newer_servers_of_other_sites_are_found() {
        let newer = |site: &str| {
            ClientAccessServer::new(
                ServerName::new("newer").unwrap(),
                SiteName::new(site).unwrap(),
                "8.1.240.6".parse().unwrap(),
            )
            .with_external_url("https://newer/owa")
        };
        check_server(
            newer("Dallas"),
            &["newer: version is newer than this server's (event 46)"],
        );
        check_server(newer("Seattle"), &[]);
    }

    #[test]
    //= src/docs/protocol.md#hop-target
    fn urls_that_lead_here_or_to_another_server_are_found() {
        check_server(
            sound("dal").with_internal_url("https://HERE:443/owa"),
            &[
                "dal: URL is one of this server's own",
                "dal: InternalURL leads to the same place as that of here",
            ],
        );
        check_server(
            sound("dal").with_internal_url("https://mail/owa"),
            &["dal: URL is one of this server's own"],
        );
        check(
            here()
                .client_access_server(sound("dal-1"))
                .client_access_server(sound("dal-2").with_internal_url("https://dal-1/OWA")),
            &["dal-2: InternalURL leads to the same place as that of dal-1"],
        );
    }

    #[test]
    //= src/docs/protocol.md#back-end-identity
    fn back_ends_are_checked_too() {
        let back_end =
            |url: &str| BackEnd::new(ServerName::new("mbx").unwrap(), url.parse().unwrap());
        check(
            here().back_end(back_end("http://mbx")),
            &["mbx: back-end has no Integrated Windows authentication (event 41)"],
        );
        let integrated = |url| back_end(url).with_integrated_windows_authentication();
        check(here().back_end(integrated("http://mbx")), &[]);
        check(
            here().back_end(integrated("https://here")),
            &["mbx: URL is one of this server's own"],
        );
    }

    #[test]
    fn a_first_cas_the_directory_does_not_know_is_found() {
        check(
            Topology::builder().client_access_server(sound("dal")),
            &["HERE: this server is not among the CASs of the directory"],
        );
    }
}
