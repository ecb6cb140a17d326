//! Tests of the crate as its users see it, and of the house itself.
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
mod architecture;
mod attack;
mod axum;
mod bodies;
mod cached_lookup;
mod credentials;
mod decision_table;
mod dependencies;
mod exhaustion;
mod failures;
mod first_cas;
mod gate;
mod gateway;
mod inner_services;
mod logins;
mod mutual_tls;
mod outcomes;
mod protocol;
mod readme;
mod second_hop;
mod secrets;
mod sources;
mod support;
mod tunnels;
mod two_sites;
