use std::fmt;

use crate::directory::{ExchangeVersion, Mailbox, ServerName, SiteName, UrlErrorKind};

use super::Decision;

/// Why a decision came out as it did: every rule that was asked, every server that was judged, and the decision.
///
/// Its `Display` is for the operator, a line for each step, with the requirement it follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    steps: Vec<Step>,
    decision: String,
}

impl Explanation {
    /// The steps in the order they were taken.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The servers that were judged. One may come twice: first for a redirect, then for proxying.
    pub fn verdicts(&self) -> impl Iterator<Item = (&ServerName, Verdict)> {
        self.steps.iter().filter_map(|step| match step {
            Step::Judged { server, verdict } => Some((server, *verdict)),
            _ => None,
        })
    }

    pub(super) fn conclude(&mut self, decision: &Decision<'_>) {
        self.decision = decision.to_string();
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step} [{}]", step.requirement())?;
        }
        write!(f, "so: {}", self.decision)
    }
}

/// One step towards a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// There is no such mailbox.
    NoMailbox,
    /// The mailbox lives there.
    Mailbox {
        /// On this server.
        server: ServerName,
        /// In this site, if it is known.
        site: Option<SiteName>,
        /// Of this version.
        version: ExchangeVersion,
    },
    /// The mailbox is on Exchange 2003, so no site is asked about.
    Legacy,
    /// The policy does not serve `/owa` from an Exchange 2003 server.
    OwaNotMapped,
    /// The site of the mailbox is ours.
    Local,
    /// The site of the mailbox is another one.
    Remote,
    /// The site of the mailbox is not known.
    SiteUnknown,
    /// A CAS sent the request, so it is not sent on.
    FromCas,
    /// There is no CAS in the site.
    NoServers,
    /// The policy does not redirect.
    NeverRedirect,
    /// A server was judged.
    Judged {
        /// Which one.
        server: ServerName,
        /// And how.
        verdict: Verdict,
    },
}

impl Step {
    /// The id of the requirement this step follows, in the protocol's documentation.
    #[must_use]
    pub fn requirement(&self) -> &'static str {
        match self {
            Self::NoMailbox => "decide-no-mailbox",
            Self::Mailbox { .. } => "decide-lookup",
            Self::Legacy | Self::OwaNotMapped => "decide-legacy",
            Self::Local | Self::Remote => "decide-local",
            Self::FromCas => "decide-one-hop",
            Self::SiteUnknown | Self::NoServers => "decide-none-responding",
            Self::NeverRedirect => "decide-redirect",
            Self::Judged { verdict, .. } => verdict.requirement(),
        }
    }

    pub(super) fn mailbox(mailbox: &Mailbox) -> Self {
        Self::Mailbox {
            server: mailbox.server().clone(),
            site: mailbox.site().cloned(),
            version: mailbox.version(),
        }
    }

    pub(super) fn judged(server: &ServerName, verdict: Verdict) -> Self {
        Self::Judged {
            server: server.clone(),
            verdict,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMailbox => f.write_str("no such mailbox"),
            Self::Mailbox {
                server,
                site,
                version,
            } => {
                write!(f, "mailbox on {server}, ")?;
                match site {
                    Some(site) => write!(f, "site {site}, ")?,
                    None => f.write_str("site unknown, ")?,
                }
                write!(f, "version {version}")
            }
            Self::Legacy => f.write_str("Exchange 2003 serves its mailboxes itself"),
            Self::OwaNotMapped => f.write_str("policy keeps /owa from back-ends"),
            Self::Local => f.write_str("site is ours"),
            Self::Remote => f.write_str("site is not ours"),
            Self::SiteUnknown => f.write_str("site is unknown"),
            Self::FromCas => f.write_str("request came from a CAS"),
            Self::NoServers => f.write_str("no CAS in the site"),
            Self::NeverRedirect => f.write_str("policy never redirects"),
            Self::Judged { server, verdict } => write!(f, "{server}: {verdict}"),
        }
    }
}

