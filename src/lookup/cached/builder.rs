use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::lookup::MailboxLookup;

use super::{Cached, Shared, memory::Memory};

/// Settings of a [`Cached`] lookup. Each has a default and a bound.
#[must_use = "nothing is remembered before `build`"]
pub struct CachedBuilder<L> {
    lookup: L,
    settings: Settings,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) time_to_live: Duration,
    pub(super) absent_time_to_live: Duration,
    pub(super) capacity: usize,
    pub(super) absent_capacity: usize,
    pub(super) stale_for: Duration,
    pub(super) pause: Duration,
    pub(super) time_limit: Duration,
    pub(super) max_in_flight: u32,
}

impl<L: MailboxLookup> CachedBuilder<L> {
    pub(super) fn new(lookup: L) -> Self {
        Self {
            lookup,
            settings: Settings::default(),
        }
    }

    /// How long a mailbox is believed to be where it was, give or take 10 %: 5 minutes.
    pub fn time_to_live(mut self, span: Duration) -> Self {
        self.settings.time_to_live = span;
        self
    }

    /// How long a mailbox is believed absent or ambiguous, give or take 10 %: 30 seconds.
    pub fn absent_time_to_live(mut self, span: Duration) -> Self {
        self.settings.absent_time_to_live = span;
        self
    }

    /// About how many mailboxes are remembered: 100,000.
    pub fn capacity(mut self, mailboxes: usize) -> Self {
        self.settings.capacity = mailboxes;
        self
    }

    /// About how many absent or ambiguous ones are remembered: 10,000.
    pub fn absent_capacity(mut self, keys: usize) -> Self {
        self.settings.absent_capacity = keys;
        self
    }

    /// How old an answer may become while the directory cannot be asked: 1 hour. Zero switches stale answers off.
    ///
    /// Only for mailboxes that were found: nobody is told "no such mailbox" from an old memory.
    pub fn stale_for(mut self, age: Duration) -> Self {
        self.settings.stale_for = age;
        self
    }

    /// After a stale answer, how long until the directory is asked for this mailbox again: 5 seconds.
    pub fn pause(mut self, span: Duration) -> Self {
        self.settings.pause = span;
        self
    }

    /// How long one lookup may take, and how long to wait for [room](Self::max_in_flight) before that: 4 seconds.
    ///
    /// Keep it below the first CAS's [time-out](crate::first_cas::Timeouts::locate): where the directory is silent, an
    /// old answer is only given when this has passed.
    pub fn time_limit(mut self, span: Duration) -> Self {
        self.settings.time_limit = span;
        self
    }

    /// How many lookups may be in flight, at least 1: 256. Others wait; those who give up leave nothing behind.
    pub fn max_in_flight(mut self, lookups: u32) -> Self {
        self.settings.max_in_flight = lookups.max(1);
        self
    }

    /// Remembers nothing yet.
    #[must_use]
    pub fn build(self) -> Cached<L> {
        let room = usize::try_from(self.settings.max_in_flight).unwrap_or(usize::MAX);
        Cached {
            shared: Arc::new(Shared {
                lookup: self.lookup,
                memory: Memory::new(self.settings),
                flights: Mutex::new(HashMap::new()),
                room: Arc::new(Semaphore::new(room.min(Semaphore::MAX_PERMITS))),
                settings: self.settings,
            }),
        }
    }
}

impl<L> fmt::Debug for CachedBuilder<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            time_to_live: Duration::from_secs(5 * 60),
            absent_time_to_live: Duration::from_secs(30),
            capacity: 100_000,
            absent_capacity: 10_000,
            stale_for: Duration::from_secs(60 * 60),
            pause: Duration::from_secs(5),
            time_limit: Duration::from_secs(4),
            max_in_flight: 256,
        }
    }
}
