//! The way to the second CAS: TLS, failover, streams, both protocols on both sides.

mod h2;
mod tls;
