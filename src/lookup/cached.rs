mod builder;
mod memory;

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};
use tracing::Instrument;

use crate::directory::MailboxKey;

use super::{Answer, CouldNotAsk, LocateFuture, Located, MailboxLookup, Reason};

pub use builder::CachedBuilder;
use builder::Settings;
use memory::Memory;

/// Remembers what another lookup answered.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use cas_proxy::lookup::{Cached, MailboxLookup};
///
/// fn remembered(directory: Arc<dyn MailboxLookup>) -> impl MailboxLookup {
///     Cached::builder(directory)
///         .time_to_live(Duration::from_secs(60))
///         .capacity(20_000)
///         .build()
/// }
/// ```
///
/// - Many who ask for the same mailbox at once cause one lookup. It runs in a task of its own and so outlives whoever
///   asked first, up to its [time limit](CachedBuilder::time_limit). A lookup that panics is one that could not ask.
/// - While the directory cannot be asked, a mailbox it knew before is still found where it was then, for
///   [as long as that is allowed](CachedBuilder::stale_for). Each such lookup is logged as a warning with event 57 and
///   the age of the answer, which [`age`](Self::age) tells as well.
/// - [`invalidate`](MailboxLookup::invalidate) holds for a lookup in flight too: those already waiting get its answer,
///   but it is not remembered.
/// - Mailboxes that do not exist, or not unambiguously, have a memory of their own. A flood of made-up names fills that
///   one, and no real user is forgotten because of it.
///
/// [`locate`](MailboxLookup::locate) needs a tokio runtime with time enabled. Clones share one memory.
pub struct Cached<L> {
    shared: Arc<Shared<L>>,
}

impl<L: MailboxLookup> Cached<L> {
    /// Remembers with the defaults that [`CachedBuilder`] names.
    pub fn new(lookup: L) -> Self {
        Self::builder(lookup).build()
    }

    /// Remembers as you say.
    pub fn builder(lookup: L) -> CachedBuilder<L> {
        CachedBuilder::new(lookup)
    }

    /// How long ago the directory gave the answer that is remembered, be it fresh or stale.
    #[must_use]
    pub fn age(&self, key: &MailboxKey) -> Option<Duration> {
        self.shared.memory.age(key)
    }

    /// Waits until no lookup is in flight. Those that would start meanwhile wait until then.
    pub async fn drain(&self) {
        let all = self.shared.settings.max_in_flight;
        // It fails if the semaphore is closed, which nobody does.
        drop(self.shared.room.acquire_many(all).await);
    }
}

impl<L: MailboxLookup> MailboxLookup for Cached<L> {
    fn peek(&self, key: &MailboxKey) -> Option<Answer> {
        self.shared.memory.fresh(key)
    }

    fn locate(&self, key: MailboxKey) -> LocateFuture {
        Box::pin(Arc::clone(&self.shared).ask(key))
    }

    fn invalidate(&self, key: &MailboxKey) {
        // The lookup below first: whoever finds nothing here must find nothing old there.
        self.shared.lookup.invalidate(key);
        let mut flights = self.shared.flights();
        flights.remove(key);
        self.shared.memory.forget(key);
    }
}

impl<L> Clone for Cached<L> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<L> fmt::Debug for Cached<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, absent) = self.shared.memory.counts();
        f.debug_struct("Cached")
            .field("found", &found)
            .field("absent", &absent)
            .field("in_flight", &self.shared.flights().len())
            .finish_non_exhaustive()
    }
}

struct Shared<L> {
    lookup: L,
    settings: Settings,
    memory: Memory,
    /// Its lock is held for each change of the memory too, so that learning and invalidating have an order.
    flights: Mutex<HashMap<MailboxKey, Flight>>,
    room: Arc<Semaphore>,
}

/// Tells those who wait how a lookup ended.
type Flight = Arc<watch::Sender<Option<Located>>>;

enum Boarded {
    Known(Answer),
    Waiting(watch::Receiver<Option<Located>>),
    NoRoom,
}

