//! Tests of the crate as its users see it, and of the house itself.
#![cfg(test)]

mod architecture;
mod cached_lookup;
mod decision_table;
mod sources;
