//! One proxy login for a user and a second CAS, however many requests ask for it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use quick_cache::sync::Cache;
use tokio::{sync::watch, time::Instant};

use super::failure::Refused;
use crate::{csc::Sid, directory::ServerName, outbound::Tasks};

/// Logins under way, and those known to have succeeded.
#[derive(Debug)]
pub(super) struct Logins {
    /// Counts successes, so that a 441 can be told to be older than a login.
    generation: AtomicU64,
    flights: Mutex<HashMap<Key, Flight>>,
    known: Cache<Key, Known>,
    tasks: Tasks,
}

/// How a login ended, for everyone who waited for it.
#[derive(Clone, Debug)]
pub(super) enum LoginOutcome {
    /// 241. The session cookies are for the replay and for the browser.
    Accepted(Cookies),
    /// 442.
    NeedLanguage,
    /// This candidate could not do it, the next one may.
    Unreachable(Refused),
    /// The end, for this user.
    Refused(Refused),
}

/// `Set-Cookie` values of a login's answer.
pub(super) type Cookies = Arc<[HeaderValue]>;

/// The moment a request was sent, counted in logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Generation(u64);

type Key = (ServerName, Sid);
type Flight = watch::Receiver<Option<LoginOutcome>>;

#[derive(Clone, Debug)]
struct Known {
    generation: Generation,
    at: Instant,
    cookies: Cookies,
}

impl Logins {
    pub(super) fn new(remembered: usize, tasks: Tasks) -> Self {
        Self {
            generation: AtomicU64::new(0),
            flights: Mutex::default(),
            known: Cache::new(remembered),
            tasks,
        }
    }

    /// To be read before a request is sent.
    pub(super) fn now(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Whether a login younger than `age` is known.
    pub(super) fn is_known(&self, server: &ServerName, user: &Sid, age: Duration) -> bool {
        self.known
            .get(&(server.clone(), *user))
            .is_some_and(|known| known.at.elapsed() < age)
    }

    /// Waits for the one login after `sent`: that which has happened since, that which is under way, or a new
    /// one, which `log_in` performs in a task of its own and which outlives its first caller.
    pub(super) async fn after<F>(
        self: &Arc<Self>,
        sent: Generation,
        server: &ServerName,
        user: &Sid,
        log_in: impl FnOnce() -> F,
    ) -> LoginOutcome
    where
        F: Future<Output = LoginOutcome> + Send + 'static,
    {
        let key = (server.clone(), *user);
        let mut flight = {
            let mut flights = lock(&self.flights);
            if let Some(flight) = flights.get(&key) {
                flight.clone()
            } else if let Some(known) = self.known.get(&key)
                && known.generation > sent
            {
                return LoginOutcome::Accepted(known.cookies);
            } else {
                let (landed, flight) = watch::channel(None);
                flights.insert(key.clone(), flight.clone());
                // A runtime that shuts down drops the task at once, and dropping a landing takes this lock.
                drop(flights);
                let landing = Landing::new(self, key);
                // Boxed, for it is large, and would be copied by everything it passes through.
                let login = Box::pin(log_in());
                self.tasks.spawn(landing.fly(landed, login));
                flight
            }
        };
        match flight.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone(),
            Err(_) => None,
        }
        // The task died: with the runtime, at the end of draining, or of a panic.
        .unwrap_or_else(|| LoginOutcome::Refused(Refused::login_abandoned(server)))
    }
}

/// Clears its flight when its task ends, or every later request would wait for it in vain.
struct Landing {
    logins: Arc<Logins>,
    /// None once it is cleared: then there may be another.
    key: Option<Key>,
}

impl Landing {
    fn new(logins: &Arc<Logins>, key: Key) -> Self {
        Self {
            logins: Arc::clone(logins),
            key: Some(key),
        }
    }

    async fn fly<F>(mut self, landed: watch::Sender<Option<LoginOutcome>>, login: F)
    where
        F: Future<Output = LoginOutcome>,
    {
        if let Some(key) = &self.key {
            // Whatever was known has just been contradicted by a 441, or has expired.
            self.logins.known.remove(key);
        }
        let outcome = login.await;
        self.land(&outcome);
        landed.send_replace(Some(outcome));
    }

