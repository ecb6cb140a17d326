//! Everything a first CAS is set up with, in one place and behind one `Arc`.

use std::{fmt, sync::Arc};

use http::{HeaderValue, request::Parts};

use super::{
    back_end::BackEndCredentials,
    logins::Logins,
    own_names::OwnNames,
    settings::{Limits, Timeouts},
    tunnel::{Protocols, Tunnels},
};
use crate::{
    csc::ClientSecurityContext,
    decision::{Here, Policy},
    directory::TopologySource,
    lookup::MailboxLookup,
    outbound::{Credentials, Health, Outbound, ReplayBudget, Tasks},
    wire::{hop_by_hop::Via, limits::HeadLimits, owa_path::Scope, rewrite::LogOnCookies},
};

/// Who the user is, from a request that a log-on layer has passed.
pub(super) type Identify = dyn Fn(&Parts) -> Option<ClientSecurityContext> + Send + Sync;

#[derive(Clone)]
pub(super) struct Config {
    pub(super) here: Here,
    /// `here.version`, as it stands in the header.
    pub(super) version: HeaderValue,
    /// Our name in `Via`.
    pub(super) via: Via,
    pub(super) policy: Policy,
    pub(super) scope: Scope,
    pub(super) names: OwnNames,
    pub(super) topology: Arc<dyn TopologySource>,
    pub(super) lookup: Arc<dyn MailboxLookup>,
    pub(super) identify: Arc<Identify>,
    pub(super) credentials: Arc<dyn Credentials>,
    pub(super) back_end_credentials: Arc<dyn BackEndCredentials>,
    pub(super) outbound: Arc<dyn Outbound>,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) head_limits: HeadLimits,
    pub(super) log_on_cookies: LogOnCookies,
    pub(super) forward_request_trailers: bool,
    pub(super) upgrades: Protocols,
    pub(super) state: Arc<State>,
}

/// What all services of a layer, and their requests, share and change.
#[derive(Debug)]
pub(super) struct State {
    pub(super) health: Health,
    pub(super) logins: Arc<Logins>,
    pub(super) budget: ReplayBudget,
    pub(super) tunnels: Tunnels,
    pub(super) tasks: Tasks,
}

impl State {
    pub(super) fn new(limits: &Limits) -> Self {
        let tasks = Tasks::new();
        Self {
            health: Health::new(limits.in_flight_per_server, limits.logins_per_server),
            logins: Arc::new(Logins::new(limits.known_logins, tasks.clone())),
            budget: ReplayBudget::new(limits.recorded),
            tunnels: Tunnels::new(limits),
            tasks,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("here", &self.here)
            .field("policy", &self.policy)
            .field("timeouts", &self.timeouts)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
