//! Sums of moments and spans that somebody has set: none is too long, and what began together need not end together.

use std::time::Duration;

use tokio::time::Instant;

/// The moment `span` after `from`; one that is never reached, if the clock cannot count so far.
pub(crate) fn later(from: Instant, span: Duration) -> Instant {
    from.checked_add(span).unwrap_or_else(|| from + NEVER)
}

/// `span`, and up to 10 % more or less, as a throw of the dice has it: any number, each as likely as any other.
pub(crate) fn give_or_take(span: Duration, throw: u64) -> Duration {
    let per_mille = 900 + throw % 201;
    (span / 1000).saturating_mul(u32::try_from(per_mille).unwrap_or(1000))
}

/// Thirty years, which every system's clock can count.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        hash::{BuildHasher, RandomState},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_span_is_too_long() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(later(now, second), now + second);
        assert_eq!(later(now, Duration::MAX), now + NEVER);
        assert_eq!(later(later(now, NEVER), Duration::MAX), now + 2 * NEVER);
        assert!(give_or_take(Duration::MAX, 0) < Duration::MAX);
        assert_eq!(give_or_take(Duration::MAX, 200), Duration::MAX);
    }

    #[test]
    fn what_is_given_or_taken_is_a_tenth_at_most_and_seldom_the_same() {
        let span = Duration::from_secs(1000);
        let all: BTreeSet<_> = (0..201).map(|throw| give_or_take(span, throw)).collect();
        assert_eq!(all.len(), 201);
        assert_eq!(all.first(), Some(&Duration::from_secs(900)));
        assert_eq!(all.last(), Some(&Duration::from_secs(1100)));
        // As it is thrown everywhere: by the hash of a number under a random key.
        let dice = RandomState::new();
        let thrown: Vec<_> = (0..10_000)
            .map(|number: u64| give_or_take(span, dice.hash_one(number)))
            .collect();
        assert!(thrown.iter().all(|thrown| all.contains(thrown)));
        let distinct: BTreeSet<_> = thrown.iter().collect();
        assert!(distinct.len() > 190, "{} of 201", distinct.len());
        let mean = thrown.iter().sum::<Duration>() / 10_000;
        let off = mean.abs_diff(span);
        assert!(off < span / 100, "{mean:?}");
        assert_eq!(give_or_take(Duration::ZERO, 7), Duration::ZERO);
    }
}
