//! Keeps the topology young.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{DirectoryError, DirectoryErrorKind, Shared, TopologyAge, log, snapshot::Snapshot};
use crate::clock::give_or_take;

/// How the refreshing stands.
pub(super) struct Refreshed {
    /// When the reading began that the topology is of.
    at: Instant,
    failing_since: Option<Instant>,
    attempted: Option<Instant>,
    findings: HashSet<(Option<u16>, String)>,
}

impl Refreshed {
    pub(super) fn never() -> Self {
        Self {
            at: Instant::now(),
            failing_since: None,
            attempted: None,
            findings: HashSet::new(),
        }
    }
}

impl Shared {
    pub(super) async fn refresh(&self) -> Result<(), DirectoryError> {
        let asked = Instant::now();
        let _turn = self.turn.lock().await;
        let done = {
            let refreshed = self.refreshed();
            // Begun since, and successful.
            refreshed.failing_since.is_none() && refreshed.attempted.is_some_and(|at| at > asked)
        };
        if done {
            return Ok(());
        }
        let begun = Instant::now();
        self.refreshed().attempted = Some(begun);
        let read = self.read().await;
        let mut refreshed = self.refreshed();
        match read {
            Ok(snapshot) => {
                refreshed.at = begun;
                refreshed.failing_since = None;
                let findings = snapshot.findings(self.here.as_ref()).into_iter().collect();
                let before = std::mem::replace(&mut refreshed.findings, findings);
                for (event, finding) in refreshed.findings.difference(&before) {
                    log::found(*event, finding);
                }
                for (_, finding) in before.difference(&refreshed.findings) {
                    log::mended(finding);
                }
                self.snapshot.store(Arc::new(snapshot));
                Ok(())
            }
            Err(error) => {
                refreshed.failing_since.get_or_insert(begun);
                Err(error)
            }
        }
    }

    /// For a server that is not in the topology: at most every half a minute.
    pub(super) async fn refresh_for_a_stranger(&self) -> Result<(), DirectoryError> {
        let attempted = self.refreshed().attempted;
        if attempted.is_some_and(|at| at.elapsed() < PAUSE_FOR_STRANGERS) {
            return Ok(());
        }
        self.refresh().await
    }

    pub(super) fn topology_age(&self) -> TopologyAge {
        let refreshed = self.refreshed();
        TopologyAge {
            age: refreshed.at.elapsed(),
            failing_for: refreshed.failing_since.map(|since| since.elapsed()),
        }
    }

    async fn read(&self) -> Result<Snapshot, DirectoryError> {
        let settings = self.pool.settings();
        let searches = Snapshot::searches(settings.max_servers);
        let found = self
            .pool
            .search(&searches, settings.refresh_time_limit)
            .await?;
        match found.as_slice() {
            // An account that may see nothing must not end the service of everyone.
            [servers, directories, domains] if !servers.is_empty() => {
                Ok(Snapshot::assemble(servers, directories, domains))
            }
            _ => Err(DirectoryError::general(DirectoryErrorKind::Malformed)
                .because("the bind account sees no Exchange server")),
        }
    }

    fn refreshed(&self) -> MutexGuard<'_, Refreshed> {
        self.refreshed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the topology at intervals; ends when dropped.
pub(super) struct Task(JoinHandle<()>);

impl Task {
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let weak = Arc::downgrade(shared);
        let interval = shared.pool.settings().refresh;
        Self(tokio::spawn(async move {
            let dice = RandomState::new();
            let mut failures = 0;
            loop {
                sleep(next(interval, failures, dice.hash_one(Instant::now()))).await;
                let Some(shared) = weak.upgrade() else { return };
                match shared.refresh().await {
                    Ok(()) => failures = 0,
                    Err(error) => {
                        failures += 1;
                        log::not_refreshed(&error, shared.topology_age().age);
                    }
                }
            }
        }))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long until the next reading: sooner after a failure, and then slower again. By a throw of the dice 10 % more or
/// less, so that servers that were started together do not ask together for ever.
fn next(interval: Duration, failures: u32, throw: u64) -> Duration {
    let span = match failures.checked_sub(1) {
        None => interval,
        Some(failures) => FIRST_RETRY
            .saturating_mul(2u32.saturating_pow(failures))
            .min(interval),
    };
    give_or_take(span, throw)
}

const FIRST_RETRY: Duration = Duration::from_secs(5);
const PAUSE_FOR_STRANGERS: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_reading_is_repeated_sooner() {
        let seconds = |failures| next(Duration::from_secs(60), failures, EVEN).as_secs();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, u32::MAX].map(seconds),
            [60, 5, 10, 20, 40, 60, 60]
        );
        assert_eq!(
            next(Duration::from_secs(1), 1, EVEN),
            Duration::from_secs(1)
        );
    }

    #[test]
    fn readings_of_many_servers_spread_over_a_fifth_of_the_interval() {
        let dice = RandomState::new();
        for (failures, seconds) in [(0, 60), (1, 5), (2, 10), (u32::MAX, 60)] {
            let waits: Vec<_> = (0..1_000)
                .map(|server: u64| next(Duration::from_secs(60), failures, dice.hash_one(server)))
                .collect();
            let tenth = Duration::from_millis(100 * seconds);
            let bounds =
                Duration::from_secs(seconds) - tenth..=Duration::from_secs(seconds) + tenth;
            assert!(waits.iter().all(|wait| bounds.contains(wait)), "{dice:?}");
            let (earliest, latest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*latest - *earliest > tenth, "{earliest:?} to {latest:?}");
        }
    }

    /// Neither more nor less.
    const EVEN: u64 = 100;
}
