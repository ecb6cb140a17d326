//! People who do not belong here, trying to get in.

mod chain;
mod dice;
mod framing;
mod identity;
mod internal;
mod oracle;
mod random;
