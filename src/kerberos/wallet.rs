//! When the account's own tickets are to be renewed: before they expire, and once for all servers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use libgssapi::{credential::Cred, error::Error};
use tokio::{sync::Semaphore, task::spawn_blocking, time::Instant};

use super::{gss, lock};

/// What is shared by all servers, beside the cache that the library keeps the tickets in.
pub(super) struct Wallet {
    /// Calls that may have to go to the KDC.
    asking: Arc<Semaphore>,
    renewal: Mutex<Renewal>,
}

#[derive(Default)]
struct Renewal {
    /// How often it has been done.
    done: u64,
    /// When half of the tickets' life is over. `None` before there are any, and while they are renewed.
    at: Option<Instant>,
    /// Whose tickets are renewed along with the account's own.
    services: Vec<Arc<str>>,
}

impl Wallet {
    pub(super) fn new() -> Self {
        Self {
            asking: Arc::new(Semaphore::new(CALLS_THAT_ASK)),
            renewal: Mutex::default(),
        }
    }

    pub(super) fn asking(&self) -> Arc<Semaphore> {
        Arc::clone(&self.asking)
    }

    /// Changes whenever tickets were renewed: handles taken before are for the old ones.
    pub(super) fn generation(&self) -> u64 {
        lock(&self.renewal).done
    }

    /// A ticket for `service` was got with these.
    pub(super) fn got(&self, tickets: &Cred, service: &Arc<str>) {
        let at = half_of_life(tickets);
        let mut renewal = lock(&self.renewal);
        renewal.at = at;
        if !renewal.services.contains(service) {
            renewal.services.push(Arc::clone(service));
        }
    }

    /// Renews all tickets, in the background and once, if half of their life is over. The old ones serve meanwhile: a
    /// KDC that is away or silent is noticed by nobody.
    pub(super) fn renew_in_time(self: &Arc<Self>, account: Option<Arc<str>>) {
        let services = {
            let mut renewal = lock(&self.renewal);
            if renewal.at.is_none_or(|at| Instant::now() < at) {
                return;
            }
            renewal.at = None;
            renewal.services.clone()
        };
        let turn = self.asking().try_acquire_owned();
        let wallet = Arc::clone(self);
        spawn_blocking(move || {
            let renewed = turn.map_err(|_| None).and_then(|turn| {
                let _turn = turn;
                renew(account.as_deref(), &services).map_err(Some)
            });
            let mut renewal = lock(&wallet.renewal);
            match renewed {
                Ok(at) => {
                    renewal.done += 1;
                    renewal.at = at;
                }
                Err(error) => {
                    renewal.at = Some(Instant::now() + RETRY);
                    drop(renewal);
                    let error = error.as_ref().map(|error| error as &dyn std::error::Error);
                    tracing::debug!(
                        error,
                        "failed to renew the tickets of this server's account"
                    );
                }
            }
        });
    }
}

/// The library itself asks for new tickets when half of the life of those in the cache is over, and they are asked for.
fn renew(account: Option<&str>, services: &[Arc<str>]) -> Result<Option<Instant>, Error> {
    // A handle of its own: the library lets nobody else use one that waits for the KDC.
    let tickets = gss::acquire(account)?;
    let mut asked = services.iter().map(|service| gss::ask(&tickets, service));
    // One that is gone must not keep the others' from being renewed.
    let first = asked.next().unwrap_or(Ok(()));
    asked.fold(first, Result::or)?;
    Ok(half_of_life(&tickets))
}

fn half_of_life(tickets: &Cred) -> Option<Instant> {
    Instant::now().checked_add(tickets.lifetime().ok()? / 2 + ROUNDING)
}

const CALLS_THAT_ASK: usize = 4;
/// The library, too, tries no more often.
const RETRY: Duration = Duration::from_secs(30);
/// The library counts in seconds.
const ROUNDING: Duration = Duration::from_secs(1);
