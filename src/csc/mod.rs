//! Who is the user? The client security context (CSC) that one Client Access server hands to another.
//!
//! A Windows user is a [`Sid`], the SIDs of the groups the user is in, each with its [attributes](GroupAttributes), and
//! the SIDs the user's token is restricted to. The first CAS, which signed the user in, puts all of that into a
//! [`ClientSecurityContext`]; [`xml`] carries it to the second CAS.
//!
//! ```
//! use cas_proxy::csc::{ClientSecurityContext, GroupAttributes, Sid, xml};
//!
//! let anna: Sid = "S-1-5-21-1-2-3-1105".parse()?;
//! let context = ClientSecurityContext::builder(anna, "Kerberos", r"CONTOSO\anna")
//!     .group("S-1-5-21-1-2-3-513".parse()?, GroupAttributes::ENABLED_GROUP)
//!     .build()?;
//!
//! let body = xml::write(&context)?;
//! assert_eq!(
//!     body,
//!     r#"<r at="Kerberos" ln="CONTOSO\anna"><s>S-1-5-21-1-2-3-1105</s><s a="7" t="1">S-1-5-21-1-2-3-513</s></r>"#,
//! );
//! assert_eq!(xml::read(&body)?, context);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Whoever holds a context holds only words: a context read from the network is worth as much as the peer that sent it.
//!
//! Not here: privileges, claims and device groups of a token, none of which the protocol carries; and whether a group
//! grants anything, which the server that opens the mailbox decides.

mod context;
mod sid;
pub mod xml;

pub use context::{ClientSecurityContext, ContextBuilder, Group, GroupAttributes, InvalidContext};
pub use sid::{InvalidSid, Sid};
