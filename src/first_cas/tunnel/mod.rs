//! Upgrades: a connection that both sides agree to use for another protocol, WebSocket most of all.
//!
//! The [`Upgrade`](offer::Upgrade) that a client offers goes along with the request. Not a byte of the new protocol flows before the second CAS
//! has answered 101 and the answer has been checked (CVE-2026-2833); then a [relay](relay::relay) carries it both ways.

mod offer;
mod places;
mod protocols;
mod relay;

use std::time::Duration;

use futures_util::future::try_join;
use http::{HeaderValue, Response};
use hyper::upgrade::OnUpgrade;
use tokio::time::timeout;

pub(super) use offer::Upgrade;
use places::Place;
pub(super) use places::Tunnels;
pub use protocols::InvalidProtocol;
pub(super) use protocols::Protocols;
use relay::relay;

use super::config::Config;
use crate::{
    outbound::UpstreamBody,
    telemetry::{OpenTunnel, TunnelEnd},
};

/// A tunnel whose 101 has been checked.
pub(super) struct Tunnel {
    client: OnUpgrade,
    server: OnUpgrade,
    place: Place,
    idle: Duration,
    protocol: HeaderValue,
}

impl Tunnel {
    /// Has the tunnel run as soon as the client has been told, by what is now an answer of ours.
    pub(super) fn begin(self, config: &Config, answer: &mut Response<UpstreamBody>) {
        offer::name_protocol(answer.headers_mut(), &self.protocol);
        *answer.body_mut() = UpstreamBody::empty();
        config.state.tasks.spawn(self.run(OpenTunnel::new()));
    }

    /// Carries bytes until both sides have ended, one has broken off, or nothing has moved for too long.
    async fn run(self, open: OpenTunnel) {
        let Self {
            client,
            server,
            place,
            idle,
            ..
        } = self;
        // The client's side is there when the 101 has been written; it may never be.
        let (server, client) = match timeout(idle, try_join(server, client)).await {
            Ok(Ok(both)) => both,
            Ok(Err(error)) => {
                open.ended(TunnelEnd::NeverUsed);
                return tracing::debug!(target: "cas_proxy", %error, "no tunnel after all");
            }
            Err(_) => {
                open.ended(TunnelEnd::NeverUsed);
                return tracing::debug!(target: "cas_proxy", "the client never took its 101");
            }
        };
        let ended = relay(client, server, idle, place.draining).await;
        open.ended(ended.how);
        tracing::debug!(target: "cas_proxy", ?ended, "tunnel ended");
    }
}
