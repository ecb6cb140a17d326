//! Proof of who sent a request: HTTP Message Signatures ([RFC 9421]) with HMAC-SHA256 under a shared key.
//!
//! A first CAS signs each request it sends to a second CAS; the second CAS checks the signature before it
//! believes a single `X-OWA-*` header. Both directions are pure: the time and the nonce are arguments.
//!
//! ```
//! use cas_proxy::wire::signature::{OwnAuthority, Presented, SharedKey, Target};
//! use http::Request;
//!
//! let key = SharedKey::new("chicago-to-dallas", b"0123456789abcdef0123456789abcdef")?;
//!
//! // The first CAS. `x-owa-proxysid` is of the identity family, so it gets covered.
//! let mut request = Request::get("/owa/?ae=Folder")
//!     .header("host", "dallas.fourthcoffee.com")
//!     .header("x-owa-proxysid", "S-1-5-21-1-2-3-1105")
//!     .body(())?;
//! let target = Target::new(request.method(), "dallas.fourthcoffee.com", request.uri());
//! let signed = key.sign(&target, request.headers(), 1_700_000_000, [7; 16])?;
//! signed.insert_into(request.headers_mut());
//!
//! // The second CAS.
//! let (parts, ()) = request.into_parts();
//! let own = [OwnAuthority::new("dallas.fourthcoffee.com")?];
//! let presented = Presented::read(&parts.headers)?.ok_or("no signature")?;
//! assert_eq!(presented.key_id(), "chicago-to-dallas");
//! let target = Target::received(&parts, &own)?;
//! presented.verify(&key, &target, 1_700_000_012)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a signature covers
//! `@method`, `@authority`, `@path`, `@query`, every header of the identity family that is present
//! ([`names::is_identity_name`](crate::wire::names::is_identity_name)) and `content-digest` where there is one.
//! A request that carries a family header its signature leaves out is refused. Whatever stands between two CASs
//! has to keep `Host`, the path and the query byte for byte.
//!
//! # What it does not do
//! - It hides nothing; that is TLS's part.
//! - Only the proxy login's body is bound, through `Content-Digest`. Bodies of other requests are not.
//! - `@query` of RFC 9421 does not tell `/owa` from `/owa?`; neither do we.
//! - [`Presented::verify`] remembers no nonce: its caller has to, or a captured request can be sent again until it
//!   expires.
//!
//! [RFC 9421]: https://www.rfc-editor.org/rfc/rfc9421

mod base;
pub mod content_digest;
mod error;
mod fields;
mod key;
mod sign;
#[cfg(test)]
mod tests;
mod verify;

pub use base::{OwnAuthority, Target};
pub use error::{InvalidAuthority, InvalidKey, SignatureError};
pub use key::SharedKey;
pub use sign::{Signed, VALIDITY_SECONDS};
pub use verify::{MAX_LIFETIME_SECONDS, MAX_SKEW_SECONDS, Presented};
