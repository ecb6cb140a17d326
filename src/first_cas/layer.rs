//! The layer: how a first CAS is set up.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::join;
use http::request::Parts;
use tokio::time::Instant;
use tower_layer::Layer;

use super::{
    back_end::{BackEndCredentials, NoBackEndCredentials},
    config::{Config, State},
    own_names::{InvalidHost, OwnNames},
    service::CasProxy,
    settings::{Limits, Timeouts},
    tunnel::{InvalidProtocol, Protocols},
};
use crate::{
    clock::later,
    csc::ClientSecurityContext,
    decision::{Here, Policy},
    directory::{ExternalUrl, ServerName, TopologySource},
    lookup::MailboxLookup,
    outbound::{Credentials, Outbound, credentials::NoCredentials},
    wire::{hop_by_hop::Via, limits::HeadLimits, owa_path::Scope, rewrite::LogOnCookies},
};

/// Makes the service within a first CAS: it serves the mailboxes of its own site, and the users of every
/// other site are proxied, redirected, or told why not; see the [module](super).
///
/// ```
/// use cas_proxy::{CasProxyLayer, Here, InMemory, Topology, wire::signature::SharedKey};
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (topology, lookup, secret) = (Topology::default(), InMemory::new(), [1; 32]);
/// let here = Here::new("seattle".parse()?, "Seattle".parse()?, "8.3.83.6".parse()?);
/// let layer = CasProxyLayer::new(here, Arc::new(topology), lookup)
///     .external_url(&"https://mail.contoso.com/owa".parse()?)
///     .credentials(SharedKey::new("seattle-to-dallas", &secret)?);
/// # Ok(())
/// # }
/// ```
///
/// Wrap the *finished* service: `layer.layer(router)`, not `router.layer(layer)`. Outside it belongs whatever
/// signs users in, and leaves their [`ClientSecurityContext`] in the request's extensions.
///
/// All clones of a layer, and all services it makes, share known logins, tunnels and the servers' health. A setter
/// called later starts these afresh for the layer it returns. Connections are the outbound client's, which the layer
/// returned shares.
#[derive(Clone, Debug)]
pub struct CasProxyLayer {
    config: Arc<Config>,
}

