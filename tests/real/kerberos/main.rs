//! Integrated Windows authentication with a real KDC and a real Apache: needs `tests/real/kerberos/realm.sh up`.
#![cfg(test)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that fails may panic, and some have figures to tell"
)]

mod company;
mod diagnosis;
mod incoming;
mod outgoing;
mod silent_kdc;
#[allow(dead_code, reason = "shared with tests that need more of it")]
#[path = "../../it/support/mod.rs"]
mod support;
mod surroundings;
mod users;
