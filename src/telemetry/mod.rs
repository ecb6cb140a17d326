//! What the operator reads: one [`Outcome`] in the extensions of each answer, event numbers in the log, counters.
//!
//! ```
//! use cas_proxy::telemetry::Outcome;
//!
//! /// A layer outside ours can count what happened without knowing how.
//! fn describe<B>(answer: &http::Response<B>) -> String {
//!     match answer.extensions().get::<Outcome>() {
//!         None => "served here".to_owned(),
//!         Some(Outcome::Proxied { server, logged_in: true, .. }) => format!("first visit, served by {server}"),
//!         Some(Outcome::Refused(failure)) => format!("failed to {failure}"),
//!         Some(other) => format!("{other:?}"),
//!     }
//! }
//! # assert_eq!(describe(&http::Response::new(())), "served here");
//! ```
//!
//! # Log
//! Everything is written through [`tracing`], under targets that begin with `cas_proxy`. Events that Exchange administrators know by
//! number carry it as the field `event_id` (see [`Event`]). Text that a client or another server chose has its
//! control characters escaped and its length bounded; SIDs are shortened; contexts, credentials and cookies are never
//! written.
//!
//! | level | what |
//! |---|---|
//! | `ERROR` | this server is broken or misconfigured |
//! | `WARN` | a server or the directory failed a user, a caller was not verified, a candidate was given up |
//! | `INFO` | an ordinary client was turned away, a proxy login took place |
//! | `DEBUG` | every other answer that is not served here |
//!
//! # Metrics
//! With the feature `metrics`, through the facade of that name:
//!
//! | name | kind | labels |
//! |---|---|---|
//! | `cas_proxy_requests_total` | counter | `outcome`: `local`, `proxied`, `back_end`, `language`, `redirected`, `login_accepted`, `identity_needed`, `pinged`, `refused`; `phase`: for `refused` the step that failed, else `none` |
//! | `cas_proxy_request_seconds` | histogram, to the head of the answer | `outcome` |
//! | `cas_proxy_logins_total` | counter | `server`; `result`: `accepted`, `refused`, `failed` |
//! | `cas_proxy_replays_total` | counter | `server` |
//! | `cas_proxy_failovers_total` | counter | `server`: the one given up |
//! | `cas_proxy_tunnels_opened_total` | counter: tunnels begun by a 101 | |
//! | `cas_proxy_tunnels_open` | gauge | |
//! | `cas_proxy_tunnels_ended_total` | counter | `reason`: `closed` by both sides, `broken` by one, `idle`, `drained`; `never_used` when a side was gone before the first byte; `cut_off` where the time to drain or the runtime ended |
//!
//! A tunnel that was refused is one of the requests refused in the phase `accept`.

#[cfg(test)]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the tests outside, which need more of it"
)]
pub(crate) mod collected;
#[cfg(test)]
#[cfg(feature = "metrics")]
#[allow(unreachable_pub, reason = "shared with the tests outside")]
pub(crate) mod counted;
mod event;
mod log;
mod measure;
mod outcome;
mod reference;
mod tunnel;

pub use self::event::Event;
pub(crate) use self::log::{
    LoginResult, all_failed, answered, answered_as_second_cas, failed_over, forbidden, logged_in,
    replayed, served_locally,
};
#[cfg(feature = "metrics")]
pub use self::measure::describe;
pub use self::outcome::{Culprit, Failure, Outcome, Phase};
pub use self::reference::Reference;
pub(crate) use self::tunnel::{OpenTunnel, TunnelEnd};