impl<L: MailboxLookup> Shared<L> {
    async fn ask(self: Arc<Self>, key: MailboxKey) -> Located {
        let runtime = Handle::try_current().map_err(CouldNotAsk::from_source)?;
        let mut room = None;
        let mut flight = loop {
            match self.board(&key, room.take(), &runtime) {
                Boarded::Known(answer) => return Ok(answer),
                Boarded::Waiting(flight) => break flight,
                Boarded::NoRoom => room = Some(self.wait_for_room().await?),
            }
        };
        let landed = flight.wait_for(Option::is_some).await;
        let located = landed.ok().and_then(|located| located.clone());
        located.unwrap_or(Err(CouldNotAsk(Reason::Abandoned)))
    }

    /// Joins the flight for this key, or starts it.
    fn board(
        self: &Arc<Self>,
        key: &MailboxKey,
        room: Option<OwnedSemaphorePermit>,
        runtime: &Handle,
    ) -> Boarded {
        let mut flights = self.flights();
        if let Some(answer) = self.memory.fresh(key) {
            return Boarded::Known(answer);
        }
        if let Some(flight) = flights.get(key) {
            return Boarded::Waiting(flight.subscribe());
        }
        let room = room.or_else(|| Arc::clone(&self.room).try_acquire_owned().ok());
        let Some(room) = room else {
            return Boarded::NoRoom;
        };
        let flight = Flight::new(watch::Sender::new(None));
        let waiting = flight.subscribe();
        flights.insert(key.clone(), Arc::clone(&flight));
        // A runtime that shuts down drops the task at once, and dropping a landing takes this lock.
        drop(flights);
        let landing = Landing {
            shared: Arc::clone(self),
            key: key.clone(),
            flight,
        };
        let task = async move {
            let located = landing.shared.fly(&landing.key).await;
            landing.land(&located);
            drop(room);
        };
        runtime.spawn(task.in_current_span());
        Boarded::Waiting(waiting)
    }

    async fn wait_for_room(&self) -> Result<OwnedSemaphorePermit, CouldNotAsk> {
        let room = Arc::clone(&self.room).acquire_owned();
        match timeout(self.settings.time_limit, room).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(CouldNotAsk(Reason::TooManyInFlight)),
        }
    }

    async fn fly(&self, key: &MailboxKey) -> Located {
        // In a block, so that a panic of `locate` itself is caught too.
        let asking = AssertUnwindSafe(async { self.lookup.locate(key.clone()).await });
        match timeout(self.settings.time_limit, asking.catch_unwind()).await {
            Ok(Ok(located)) => located,
            Ok(Err(_panic)) => Err(CouldNotAsk(Reason::Panicked)),
            Err(_elapsed) => Err(CouldNotAsk::timed_out()),
        }
    }
}

impl<L> Shared<L> {
    // No code of others runs under this lock, so a panic leaves nothing half done behind it.
    fn flights(&self) -> MutexGuard<'_, HashMap<MailboxKey, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes its flight off the list, however the task ends.
struct Landing<L> {
    shared: Arc<Shared<L>>,
    key: MailboxKey,
    flight: Flight,
}

impl<L> Landing<L> {
    fn land(self, located: &Located) {
        let mut flights = self.shared.flights();
        let told = if self.leave(&mut flights) {
            self.shared.memory.learn(&self.key, located)
        } else {
            located.clone()
        };
        drop(flights);
        if let (Ok(_), Err(error)) = (&told, located) {
            let age = self.shared.memory.age(&self.key).unwrap_or_default();
            // Escaped: a directory's message may repeat what a client sent.
            let source = error.source().map(ToString::to_string);
            tracing::warn!(
                target: "cas_proxy",
                event_id = DIRECTORY_LOOKUP_FAILED,
                key = ?self.key,
                age_seconds = age.as_secs(),
                source = source.as_ref().map(tracing::field::debug),
                "failed to {error}; answered from memory",
            );
        }
        self.flight.send_replace(Some(told));
    }

    /// Whether the flight was still on the list. An invalidation takes it off, and then another may be on it.
    fn leave(&self, flights: &mut HashMap<MailboxKey, Flight>) -> bool {
        let listed = flights.get(&self.key);
        let ours = listed.is_some_and(|flight| Arc::ptr_eq(flight, &self.flight));
        if ours {
            flights.remove(&self.key);
        }
        ours
    }
}

impl<L> Drop for Landing<L> {
    fn drop(&mut self) {
        self.leave(&mut self.shared.flights());
    }
}

/// The number of the product's event; see "What operators read" in `src/docs/protocol.md`.
const DIRECTORY_LOOKUP_FAILED: u32 = 57;
