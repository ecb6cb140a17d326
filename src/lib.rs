//! A tower middleware that serves each user where the mailbox lives.
//!
//! Exchange 2007 puts Client Access servers (CASs) in front of its mailboxes, and a user may come to any of them. The
//! one the user reached, the *first CAS*, serves the mailboxes of its own AD site. For the others it finds the right
//! place: it passes the request on to a *second CAS* at the mailbox's site, or to an Exchange 2003 back-end, or shows
//! a page with a link, or says why none of that can be. This crate is both sides of it, for any tower service:
//!
//! - [`CasProxyLayer`] makes a service a first CAS.
//! - [`SecondCasLayer`] makes a service a second CAS, which takes users from CASs it can verify, and from nobody else.
//!
//! "Mailbox" may stand for anything that a user has at one site and not at the others.
//!
//! ```
//! use std::{convert::Infallible, sync::Arc};
//!
//! use bytes::Bytes;
//! use cas_proxy::{
//!     CasProxyLayer, ClientAccessServer, ClientSecurityContext, Here, InMemory, Mailbox, MailboxKey, Topology,
//!     outbound::{OutboundBody, OutboundService},
//! };
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Empty};
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // This server, and one at another site that it may send requests to.
//! let here = Here::new("seattle".parse()?, "Seattle".parse()?, "8.3.83.6".parse()?);
//! let dallas = ClientAccessServer::new("dallas".parse()?, "Dallas".parse()?, "8.3.83.6".parse()?)
//!     .with_internal_url("https://dallas.contoso.com/owa")
//!     .with_integrated_windows_authentication();
//! let topology = Topology::builder().client_access_server(dallas).build()?;
//!
//! // A user, whose mailbox is there.
//! let anna = "S-1-5-21-1-2-3-1105".parse()?;
//! let mailbox = Mailbox::new("mailbox1".parse()?, "8.3.83.6".parse()?).with_site("Dallas".parse()?);
//! let lookup = InMemory::new().insert(MailboxKey::Sid(anna), mailbox);
//! let anna = ClientSecurityContext::builder(anna, "Kerberos", r"CONTOSO\anna").build()?;
//!
//! // In place of the network: whoever carries requests can be replaced.
//! let network = OutboundService::new(service_fn(|request: Request<OutboundBody>| async move {
//!     assert_eq!(request.uri(), "https://dallas.contoso.com/owa/?ae=Folder");
//!     assert_eq!(request.headers()["x-owa-proxysid"], "S-1-5-21-1-2-3-1105");
//!     Ok::<_, Infallible>(Response::new("mail from Dallas".to_owned()))
//! }));
//! let here_is_mail = service_fn(|_: Request<Empty<Bytes>>| async {
//!     Ok::<_, Infallible>(Response::new("mail from Seattle".to_owned()))
//! });
//! let mut first_cas =
//!     CasProxyLayer::with_outbound(here, Arc::new(topology), lookup, network).layer(here_is_mail);
//!
//! // Whatever signs users in leaves them in the request's extensions.
//! let request = Request::get("/owa/?ae=Folder")
//!     .header("host", "mail.contoso.com")
//!     .extension(anna)
//!     .body(Empty::new())?;
//! let answer = first_cas.ready().await?.call(request).await?;
//! assert_eq!(answer.into_body().collect().await?.to_bytes(), "mail from Dallas");
//! # Ok(())
//! # }
//! ```
//!
//! With axum and a listener it is as short: `examples/axum_router.rs`. `examples/two_sites` plays every outcome over
//! real sockets, and `examples/gateway` is a whole server to be copied.
//!
//! # Map
//!
//! A request becomes an identity, a mailbox, a decision, an action, an answer. Each question has a module, and arrows
//! only point down:
//!
//! | floor | question | module |
//! |---|---|---|
//! | 4 | The server users reach | [`first_cas`] |
//! | 4 | The server that holds the mailbox | [`second_cas`] |
//! | 3 | Who knows where a mailbox lives? | [`lookup`] |
//! | 3 | Who carries a request to another server? | [`outbound`] |
//! | 3 | What does the user read when it fails? | [`pages`] |
//! | 3 | What does the operator read? | [`telemetry`] |
//! | 2 | What shall we do? | [`decision`], a pure function, and the table of all its answers |
//! | 2 | What do two CASs say to each other? | [`wire`] |
//! | 1 | Where are things? | [`directory`] |
//! | 0 | Who is the user? | [`csc`] |
//!
//! Prose: [`docs::deploying`] on what goes where in a real server, [`docs::kerberos`] on Kerberos between CASs,
//! [`docs::protocol`] on what the two say, one requirement at a time, [`docs::security`] on who is trusted with what, and
//! [`docs::dependencies`] on what this crate is made of.
//!
//! # Features
//!
//! | feature | adds | default |
//! |---|---|---|
//! | `client` | [`outbound`]'s HTTP client and connection pool; without it, bring a service of your own | yes |
//! | `signatures` | the shared key between two CASs (RFC 9421), for both sides | yes |
//! | `rustls` | https on the second hop, and client certificates there | no |
//! | `axum` | decides and forwards on the URI that axum received, before `nest` stripped it | no |
//! | `active-directory` | a [`lookup`] that asks Active Directory: mailboxes, topology and groups, over LDAP | no |
//! | `metrics` | counters, a gauge and a histogram through the `metrics` facade | no |
//! | `full` | all of the above | no |
//! | `negotiate` | Kerberos between the CASs, and to the directory, by MIT libkrb5; building it takes `libkrb5-dev` and `clang`, so it is not in `full` | no |
//!
//! A feature only adds. An InternalURL has to be https unless the policy says otherwise, so a first CAS in earnest
//! wants `rustls`.
//!
//! # Guarantees
//!
//! - **Errors.** The inner service's errors pass through untouched. Every failure of ours is an answer, with a
//!   [`telemetry::Outcome`] in its extensions and one line in the log.
//! - **Bodies.** No request body is ever sent short or twice. A large one is not touched before the second CAS says
//!   `100 Continue`, so a 441 costs none of it; a small one is recorded as it goes, up to
//!   [bounds](first_cas::Limits). What can't be given again is refused with 503 and `Retry-After`.
//! - **Repeats.** One request causes at most one proxy login and one replay at a server, and a thousand requests of
//!   one user share one login. Another server gets it only if nothing of it can have been done.
//! - **Trust.** Identity headers of a client reach nobody, on no path. Where a request goes comes from the directory
//!   alone; redirects are not followed. [`SecondCasLayer`] can't be built without saying whom it trusts, and what is
//!   for laboratories is called `danger`. Certificates are verified.
//! - **Bounds.** Every wait [ends](first_cas::Timeouts), every store is bounded, and each bound has a setter.
//! - **Readiness.** The inner service is readied on the very clone that is called, and is never held while anyone is
//!   waited for. Dropping a response future ends what is under way for it.
//!
//! The README names the test behind each. What is *not* done is told there too.

mod clock;
pub mod csc;
pub mod decision;
pub mod directory;
pub mod first_cas;
#[cfg(feature = "negotiate")]
mod kerberos;
pub mod lookup;
pub mod outbound;
pub mod pages;
pub mod second_cas;
pub mod telemetry;
pub mod wire;

pub use csc::ClientSecurityContext;
pub use decision::Here;
pub use directory::{ClientAccessServer, Mailbox, MailboxKey, Topology};
pub use first_cas::CasProxyLayer;
pub use lookup::InMemory;
pub use second_cas::{SecondCasLayer, unless_proxied};

/// Prose, for reading.
#[cfg(any(doc, doctest))]
pub mod docs {
    #[doc = include_str!("docs/dependencies.md")]
    pub mod dependencies {}

    #[doc = include_str!("docs/deploying.md")]
    pub mod deploying {}

    #[doc = include_str!("docs/kerberos.md")]
    pub mod kerberos {}

    #[doc = include_str!("docs/protocol.md")]
    pub mod protocol {}

    #[doc = include_str!("docs/security.md")]
    pub mod security {}
}

/// The README's example, so that it keeps compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
