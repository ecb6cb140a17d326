//! The words the tests of this folder are written in.
//!
//! The scene is always the same: the first CAS is `seattle` in the site Seattle, reached by its users as `mail`.

use std::{fmt, ops::Add};

use crate::directory::{
    AuthenticationMethods, BackEnd, ClientAccessServer, ExchangeVersion, Mailbox, ServerName,
    SiteName, Topology,
};

use super::{
    CrossSiteRedirect, Decision, Explanation, Here, Policy, Question, Refusal, decide, explain,
};

pub(super) const EXCHANGE_2003: &str = "6.5.7638.1";
pub(super) const EXCHANGE_2007: &str = "8.1.240.5";
pub(super) const NEWER: &str = "8.1.240.6";

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "rows read better")]
pub(super) fn check(asked: Asked, servers: impl Into<Servers>, expected: Expected) {
    let scene = asked.among(servers);
    let (explained, why) = scene.explain();
    assert_eq!(Expected::from(explained), expected, "{why}");
    assert_eq!(
        Expected::from(scene.decide()),
        expected,
        "decide differs from explain"
    );
}

/// A mailbox on the server `mbx`.
pub(super) fn mailbox(site: &str) -> Asked {
    let mut asked = no_mailbox();
    asked.mailbox = Some((Some(site.into()), EXCHANGE_2007.into()));
    asked
}

pub(super) fn mailbox_of_unknown_site() -> Asked {
    let mut asked = no_mailbox();
    asked.mailbox = Some((None, EXCHANGE_2007.into()));
    asked
}

pub(super) fn no_mailbox() -> Asked {
    Asked {
        mailbox: None,
        client_host: Some("mail".into()),
        from_cas: false,
        owa_path: true,
        policy: Policy::default(),
        listed: true,
    }
}

#[derive(Debug, Clone)]
pub(super) struct Asked {
    mailbox: Option<(Option<String>, String)>,
    pub(super) client_host: Option<String>,
    pub(super) from_cas: bool,
    pub(super) owa_path: bool,
    pub(super) policy: Policy,
    pub(super) listed: bool,
}

impl Asked {
    pub(super) fn on(mut self, version: &str) -> Self {
        self.mailbox = self.mailbox.map(|(site, _)| (site, version.into()));
        self
    }

    pub(super) fn by_cas(mut self) -> Self {
        self.from_cas = true;
        self
    }

    pub(super) fn at_exchange_path(mut self) -> Self {
        self.owa_path = false;
        self
    }

    pub(super) fn by_host(mut self, host: &str) -> Self {
        self.client_host = Some(host.into());
        self
    }

    pub(super) fn by_unknown_host(mut self) -> Self {
        self.client_host = None;
        self
    }

    pub(super) fn under(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The directory does not know `seattle`.
    pub(super) fn by_an_unlisted_server(mut self) -> Self {
        self.listed = false;
        self
    }

    pub(super) fn among(self, servers: impl Into<Servers>) -> Scene {
        let mut topology = Topology::builder();
        if self.listed {
            let own = cas("Seattle")
                .internal_url()
                .external_url_is("https://mail/owa");
            topology = topology.client_access_server(own.0);
        }
        let Servers { all, back_ends } = servers.into();
        for server in all {
            topology = topology.client_access_server(server);
        }
        for server in back_ends {
            topology = topology.back_end(server);
        }
        Scene {
            here: Here::new(name("seattle"), site("Seattle"), version(EXCHANGE_2007)),
            topology: topology.build().unwrap(),
            mailbox: self.mailbox.clone().map(|(at, on)| {
                let mailbox = Mailbox::new(name("mbx"), version(&on));
                match at {
                    Some(at) => mailbox.with_site(site(&at)),
                    None => mailbox,
                }
            }),
            asked: self,
        }
    }
}

/// A CAS with Integrated Windows authentication, named as its site in lower case.
pub(super) fn cas(at: &str) -> Cas {
    let server =
        ClientAccessServer::new(name(&at.to_lowercase()), site(at), version(EXCHANGE_2007));
    Cas(server.with_integrated_windows_authentication())
}

#[derive(Debug, Clone)]
pub(super) struct Cas(ClientAccessServer);

impl Cas {
    /// To be said before URLs that are made of the name.
    pub(super) fn named(self, new: &str) -> Self {
        let renamed = ClientAccessServer::new(name(new), self.0.site().clone(), self.0.version());
        Self(renamed.with_owa(self.0.owa().clone()))
    }

    pub(super) fn version(self, new: &str) -> Self {
        let (name, site) = (self.0.name().clone(), self.0.site().clone());
        Self(ClientAccessServer::new(name, site, version(new)).with_owa(self.0.owa().clone()))
    }

    pub(super) fn internal_url(self) -> Self {
        let url = format!("https://{}/owa", self.0.name());
        self.internal_url_is(&url)
    }

    pub(super) fn plain_internal_url(self) -> Self {
        let url = format!("http://{}/owa", self.0.name());
        self.internal_url_is(&url)
    }

    pub(super) fn internal_url_is(self, url: &str) -> Self {
        Self(self.0.with_internal_url(url))
    }

    pub(super) fn external_url(self) -> Self {
        let url = format!("https://mail-{}/owa", self.0.name());
        self.external_url_is(&url)
    }

