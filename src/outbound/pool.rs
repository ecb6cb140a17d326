//! Connections that wait for their next request.
//!
//! Keyed by origin. Users share connections: they speak for this CAS, and the user travels in headers.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use hyper::client::conn::{http1, http2};
use tokio::time::Instant;

use super::body::OutboundBody;
use crate::directory::Origin;

pub(super) type H1 = http1::SendRequest<OutboundBody>;
pub(super) type H2 = http2::SendRequest<OutboundBody>;

/// All idle connections of a client.
#[derive(Debug)]
pub(super) struct Pool {
    lanes: Mutex<HashMap<Origin, Arc<Lane>>>,
    idle_timeout: Duration,
    max_idle: usize,
}

/// The connections to one origin.
pub(super) struct Lane {
    state: Mutex<State>,
    idle_timeout: Duration,
    max_idle: usize,
}

#[derive(Default)]
struct State {
    h1: Vec<Idle>,
    h2: Option<H2>,
    /// Whether a task is there to close what idles too long.
    swept: bool,
}

struct Idle {
    sender: H1,
    since: Instant,
}

/// A connection found ready.
pub(super) enum Pooled {
    H1(H1),
    H2(H2),
}

/// A connection in use by one exchange, which goes back when its answer has been read.
pub(super) struct Lease {
    sender: H1,
    lane: Arc<Lane>,
}

impl Pool {
    pub(super) fn new(idle_timeout: Duration, max_idle: usize) -> Self {
        Self {
            lanes: Mutex::default(),
            idle_timeout,
            max_idle,
        }
    }

    pub(super) fn lane(&self, origin: &Origin) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get(origin) {
            return Arc::clone(lane);
        }
        // Origins come from the directory; those of servers long gone are dropped here.
        lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || !lane.is_empty());
        let lane = Arc::new(Lane {
            state: Mutex::default(),
            idle_timeout: self.idle_timeout,
            max_idle: self.max_idle,
        });
        lanes.insert(origin.clone(), Arc::clone(&lane));
        lane
    }
}

impl Lane {
    /// The youngest connection that can take a request now.
    pub(super) fn checkout(&self) -> Option<Pooled> {
        let mut state = lock(&self.state);
        if let Some(sender) = &state.h2 {
            if !sender.is_closed() {
                return Some(Pooled::H2(sender.clone()));
            }
            state.h2 = None;
        }
        let mut at = state.h1.len();
        while let Some(idle) = at.checked_sub(1).and_then(|before| state.h1.get(before)) {
            at -= 1;
            if idle.sender.is_closed() || idle.since.elapsed() >= self.idle_timeout {
                state.h1.swap_remove(at);
            } else if idle.sender.is_ready() {
                return Some(Pooled::H1(state.h1.swap_remove(at).sender));
            }
            // Otherwise its last request body is still on its way.
        }
        None
    }

    #[cfg(feature = "rustls")]
    pub(super) fn share_h2(&self, sender: &H2) {
        lock(&self.state).h2 = Some(sender.clone());
    }

    pub(super) fn lease(self: &Arc<Self>, sender: H1) -> Lease {
        Lease {
            sender,
            lane: Arc::clone(self),
        }
    }

    fn is_empty(&self) -> bool {
        let state = lock(&self.state);
        state.h1.is_empty() && state.h2.as_ref().is_none_or(H2::is_closed)
    }

    fn give_back(self: &Arc<Self>, sender: H1) {
        if sender.is_closed() {
            return;
        }
        let mut state = lock(&self.state);
        if state.h1.len() >= self.max_idle {
            return;
        }
        state.h1.push(Idle {
            sender,
            since: Instant::now(),
        });
        if !state.swept && tokio::runtime::Handle::try_current().is_ok() {
            state.swept = true;
            tokio::spawn(sweep(Arc::downgrade(self), self.idle_timeout));
        }
    }

    /// Closes what has idled too long. False when nothing is left to look after.
    fn close_idle(&self) -> bool {
        let mut state = lock(&self.state);
        state
            .h1
            .retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < self.idle_timeout);
        state.swept = !state.h1.is_empty();
        state.swept
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("idle", &lock(&self.state).h1.len())
            .finish_non_exhaustive()
    }
}

impl Lease {
    pub(super) fn give_back(self) {
        self.lane.give_back(self.sender);
    }
}

/// Looks after one lane; ends with it, or when it has run empty.
async fn sweep(lane: Weak<Lane>, idle_timeout: Duration) {
    loop {
        tokio::time::sleep(idle_timeout / 2).await;
        match lane.upgrade() {
            Some(lane) if lane.close_idle() => {}
            _ => return,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
