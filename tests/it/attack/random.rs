//! Requests that a machine made up, against the whole chain. A million of them by hand:
//!
//! ```sh
//! CAS_PROXY_ATTACKS=1000000 cargo test --release --test it made_up -- --nocapture
//! ```

use super::{
    chain::{Chain, run},
    dice::{attacks, connection},
    oracle::judge,
};
use crate::support::dice::Dice;

//= src/docs/protocol.md#hop-target
//= src/docs/protocol.md#header-client-never
#[test]
fn made_up_requests_lead_nowhere_else_and_make_nobody_someone_else() {
    let seed = match std::env::var("CAS_PROXY_SEED") {
        Ok(seed) => seed.parse().expect("CAS_PROXY_SEED is a number"),
        Err(_) => 20_070_910,
    };
    let attacks = attacks(10_000);
    let (mut here, mut there, mut sent) = (0, 0, 0);
    run(async {
        let chain = Chain::new();
        for attack in 0..attacks {
            let seed = seed + attack as u64;
            let bytes = connection(&mut Dice::new(seed));
            let _context = Context {
                seed,
                bytes: &bytes,
            };
            chain.send(&bytes).await;
            let seen = chain.seen();
            judge(&seen, &users(&bytes));
            here += seen.here.len();
            there += seen.there.len();
            sent += seen.sent.len();
        }
    });
    println!(
        "{attacks} connections: {here} requests served here, {sent} sent, {there} served there"
    );
    // Otherwise nothing was attacked.
    assert!(
        here > attacks / 20 && there > attacks / 50,
        "{here} {there}"
    );
}

/// Everyone whom some reading of these bytes could sign in.
fn users(bytes: &[u8]) -> Vec<u32> {
    let digits = bytes
        .windows(6)
        .filter_map(|part| part.strip_prefix(b"user "));
    digits
        .map(|digit| u32::from(digit[0].wrapping_sub(b'0')))
        .collect()
}

/// Printed if the test ends in the midst.
struct Context<'b> {
    seed: u64,
    bytes: &'b [u8],
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "CAS_PROXY_SEED={}: {}",
                self.seed,
                self.bytes.escape_ascii()
            );
        }
    }
}