/// Why a server was chosen or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The user is sent to its ExternalURL.
    RedirectTarget,
    /// Another server of the site comes first with its ExternalURL.
    ComesLater,
    /// It has no ExternalURL.
    NoExternalUrl,
    /// Its ExternalURL is unusable (event 38).
    ExternalUrlMalformed(UrlErrorKind),
    /// Its ExternalURL has the host by which the client came.
    ClientHost,
    /// It may be proxied to.
    Candidate,
    /// It has no InternalURL.
    NoInternalUrl,
    /// Its InternalURL is unusable (event 38).
    InternalUrlMalformed(UrlErrorKind),
    /// Its InternalURL has no Integrated Windows authentication (event 41).
    NoIntegratedWindowsAuthentication,
    /// It is this server, or its URL is one of this server's.
    LeadsHere,
    /// It is newer than this server (event 46).
    Newer,
    /// Its InternalURL is not https (event 42).
    PlainHttp,
    /// The Exchange 2003 server is not in the directory (event 41).
    UnknownBackEnd,
    /// The `/Exchange` of the Exchange 2003 server has no Integrated Windows authentication (event 41).
    BackEndNotConfigured,
    /// The request is passed on to this Exchange 2003 server.
    BackEnd,
}

impl Verdict {
    /// The number of the event that belongs to this finding, if there is one.
    #[must_use]
    pub fn event(self) -> Option<u16> {
        match self {
            Self::ExternalUrlMalformed(_) | Self::InternalUrlMalformed(_) => Some(38),
            Self::NoIntegratedWindowsAuthentication
            | Self::UnknownBackEnd
            | Self::BackEndNotConfigured => Some(41),
            Self::PlainHttp => Some(42),
            Self::Newer => Some(46),
            _ => None,
        }
    }

    fn requirement(self) -> &'static str {
        match self {
            Self::RedirectTarget
            | Self::ComesLater
            | Self::NoExternalUrl
            | Self::ExternalUrlMalformed(_)
            | Self::ClientHost => "decide-redirect",
            Self::Candidate | Self::NoInternalUrl | Self::NoIntegratedWindowsAuthentication => {
                "decide-proxy"
            }
            Self::LeadsHere => "hop-target",
            Self::BackEndNotConfigured => "back-end-identity",
            Self::InternalUrlMalformed(_) => "internal-url",
            Self::Newer => "version-rule",
            Self::PlainHttp => "tls-required",
            Self::UnknownBackEnd | Self::BackEnd => "decide-legacy",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RedirectTarget => "has the ExternalURL to go to",
            Self::ComesLater => "not asked, another one comes first",
            Self::NoExternalUrl => "no ExternalURL",
            Self::ClientHost => "ExternalURL has the host the client used",
            Self::Candidate => "candidate",
            Self::NoInternalUrl => "no InternalURL",
            Self::NoIntegratedWindowsAuthentication => "no Integrated Windows authentication",
            Self::LeadsHere => "URL leads to this server",
            Self::Newer => "newer than this server",
            Self::PlainHttp => "InternalURL is not https",
            Self::UnknownBackEnd => "not in the directory",
            Self::BackEndNotConfigured => "/Exchange has no Integrated Windows authentication",
            Self::BackEnd => "back-end to go to",
            Self::ExternalUrlMalformed(kind) => {
                return write!(f, "ExternalURL is malformed: {kind}");
            }
            Self::InternalUrlMalformed(kind) => {
                return write!(f, "InternalURL is malformed: {kind}");
            }
        })
    }
}

/// Who listens while [`decide`](super::decide) thinks. Steps are made only if somebody does.
pub(super) trait Recorder {
    fn record(&mut self, step: impl FnOnce() -> Step);

    /// Whether anybody does: a decision that is clear may then still have steps to come.
    fn listens(&self) -> bool;
}

/// Nobody.
pub(super) struct Unrecorded;

impl Recorder for Unrecorded {
    #[inline(always)]
    fn record(&mut self, _: impl FnOnce() -> Step) {}

