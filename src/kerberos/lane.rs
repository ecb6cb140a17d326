//! One server: its ticket, used by one call of the library at a time.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use libgssapi::credential::Cred;
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{
    TicketError,
    gss::{self, Handshake},
    lock,
    wallet::Wallet,
};
use crate::clock::later;

/// One server. A call that the KDC keeps waiting holds the others of its lane up, and no other lane.
pub(crate) struct Lane {
    service: Arc<str>,
    wallet: Arc<Wallet>,
    held: Arc<AsyncMutex<Held>>,
    /// Since when a call has been under way.
    busy: Mutex<Option<Instant>>,
}

/// What is left of the last call.
enum Held {
    Nothing,
    /// A handle for the tickets in the cache, and of which generation they are.
    Ticket(Cred, u64),
    Failure(TicketError, Instant),
}

/// A token, and what is needed to judge the answer to it.
pub(crate) type Token = (Handshake, Vec<u8>);

impl Lane {
    pub(super) fn new(service: &str, wallet: Arc<Wallet>) -> Self {
        Self {
            service: service.into(),
            wallet,
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
        let deadline = later(Instant::now(), timeout);
        let silent = || TicketError::silent(&self.service, timeout);
        // Whoever comes when others have given up waiting need not wait.
        let stuck = |since: Instant| since.elapsed() >= timeout;
        if lock(&self.busy).is_some_and(stuck) {
            return Err(silent());
        }
        let in_time = async {
            let mut held = Arc::clone(&self.held).lock_owned().await;
            // With the ticket at hand this takes a tenth of a millisecond.
            if let Held::Ticket(tickets, generation) = &*held
                && *generation == self.wallet.generation()
            {
                let known = Some(tickets.clone());
                let (back, token) = self
                    .call(held, account.clone(), known, binding.clone())
                    .await?;
                if token.is_ok() {
                    self.wallet.renew_in_time(account);
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
            self.call(held, account, None, binding).await?.1
        };
        timeout_at(deadline, in_time)
            .await
            .unwrap_or_else(|_| Err(silent()))
    }

    /// Calls the library, and goes on doing so when nobody waits for the outcome any more: the lane stays taken.
    async fn call(
        self: &Arc<Self>,
        mut held: OwnedMutexGuard<Held>,
        account: Option<Arc<str>>,
        known: Option<Cred>,
        binding: Option<Arc<[u8]>>,
    ) -> Result<(OwnedMutexGuard<Held>, Result<Token, TicketError>), TicketError> {
        // Without a handle that served before, it may have to go to the KDC. After a renewal as well: the ticket of this
        // server may be one of those that were not renewed.
        let turn = match known {
            Some(_) => None,
            None => self.wallet.asking().acquire_owned().await.ok(),
        };
        let lane = Arc::clone(self);
        *lock(&lane.busy) = Some(Instant::now());
        let called = spawn_blocking(move || {
            let _turn = turn;
            let _busy = Busy(&lane.busy);
            let (now, token) = lane.ask(account.as_deref(), known, binding.as_deref());
            *held = now;
            (held, token)
        });
        called.await.map_err(|_| TicketError::abandoned())
    }

    fn ask(
        &self,
        account: Option<&str>,
        known: Option<Cred>,
        binding: Option<&[u8]>,
    ) -> (Held, Result<Token, TicketError>) {
        let generation = self.wallet.generation();
        let is_known = known.is_some();
        let asked = known
            .map_or_else(|| gss::acquire(account), Ok)
            .map_err(|error| TicketError::from_library(&self.service, error))
            .and_then(|tickets| {
                let token = gss::token(tickets.clone(), &self.service, binding)?;
                Ok((tickets, token))
            });
        match asked {
            Ok((tickets, token)) => {
                if !is_known {
                    self.wallet.got(&tickets, &self.service);
                }
                (Held::Ticket(tickets, generation), Ok(token))
            }
            Err(error) => (Held::Failure(error.clone(), Instant::now()), Err(error)),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn without_a_handle_of_this_generation_a_call_waits_for_its_turn() {
        let wallet = Arc::new(Wallet::new());
        let lane = Arc::new(Lane::new("HTTP/dallas.corp", Arc::clone(&wallet)));
        let all = wallet.asking().available_permits();
        let turns = wallet.asking().acquire_many_owned(all.try_into().unwrap());
        let turns = turns.await.unwrap();
        let call = async || {
            let held = Arc::clone(&lane.held).lock_owned().await;
            let called = lane.call(held, None, None, None).await;
            called.is_ok()
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), call()).await;
        assert!(waited.is_err(), "the library was called out of turn");
        assert!(lock(&lane.busy).is_none());
        // However long somebody would wait.
        let patient = lane.token(None, None, Duration::MAX);
        let waited = tokio::time::timeout(Duration::from_secs(60), patient).await;
        assert!(waited.is_err(), "the library was called out of turn");
        drop(turns);
        // What the library says depends on where this runs.
        assert!(call().await);
        assert_eq!(wallet.asking().available_permits(), all);
    }
}
