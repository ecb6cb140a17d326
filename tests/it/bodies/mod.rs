//! Nothing lost: bodies through 441, logins that are shared, connections that are let go of.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use cas_proxy::{decision::Policy, first_cas::CasProxyLayer};
use tokio::io::DuplexStream;

use crate::support::{
    body::Counted,
    here, lookup,
    pipes::Pipes,
    wire::{ACCEPTED, Hop},
};

mod crowds;
mod left_behind;
mod matrix;
mod moves;
mod schedules;
mod streams;
mod trickles;

type Line = Hop<DuplexStream>;

pub fn layer(pipes: &Pipes, servers: &[&str]) -> CasProxyLayer {
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = true;
    CasProxyLayer::new(here(), Pipes::topology(servers), lookup())
        .outbound(pipes.client())
        .policy(policy)
}
