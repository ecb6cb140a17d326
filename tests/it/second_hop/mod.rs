//! The way to the second CAS: TLS, failover, streams, both protocols on both sides.

mod differential;
mod failover;
mod h2;
mod health;
mod pairs;
mod tls;
