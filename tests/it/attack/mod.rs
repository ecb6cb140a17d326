//! People who do not belong here, trying to get in.

mod answers;
mod chain;
mod dice;
mod framing;
mod h2;
mod identity;
mod internal;
mod oracle;
mod random;
mod routes;
