//! A tower middleware that serves each user where the mailbox lives.
pub mod csc;
pub mod directory;
pub mod decision;
pub mod wire;
pub mod lookup;
pub mod pages;
pub mod telemetry;
pub mod outbound;
pub mod first_cas;
pub mod second_cas;
