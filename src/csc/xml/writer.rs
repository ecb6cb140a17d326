//! A context as the body of a login.

use super::super::sid::Decimal;
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
    let mut body = Vec::with_capacity(FRAME + names + context.sid_count() * LONGEST_DOMAIN_SID);
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
fn write_body(context: &ClientSecurityContext, body: &mut Vec<u8>) -> fmt::Result {
    body.extend_from_slice(b"<r at=\"");
    escape(context.authentication_type(), body);
    body.extend_from_slice(b"\" ln=\"");
    escape(context.logon_name(), body);
    body.extend_from_slice(b"\"><s>");
    let mut sids = Sids::default();
    sids.write(context.user(), body)?;
    body.extend_from_slice(b"</s>");
    for (groups, list) in [
        (context.groups(), b"t=\"1\">"),
        (context.restricted(), b"t=\"2\">"),
    ] {
        for group in groups {
            body.extend_from_slice(b"<s ");
            if group.attributes.bits() != 0 {
                body.extend_from_slice(b"a=\"");
                body.extend_from_slice(Decimal::of(group.attributes.bits()).as_bytes());
                body.extend_from_slice(b"\" ");
            }
            body.extend_from_slice(list);
            sids.write(&group.sid, body)?;
            body.extend_from_slice(b"</s>");
        }
    }
    body.extend_from_slice(b"</r>");
    Ok(())
}

/// Writes SIDs, of which most are of the same domain as the one before: its text is kept.
#[derive(Default)]
struct Sids {
    domain: String,
    of: Option<Sid>,
}

impl Sids {
    fn write(&mut self, sid: &Sid, body: &mut Vec<u8>) -> fmt::Result {
        if !self.of.as_ref().is_some_and(|last| last.shares_domain(sid)) {
            self.domain.clear();
            sid.write_domain(&mut self.domain)?;
            self.of = Some(*sid);
        }
        body.extend_from_slice(self.domain.as_bytes());
        body.extend_from_slice(Decimal::of(sid.relative()).as_bytes());
        Ok(())
    }
}

fn escape(text: &str, body: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'&' => body.extend_from_slice(b"&amp;"),
            b'<' => body.extend_from_slice(b"&lt;"),
            b'>' => body.extend_from_slice(b"&gt;"),
            b'"' => body.extend_from_slice(b"&quot;"),
            byte => body.push(byte),
        }
    }
}

/// `<r at="" ln=""></r>`.
const FRAME: usize = 20;
/// `<s a="4294967295" t="1">S-1-5-21-4294967295-4294967295-4294967295-4294967295</s>`.
const LONGEST_DOMAIN_SID: usize = 80;
