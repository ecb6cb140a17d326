use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::{
    clock::{give_or_take, later},
    directory::MailboxKey,
    lookup::{Answer, Located},
};

use super::builder::Settings;

/// What was answered, and when. Whoever changes it does so under the lock of [`Shared`](super::Shared).
pub(super) struct Memory {
    found: Cache<MailboxKey, Remembered>,
    absent: Cache<MailboxKey, Remembered>,
    settings: Settings,
    dice: RandomState,
    throws: AtomicU64,
}

#[derive(Clone)]
struct Remembered {
    answer: Answer,
    since: Instant,
    fresh_until: Instant,
}

impl Memory {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            found: Cache::new(settings.capacity),
            absent: Cache::new(settings.absent_capacity),
            settings,
            dice: RandomState::new(),
            throws: AtomicU64::new(0),
        }
    }

    /// The answer, while it needs no asking. Allocates nothing.
    pub(super) fn fresh(&self, key: &MailboxKey) -> Option<Answer> {
        let remembered = self.get(key)?;
        (Instant::now() < remembered.fresh_until).then_some(remembered.answer)
    }

    pub(super) fn age(&self, key: &MailboxKey) -> Option<Duration> {
        Some(self.get(key)?.since.elapsed())
    }

    /// How many mailboxes are remembered, and how many absences.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.found.len(), self.absent.len())
    }

    pub(super) fn forget(&self, key: &MailboxKey) {
        self.found.remove(key);
        self.absent.remove(key);
    }

    /// Keeps what was learned. For an error it gives what was known before, if that may still be used.
    pub(super) fn learn(&self, key: &MailboxKey, located: &Located) -> Located {
        match located {
            Ok(answer) => {
                self.keep(key, answer.clone());
                Ok(answer.clone())
            }
            Err(error) => self.stale(key).ok_or_else(|| error.clone()),
        }
    }

    fn keep(&self, key: &MailboxKey, answer: Answer) {
        let found = matches!(answer, Answer::Found(_));
        let (memory, other, time_to_live) = if found {
            (&self.found, &self.absent, self.settings.time_to_live)
        } else {
            (&self.absent, &self.found, self.settings.absent_time_to_live)
        };
        let since = Instant::now();
        let remembered = Remembered {
            answer,
            since,
            fresh_until: later(since, give_or_take(time_to_live, self.throw())),
        };
        other.remove(key);
        memory.insert(key.clone(), remembered);
    }

    /// Where a mailbox was, and fresh again for a while: not every request has to wait for a directory that is down.
    fn stale(&self, key: &MailboxKey) -> Option<Answer> {
        let mut known = self.found.get(key)?;
        let now = Instant::now();
        let end = later(known.since, self.settings.stale_for);
        if now >= end {
            return None;
        }
        known.fresh_until = later(now, self.settings.pause).min(end);
        self.found.insert(key.clone(), known.clone());
        Some(known.answer)
    }

    fn get(&self, key: &MailboxKey) -> Option<Remembered> {
        self.found.get(key).or_else(|| self.absent.get(key))
    }

    /// So that what was learned together is not asked for again together.
    fn throw(&self) -> u64 {
        let throws = self.throws.fetch_add(1, Ordering::Relaxed);
        self.dice.hash_one(throws)
    }
}
