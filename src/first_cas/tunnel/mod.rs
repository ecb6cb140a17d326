//! Upgrades: a connection that both sides agree to use for another protocol, WebSocket most of all.
//!
//! The [`Upgrade`](offer::Upgrade) that a client offers goes along with the request. Not a byte of the new protocol flows before the second CAS
//! has answered 101 and the answer has been checked (CVE-2026-2833); then a [relay](relay::relay) carries it both ways.

mod offer;
mod protocols;
mod relay;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::try_join;
use http::{HeaderValue, Response};
use hyper::upgrade::OnUpgrade;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

pub(super) use offer::Upgrade;
pub use protocols::InvalidProtocol;
pub(super) use protocols::Protocols;
use relay::relay;

use super::config::Config;
use crate::outbound::UpstreamBody;

/// All tunnels of a layer.
pub(super) struct Tunnels {
    places: Arc<Semaphore>,
    draining: watch::Sender<bool>,
}

impl Tunnels {
    pub(super) fn new(at_most: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_most.min(Semaphore::MAX_PERMITS))),
            draining: watch::Sender::new(false),
        }
    }

    /// A place for one more, unless there are too many or they are being closed.
    fn enter(&self) -> Option<Place> {
        let draining = self.draining.subscribe();
        if *draining.borrow() {
            return None;
        }
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place {
            draining,
            _permit: permit,
        })
    }

    /// Lets nobody in any more, and has those closed that are open.
    pub(super) fn drain(&self) {
        self.draining.send_replace(true);
    }
}

impl fmt::Debug for Tunnels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnels")
            .field("free", &self.places.available_permits())
            .finish_non_exhaustive()
    }
}

/// Taken from the offer of an upgrade to the end of its tunnel.
struct Place {
    draining: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

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
    pub(super) fn begin(
        self,
        config: &Config,
        mut answer: Response<UpstreamBody>,
    ) -> Response<UpstreamBody> {
        offer::name_protocol(answer.headers_mut(), &self.protocol);
        config.state.tasks.spawn(self.run());
        answer.map(|_nothing| UpstreamBody::empty())
    }

    /// Carries bytes until both sides have ended, one has broken off, or nothing has moved for too long.
    async fn run(self) {
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
                return tracing::debug!(target: "cas_proxy", %error, "no tunnel after all");
            }
            Err(_) => return tracing::debug!(target: "cas_proxy", "the client never took its 101"),
        };
        let ended = relay(client, server, idle, place.draining).await;
        tracing::debug!(target: "cas_proxy", ?ended, "tunnel ended");
    }
}
