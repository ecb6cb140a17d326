//! A number by which page and log line of one request find each other.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names one request on the page the user sees and in the log. Unique in this process, and tells nothing by itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reference(u64);

impl Reference {
    /// A fresh one: an atomic increment.
    #[must_use]
    pub fn next() -> Self {
        static START: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("reference"));
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Mixed, so that two pages do not tell how many requests were between them. The mixing is one to one.
        Self(mix(
            START.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed))
        ))
    }

    /// As a number; shown as 16 hexadecimal digits.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Reference({self})")
    }
}

/// The finalizer of SplitMix64, a bijection on 64 bits.
const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_are_equal() {
        let drawn: HashSet<_> = (0..10_000).map(|_| Reference::next()).collect();
        assert_eq!(drawn.len(), 10_000);
        assert_eq!(Reference(0xbeef).to_string(), "000000000000beef");
    }
}
