//! Which servers are left alone for a while, and what is remembered of each.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::{
    clock::give_or_take,
    directory::{ByName, ServerName},
};

/// What is known of every server that was ever chosen.
#[derive(Debug)]
pub(crate) struct Health {
    servers: RwLock<ByName<ServerName, Arc<ServerState>>>,
    max_in_flight: usize,
    max_logins: usize,
}

/// What is known of one server.
#[derive(Debug)]
pub(crate) struct ServerState {
    inner: Mutex<Inner>,
    in_flight: Arc<Semaphore>,
    logins: Semaphore,
}

#[derive(Debug, Default)]
struct Inner {
    failures_in_a_row: u32,
    rests: u32,
    rest_until: Option<Instant>,
    /// A request that tries a rested server is on its way.
    trying: bool,
    passed_without_continue: u32,
    no_continue_until: Option<Instant>,
}

/// Permission to use a server. Dropped without a verdict, it leaves the server's health as it was.
#[derive(Debug)]
pub(crate) struct Turn {
    state: Arc<ServerState>,
    trying: bool,
}

impl Health {
    pub(crate) fn new(max_in_flight: usize, max_logins: usize) -> Self {
        Self {
            servers: RwLock::default(),
            max_in_flight,
            max_logins,
        }
    }

    pub(crate) fn of(&self, name: &ServerName) -> Arc<ServerState> {
        let known = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = known.get(name) {
            return Arc::clone(state);
        }
        drop(known);
        let mut servers = self.servers.write().unwrap_or_else(PoisonError::into_inner);
        let state = servers.entry(name.clone()).or_insert_with(|| {
            Arc::new(ServerState {
                inner: Mutex::default(),
                in_flight: Arc::new(Semaphore::new(
                    self.max_in_flight.min(Semaphore::MAX_PERMITS),
                )),
                logins: Semaphore::new(self.max_logins.min(Semaphore::MAX_PERMITS)),
            })
        });
        Arc::clone(state)
    }
}

impl ServerState {
    /// A turn, unless the server rests. After its rest, one request at a time may try it.
    pub(crate) fn turn(self: &Arc<Self>) -> Option<Turn> {
        let mut inner = lock(&self.inner);
        let trying = match inner.rest_until {
            None => false,
            Some(until) if Instant::now() < until || inner.trying => return None,
            Some(_) => true,
        };
        inner.trying = trying;
        drop(inner);
        Some(self.granted(trying))
    }

    /// A turn whatever the server's health: there is no better one.
    pub(crate) fn turn_anyway(self: &Arc<Self>) -> Turn {
        self.granted(false)
    }

    fn granted(self: &Arc<Self>, trying: bool) -> Turn {
        Turn {
            state: Arc::clone(self),
            trying,
        }
    }

    /// A place among the requests in flight, unless all are taken.
    pub(crate) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.in_flight).try_acquire_owned().ok()
    }

    /// Waits for a turn to log somebody in. `None` can't happen: nobody closes the semaphore.
    pub(crate) async fn login_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.logins.acquire().await.ok()
    }

    /// Whether the server may be asked for `100 Continue`.
    pub(crate) fn may_say_continue(&self) -> bool {
        let mut inner = lock(&self.inner);
        match inner.no_continue_until {
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                inner.no_continue_until = None;
                inner.passed_without_continue = 0;
                true
            }
            None => true,
        }
    }

    /// The server let the time for `100 Continue` pass; the second time it counts as one that never says it.
    pub(crate) fn passed_without_continue(&self) {
        let mut inner = lock(&self.inner);
        inner.passed_without_continue += 1;
        if inner.passed_without_continue >= 2 {
            inner.no_continue_until = Some(Instant::now() + NO_CONTINUE);
        }
    }

    /// The server said `100 Continue`.
    pub(crate) fn said_continue(&self) {
        lock(&self.inner).passed_without_continue = 0;
    }

    /// The server can't say `100 Continue`: it answered 417, or speaks HTTP/2.
    pub(crate) fn never_says_continue(&self) {
        lock(&self.inner).no_continue_until = Some(Instant::now() + NO_CONTINUE);
    }
}

