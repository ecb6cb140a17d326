//! The first CAS: the layer that decides for each request who serves it, and sees to it.
//!
//! ```
//! use cas_proxy::{
//!     CasProxyLayer, ClientAccessServer, ClientSecurityContext, Here, InMemory, Mailbox, MailboxKey, Topology,
//! };
//! use http::{Request, Response, StatusCode};
//! use http_body_util::{BodyExt, Empty};
//! use bytes::Bytes;
//! use std::{convert::Infallible, sync::Arc};
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let here = Here::new("seattle".parse()?, "Seattle".parse()?, "8.3.83.6".parse()?);
//! let denver = ClientAccessServer::new("denver".parse()?, "Denver".parse()?, "8.3.83.6".parse()?)
//!     .with_external_url("https://denver.contoso.com/owa");
//! let topology = Topology::builder().client_access_server(denver).build()?;
//!
//! let dora = "S-1-5-21-1-2-3-1004".parse()?;
//! let mailbox = Mailbox::new("mailbox1".parse()?, "8.3.83.6".parse()?).with_site("Denver".parse()?);
//! let lookup = InMemory::new().insert(MailboxKey::Sid(dora), mailbox);
//!
//! let mail = service_fn(|_: Request<Empty<Bytes>>| async { Ok::<_, Infallible>(Response::new(String::new())) });
//! let mut first_cas = CasProxyLayer::new(here, Arc::new(topology), lookup).layer(mail);
//!
//! let ask = || Request::get("/owa/").header("host", "mail.contoso.com").header("accept", "text/html");
//! // Nobody signed in.
//! let answer = first_cas.ready().await?.call(ask().body(Empty::new())?).await?;
//! assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
//!
//! // Dora has. Her mailbox is in Denver, which has a door of its own.
//! let dora = ClientSecurityContext::builder(dora, "Basic", "dora").build()?;
//! let answer = first_cas.ready().await?.call(ask().extension(dora).body(Empty::new())?).await?;
//! let page = answer.into_body().collect().await?.to_bytes();
//! assert!(String::from_utf8_lossy(&page).contains("<a href=\"https://denver.contoso.com/owa\">"));
//! # Ok(())
//! # }
//! ```
//!
//! # What it does with a request
//! | it is | becomes |
//! |---|---|
//! | of no path in its [scope](CasProxyLayer::scope), or of a path that every CAS has for itself | the inner service's, without identity headers |
//! | of nobody signed in | 401; the log-on layer adds how |
//! | for a mailbox of this site | the inner service's, with nothing else changed |
//! | for a mailbox elsewhere | what [`decide`](crate::decision::decide) says: a page with a link, another server's answer, or an error page |
//! | of a verified CAS, for a mailbox elsewhere | 421: one hop, and no more |
//!
//! Every answer but the inner service's has an [`Outcome`](crate::telemetry::Outcome) among its extensions.
//!
//! # Where it goes
//! Inside whatever signs users in, outside the finished service; see `docs::deploying`.
//!
//! # What it leaves to you
//! - Signing users in, and the server's own limits on heads, connections and idle time.
//! - Letting go of a connection that is upgraded: hyper's `serve_connection_with_upgrades` does, and so does `axum::serve`.
//! - Whether a page of another origin may open a WebSocket; see `docs::deploying`.
//! - Saying when the server stops: [`CasProxyLayer::drain`].
//!
//! # WebSocket
//! A GET over HTTP/1.1 that asks for an upgrade to a [protocol that is allowed](CasProxyLayer::upgrades), `websocket`
//! unless you say otherwise, takes that along to the second CAS. Bytes flow after a 101 that fits, and never before:
//! through 16 KiB of buffer each way, so whoever does not read is not read for. Each side may end first.
//! [`Limits::tunnels`] bounds their number, [`Timeouts::tunnel_idle`] the time in which nothing moves. WebSocket over
//! HTTP/2 (RFC 8441) is answered 501, and an Exchange 2003 back-end is offered nothing.

mod admit;
mod answer;
mod attempt;
mod back_end;
mod back_end_trip;
mod body;
mod config;
mod exchange;
mod failure;
mod layer;
mod login;
mod logins;
mod own_names;
mod pipeline;
mod report;
mod second_hop;
mod service;
mod settings;
mod trip;
mod tunnel;
mod visit;

pub use back_end::{BackEndCredentials, NoBackEndCredentials, forward_basic};
pub use body::ResponseBody;
pub use layer::CasProxyLayer;
pub use own_names::InvalidHost;
pub use service::{CasProxy, ResponseFuture};
pub use settings::{Limits, Timeouts};
pub use tunnel::InvalidProtocol;
