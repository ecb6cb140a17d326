//! One server: its ticket, used by one call of the library at a time.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{
    TicketError,
    gss::{Account, Handshake},
    lock,
};

/// One server. A call that the KDC keeps waiting holds the others of its lane up, and no other lane.
pub(crate) struct Lane {
    service: Arc<str>,
    asking: Arc<Semaphore>,
    held: Arc<AsyncMutex<Held>>,
    /// Since when a call has been under way.
    busy: Mutex<Option<Instant>>,
}

/// What is left of the last call.
enum Held {
    Nothing,
    Account(Account),
    Failure(TicketError, Instant),
}

/// A token, and what is needed to judge the answer to it.
pub(crate) type Token = (Handshake, Vec<u8>);

impl Lane {
    pub(super) fn new(service: &str, asking: Arc<Semaphore>) -> Self {
        Self {
            service: service.into(),
            asking,
            held: Arc::new(AsyncMutex::new(Held::Nothing)),
            busy: Mutex::default(),
        }
    }

    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// A token for one request; with a channel binding, for one connection.
    pub(crate) async fn token(
        self: &Arc<Self>,
        account: Option<Arc<str>>,
        binding: Option<Arc<[u8]>>,
        timeout: Duration,
    ) -> Result<Token, TicketError> {
        let deadline = Instant::now() + timeout;
        let silent = || TicketError::silent(&self.service, timeout);
        // Whoever comes when others have given up waiting need not wait.
        let stuck = |since: Instant| since.elapsed() >= timeout;
        if lock(&self.busy).is_some_and(stuck) {
            return Err(silent());
        }
        let in_time = async {
            let mut held = Arc::clone(&self.held).lock_owned().await;
            // With the ticket at hand this takes a tenth of a millisecond.
            if let Held::Account(known) = std::mem::replace(&mut *held, Held::Nothing) {
                let (back, token) = self.call(held, known, binding.clone(), None).await?;
                if token.is_ok() {
                    return token;
                }
                // Most likely it has expired: that is no failure yet.
                held = back;
                *held = Held::Nothing;
            }
            if let Held::Failure(error, at) = &*held
                && at.elapsed() < FAILURE_KEPT
            {
                return Err(error.clone());
            }
            let turn = Arc::clone(&self.asking).acquire_owned().await.ok();
            let fresh = Account::new(account);
            self.call(held, fresh, binding, turn).await?.1
        };
        timeout_at(deadline, in_time)
            .await
            .unwrap_or_else(|_| Err(silent()))
    }

    /// Calls the library, and goes on doing so when nobody waits for the outcome any more: the lane stays taken.
    async fn call(
        self: &Arc<Self>,
        mut held: OwnedMutexGuard<Held>,
        mut account: Account,
        binding: Option<Arc<[u8]>>,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<(OwnedMutexGuard<Held>, Result<Token, TicketError>), TicketError> {
        let lane = Arc::clone(self);
        *lock(&lane.busy) = Some(Instant::now());
        let called = spawn_blocking(move || {
            let _turn = turn;
            let _busy = Busy(&lane.busy);
            let token = account.token(&lane.service, binding.as_deref());
            *held = match &token {
                Ok(_) => Held::Account(account),
                Err(error) => Held::Failure(error.clone(), Instant::now()),
            };
            (held, token)
        });
        called.await.map_err(|_| TicketError::abandoned())
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lane").field(&self.service).finish()
    }
}

/// Ends with the call.
struct Busy<'b>(&'b Mutex<Option<Instant>>);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        *lock(self.0) = None;
    }
}

const FAILURE_KEPT: Duration = Duration::from_secs(1);
