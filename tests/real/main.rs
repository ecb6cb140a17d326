//! Tests against real parts, each of which says what it needs; `.ci/run` installs and starts that.
#![cfg(test)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that fails may panic"
)]

mod active_directory;
mod browser;
mod memory;
mod relay;
#[allow(dead_code, reason = "shared with tests that need more of it")]
#[path = "../it/support/mod.rs"]
mod support;
