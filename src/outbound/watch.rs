//! Time-outs of an attempt up to its first byte of answer, by phase.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::replay::Replay;
use crate::clock::later;

/// The waits of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// For `100 Continue`, before the body is sent all the same.
    pub(crate) gate: Duration,
    /// For the answer's head, from the end of the upload.
    pub(crate) response_head: Duration,
    /// A window in which an upload must move at least `min_bytes`.
    pub(crate) idle: Duration,
    pub(crate) min_bytes: u64,
}

/// What a watch found when nothing moved any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stalled {
    /// The client sends no more of its body.
    Client,
    /// The second hop reads no more of it.
    Upload,
    /// Everything was sent, and no answer came.
    Answer,
}

/// Waits until an attempt without a body has stalled.
pub(crate) async fn no_answer(response_head: Duration) -> Stalled {
    sleep_until(later(Instant::now(), response_head)).await;
    Stalled::Answer
}

/// Waits until the attempt has stalled. Opens the gate of a gated body when its time is up, telling `ungated`.
///
/// Takes no part in the attempt otherwise: drop it when the answer is there.
pub(crate) async fn watch(body: &Replay, waits: Waits, ungated: impl FnOnce()) -> Stalled {
    if body.progress().gated {
        let deadline = later(Instant::now(), waits.gate);
        let is_over = |body: &Replay| !body.progress().gated || body.progress().ended.is_some();
        let opened = wait_for(body, deadline, is_over).await;
        if !opened {
            body.open_gate();
            ungated();
        }
    }
    match uploaded(body, waits).await {
        Ok(ended) => {
            sleep_until(later(ended, waits.response_head)).await;
            Stalled::Answer
        }
        Err(stalled) => stalled,
    }
}

/// Waits until the upload has ended, or moves too slowly to go on.
pub(crate) async fn uploaded(body: &Replay, waits: Waits) -> Result<Instant, Stalled> {
    loop {
        let before = body.progress();
        if let Some(ended) = before.ended {
            return Ok(ended);
        }
        let deadline = later(Instant::now(), waits.idle);
        if wait_for(body, deadline, |body| body.progress().ended.is_some()).await {
            continue;
        }
        let now = body.progress();
        if now.given.saturating_sub(before.given) < waits.min_bytes {
            return Err(if now.starving {
                Stalled::Client
            } else {
                Stalled::Upload
            });
        }
    }
}

/// Waits until `done`, at most until `deadline`; says whether it came to be.
async fn wait_for(body: &Replay, deadline: Instant, done: impl Fn(&Replay) -> bool) -> bool {
    loop {
        // Registered before the look, or a change in between would be missed.
        let mut changed = std::pin::pin!(body.changed());
        changed.as_mut().enable();
        if done(body) {
            return true;
        }
        if timeout_at(deadline, changed).await.is_err() {
            return done(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_wait_is_too_long() {
        let watching = tokio::time::timeout(Duration::ZERO, no_answer(Duration::MAX));
        watching.await.unwrap_err();
    }
}
