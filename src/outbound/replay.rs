//! The client's body, given to one attempt at a time.
//!
//! An attempt whose answer was 441 is not waited for: the next one *takes the body over*. From then on the
//! old attempt reads an error, so no byte is given twice and none is lost, however late the old connection
//! is dropped.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http_body::Body;
use tokio::{sync::Notify, time::Instant};

use self::state::State;
use super::{BoxError, body::OutboundBody, budget::ReplayBudget};

mod attempt;
mod recording;
mod source;
mod state;

#[cfg(feature = "client")]
pub(super) use self::attempt::Upload;
pub(super) use self::attempt::{AttemptBody, Gate};

/// The pipeline's handle on a request body.
#[derive(Clone)]
pub(crate) struct Replay(Arc<Shared>);

/// How far the current attempt's upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes given to the current attempt.
    pub(crate) given: u64,
    /// Whether the last read found the client silent; otherwise it is the second hop that does not read.
    pub(crate) starving: bool,
    /// When the last byte was given, or the attempt let go of the rest.
    pub(crate) ended: Option<Instant>,
    /// Whether the gate still holds the body back.
    pub(crate) gated: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Told when the gate opens, the upload ends or the body is closed.
    changed: Notify,
}

impl Replay {
    /// Wraps a client's body, of which nothing has been read. At most `cap` bytes are recorded.
    pub(crate) fn new<B>(body: B, budget: &ReplayBudget, cap: usize, forward_trailers: bool) -> Self
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(Shared {
            state: Mutex::new(State::new(body, budget, cap, forward_trailers)),
            changed: Notify::new(),
        }))
    }

    /// Gives the body, from its first byte, to a new attempt and ends every earlier one.
    ///
    /// With `gated`, nothing is read before [`Replay::open_gate`]. `None` if bytes have left that were
    /// not recorded: the body can't be given again.
    pub(crate) fn attempt(&self, gated: bool) -> Option<(OutboundBody, Gate)> {
        let mut state = self.0.lock();
        if !state.can_be_given_again() {
            return None;
        }
        let (epoch, superseded) = state.begin(gated);
        drop(state);
        superseded.follow();
        let body = AttemptBody::new(Arc::clone(&self.0), epoch);
        let gate = Gate::new(Arc::clone(&self.0), epoch);
        Some((OutboundBody::shared(body), gate))
    }

    /// Lets the current attempt read.
    pub(crate) fn open_gate(&self) {
        self.0.open_gate(None);
    }

    /// Ends the current attempt, whose answer will not be passed on: what it has not read is left for the next.
    pub(crate) fn halt(&self) {
        let superseded = self.0.lock().supersede();
        superseded.follow();
    }

    /// Ends every attempt and lets go of the body: what has not been read stays unread.
    pub(crate) fn close(&self) {
        let superseded = self.0.lock().close();
        superseded.follow();
        self.0.changed.notify_waiters();
    }

    /// Stops recording and gives its bytes back: an answer has been accepted.
    pub(crate) fn forget(&self) {
        self.0.lock().forget();
    }

    /// Whether the body can be given from its first byte once more.
    pub(crate) fn can_be_given_again(&self) -> bool {
        self.0.lock().can_be_given_again()
    }

    /// Bytes read from the client so far.
    pub(crate) fn pulled(&self) -> u64 {
        self.0.lock().pulled()
    }

    /// Whether it was the client that broke the body off.
    pub(crate) fn client_failed(&self) -> bool {
        self.0.lock().client_failed()
    }

    /// The size of the whole body, if the client said it or all of it has been read.
    pub(crate) fn exact(&self) -> Option<u64> {
        self.0.lock().exact()
    }

    pub(crate) fn progress(&self) -> Progress {
        self.0.lock().progress()
    }

    /// Completes at the next change of [`Progress::ended`] or [`Progress::gated`] after this call.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.changed.notified()
    }

    /// The body itself, if it is a `B` of which nothing was ever read.
    pub(crate) fn reclaim<B: 'static>(&self) -> Option<B> {
        let mut state = self.0.lock();
        let superseded = state.supersede();
        let body = state.reclaim();
        drop(state);
        superseded.follow();
        body
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Replay").field(&self.progress()).finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A body that panicked in its poll leaves no half-made state of ours behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_gate(&self, epoch: Option<u64>) {
        let waker = self.lock().open_gate(epoch);
        if let Some(waker) = waker {
            waker.wake();
        }
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
