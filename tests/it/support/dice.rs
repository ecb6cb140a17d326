//! Chance that can be had again: the same numbers for the same seed.

/// SplitMix64: small, even, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.throw() % end as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// What an environment variable says a test should do more or less of, or what it does otherwise.
pub fn how_many(variable: &str, otherwise: usize) -> usize {
    let wanted = std::env::var(variable).ok();
    wanted.map_or(otherwise, |wanted| {
        wanted
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is no number"))
    })
}
