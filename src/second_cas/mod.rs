//! The second CAS: takes requests of users that another CAS signed in, from that CAS and nobody else.
//!
//! ```
//! use cas_proxy::{
//!     csc::ClientSecurityContext,
//!     second_cas::{SecondCasLayer, SharedKeys},
//!     wire::signature::SharedKey,
//! };
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use bytes::Bytes;
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Whom to believe: the first CAS in Chicago, by the key shared with it.
//! let secret = [7; 32]; // from your secret store
//! let trusted = SharedKeys::for_authorities(["dallas.fourthcoffee.com"])?
//!     .accept(SharedKey::new("chicago-to-dallas", &secret)?);
//!
//! // What serves mail. A request of another CAS's user brings the user along.
//! let mail = service_fn(|request: Request<Full<Bytes>>| async move {
//!     let user = request.extensions().get::<ClientSecurityContext>();
//!     Ok::<_, std::convert::Infallible>(Response::new(format!("{user:?}")))
//! });
//! let mut second_cas = SecondCasLayer::new(trusted).version("8.1.240.5".parse()?).layer(mail);
//!
//! // An ordinary client that says it is a CAS learns nothing.
//! let request = Request::post("/owa/proxyLogon.owa").body(Full::default())?;
//! let answer = second_cas.ready().await?.call(request).await?;
//! assert_eq!(answer.status(), StatusCode::FORBIDDEN);
//! # Ok(())
//! # }
//! ```
//!
//! # What it does with a request
//! | from | asks for | becomes |
//! |---|---|---|
//! | anyone | a path or with headers meant for CASs, unverified | 403, the body unread |
//! | anyone | anything else | a direct request: headers of the identity family removed, passed on |
//! | a verified CAS | `ping.owa` | 242 with `X-OWA-Version` |
//! | a verified CAS | `proxyLogon.owa` | the user's context is taken and kept: 241 |
//! | a verified CAS | anything, for a user whose context is kept | passed on with [`ClientSecurityContext`] and [`Proxied`] among its extensions |
//! | a verified CAS | anything, for another user | 441, the body unread |
//!
//! # Where it goes
//! Outermost: outside `CasProxyLayer`, and outside whatever signs users in. That layer is wrapped in
//! [`unless_proxied`], for the users of a verified CAS are signed in already.
//!
//! # What it leaves to you
//! - The server's own limits on heads, connections and idle time.
//! - A second server behind the same name keeps contexts and nonces of its own. A user sent to the other one costs a
//!   login there; a request captured in transit could be repeated there until it expires.
//!
//! [`ClientSecurityContext`]: crate::csc::ClientSecurityContext

mod answer;
mod body;
mod caller;
#[cfg(feature = "signatures")]
pub mod danger;
mod incoming;
mod layer;
mod log;
mod login;
#[cfg(feature = "negotiate")]
mod machine_accounts;
mod mutual_tls;
#[cfg(feature = "signatures")]
mod nonces;
mod oneshot;
mod proxied;
mod service;
#[cfg(feature = "signatures")]
mod shared_keys;
mod store;
#[cfg(test)]
mod tests;
mod unless_proxied;

pub use answer::Answered;
pub use body::ResponseBody;
pub use caller::{NotVerified, NotVerifiedKind, Verdict, VerifiedCaller, VerifyCaller};
pub use layer::SecondCasLayer;
#[cfg(feature = "negotiate")]
pub use machine_accounts::{
    AcceptedTicket, ChannelBinding, KerberosAcceptor, MachineAccounts, MembershipFuture,
    MembershipLimits, MembershipLookup, NotUsable,
};
pub use mutual_tls::{ClientCertificates, PeerCertificate};
pub use proxied::Proxied;
pub use service::{ResponseFuture, SecondCas};
#[cfg(feature = "signatures")]
pub use shared_keys::SharedKeys;
pub use unless_proxied::{
    EitherBody, EitherFuture, UnlessProxied, UnlessProxiedLayer, unless_proxied,
};
