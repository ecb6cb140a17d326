//! The body of a proxy login: a [`ClientSecurityContext`](super::ClientSecurityContext) as XML, written and read.
//!
//! ```
//! use cas_proxy::csc::xml;
//!
//! let body = br#"<r at="Kerberos" ln="CONTOSO\anna"><s>S-1-5-21-1-2-3-1105</s><s a="16" t="1">S-1-5-32-544</s></r>"#;
//! let context = xml::read(body)?;
//! assert_eq!(context.user().to_string(), "S-1-5-21-1-2-3-1105");
//! assert_eq!(xml::write(&context)?, &body[..]);
//!
//! let refused = xml::read(br#"<r at="NTLM" ln="administrator"><s t="0">S-1-5-21-1-2-3-500</s></r>"#).unwrap_err();
//! assert_eq!(refused.kind(), xml::ReadErrorKind::Malformed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Grammar
//! ```text
//! body       = <r at="authentication type" ln="logon name"> user *group *restricted </r>
//! user       = <s>SID</s>
//! group      = <s a="attributes" t="1">SID</s>
//! restricted = <s a="attributes" t="2">SID</s>
//! ```
//! UTF-8 without byte order mark, declaration or white space; `a` is decimal, and left out when 0.
//!
//! # What the reader takes
//! Whatever another writer of that grammar may do differently without meaning something else: the root is `r` or `R`; the
//! SIDs stand in any order; the attributes of a tag stand in any order and in either quotes; `a="0"` is written out; the
//! values of `at` and `ln` use character references and the five entities XML predefines.
//!
//! Nothing else. Every other name is matched exactly, so `S` is no `s`. Nothing may follow `</r>`. White space is one
//! U+0020 before each attribute, nowhere else. There are no comments, CDATA sections, declarations or namespaces, a SID
//! holds no reference, an element has no attribute it does not need, and the numbers have one form. A document type, and
//! with it every entity it could declare, ends the reading before it is looked into.

mod plain;
mod reader;
mod writer;

pub use reader::{ReadError, ReadErrorKind, read};
pub use writer::{TooManySids, write};

/// The most SIDs a body carries, the user's included.
pub const MAX_SIDS: usize = 3000;

/// The most bytes a body has. 3,000 SIDs of domain accounts fit, whatever their attributes and the names.
pub const MAX_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests;
