//! A context as the body of a login.

use super::super::sid::write_decimal;
use super::super::{ClientSecurityContext, Sid};
use super::{MAX_BYTES, MAX_SIDS};
use bytes::Bytes;
use std::fmt;

/// Writes the body of a login: all of the context, or nothing.
///
/// # Errors
/// If the context has more than [`MAX_SIDS`] SIDs, or SIDs so long that they need more than [`MAX_BYTES`].
pub fn write(context: &ClientSecurityContext) -> Result<Bytes, TooManySids> {
    //= src/docs/protocol.md#login-limit
    let too_many = TooManySids {
        sids: context.sid_count(),
    };
    if context.sid_count() > MAX_SIDS {
        return Err(too_many);
    }
    let names = context.authentication_type().len() + context.logon_name().len();
    let mut body = String::with_capacity(FRAME + names + context.sid_count() * LONGEST_DOMAIN_SID);
    // A `String` takes whatever is written to it; the `Result` is the formatter's, and always `Ok`.
    let _ = write_body(context, &mut body);
    if body.len() > MAX_BYTES {
        Err(too_many)
    } else {
        Ok(body.into())
    }
}

/// A context has more SIDs than one login can carry, by their number or by their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManySids {
    sids: usize,
}

impl TooManySids {
    /// How many SIDs the context has, the user's included.
    #[must_use]
    pub fn sids(&self) -> usize {
        self.sids
    }
}

impl fmt::Display for TooManySids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sids > MAX_SIDS {
            write!(f, "{} SIDs where a login carries {MAX_SIDS}", self.sids)
        } else {
            write!(
                f,
                "{} SIDs that need more than the {MAX_BYTES} bytes of a login",
                self.sids
            )
        }
    }
}

impl std::error::Error for TooManySids {}

//= src/docs/protocol.md#login-grammar
fn write_body(context: &ClientSecurityContext, body: &mut String) -> fmt::Result {
    body.push_str("<r at=\"");
    escape(context.authentication_type(), body);
    body.push_str("\" ln=\"");
    escape(context.logon_name(), body);
    body.push_str("\"><s>");
    context.user().write_text(body)?;
    body.push_str("</s>");
    // A user's groups are mostly of one domain, so its text is kept from one SID to the next.
    let (mut domain, mut domain_of) = (String::new(), None);
    for (groups, list) in [
        (context.groups(), "t=\"1\">"),
        (context.restricted(), "t=\"2\">"),
    ] {
        for group in groups {
            body.push_str("<s ");
            if group.attributes.bits() != 0 {
                body.push_str("a=\"");
                write_decimal(group.attributes.bits(), body)?;
                body.push_str("\" ");
            }
            body.push_str(list);
            if !domain_of.is_some_and(|sid: Sid| sid.shares_domain(&group.sid)) {
                domain.clear();
                group.sid.write_domain(&mut domain)?;
                domain_of = Some(group.sid);
            }
            body.push_str(&domain);
            group.sid.write_relative(body)?;
            body.push_str("</s>");
        }
    }
    body.push_str("</r>");
    Ok(())
}

fn escape(text: &str, body: &mut String) {
    for c in text.chars() {
        match c {
            '&' => body.push_str("&amp;"),
            '<' => body.push_str("&lt;"),
            '>' => body.push_str("&gt;"),
            '"' => body.push_str("&quot;"),
            c => body.push(c),
        }
    }
}

/// `<r at="" ln=""></r>`.
const FRAME: usize = 20;
/// `<s a="4294967295" t="1">S-1-5-21-4294967295-4294967295-4294967295-4294967295</s>`.
const LONGEST_DOMAIN_SID: usize = 80;
