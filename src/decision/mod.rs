//! What shall we do? One pure function, [`decide`], from what is known to what is done.
//!
//! ```
//! use cas_proxy::decision::{Decision, Here, Policy, Question, decide, explain};
//! use cas_proxy::directory::{ClientAccessServer, Mailbox, ServerName, SiteName, Topology};
//!
//! let here = Here::new(ServerName::new("CAS-SEA-01")?, SiteName::new("Seattle")?, "8.1.240.5".parse()?);
//! let topology = Topology::builder()
//!     .client_access_server(
//!         ClientAccessServer::new(ServerName::new("CAS-DAL-01")?, SiteName::new("Dallas")?, "8.1.240.5".parse()?)
//!             .with_internal_url("https://cas-dal-01.contoso.com/owa")
//!             .with_integrated_windows_authentication(),
//!     )
//!     .build()?;
//! let mailbox = Mailbox::new(ServerName::new("MBX-DAL-01")?, "8.1.240.5".parse()?)
//!     .with_site(SiteName::new("Dallas")?);
//!
//! let question = Question::about(Some(&mailbox));
//! let Decision::Proxy(candidates) = decide(&here, &Policy::default(), &topology, &question) else {
//!     panic!("expected a proxy decision");
//! };
//! assert_eq!(candidates.len(), 1);
//!
//! let (_, why) = explain(&here, &Policy::default(), &topology, &question);
//! assert_eq!(
//!     why.to_string(),
//!     "mailbox on MBX-DAL-01, site Dallas, version 8.1.240.5 [decide-lookup]\n\
//!      site is not ours [decide-local]\n\
//!      CAS-DAL-01: no ExternalURL [decide-redirect]\n\
//!      CAS-DAL-01: candidate [decide-proxy]\n\
//!      so: proxy to CAS-DAL-01"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every case with its answer:
#![doc = include_str!("../docs/decision-table.md")]

mod candidates;
mod decide;
mod explanation;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod scene;

use std::{fmt, sync::Arc};

use crate::directory::{BackEnd, ExchangeVersion, ExternalUrl, Mailbox, ServerName, SiteName};

pub use candidates::Candidates;
pub(crate) use decide::is_local;
pub use decide::{decide, explain};
pub use explanation::{Explanation, Step, Verdict};

/// The server that decides: the first CAS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Here {
    /// Its name, as in the directory.
    pub name: ServerName,
    /// The AD site it stands in.
    pub site: SiteName,
    /// Its version of Exchange; it proxies to no newer one.
    pub version: ExchangeVersion,
}

impl Here {
    /// A server in a site.
    #[must_use]
    pub fn new(name: ServerName, site: SiteName, version: ExchangeVersion) -> Self {
        Self {
            name,
            site,
            version,
        }
    }
}

/// What the administrator may choose.
///
/// ```
/// use cas_proxy::decision::{CrossSiteRedirect, Policy};
///
/// let policy = Policy::default();
/// assert_eq!(policy.redirect, CrossSiteRedirect::Manual);
/// assert!(policy.owa_to_back_end && !policy.allow_proxying_without_ssl);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Proxy to an InternalURL that is not https, too. Off by default: users' mail would be readable on the way.
    pub allow_proxying_without_ssl: bool,
    /// How users of another site are told of its ExternalURL.
    pub redirect: CrossSiteRedirect,
    /// Serve `/owa` of an Exchange 2003 mailbox as `/exchange` of its back-end. On by default; if off, there is no
    /// such mailbox under `/owa`.
    pub owa_to_back_end: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow_proxying_without_ssl: false,
            redirect: CrossSiteRedirect::default(),
            owa_to_back_end: true,
        }
    }
}

/// How users of another site are told of its ExternalURL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CrossSiteRedirect {
    /// By a page with a link.
    #[default]
    Manual,
    /// By a redirect the browser follows.
    Silent,
    /// Not at all: they are proxied.
    Never,
}

/// What is known about one request.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Question<'q> {
    /// The mailbox asked for; `None` if there is no such mailbox.
    pub mailbox: Option<&'q Mailbox>,
    /// The host, and port if it named one, by which the client reached this server: nobody is redirected there.
    /// `None` if that is not known; then it is taken to be the ExternalURL of this server.
    pub client_host: Option<&'q str>,
    /// Whether the request came from a verified CAS.
    pub from_cas: bool,
    /// Whether the first segment of the path is `/owa`.
    pub owa_path: bool,
}

