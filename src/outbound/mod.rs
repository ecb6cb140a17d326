//! Who carries a request to another server? Connections, candidates' health, credentials.
//!
//! With the feature `client` there is a `Client` that a first CAS uses of its own accord. It is set up like this, and
//! given to [`CasProxyLayer::outbound`](crate::first_cas::CasProxyLayer::outbound):
//!
//! ```
//! # #[cfg(feature = "client")] {
//! use cas_proxy::outbound::Client;
//! use std::time::Duration;
//!
//! let client = Client::builder()
//!     .connect_timeout(Duration::from_secs(1))
//!     .max_idle_per_server(16)
//!     .build();
//! # let _ = client;
//! # }
//! ```
//!
//! In its place may stand any tower service, in an [`OutboundService`], or an [`Outbound`] of your own. What is sent
//! where, and whether it may be sent again, is decided by the first CAS in each case.

use std::{pin::Pin, time::Duration};

use http::{Request, Response};

use crate::directory::Origin;

mod body;
mod budget;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod connect;
pub mod credentials;
#[cfg(feature = "client")]
mod dial;
mod error;
#[cfg(feature = "client")]
mod h1;
mod health;
mod on_continue;
#[cfg(feature = "client")]
mod pool;
#[cfg(test)]
pub(crate) mod random;
mod replay;
mod select;
#[cfg(feature = "client")]
mod sending;
mod service;
mod target;
mod tasks;
#[cfg(feature = "rustls")]
mod tls;
mod upstream;
mod watch;

pub use body::OutboundBody;
#[cfg(feature = "client")]
pub use client::{Client, ClientBuilder};
pub use credentials::{Credentials, CredentialsError};
pub use error::{SendError, SendErrorKind};
pub use on_continue::OnContinue;
pub use service::OutboundService;
#[cfg(feature = "rustls")]
pub use tls::{Tls, TlsError};
pub use upstream::UpstreamBody;

pub(crate) use budget::ReplayBudget;
pub(crate) use health::{Health, ServerState, Turn};
pub(crate) use replay::Replay;
pub(crate) use select::choose;
pub(crate) use target::absolute;
pub(crate) use tasks::Tasks;
pub(crate) use watch::{Stalled, Waits, no_answer, uploaded, watch};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The future of [`Outbound::send`].
pub type SendFuture =
    Pin<Box<dyn Future<Output = Result<Response<UpstreamBody>, SendError>> + Send>>;

/// The future of [`Outbound::drain`].
pub type DrainFuture = Pin<Box<dyn Future<Output = usize> + Send>>;

/// Carries one request to one server, once.
///
/// The request's URI is absolute and names `origin`; its `Host` does too. An implementation must not follow
/// redirects, must not send a request twice, and must connect to `origin` and nowhere else. Dropping the
/// future or the answer's body must end the exchange.
#[diagnostic::on_unimplemented(
    message = "`{Self}` carries no requests to other servers",
    note = "wrap a tower service of `Request<OutboundBody>` in `OutboundService`"
)]
pub trait Outbound: Send + Sync + 'static {
    /// Sends `request` to `origin`.
    fn send(&self, origin: &Origin, request: Request<OutboundBody>) -> SendFuture;

    /// Keeps no connection from now on, waits for those in use, and cuts off what is not over after `within`; says how
    /// many that were. Without connections of its own there is nothing to do.
    fn drain(&self, within: Duration) -> DrainFuture {
        let _ = within;
        Box::pin(std::future::ready(0))
    }
}
