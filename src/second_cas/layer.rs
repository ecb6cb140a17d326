//! The layer: what is trusted, kept and allowed.

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderValue;
use tower_layer::Layer;

use super::{
    SecondCas, VerifiedCaller, VerifyCaller,
    log::CallerLog,
    store::{Store, StoreLimits},
};
use crate::{
    csc::{ClientSecurityContext, xml},
    directory::ExchangeVersion,
    wire::{limits::HeadLimits, owa_path::Scope},
};

/// Makes any service a second CAS; see the [module](super).
///
/// It cannot be made without saying whom to trust. Clones share the verifier and the contexts kept, so one layer can
/// stand before several routes. Set it up before cloning it: a setter called on a clone may give that clone a store
/// of its own.
#[derive(Clone)]
#[must_use = "a layer does nothing until it is given a service"]
pub struct SecondCasLayer {
    config: Arc<Config>,
}

impl SecondCasLayer {
    /// A second CAS that trusts whom `verifier` verifies.
    pub fn new(verifier: impl VerifyCaller) -> Self {
        let config = Config {
            verifier: Arc::new(verifier),
            store: Arc::new(Store::new(StoreLimits::default())),
            scope: Scope::default(),
            limits: HeadLimits::new(),
            version: None,
            refuse_context: None,
            login_body_limit: xml::MAX_BYTES,
            login_timeout: LOGIN_TIMEOUT,
            caller_log: Arc::new(CallerLog::new()),
        };
        Self {
            config: Arc::new(config),
        }
    }

    /// The version a ping is answered with: this server's. Without one, pings are answered 501, which the other side
    /// counts as failed.
    pub fn version(self, version: ExchangeVersion) -> Self {
        self.with(|config| config.version = Some(version.to_header_value()))
    }

    /// The paths that are ours, where they are not the usual ones. Give `CasProxyLayer` the same.
    pub fn scope(self, scope: Scope) -> Self {
        self.with(|config| config.scope = scope)
    }

    /// How large the head of a request may be; 100 lines, 32 KiB, and 8 KiB of target unless said otherwise. More is
    /// answered 414 or 431, for any request.
    pub fn head_limits(self, limits: HeadLimits) -> Self {
        self.with(|config| config.limits = limits)
    }

    /// How many contexts are kept, 100,000 unless said otherwise; at least one. When there are more, those least used
    /// go, and their users cost a login on their next request.
    pub fn max_contexts(self, contexts: usize) -> Self {
        self.with_store(|limits| limits.contexts = contexts)
    }

    /// How much memory the contexts may take, in bytes; 256 MiB unless said otherwise. A user in 200 groups takes
    /// about 16 KiB. A context larger than what is allowed in all is refused with 503.
    pub fn max_context_bytes(self, bytes: usize) -> Self {
        self.with_store(|limits| limits.bytes = bytes)
    }

    /// How long a context is kept after its last use, 60 minutes unless said otherwise.
    pub fn context_lifetime(self, lifetime: Duration) -> Self {
        self.with_store(|limits| limits.lifetime = lifetime)
    }

    /// A rule for contexts that are not to be taken, though a verified CAS brings them: administrators, machine
    /// accounts, members of privileged groups. It is asked at each login; true refuses, with 403.
    ///
    /// ```
    /// use cas_proxy::second_cas::{SecondCasLayer, danger::StaticCredential};
    ///
    /// let layer = SecondCasLayer::new(StaticCredential::basic("lab", "secret"))
    ///     .refuse_context(|_caller, context| context.user().sub_authorities().last() == Some(&500));
    /// ```
    pub fn refuse_context<F>(self, rule: F) -> Self
    where
        F: Fn(&VerifiedCaller, &ClientSecurityContext) -> bool + Send + Sync + 'static,
    {
        self.with(|config| config.refuse_context = Some(Arc::new(rule)))
    }

    /// How large the body of a proxy login may be, in bytes: 256 KiB, which is also the most that can be set.
    pub fn login_body_limit(self, bytes: usize) -> Self {
        //= src/docs/protocol.md#login-limit
        self.with(|config| config.login_body_limit = bytes.min(xml::MAX_BYTES))
    }

    /// How long the body of a proxy login may take to arrive in all, 10 seconds unless said otherwise.
    pub fn login_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.login_timeout = timeout)
    }

    /// How many contexts are kept at the moment, those not yet cleared away included.
    #[must_use]
    pub fn contexts_kept(&self) -> usize {
        self.config.store.len()
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    fn with_store(self, change: impl FnOnce(&mut StoreLimits)) -> Self {
        self.with(|config| {
            let mut limits = config.store.limits();
            change(&mut limits);
            config.store = Arc::new(Store::new(limits));
        })
    }
}

impl<S> Layer<S> for SecondCasLayer {
    type Service = SecondCas<S>;

    fn layer(&self, inner: S) -> SecondCas<S> {
        SecondCas::new(inner, Arc::clone(&self.config))
    }
}

impl fmt::Debug for SecondCasLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondCasLayer")
            .field("config", &self.config)
            .finish()
    }
}

/// Shared by layer, services and futures.
#[derive(Clone)]
pub(super) struct Config {
    pub(super) verifier: Arc<dyn VerifyCaller>,
    pub(super) store: Arc<Store>,
    pub(super) scope: Scope,
    pub(super) limits: HeadLimits,
    pub(super) version: Option<HeaderValue>,
    pub(super) refuse_context: Option<RefuseContext>,
    pub(super) login_body_limit: usize,
    pub(super) login_timeout: Duration,
    pub(super) caller_log: Arc<CallerLog>,
}

type RefuseContext = Arc<dyn Fn(&VerifiedCaller, &ClientSecurityContext) -> bool + Send + Sync>;

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("scope", &self.scope)
            .field("limits", &self.limits)
            .field("version", &self.version)
            .field("store", &self.store.limits())
            .field("login_body_limit", &self.login_body_limit)
            .field("login_timeout", &self.login_timeout)
            .finish_non_exhaustive()
    }
}

const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