    fn land(&mut self, outcome: &LoginOutcome) {
        let Some(key) = self.key.take() else { return };
        let mut flights = lock(&self.logins.flights);
        flights.remove(&key);
        // One with more cookies than that is not remembered, which costs a login at the next 441 that comes late.
        if let LoginOutcome::Accepted(cookies) = outcome
            && cookies.iter().map(HeaderValue::len).sum::<usize>() <= REMEMBERED_COOKIES
        {
            let generation = self.logins.generation.fetch_add(1, Ordering::AcqRel) + 1;
            let known = Known {
                generation: Generation(generation),
                at: Instant::now(),
                cookies: Arc::clone(cookies),
            };
            self.logins.known.insert(key, known);
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            lock(&self.logins.flights).remove(key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of session cookies that are kept with a login that is known.
const REMEMBERED_COOKIES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn dallas() -> ServerName {
        ServerName::new("dallas").unwrap()
    }

    fn anna() -> Sid {
        "S-1-5-21-1-2-3-1105".parse().unwrap()
    }

    fn accepted() -> LoginOutcome {
        LoginOutcome::Accepted(Arc::from([]))
    }

    //= src/docs/protocol.md#login-twice
    #[tokio::test(start_paused = true)]
    async fn a_thousand_requests_share_one_login_and_the_first_may_leave() {
        let (logins, started) = (
            Arc::new(Logins::new(10, Tasks::new())),
            Arc::new(AtomicUsize::new(0)),
        );
        let sent = logins.now();
        let ask = |logins: Arc<Logins>, started: Arc<AtomicUsize>| async move {
            logins
                .after(sent, &dallas(), &anna(), || {
                    started.fetch_add(1, Ordering::Relaxed);
                    async {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        accepted()
                    }
                })
                .await
        };
        let leader = tokio::spawn(ask(Arc::clone(&logins), Arc::clone(&started)));
        tokio::task::yield_now().await;
        let others: Vec<_> = (0..999)
            .map(|_| tokio::spawn(ask(Arc::clone(&logins), Arc::clone(&started))))
            .collect();
        tokio::task::yield_now().await;
        leader.abort();
        for other in others {
            assert!(matches!(other.await.unwrap(), LoginOutcome::Accepted(_)));
        }
        // A 441 to a request sent before that login comes late.
        assert!(matches!(
            ask(Arc::clone(&logins), Arc::clone(&started)).await,
            LoginOutcome::Accepted(_)
        ));
        assert_eq!(started.load(Ordering::Relaxed), 1);
        // One sent after it does not: the context has been lost.
        logins
            .after(logins.now(), &dallas(), &anna(), || {
                started.fetch_add(1, Ordering::Relaxed);
                async { accepted() }
            })
            .await;
        assert_eq!(started.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_is_known_until_it_is_too_old() {
        let logins = Arc::new(Logins::new(10, Tasks::new()));
        let half_an_hour = Duration::from_secs(1800);
        assert!(!logins.is_known(&dallas(), &anna(), half_an_hour));
        logins
            .after(logins.now(), &dallas(), &anna(), || async { accepted() })
            .await;
        assert!(logins.is_known(&dallas(), &anna(), half_an_hour));
        tokio::time::advance(half_an_hour).await;
        assert!(!logins.is_known(&dallas(), &anna(), half_an_hour));
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_with_too_many_cookies_counts_for_those_who_waited_and_is_not_remembered() {
        let logins = Arc::new(Logins::new(10, Tasks::new()));
        for (length, remembered) in [(2048, true), (2049, false)] {
            let cookie = HeaderValue::from_bytes(&vec![b'a'; length]).unwrap();
            let cookies: Cookies = Arc::from([cookie.clone(), cookie]);
            let given = logins
                .after(logins.now(), &dallas(), &anna(), || async {
                    LoginOutcome::Accepted(cookies)
                })
                .await;
            assert!(matches!(given, LoginOutcome::Accepted(given) if given.len() == 2));
            let known = logins.is_known(&dallas(), &anna(), Duration::from_secs(1));
            assert_eq!(known, remembered);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_fails_or_panics_makes_room_for_another() {
        let logins = Arc::new(Logins::new(10, Tasks::new()));
        let sent = logins.now();
        let refused = || LoginOutcome::Refused(Refused::internal("no"));
        let outcome = logins
            .after(sent, &dallas(), &anna(), || async move { refused() })
            .await;
        assert!(matches!(outcome, LoginOutcome::Refused(_)));
        let outcome = logins
            .after(sent, &dallas(), &anna(), || async {
                if true {
                    panic!("expected by this test");
                }
                accepted()
            })
            .await;
        assert!(matches!(outcome, LoginOutcome::Refused(_)));
        let outcome = logins
            .after(sent, &dallas(), &anna(), || async { accepted() })
            .await;
        assert!(matches!(outcome, LoginOutcome::Accepted(_)));
    }
}
