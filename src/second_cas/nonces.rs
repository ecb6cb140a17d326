//! The nonces of requests accepted, so that each is accepted once.

use std::{
    collections::{BTreeMap, HashSet, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Mutex, PoisonError},
};

/// Remembers the nonces of one key, each until it can no longer be used. It never forgets one early to make room: what
/// an attacker could push out could be sent again.
#[derive(Debug)]
pub(super) struct Nonces {
    memory: Mutex<Memory>,
    capacity: usize,
    /// Two keyed hashes make a fingerprint of 128 bits: no peer can choose a nonce that meets another's.
    hashers: (RandomState, RandomState),
}

#[derive(Debug, Default)]
struct Memory {
    seen: HashSet<u128>,
    /// The same, by the last second they are good for.
    by_end: BTreeMap<u64, Vec<u128>>,
    /// The latest end of a nonce that was forgotten.
    forgotten: Option<u64>,
}

/// Why a nonce was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It was taken before.
    Seen,
    /// It may have been: its like was forgotten, and then the clock was set back.
    MaybeSeen,
    /// There is no room for another.
    Full,
}

impl Nonces {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            memory: Mutex::default(),
            capacity,
            hashers: (RandomState::new(), RandomState::new()),
        }
    }

    /// Takes a nonce that is good up to and including the second `end`. For messages whose MAC was verified, and whose
    /// `end` is not before `now`.
    pub(super) fn take(&self, nonce: &str, end: u64, now: u64) -> Result<(), NotTaken> {
        let fingerprint = self.fingerprint(nonce);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.forget_before(now);
        if memory.forgotten.is_some_and(|forgotten| end <= forgotten) {
            return Err(NotTaken::MaybeSeen);
        }
        if memory.seen.contains(&fingerprint) {
            return Err(NotTaken::Seen);
        }
        if memory.seen.len() >= self.capacity {
            return Err(NotTaken::Full);
        }
        memory.seen.insert(fingerprint);
        memory.by_end.entry(end).or_default().push(fingerprint);
        Ok(())
    }

    fn fingerprint(&self, nonce: &str) -> u128 {
        u128::from(self.hashers.0.hash_one(nonce)) << 64
            | u128::from(self.hashers.1.hash_one(nonce))
    }
}

impl Memory {
    fn forget_before(&mut self, now: u64) {
        while let Some(oldest) = self.by_end.first_entry() {
            if *oldest.key() >= now {
                return;
            }
            let (end, nonces) = oldest.remove_entry();
            for nonce in nonces {
                self.seen.remove(&nonce);
            }
            self.forgotten = self.forgotten.max(Some(end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_taken_once_until_its_end() {
        let nonces = Nonces::new(10);
        assert_eq!(nonces.take("a", 100, 10), Ok(()));
        assert_eq!(nonces.take("a", 100, 10), Err(NotTaken::Seen));
        assert_eq!(nonces.take("a", 101, 100), Err(NotTaken::Seen));
        assert_eq!(nonces.take("b", 100, 100), Ok(()));
        assert_eq!(nonces.take("a", 200, 101), Ok(()));
    }

    #[test]
    fn when_full_it_refuses_and_forgets_nothing() {
        let nonces = Nonces::new(2);
        assert_eq!(nonces.take("a", 100, 10), Ok(()));
        assert_eq!(nonces.take("b", 110, 10), Ok(()));
        assert_eq!(nonces.take("c", 110, 10), Err(NotTaken::Full));
        assert_eq!(nonces.take("a", 100, 10), Err(NotTaken::Seen));
        assert_eq!(nonces.take("c", 111, 101), Ok(()));
        assert_eq!(nonces.take("b", 110, 101), Err(NotTaken::Seen));
    }

    #[test]
    fn a_clock_set_back_brings_nothing_back() {
        let nonces = Nonces::new(10);
        assert_eq!(nonces.take("a", 100, 10), Ok(()));
        assert_eq!(nonces.take("b", 3800, 3700), Ok(()));
        // The clock was wrong and is put right: what may have been forgotten is refused, what is newer is not.
        assert_eq!(nonces.take("a", 100, 20), Err(NotTaken::MaybeSeen));
        assert_eq!(nonces.take("c", 99, 20), Err(NotTaken::MaybeSeen));
        assert_eq!(nonces.take("c", 101, 20), Ok(()));
    }
}