impl Turn {
    /// The server whose turn it is.
    pub(crate) fn state(&self) -> Arc<ServerState> {
        Arc::clone(&self.state)
    }

    /// An answer came, of any status.
    pub(crate) fn answered(&self) {
        let mut inner = lock(&self.state.inner);
        inner.failures_in_a_row = 0;
        inner.rests = 0;
        inner.rest_until = None;
    }

    /// No connection, no answer, or none in time. The second failure in a row sends the server to rest.
    pub(crate) fn failed(&self) {
        let mut inner = lock(&self.state.inner);
        if inner.rest_until.is_some_and(|until| Instant::now() < until) {
            // A request that was under way before: the server rests already.
            return;
        }
        inner.failures_in_a_row += 1;
        if inner.failures_in_a_row >= FAILURES_TO_REST {
            let rest = FIRST_REST
                .saturating_mul(1 << inner.rests.min(16))
                .min(LONGEST_REST);
            inner.rests += 1;
            inner.rest_until = Some(Instant::now() + give_or_take(rest, throw()));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.trying {
            lock(&self.state.inner).trying = false;
        }
    }
}

/// So that many first CASs don't come back in step. A fresh hasher's key is random: enough for that.
fn throw() -> u64 {
    RandomState::new().hash_one(0_u8)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const FAILURES_TO_REST: u32 = 2;
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);
const NO_CONTINUE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> Arc<ServerState> {
        Health::new(2, 2).of(&ServerName::new("dallas").unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn two_failures_in_a_row_rest_a_server_and_one_request_tries_it() {
        let dallas = state();
        dallas.turn().unwrap().failed();
        dallas.turn().unwrap().answered();
        dallas.turn().unwrap().failed();
        assert!(dallas.turn().is_some(), "one failure is no pattern");
        dallas.turn().unwrap().failed();
        assert!(dallas.turn().is_none(), "rests");
        tokio::time::advance(Duration::from_millis(899)).await;
        assert!(dallas.turn().is_none(), "for 1 s, less 10 %");
        tokio::time::advance(Duration::from_millis(202)).await;
        let trying = dallas.turn().unwrap();
        assert!(dallas.turn().is_none(), "one at a time");
        trying.failed();
        drop(trying);
        tokio::time::advance(Duration::from_millis(1799)).await;
        assert!(dallas.turn().is_none(), "twice as long");
        tokio::time::advance(Duration::from_millis(402)).await;
        let cancelled = dallas.turn().unwrap();
        drop(cancelled);
        let trying = dallas.turn().unwrap();
        trying.answered();
        drop(trying);
        assert!(dallas.turn().is_some() && dallas.turn().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_never_longer_than_half_a_minute() {
        let dallas = state();
        for _ in 0..100 {
            dallas.turn_anyway().failed();
            tokio::time::advance(LONGEST_REST + LONGEST_REST / 10).await;
            assert!(dallas.turn().is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_passes_twice_is_not_asked_to_continue_for_ten_minutes() {
        let dallas = state();
        dallas.passed_without_continue();
        dallas.said_continue();
        dallas.passed_without_continue();
        assert!(dallas.may_say_continue());
        dallas.passed_without_continue();
        assert!(!dallas.may_say_continue());
        tokio::time::advance(NO_CONTINUE).await;
        assert!(dallas.may_say_continue());
    }

    #[test]
    fn no_limit_is_too_large() {
        let dallas = Health::new(usize::MAX, usize::MAX).of(&ServerName::new("dallas").unwrap());
        assert!(dallas.enter().is_some());
    }

    #[test]
    fn places_in_flight_are_bounded_and_come_back() {
        let dallas = state();
        let (first, second) = (dallas.enter(), dallas.enter());
        assert!(first.is_some() && second.is_some() && dallas.enter().is_none());
        drop(first);
        assert!(dallas.enter().is_some());
    }
}
