//! How much of the bodies in flight may be kept for a second giving.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A bound, shared by all requests of a layer, on the bytes recorded for a replay.
///
/// A spent budget refuses nobody: the request at hand is simply not recorded.
#[derive(Clone, Debug)]
pub(crate) struct ReplayBudget {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl ReplayBudget {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            used: Arc::default(),
            limit,
        }
    }

    /// An empty share, which grows by [`Share::grow`] and gives everything back when dropped.
    pub(crate) fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            bytes: 0,
        }
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }
}

/// What one request holds of the budget.
#[derive(Debug)]
pub(crate) struct Share {
    budget: ReplayBudget,
    bytes: usize,
}

impl Share {
    /// Takes `more` bytes, or nothing and `false` where that would pass the limit.
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        let taken = self
            .budget
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                used.checked_add(more)
                    .filter(|&sum| sum <= self.budget.limit)
            })
            .is_ok();
        if taken {
            self.bytes += more;
        }
        taken
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_stops_at_the_limit_and_gives_back() {
        let budget = ReplayBudget::new(10);
        let mut first = budget.share();
        assert!(first.grow(7));
        let mut second = budget.share();
        assert!(!second.grow(4));
        assert!(second.grow(3));
        assert_eq!((budget.used(), second.bytes()), (10, 3));
        drop(first);
        assert_eq!(budget.used(), 3);
        assert!(second.grow(7));
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