    pub(super) fn external_url_is(self, url: &str) -> Self {
        Self(self.0.with_external_url(url))
    }

    pub(super) fn without_integrated(self) -> Self {
        Self(
            self.0
                .with_internal_authentication(AuthenticationMethods::FORMS),
        )
    }
}

/// The back-end `mbx`, whose `/Exchange` has Integrated Windows authentication.
pub(super) fn back_end() -> Servers {
    let back_end = BackEnd::new(name("mbx"), "http://mbx".parse().unwrap());
    Servers::from(back_end.with_integrated_windows_authentication())
}

pub(super) fn back_end_without_integrated() -> Servers {
    Servers::from(BackEnd::new(name("mbx"), "http://mbx".parse().unwrap()))
}

pub(super) fn back_end_at(url: &str) -> Servers {
    let back_end = BackEnd::new(name("mbx"), url.parse().unwrap());
    Servers::from(back_end.with_integrated_windows_authentication())
}

pub(super) fn no_cas() -> Servers {
    Servers::default()
}

#[derive(Debug, Clone, Default)]
pub(super) struct Servers {
    all: Vec<ClientAccessServer>,
    back_ends: Vec<BackEnd>,
}

impl From<Cas> for Servers {
    fn from(server: Cas) -> Self {
        Self {
            all: vec![server.0],
            back_ends: Vec::new(),
        }
    }
}

impl From<BackEnd> for Servers {
    fn from(server: BackEnd) -> Self {
        Self {
            all: Vec::new(),
            back_ends: vec![server],
        }
    }
}

impl<S: Into<Servers>> Add<S> for Servers {
    type Output = Servers;

    fn add(mut self, other: S) -> Servers {
        let other = other.into();
        self.all.extend(other.all);
        self.back_ends.extend(other.back_ends);
        self
    }
}

impl<S: Into<Servers>> Add<S> for Cas {
    type Output = Servers;

    fn add(self, other: S) -> Servers {
        Servers::from(self) + other
    }
}

pub(super) struct Scene {
    pub(super) here: Here,
    pub(super) topology: Topology,
    pub(super) mailbox: Option<Mailbox>,
    pub(super) asked: Asked,
}

impl Scene {
    pub(super) fn decide(&self) -> Decision<'_> {
        decide(
            &self.here,
            &self.asked.policy,
            &self.topology,
            &self.question(),
        )
    }

    pub(super) fn explain(&self) -> (Decision<'_>, Explanation) {
        explain(
            &self.here,
            &self.asked.policy,
            &self.topology,
            &self.question(),
        )
    }

    fn question(&self) -> Question<'_> {
        Question {
            mailbox: self.mailbox.as_ref(),
            client_host: self.asked.client_host.as_deref(),
            from_cas: self.asked.from_cas,
            owa_path: self.asked.owa_path,
        }
    }
}

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} among {:?}", self.asked, self.topology)
    }
}

pub(super) fn silently() -> Policy {
    Policy {
        redirect: CrossSiteRedirect::Silent,
        ..Policy::default()
    }
}

pub(super) fn never_redirect() -> Policy {
    Policy {
        redirect: CrossSiteRedirect::Never,
        ..Policy::default()
    }
}

pub(super) fn without_ssl() -> Policy {
    Policy {
        allow_proxying_without_ssl: true,
        ..Policy::default()
    }
}

pub(super) fn keep_owa_from_back_ends() -> Policy {
    Policy {
        owa_to_back_end: false,
        ..Policy::default()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expected {
    ServedLocally,
    Linked(String),
    Redirected(String),
    PassedToBackEnd(String),
    Proxied(Vec<String>),
    Refused(Refusal),
}

pub(super) fn served_locally() -> Expected {
    Expected::ServedLocally
}

pub(super) fn linked_to(url: &str) -> Expected {
    Expected::Linked(url.into())
}

pub(super) fn redirected_to(url: &str) -> Expected {
    Expected::Redirected(url.into())
}

pub(super) fn passed_to_back_end() -> Expected {
    Expected::PassedToBackEnd("mbx".into())
}

pub(super) fn proxied_to(server: &str) -> Expected {
    proxied_to_any([server])
}

pub(super) fn proxied_to_any<const N: usize>(servers: [&str; N]) -> Expected {
    Expected::Proxied(servers.map(String::from).into())
}

pub(super) fn refused(refusal: Refusal) -> Expected {
    Expected::Refused(refusal)
}

impl From<Decision<'_>> for Expected {
    fn from(decision: Decision<'_>) -> Self {
        match decision {
            Decision::ServeLocally => Self::ServedLocally,
            Decision::Redirect { url, silent: false } => Self::Linked(url.to_string()),
            Decision::Redirect { url, silent: true } => Self::Redirected(url.to_string()),
            Decision::ProxyToBackEnd(server) => Self::PassedToBackEnd(server.name().to_string()),
            Decision::Proxy(candidates) => Self::Proxied(
                candidates
                    .iter()
                    .map(|cas| cas.name().to_string())
                    .collect(),
            ),
            Decision::Refuse(refusal) => Self::Refused(refusal),
        }
    }
}

fn name(text: &str) -> ServerName {
    ServerName::new(text).unwrap()
}

fn site(text: &str) -> SiteName {
    SiteName::new(text).unwrap()
}

fn version(text: &str) -> ExchangeVersion {
    text.parse().unwrap()
}
