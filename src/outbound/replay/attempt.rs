//! What one attempt holds of the body: it is over when another takes the body.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{super::BoxError, Shared};

/// The body as one attempt sees it.
pub(crate) struct AttemptBody {
    shared: Arc<Shared>,
    epoch: u64,
    /// All was given. Whoever takes the body over then is no news to this attempt.
    done: bool,
}

/// Opens the gate of one attempt, and of no later one: its `100 Continue` may come late.
pub(crate) struct Gate {
    shared: Arc<Shared>,
    epoch: u64,
}

/// Follows one attempt's upload.
#[cfg(feature = "client")]
pub(crate) struct Upload {
    shared: Arc<Shared>,
    epoch: u64,
}

impl AttemptBody {
    pub(super) fn new(shared: Arc<Shared>, epoch: u64) -> Self {
        Self {
            shared,
            epoch,
            done: false,
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let mut state = self.shared.lock();
        if !state.is_current(self.epoch) {
            return Poll::Ready(Some(Err(TakenOver.into())));
        }
        let polled = state.poll_frame(cx);
        let ended = state.settle();
        drop(state);
        if let Some(ended) = ended {
            self.done = true;
            ended.follow();
            self.shared.changed.notify_waiters();
        }
        polled
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.done || {
            let state = self.shared.lock();
            state.is_current(self.epoch) && state.is_at_end()
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.shared
            .lock()
            .left()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    #[cfg(feature = "client")]
    pub(crate) fn upload(&self) -> Upload {
        Upload {
            shared: Arc::clone(&self.shared),
            epoch: self.epoch,
        }
    }
}

impl Drop for AttemptBody {
    fn drop(&mut self) {
        let let_go = self.shared.lock().let_go(self.epoch);
        if let Some(let_go) = let_go {
            let_go.follow();
            self.shared.changed.notify_waiters();
        }
    }
}

impl fmt::Debug for AttemptBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptBody")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Gate {
    pub(super) fn new(shared: Arc<Shared>, epoch: u64) -> Self {
        Self { shared, epoch }
    }

    pub(crate) fn open(&self) {
        self.shared.open_gate(Some(self.epoch));
    }
}

#[cfg(feature = "client")]
impl Upload {
    /// Does `then` when all has been given: now, if it has. Dropped undone if the upload ends in any other way.
    pub(crate) fn when_sent(self, then: impl FnOnce() + Send + 'static) {
        let now = self.shared.lock().when_sent(self.epoch, Box::new(then));
        if let Some(then) = now {
            then();
        }
    }
}

/// What an attempt reads once another one has the body.
#[derive(Debug)]
pub(super) struct TakenOver;

impl fmt::Display for TakenOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body was taken over by another attempt")
    }
}

impl std::error::Error for TakenOver {}