impl CasProxyLayer {
    /// A first CAS at `here`, with the built-in HTTP client.
    ///
    /// Give it [credentials](Self::credentials), or second CASs will not know it. Everything else has a
    /// default that is safe and bounded.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn new(here: Here, topology: impl TopologySource, lookup: impl MailboxLookup) -> Self {
        Self::with_outbound(here, topology, lookup, crate::outbound::Client::default())
    }

    /// A first CAS at `here`, whose requests are carried by `outbound`.
    #[must_use]
    pub fn with_outbound(
        here: Here,
        topology: impl TopologySource,
        lookup: impl MailboxLookup,
        outbound: impl Outbound,
    ) -> Self {
        let limits = Limits::default();
        let config = Config {
            version: here.version.to_header_value(),
            via: via(&here.name),
            names: OwnNames::of_server(&here.name),
            here,
            policy: Policy::default(),
            scope: Scope::default(),
            topology: Arc::new(topology),
            lookup: Arc::new(lookup),
            identify: Arc::new(|request: &Parts| {
                request.extensions.get::<ClientSecurityContext>().cloned()
            }),
            credentials: Arc::new(NoCredentials),
            back_end_credentials: Arc::new(NoBackEndCredentials),
            outbound: Arc::new(outbound),
            timeouts: Timeouts::default(),
            head_limits: HeadLimits::default(),
            log_on_cookies: LogOnCookies::default(),
            forward_request_trailers: false,
            upgrades: Protocols::default(),
            state: Arc::new(State::new(&limits)),
            limits,
        };
        Self {
            config: Arc::new(config),
        }
    }

    /// How this CAS shows second CASs who it is; nothing by default.
    #[must_use]
    pub fn credentials(self, credentials: impl Credentials) -> Self {
        self.with(|config| config.credentials = Arc::new(credentials))
    }

    /// The ExternalURL of this CAS: what second CASs build links from, and where nobody is redirected to.
    #[must_use]
    pub fn external_url(self, url: &ExternalUrl) -> Self {
        self.with(|config| config.names.set_external_url(url))
    }

    /// Other hosts by which clients reach this CAS (`host` or `host:port`), all by https or all without.
    ///
    /// A request that names one is told to second CASs under that name; every other `Host` is replaced by the
    /// ExternalURL's.
    ///
    /// # Errors
    /// One of them is no host.
    pub fn own_hosts<H: AsRef<str>>(
        self,
        https: bool,
        hosts: impl IntoIterator<Item = H>,
    ) -> Result<Self, InvalidHost> {
        let mut added = Ok(());
        let layer = self.with(|config| {
            added = hosts
                .into_iter()
                .try_for_each(|host| config.names.add_host(host.as_ref(), https));
        });
        added.map(|()| layer)
    }

    /// The listener's address, which names this CAS while there is no ExternalURL.
    #[must_use]
    pub fn listener(self, address: SocketAddr) -> Self {
        self.with(|config| config.names.set_listener(address))
    }

    /// What the administrator chose: TLS, redirects, back-ends.
    #[must_use]
    pub fn policy(self, policy: Policy) -> Self {
        self.with(|config| config.policy = policy)
    }

    /// Which paths are a mailbox's: `/owa`, `/exchange`, `/exchweb` and `/public` by default.
    #[must_use]
    pub fn scope(self, scope: Scope) -> Self {
        self.with(|config| config.scope = scope)
    }

    /// Who the user is, for those whose log-on layer leaves something else than a [`ClientSecurityContext`] in
    /// the extensions. `None` is answered by 401.
    ///
    /// Called for every request in scope: keep the context with the session, and clone it.
    #[must_use]
    pub fn identify<F>(self, identify: F) -> Self
    where
        F: Fn(&Parts) -> Option<ClientSecurityContext> + Send + Sync + 'static,
    {
        self.with(|config| config.identify = Arc::new(identify))
    }

    /// How a user is shown to an Exchange 2003 back-end; not at all by default.
    #[must_use]
    pub fn back_end_credentials(self, credentials: impl BackEndCredentials) -> Self {
        self.with(|config| config.back_end_credentials = Arc::new(credentials))
    }

    /// How requests are carried.
    #[must_use]
    pub fn outbound(self, outbound: impl Outbound) -> Self {
        self.with(|config| config.outbound = Arc::new(outbound))
    }

    /// How long each phase may take.
    #[must_use]
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        self.with(|config| config.timeouts = timeouts)
    }

    /// How much may be held at once.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        self.with(|config| config.limits = limits)
    }

    /// How large a request's head may be: 100 lines, 32 KiB, and 8 KiB of target by default.
    #[must_use]
    pub fn head_limits(self, limits: HeadLimits) -> Self {
        self.with(|config| config.head_limits = limits)
    }

    /// The cookies that sign users in here, and never leave: `cadata*` and `sessionid` by default.
    ///
    /// Whoever signs users in by another cookie names it here, or second CASs will see it.
    //= src/docs/protocol.md#cookies
    #[must_use]
    pub fn log_on_cookies(self, cookies: LogOnCookies) -> Self {
        self.with(|config| config.log_on_cookies = cookies)
    }

    /// Whether trailers of a request go on; they are dropped by default.
    #[must_use]
    pub fn forward_request_trailers(self, forward: bool) -> Self {
        self.with(|config| config.forward_request_trailers = forward)
    }

    /// To which protocols a client's connection may be upgraded by the second CAS: `websocket` alone by default. Names
    /// no protocol, and every request goes on without its offer.
    ///
    /// ```
    /// # use cas_proxy::{CasProxyLayer, Here, InMemory, Topology};
    /// # use std::sync::Arc;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let here = Here::new("seattle".parse()?, "Seattle".parse()?, "8.3.83.6".parse()?);
    /// # let layer = CasProxyLayer::new(here, Arc::new(Topology::default()), InMemory::new());
    /// let none = layer.clone().upgrades::<&str>([])?;
    /// let more = layer.clone().upgrades(["websocket", "mail-push/1"])?;
    /// assert!(layer.upgrades(["h2c"]).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// One of them is no protocol's name, or is a version of HTTP, by which requests would pass without a check.
    pub fn upgrades<P: AsRef<str>>(
        self,
        protocols: impl IntoIterator<Item = P>,
    ) -> Result<Self, InvalidProtocol> {
        let upgrades = Protocols::new(protocols)?;
        Ok(self.with(|config| config.upgrades = upgrades))
    }

    /// Ends what goes on in the background, for a server that is about to stop; says how much of it was cut off.
    ///
    /// From now on no connection is upgraded (503), and tunnels are closed, both ways and politely. What is under way
    /// ends by itself: proxy logins, uploads whose answer is there, and exchanges with other servers, whose connections
    /// are not kept any more. What has not ended after `within` is cut off, and whoever still waits for it reads 503.
    /// Requests are served as before: call it when the server takes no more of them, or has begun to refuse them.
    ///
    /// It concerns all clones of this layer, all services they made, and every other layer with the same outbound client,
    /// and is for good. Dropping the future stops the waiting, and nothing else.
    pub async fn drain(&self, within: Duration) -> usize {
        let deadline = later(Instant::now(), within);
        self.config.state.tunnels.drain();
        let outbound = self.config.outbound.drain(within);
        let own = self.config.state.tasks.finish(deadline);
        let (own, connections) = join(own, outbound).await;
        own + connections
    }

    fn with(mut self, set: impl FnOnce(&mut Config)) -> Self {
        let config = Arc::make_mut(&mut self.config);
        set(config);
        config.state = Arc::new(State::new(&config.limits));
        self
    }
}

/// The server's name as a pseudonym; a directory's names may hold characters that a pseudonym may not.
#[expect(
    clippy::expect_used,
    reason = "what is left has only letters, digits and hyphens"
)]
fn via(name: &ServerName) -> Via {
    let plain: String = name
        .as_str()
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect();
    Via::new(&plain).expect("a valid pseudonym")
}

impl<S> Layer<S> for CasProxyLayer {
    type Service = CasProxy<S>;

    fn layer(&self, inner: S) -> CasProxy<S> {
        CasProxy::new(inner, Arc::clone(&self.config))
    }
}
