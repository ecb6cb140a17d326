//! A quick hash for keys that come from clients.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Makes hashers that agree with one another, and with those of no other maker.
///
/// SipHash costs more than all the rest of a look at the memory. This one multiplies and folds; whoever does not know its
/// two random words cannot choose keys that collide, and what it hashes is never shown.
#[derive(Clone, Debug)]
pub(super) struct Keyed {
    start: u64,
    factor: u64,
}

/// One hash in the making.
#[derive(Clone, Debug)]
pub(super) struct Folding {
    state: u64,
    factor: u64,
}

impl Keyed {
    pub(super) fn new() -> Self {
        // The one source of random words in std.
        let random = RandomState::new();
        Self {
            start: random.hash_one(0),
            factor: random.hash_one(1) | 1,
        }
    }
}

impl BuildHasher for Keyed {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding {
            state: self.start,
            factor: self.factor,
        }
    }
}

impl Hasher for Folding {
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.factor);
        // Both halves: low bits of a product alone depend on low bits alone. The sum keeps a zero from staying one.
        self.state = (product as u64) ^ ((product >> 64) as u64).wrapping_add(GOLDEN_RATIO);
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((word, after)) = rest.split_first_chunk() {
            self.write_u64(u64::from_le_bytes(*word));
            rest = after;
        }
        // With the length, so that zeros at the end count.
        let last = rest.iter().fold(bytes.len() as u64, |last, &byte| {
            last << 8 | u64::from(byte)
        });
        self.write_u64(last);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        let mut last = self.clone();
        last.write_u64(GOLDEN_RATIO);
        last.state
    }
}

const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{csc::Sid, directory::MailboxKey};

    #[test]
    fn equal_keys_hash_alike_and_a_hundred_thousand_others_do_not() {
        let keyed = Keyed::new();
        let sid = |rid| MailboxKey::Sid(Sid::from_parts(5, &[21, 1, 2, 3, rid]).unwrap());
        let address =
            |number: u32| MailboxKey::Address(format!("user{number}@contoso.com").parse().unwrap());
        let mut seen = HashSet::new();
        let mut low_bits = [0_u32; 128];
        for number in 0..50_000 {
            for key in [sid(number), address(number)] {
                let hash = keyed.hash_one(&key);
                assert_eq!(hash, keyed.clone().hash_one(key.clone()));
                low_bits[(hash & 127) as usize] += 1;
                seen.insert(hash);
            }
        }
        assert_eq!(
            seen.len(),
            100_000,
            "start {:#x}, factor {:#x}",
            keyed.start,
            keyed.factor
        );
        // 781 are to be expected in each.
        assert!(
            low_bits.iter().all(|&count| (600..1000).contains(&count)),
            "{keyed:?}"
        );
    }

    #[test]
    fn what_is_written_in_pieces_of_other_lengths_is_something_else() {
        let keyed = Keyed::new();
        let hash = |bytes: &[u8]| {
            let mut hasher = keyed.build_hasher();
            hasher.write(bytes);
            hasher.finish()
        };
        let texts: [&[u8]; 5] = [
            b"",
            b"\0",
            b"\0\0",
            b"\0\0\0\0\0\0\0\0",
            b"\0\0\0\0\0\0\0\0\0",
        ];
        let hashes: HashSet<u64> = texts.into_iter().map(hash).collect();
        assert_eq!(hashes.len(), texts.len());
        assert_ne!(Keyed::new().hash_one(1_u64), keyed.hash_one(1_u64));
    }
}
