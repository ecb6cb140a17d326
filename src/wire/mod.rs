//! What do two CASs say to each other?
//!
//! | question | module |
//! |---|---|
//! | Is the head of a request small enough? | [`limits`] |
//! | Which names speak of identity, and which statuses are private? | [`names`] |
//! | What does a path ask for? | [`owa_path`] |
//! | Who is the user of a proxied request? | [`proxy_headers`] |
//! | What goes on to the next hop, and what does not? | [`hop_by_hop`] |
//! | What may come behind a body? | [`trailers`] |
//! | Which hosts may each side know? | [`rewrite`] |
//! | Which CAS sent a request? | `signature`, with the feature `signatures`; [`negotiate`], with Kerberos |
//!
//! All of it is pure: values in, values out; time, sockets and logs are others' business. Nothing panics, whatever
//! bytes it is given, as long as [`limits`] come first.

mod connection;
mod cookies;
mod forwarded;
mod framing;
pub mod hop_by_hop;
pub mod limits;
pub(crate) mod mark;
pub mod names;
pub mod negotiate;
mod onward;
mod original_uri;
pub mod owa_path;
mod path_reading;
mod percent;
pub mod proxy_headers;
pub mod rewrite;
mod scope;
#[cfg(feature = "signatures")]
pub mod signature;
pub(crate) mod survey;
pub mod trailers;
mod via;

pub(crate) use onward::{Ours, onward};
pub(crate) use original_uri::original_uri;
