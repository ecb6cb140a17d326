//! Connections to the domain controllers: a bounded number, and to the first controller that is well.

use std::{
    iter::Enumerate,
    slice::Iter,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

use super::{
    builder::Settings,
    connection::{Connection, Search, Unsigned},
    controller::Controller,
    entry::Entry,
    error::{DirectoryError, DirectoryErrorKind},
};

pub(super) struct Pool {
    /// In the order of preference.
    controllers: Vec<Controller>,
    settings: Settings,
    room: Semaphore,
    /// Taken before `room`. Whoever knows no password can sign in for ever, and must leave room for lookups.
    signing_in: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    /// Whose, as an index.
    controller: usize,
    since: Instant,
}

impl Pool {
    pub(super) fn new(controllers: Vec<Controller>, settings: Settings) -> Self {
        Self {
            controllers,
            room: Semaphore::new(settings.max_connections),
            signing_in: Semaphore::new((settings.max_connections / 2).max(1)),
            settings,
            idle: Mutex::default(),
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Searches one after the other on one connection. Each may take as long as the limit.
    ///
    /// Searching changes nothing, so what failed for the sake of a connection or a domain controller is tried at the
    /// next one. Dropping the future gives up its connection.
    pub(super) async fn search(
        &self,
        searches: &[Search],
        time_limit: Duration,
    ) -> Result<Vec<Vec<Entry>>, DirectoryError> {
        let _room = place(&self.room, time_limit).await?;
        while let Some(mut idle) = self.take_idle() {
            let found = idle.connection.search_all(searches, time_limit).await;
            match found {
                // That it broke while idle says nothing about its domain controller.
                Err(error) if error.kind() == DirectoryErrorKind::Unreachable => {}
                Err(error) if error.is_of_the_controller() => {
                    self.controller_failed(idle.controller, &error);
                }
                found => {
                    self.keep(idle.connection, idle.controller, &found);
                    return found;
                }
            }
        }

        let mut round = Round::of(&self.controllers);
        while let Some((index, controller)) = round.next() {
            match self
                .search_afresh(index, controller, searches, time_limit)
                .await
            {
                Err(error) if error.is_of_the_controller() => round.failed(error),
                found => return found,
            }
        }
        Err(round.in_vain())
    }

    /// A turn at signing somebody in, until it is dropped.
    pub(super) async fn turn_to_sign_in(&self) -> Result<SemaphorePermit<'_>, DirectoryError> {
        place(&self.signing_in, self.settings.connect_time_limit).await
    }

    /// Whether an entry has this password, by a connection that signs in as it and is used for nothing else.
    pub(super) async fn verify(&self, entry: &str, password: &str) -> Result<bool, DirectoryError> {
        let _room = place(&self.room, self.settings.connect_time_limit).await?;
        let mut round = Round::of(&self.controllers);
        while let Some((index, controller)) = round.next() {
            let verified = match Unsigned::open(controller, &self.settings).await {
                // What goes wrong from here on may be the doing of whoever signs in, and must cost nobody else a
                // domain controller.
                Ok(connection) => connection.verify(entry, password).await,
                Err(error) => Err(self.noted(index, error)),
            };
            match verified {
                Err(error) if error.is_of_the_controller() => round.failed(error),
                verified => return verified,
            }
        }
        Err(round.in_vain())
    }

    async fn search_afresh(
        &self,
        index: usize,
        controller: &Controller,
        searches: &[Search],
        time_limit: Duration,
    ) -> Result<Vec<Vec<Entry>>, DirectoryError> {
        let opened = Connection::open(controller, &self.settings).await;
        let mut connection = opened.map_err(|error| self.noted(index, error))?;
        match connection.search_all(searches, time_limit).await {
            Err(error) if error.is_of_the_controller() => Err(self.noted(index, error)),
            found => {
                if found.is_ok() {
                    controller.answered();
                }
                self.keep(connection, index, &found);
                found
            }
        }
    }

    /// An error that counts against the domain controller, if it is the controller's.
    fn noted(&self, index: usize, error: DirectoryError) -> DirectoryError {
        if error.is_of_the_controller() {
            self.controller_failed(index, &error);
        }
        error
    }

    /// The connection used last, so that those not needed grow old.
    fn take_idle(&self) -> Option<Idle> {
        let mut idle = self.idle();
        loop {
            let candidate = idle.pop()?;
            let young = candidate.since.elapsed() < LONGEST_IDLE
                && candidate.connection.opened.elapsed() < LONGEST_LIFE;
            if young && candidate.connection.is_open() {
                return Some(candidate);
            }
        }
    }

    fn keep(
        &self,
        connection: Connection,
        controller: usize,
        found: &Result<Vec<Vec<Entry>>, DirectoryError>,
    ) {
        // More of a search that was given up may still be on its way.
        if matches!(found, Err(error) if error.kind() == DirectoryErrorKind::TooMuch) {
            return;
        }
        self.idle().push(Idle {
            connection,
            controller,
            since: Instant::now(),
        });
    }

    fn controller_failed(&self, index: usize, error: &DirectoryError) {
        if let Some(controller) = self.controllers.get(index) {
            controller.failed(error);
        }
        // Whoever is signed in already needs no ticket.
        if error.kind() == DirectoryErrorKind::NoTicket {
            return;
        }
        self.idle().retain(|idle| idle.controller != index);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Domain controllers one after the other, until one does not fail.
struct Round<'p> {
    left: Enumerate<Iter<'p, Controller>>,
    last: Option<DirectoryError>,
}

impl<'p> Round<'p> {
    fn of(controllers: &'p [Controller]) -> Self {
        Self {
            left: controllers.iter().enumerate(),
            last: None,
        }
    }

    /// The next one that does not rest.
    fn next(&mut self) -> Option<(usize, &'p Controller)> {
        loop {
            let (index, controller) = self.left.next()?;
            let Some(error) = controller.rests() else {
                return Some((index, controller));
            };
            self.last.get_or_insert_with(|| resting().because(error));
        }
    }

    fn failed(&mut self, error: DirectoryError) {
        self.last = Some(error);
    }

    /// What to say when none is left.
    fn in_vain(self) -> DirectoryError {
        self.last.unwrap_or_else(resting)
    }
}

fn resting() -> DirectoryError {
    DirectoryError::general(DirectoryErrorKind::Resting)
}

/// A place that somebody leaves in time.
async fn place(
    places: &Semaphore,
    time_limit: Duration,
) -> Result<SemaphorePermit<'_>, DirectoryError> {
    let permit = timeout(time_limit, places.acquire()).await;
    let busy = || DirectoryError::general(DirectoryErrorKind::Busy);
    permit.ok().and_then(Result::ok).ok_or_else(busy)
}

/// Below the 15 minutes after which a domain controller hangs up by itself.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// So that the first domain controller gets its share back some time after it was down.
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests;
