//! What the operator reads. No secrets, no full SIDs, no text of a stranger's choosing.

use std::{
    fmt::Display,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::time::Instant;

use super::{NotVerified, NotVerifiedKind, VerifiedCaller};
use crate::csc::Sid;

/// Refused callers, event 45. A stranger can cause one with every request, so a warning is given once a second at
/// most, with the number of those kept back; each is there at debug level.
#[derive(Debug)]
pub(super) struct CallerLog {
    start: Instant,
    /// Second of the last warning, counted from `start` and one up; zero before the first.
    last: AtomicU64,
    kept_back: AtomicU64,
}

impl CallerLog {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            kept_back: AtomicU64::new(0),
        }
    }

    pub(super) fn not_verified(&self, why: &NotVerified) {
        // Part of every SPNEGO handshake.
        if why.kind() == NotVerifiedKind::Challenge {
            tracing::trace!(reason = %why, "caller challenged");
            return;
        }
        match self.may_warn() {
            Some(kept_back) => {
                tracing::warn!(event_id = 45, reason = %why, kept_back, "failed to verify the calling CAS");
            }
            None => {
                tracing::debug!(event_id = 45, reason = %why, "failed to verify the calling CAS")
            }
        }
    }

    fn may_warn(&self) -> Option<u64> {
        let second = self.start.elapsed().as_secs() + 1;
        if self.last.swap(second, Ordering::Relaxed) == second {
            self.kept_back.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.kept_back.swap(0, Ordering::Relaxed))
    }
}

pub(super) fn login_accepted(caller: &VerifiedCaller, user: &Sid, sids: usize) {
    tracing::debug!(caller = caller.name(), ?user, sids, "proxy login accepted");
}

pub(super) fn login_failed(caller: &VerifiedCaller, user: &Sid, why: impl Display) {
    tracing::warn!(caller = caller.name(), ?user, reason = %why, "failed to take a proxy login");
}

pub(super) fn too_many_sids(caller: &VerifiedCaller, user: &Sid, why: impl Display) {
    tracing::warn!(event_id = 44, caller = caller.name(), ?user, reason = %why, "failed to take a proxy login");
}

pub(super) fn body_not_signed(caller: &VerifiedCaller, user: &Sid) {
    let reason = "body is not the one the caller signed";
    tracing::warn!(
        event_id = 45,
        caller = caller.name(),
        ?user,
        reason,
        "failed to take a proxy login"
    );
}

pub(super) fn malformed(caller: &VerifiedCaller, why: impl Display) {
    tracing::warn!(caller = caller.name(), reason = %why, "failed to read a proxied request");
}

pub(super) fn need_identity(caller: &VerifiedCaller, user: &Sid) {
    tracing::debug!(
        caller = caller.name(),
        ?user,
        "no context held, asking for the login"
    );
}

pub(super) fn no_version() {
    tracing::warn!("failed to answer a ping: no version is set on SecondCasLayer");
}

pub(super) fn misplaced() {
    tracing::error!("SecondCasLayer must be outside CasProxyLayer");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_warning_a_second_with_the_number_kept_back() {
        let log = CallerLog::new();
        assert_eq!(log.may_warn(), Some(0));
        assert_eq!(log.may_warn(), None);
        assert_eq!(log.may_warn(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(log.may_warn(), Some(2));
        assert_eq!(log.may_warn(), None);
    }
}