    #[inline(always)]
    fn listens(&self) -> bool {
        false
    }
}

impl Recorder for Explanation {
    fn record(&mut self, step: impl FnOnce() -> Step) {
        self.steps.push(step());
    }

    fn listens(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::decision::scene::*;

    /// Looks at the line before the decision.
    #[track_caller]
    fn check(scene: &Scene, expected: &str) {
        let (_, why) = scene.explain();
        let lines = why.to_string();
        assert_eq!(lines.lines().rev().nth(1), Some(expected), "{lines}");
    }

    #[test]
    fn what_settled_the_matter_comes_last() {
        check(
            &no_mailbox().among(no_cas()),
            "no such mailbox [decide-no-mailbox]",
        );
        check(
            &mailbox("Seattle").among(no_cas()),
            "site is ours [decide-local]",
        );
        check(
            &mailbox("Dallas").by_cas().among(no_cas()),
            "request came from a CAS [decide-one-hop]",
        );
        check(
            &mailbox("Dallas").among(no_cas()),
            "no CAS in the site [decide-none-responding]",
        );
        check(
            &mailbox_of_unknown_site().among(no_cas()),
            "site is unknown [decide-none-responding]",
        );
    }

    #[test]
    fn a_mailbox_without_a_site_is_explained() {
        let (_, why) = mailbox_of_unknown_site().among(no_cas()).explain();
        let step = why.steps()[0].to_string();
        assert_eq!(step, "mailbox on mbx, site unknown, version 8.1.240.5");
    }

    #[test]
    fn what_speaks_against_a_back_end_is_said() {
        let legacy = || mailbox("Dallas").on(EXCHANGE_2003);
        check(
            &legacy().under(keep_owa_from_back_ends()).among(back_end()),
            "policy keeps /owa from back-ends [decide-legacy]",
        );
        check(
            &legacy().among(no_cas()),
            "mbx: not in the directory [decide-legacy]",
        );
        check(
            &legacy().among(back_end_without_integrated()),
            "mbx: /Exchange has no Integrated Windows authentication [back-end-identity]",
        );
        check(
            &legacy().among(back_end_at("https://mail")),
            "mbx: URL leads to this server [hop-target]",
        );
    }

    #[test]
    fn what_speaks_against_a_cas_is_said_with_its_event() {
        let dallas = || cas("Dallas");
        for (server, words, event) in [
            (dallas(), "no InternalURL [decide-proxy]", None),
            (
                dallas().internal_url_is("https://dallas:0/owa"),
                "InternalURL is malformed: URL has no valid port [internal-url]",
                Some(38),
            ),
            (
                dallas().internal_url().without_integrated(),
                "no Integrated Windows authentication [decide-proxy]",
                Some(41),
            ),
            (
                dallas().internal_url_is("https://seattle/owa"),
                "URL leads to this server [hop-target]",
                None,
            ),
            (
                dallas().version(NEWER).internal_url(),
                "newer than this server [version-rule]",
                Some(46),
            ),
            (
                dallas().plain_internal_url(),
                "InternalURL is not https [tls-required]",
                Some(42),
            ),
        ] {
            let scene = mailbox("Dallas").among(server);
            let (_, why) = scene.explain();
            let last = why.verdicts().last().unwrap();
            assert_eq!((last.0.as_str(), last.1.event()), ("dallas", event));
            check(&scene, &format!("dallas: {words}"));
        }
    }

    #[test]
    fn what_speaks_against_a_redirect_is_said_first() {
        for (url, words) in [
            (
                "https://mail/owa",
                "ExternalURL has the host the client used",
            ),
            (
                "mail",
                "ExternalURL is malformed: URL is not an absolute http or https one",
            ),
        ] {
            let servers = cas("Dallas").internal_url().external_url_is(url);
            let (_, why) = mailbox("Dallas").among(servers).explain();
            let expected = format!("dallas: {words}");
            assert_eq!(why.steps()[2].to_string(), expected, "{why}");
            assert_eq!(why.steps()[2].requirement(), "decide-redirect");
        }
    }
}