impl<'q> Question<'q> {
    /// A client's request for a mailbox, of which nothing else is known.
    #[must_use]
    pub fn about(mailbox: Option<&'q Mailbox>) -> Self {
        Self {
            mailbox,
            ..Self::default()
        }
    }
}

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'t> {
    /// This server is in the mailbox's site, so it is the best one.
    ServeLocally,
    /// Send the user to a CAS of the mailbox's site.
    Redirect {
        /// Where to.
        url: &'t ExternalUrl,
        /// Whether to do it without a page.
        silent: bool,
    },
    /// Pass the request on to the mailbox's Exchange 2003 server.
    ProxyToBackEnd(&'t Arc<BackEnd>),
    /// Pass the request on to one of these CASs of the mailbox's site.
    Proxy(Candidates<'t>),
    /// Answer with an error.
    Refuse(Refusal),
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServeLocally => f.write_str("serve locally"),
            Self::Redirect { url, silent: false } => write!(f, "show a link to {url}"),
            Self::Redirect { url, silent: true } => write!(f, "redirect to {url}"),
            Self::ProxyToBackEnd(back_end) => write!(f, "pass on to back-end {}", back_end.name()),
            Self::Proxy(candidates) => {
                for (index, server) in candidates.iter().enumerate() {
                    let before = if index == 0 { "proxy to " } else { " or " };
                    write!(f, "{before}{}", server.name())?;
                }
                Ok(())
            }
            Self::Refuse(refusal) => write!(f, "refuse: {refusal}"),
        }
    }
}

/// Why a request is answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such mailbox.
    NoMailbox,
    /// The CASs of the mailbox's site have no usable URL, or the mailbox's Exchange 2003 server is not in the
    /// directory.
    NotConfigured,
    /// The mailbox's site has no CAS, or is not known.
    NotResponding,
    /// The CASs of the mailbox's site could be proxied to, were it not without TLS.
    TlsRequired,
    /// The CASs of the mailbox's site could be proxied to, were they not newer than this server.
    IncompatibleVersions,
    /// A CAS sent this request here, but the mailbox is not at this site.
    WrongSite,
    /// The mailbox's Exchange 2003 server has no Integrated Windows authentication, or is this server.
    BackEndNotConfigured,
}

impl Refusal {
    /// The number of the event to log, if there is one.
    #[must_use]
    pub fn event(self) -> Option<u16> {
        match self {
            Self::NotResponding => Some(40),
            Self::NotConfigured | Self::BackEndNotConfigured => Some(41),
            Self::TlsRequired => Some(42),
            Self::IncompatibleVersions => Some(46),
            Self::NoMailbox | Self::WrongSite => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMailbox => "no such mailbox",
            Self::NotConfigured => "no server of the mailbox's site is configured for it",
            Self::NotResponding => "no CAS in the mailbox's site",
            Self::TlsRequired => "InternalURL is not https",
            Self::IncompatibleVersions => "CASs of the mailbox's site are newer than this one",
            Self::WrongSite => "mailbox is not at this site",
            Self::BackEndNotConfigured => "back-end is not configured for proxying",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_event_and_its_words() {
        for (refusal, event, words) in [
            (Refusal::NoMailbox, None, "no such mailbox"),
            (
                Refusal::NotConfigured,
                Some(41),
                "no server of the mailbox's site is configured for it",
            ),
            (
                Refusal::NotResponding,
                Some(40),
                "no CAS in the mailbox's site",
            ),
            (Refusal::TlsRequired, Some(42), "InternalURL is not https"),
            (
                Refusal::IncompatibleVersions,
                Some(46),
                "CASs of the mailbox's site are newer than this one",
            ),
            (Refusal::WrongSite, None, "mailbox is not at this site"),
            (
                Refusal::BackEndNotConfigured,
                Some(41),
                "back-end is not configured for proxying",
            ),
        ] {
            assert_eq!(refusal.event(), event, "{refusal:?}");
            assert_eq!(refusal.to_string(), words);
        }
    }
}
