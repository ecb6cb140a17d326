//! The contexts of users that verified CASs have logged in.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quick_cache::{
    DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use tokio::time::Instant;

use super::VerifiedCaller;
use crate::csc::{ClientSecurityContext, Group, Sid};

/// Keeps contexts by caller and user, so that no CAS can use what another one brought.
#[derive(Debug)]
pub(super) struct Store {
    held: Cache<Key, Arc<Held>, ByWeight>,
    limits: StoreLimits,
    /// Stamps are milliseconds since then.
    epoch: Instant,
    next_sweep: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct StoreLimits {
    pub(super) contexts: usize,
    pub(super) bytes: usize,
    /// How long a context is kept after its last use.
    pub(super) lifetime: Duration,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            contexts: 100_000,
            bytes: 256 * 1024 * 1024,
            lifetime: Duration::from_secs(60 * 60),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    caller: Arc<str>,
    user: Sid,
}

/// Looks up a [`Key`] without making one: same fields, same order, same hash.
#[derive(Hash)]
struct BorrowedKey<'a> {
    caller: &'a str,
    user: &'a Sid,
}

impl Equivalent<Key> for BorrowedKey<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.user == key.user && *self.caller == *key.caller
    }
}

#[derive(Debug)]
struct Held {
    context: ClientSecurityContext,
    weight: u64,
    last_used: AtomicU64,
}

#[derive(Clone, Debug)]
struct ByWeight;

impl Weighter<Key, Arc<Held>> for ByWeight {
    fn weight(&self, _: &Key, held: &Arc<Held>) -> u64 {
        held.weight
    }
}

impl Store {
    pub(super) fn new(limits: StoreLimits) -> Self {
        let contexts = limits.contexts.max(1);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(contexts)
            .weight_capacity(limits.bytes as u64)
            // A login is followed by its request at once: new contexts get room, whatever the old ones' standing.
            .hot_allocation(0.5)
            .build();
        let held = match options {
            Ok(options) => Cache::with_options(
                options,
                ByWeight,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            Err(_) => Cache::with_weighter(contexts, limits.bytes as u64, ByWeight),
        };
        Self {
            held,
            limits,
            epoch: Instant::now(),
            next_sweep: AtomicU64::new(0),
        }
    }

    /// The context this caller brought for this user; another hour for it.
    //= src/docs/protocol.md#login-stored
    pub(super) fn get(&self, caller: &VerifiedCaller, user: &Sid) -> Option<ClientSecurityContext> {
        let key = BorrowedKey {
            caller: caller.name(),
            user,
        };
        let held = self.held.get(&key)?;
        let now = self.now();
        if self.is_over(&held, now) {
            // Unless a login has replaced it since.
            self.held.remove_if(&key, |held| self.is_over(held, now));
            return None;
        }
        held.last_used.fetch_max(now, Ordering::Relaxed);
        Some(held.context.clone())
    }

    /// Keeps a context in place of the one there was. False if it is larger than all we may keep.
    //= src/docs/protocol.md#login-stored
    #[must_use]
    pub(super) fn remember(&self, caller: &VerifiedCaller, context: ClientSecurityContext) -> bool {
        let now = self.now();
        self.sweep(now);
        let weight = self.weight_of(caller, &context);
        if weight > self.held.shard_capacity() {
            return false;
        }
        let key = Key {
            caller: caller.shared_name().clone(),
            user: *context.user(),
        };
        self.held.insert(
            key,
            Arc::new(Held {
                context,
                weight,
                last_used: AtomicU64::new(now),
            }),
        );
        true
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn limits(&self) -> StoreLimits {
        self.limits
    }

    /// What a context takes in memory. At least its share of all there may be, so that the bound on bytes is one on
    /// number as well.
    fn weight_of(&self, caller: &VerifiedCaller, context: &ClientSecurityContext) -> u64 {
        let text =
            caller.name().len() + context.logon_name().len() + context.authentication_type().len();
        let bytes = OVERHEAD + text + size_of::<Group>() * context.sid_count();
        let share = self.limits.bytes.div_ceil(self.limits.contexts.max(1));
        bytes.max(share) as u64
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_over(&self, held: &Held, now: u64) -> bool {
        let idle = now.saturating_sub(held.last_used.load(Ordering::Relaxed));
        u128::from(idle) >= self.limits.lifetime.as_millis()
    }

    /// Nobody asks for the context of a user who has gone home. Four times in a lifetime a login clears those away.
    fn sweep(&self, now: u64) {
        let due = self.next_sweep.load(Ordering::Relaxed);
        let next = now.saturating_add(
            u64::try_from(self.limits.lifetime.as_millis() / 4)
                .unwrap_or(u64::MAX)
                .max(1),
        );
        let mine = || {
            self.next_sweep
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if now >= due && mine() {
            self.held.retain(|_, held| !self.is_over(held, now));
        }
    }
}

/// Key, cell, reference counts, the SID's text and the cache's own book-keeping, in bytes; rounded up.
const OVERHEAD: usize = size_of::<Key>() + size_of::<Held>() + 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csc::GroupAttributes;

    fn context(user: u32, groups: u32) -> ClientSecurityContext {
        let sid = |rid| Sid::from_parts(5, &[21, 1, 2, 3, rid]).unwrap();
        let groups = (0..groups).map(|rid| Group {
            sid: sid(rid),
            attributes: GroupAttributes::ENABLED_GROUP,
        });
        ClientSecurityContext::builder(sid(user), "Negotiate", "anna")
            .groups(groups)
            .build()
            .unwrap()
    }

    fn store(contexts: usize, bytes: usize) -> (Store, VerifiedCaller) {
        let limits = StoreLimits {
            contexts,
            bytes,
            ..StoreLimits::default()
        };
        (Store::new(limits), VerifiedCaller::vouched_for("chicago"))
    }

    #[test]
    //= src/docs/protocol.md#login-stored
    fn a_new_context_outlives_the_next_logins_however_well_used_the_old_ones_are() {
        let (store, caller) = store(2_000, 1 << 30);
        for user in 0..2_000 {
            assert!(store.remember(&caller, context(user, 0)));
        }
        for _ in 0..20 {
            for user in 0..2_000 {
                store.get(&caller, context(user, 0).user());
            }
        }
        for user in 2_000..6_000 {
            assert!(store.remember(&caller, context(user, 0)));
            for recent in user - 100..=user {
                let is_new = recent >= 2_000;
                assert!(
                    !is_new || store.get(&caller, context(recent, 0).user()).is_some(),
                    "{recent} at {user}"
                );
            }
            assert!(store.len() <= 2_010, "{}", store.len());
        }
    }

    #[test]
    //= src/docs/protocol.md#login-stored
    fn large_contexts_count_for_what_they_take() {
        let (store, caller) = store(100_000, 8 << 20);
        for user in 0..1_000 {
            assert!(store.remember(&caller, context(user, 1_000)));
        }
        let each = size_of::<Group>() * 1_000;
        assert!(store.len() * each <= 8 << 20);
        assert!(store.len() * each > 4 << 20);
    }

    #[test]
    fn keys_hash_alike_owned_or_borrowed() {
        use std::hash::BuildHasher;
        let hasher = DefaultHashBuilder::default();
        let user = *context(7, 0).user();
        let owned = Key {
            caller: "chicago".into(),
            user,
        };
        let borrowed = BorrowedKey {
            caller: "chicago",
            user: &user,
        };
        assert_eq!(hasher.hash_one(&owned), hasher.hash_one(&borrowed));
        assert!(borrowed.equivalent(&owned));
    }
}
