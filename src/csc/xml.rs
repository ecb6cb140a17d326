//! The body of a proxy login: a [`ClientSecurityContext`] as XML, written and read.
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

use super::sid::{parse_decimal, write_decimal};
use super::{ClientSecurityContext, ContextBuilder, Group, GroupAttributes, Sid};
use bytes::Bytes;
use quick_xml::escape::{resolve_xml_entity, unescape_with};
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use std::borrow::Cow;
use std::fmt;

/// The most SIDs a body carries, the user's included.
pub const MAX_SIDS: usize = 3000;

/// The most bytes a body has. 3,000 SIDs of domain accounts fit, whatever their attributes and the names.
pub const MAX_BYTES: usize = 256 * 1024;

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

/// Reads the body of a login.
///
/// Takes time and memory in proportion to the bytes, of which it looks at no more than [`MAX_BYTES`]. What comes back says
/// who the user is only if the peer that sent it may say so, and only if the request was for the same SID.
///
/// # Errors
/// If the body is longer than [`MAX_BYTES`], holds more than [`MAX_SIDS`] SIDs, or is anything but the
/// [grammar](self#what-the-reader-takes). The error never shows what was in the body.
pub fn read(body: &[u8]) -> Result<ClientSecurityContext, ReadError> {
    //= src/docs/protocol.md#login-limit
    if body.len() > MAX_BYTES {
        return Err(ReadError {
            kind: ReadErrorKind::TooLarge,
            flaw: "",
            position: 0,
        });
    }
    let mut tokens = Tokens::new(body)?;

    //= src/docs/protocol.md#login-reader
    let Event::Start(root) = tokens.next()? else {
        return Err(tokens.malformed("something else where element r begins"));
    };
    if !root.name().as_ref().eq_ignore_ascii_case("r") {
        return Err(tokens.malformed("another root than r"));
    }
    let Some([Some(authentication_type), Some(logon_name)]) = attributes(&root, ["at", "ln"])
    else {
        return Err(tokens.malformed("other attributes of r than at and ln"));
    };
    let authentication_type = tokens.unescape(authentication_type)?;
    let logon_name = tokens.unescape(logon_name)?;

    let mut user = None;
    let (mut groups, mut restricted) = (Vec::new(), Vec::new());
    for sids in 0.. {
        let tag = match tokens.next()? {
            Event::Start(tag) if tag.name().as_ref() == "s" => tag,
            Event::End(_) => break,
            _ => return Err(tokens.malformed("something else than an element s")),
        };
        if sids == MAX_SIDS {
            return Err(ReadError {
                kind: ReadErrorKind::TooManySids,
                ..tokens.malformed("")
            });
        }
        let Some([bits, list]) = attributes(&tag, ["a", "t"]) else {
            return Err(tokens.malformed("other attributes of s than a and t"));
        };
        let Some(bits) = parse_decimal(bits.unwrap_or("0")) else {
            return Err(tokens.malformed("attribute a that is no 32-bit decimal"));
        };
        let sid = tokens.sid()?;
        let group = Group {
            sid,
            attributes: GroupAttributes::new(bits),
        };
        let groups = match list {
            Some("1") => &mut groups,
            Some("2") => &mut restricted,
            Some(_) => return Err(tokens.malformed("attribute t that is neither 1 nor 2")),
            None if bits != 0 => return Err(tokens.malformed("user with attributes")),
            None if user.replace(sid).is_some() => return Err(tokens.malformed("second user")),
            None => continue,
        };
        if groups.capacity() == 0 {
            groups.reserve_exact((body.len() / TYPICAL_SID).min(MAX_SIDS));
        }
        groups.push(group);
    }
    if !tokens.at_end() {
        return Err(tokens.malformed("something after the end of r"));
    }
    let user = user.ok_or_else(|| tokens.malformed("no user"))?;

    let builder = ContextBuilder {
        user,
        authentication_type: authentication_type.into_owned(),
        logon_name: logon_name.into_owned(),
        groups,
        restricted,
    };
    builder
        .build()
        .map_err(|_| tokens.malformed("name too long or with control characters"))
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

/// A body is no login. Tells the flaw and where it was found, never what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadError {
    kind: ReadErrorKind,
    flaw: &'static str,
    position: u64,
}

impl ReadError {
    /// What sort of flaw it is.
    #[must_use]
    pub fn kind(&self) -> ReadErrorKind {
        self.kind
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ReadErrorKind::TooManySids => write!(f, "more than {MAX_SIDS} SIDs in the login body"),
            ReadErrorKind::TooLarge => write!(f, "login body of more than {MAX_BYTES} bytes"),
            ReadErrorKind::Malformed => write!(
                f,
                "malformed login body: {} before byte {}",
                self.flaw, self.position
            ),
        }
    }
}

impl std::error::Error for ReadError {}

/// The sorts of [`ReadError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadErrorKind {
    /// More than [`MAX_SIDS`] SIDs.
    TooManySids,
    /// More than [`MAX_BYTES`] bytes.
    TooLarge,
    /// Not the grammar.
    Malformed,
}

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

/// A body as a row of tokens. quick-xml finds where each begins and ends, and compares the names of start and end tags.
struct Tokens<'b> {
    reader: Reader<&'b [u8]>,
    length: u64,
}

impl<'b> Tokens<'b> {
    fn new(body: &'b [u8]) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(body).unwrap_or_default();
        let mut reader = Reader::from_str(text);
        // `</s >` then is no end of `s`.
        reader.config_mut().trim_markup_names_in_closing_tags = false;
        let tokens = Self {
            reader,
            length: text.len() as u64,
        };
        // quick-xml would skip a byte order mark without a word.
        if text.starts_with('<') {
            Ok(tokens)
        } else {
            Err(tokens.malformed("something else than UTF-8 markup"))
        }
    }

    fn next(&mut self) -> Result<Event<'b>, ReadError> {
        self.reader
            .read_event()
            .map_err(|_| self.malformed("ill-formed XML"))
    }

    /// The content of an `s` and its end.
    fn sid(&mut self) -> Result<Sid, ReadError> {
        let Event::Text(text) = self.next()? else {
            return Err(self.malformed("something else than the text of a SID"));
        };
        let sid = text.parse().map_err(|_| self.malformed("malformed SID"))?;
        match self.next()? {
            Event::End(_) => Ok(sid),
            _ => Err(self.malformed("something else in an element s than one SID")),
        }
    }

    /// The value of an attribute. Line ends and tabs stay what they are, for the context to refuse.
    fn unescape<'v>(&self, value: &'v str) -> Result<Cow<'v, str>, ReadError> {
        // Not `unescape`: whoever builds quick-xml with `escape-html` for another crate gives it HTML's entities.
        unescape_with(value, resolve_xml_entity)
            .map_err(|_| self.malformed("unknown entity or character reference"))
    }

    fn at_end(&self) -> bool {
        self.reader.buffer_position() == self.length
    }

    fn malformed(&self, flaw: &'static str) -> ReadError {
        ReadError {
            kind: ReadErrorKind::Malformed,
            flaw,
            position: self.reader.buffer_position(),
        }
    }
}

/// The values of the two attributes a tag may have, as written. None if it has another one, or one twice, or holds
/// anything but ` name="value"`: quick-xml's iterator puts up with more, `a="7"t="1"` and `<` in a value among it.
fn attributes<'t>(tag: &'t BytesStart<'_>, names: [&str; 2]) -> Option<[Option<&'t str>; 2]> {
    let mut values = [None; 2];
    let mut rest = tag.attributes_raw();
    while !rest.is_empty() {
        let attribute = rest.strip_prefix(' ')?;
        let (slot, quoted) = names.iter().zip(&mut values).find_map(|(name, slot)| {
            Some((slot, attribute.strip_prefix(name)?.strip_prefix('=')?))
        })?;
        let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let text = quoted.get(1..)?;
        let (value, end) = text.split_at_checked(text.find([quote, '<'])?)?;
        rest = end.strip_prefix(quote)?;
        if slot.replace(value).is_some() {
            return None;
        }
    }
    Some(values)
}

/// `<r at="" ln=""></r>`.
const FRAME: usize = 20;
/// `<s a="4294967295" t="1">S-1-5-21-4294967295-4294967295-4294967295-4294967295</s>`.
const LONGEST_DOMAIN_SID: usize = 80;
/// What an ordinary group of a domain takes; the reader reserves by it.
const TYPICAL_SID: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use ReadErrorKind::{Malformed, TooLarge, TooManySids as TooMany};
    use proptest::prelude::*;

    const EXAMPLES: [&str; 2] = [
        concat!(
            r#"<r at="Negotiate" ln="john"><s>S-1-5-21-1004336348-1177238915-682003330-500</s>"#,
            r#"<s a="7" t="1">S-1-1-0</s><s a="7" t="1">S-1-5-2</s><s a="7" t="1">S-1-5-11</s>"#,
            r#"<s a="7" t="1">S-1-5-15</s><s a="3221225479" t="1">S-1-5-5-0-6948923</s></r>"#
        ),
        concat!(
            r#"<r at="Kerberos" ln="CONTOSO\anna"><s>S-1-5-21-1-2-3-1105</s><s a="7" t="1">S-1-5-21-1-2-3-513</s>"#,
            r#"<s a="16" t="1">S-1-5-32-544</s><s a="7" t="2">S-1-5-12</s></r>"#
        ),
    ];

    const USER: &str = "<s>S-1-5-21-1-2-3-1105</s>";

    fn sid(text: &str) -> Sid {
        text.parse().unwrap()
    }

    fn anna() -> super::super::ContextBuilder {
        ClientSecurityContext::builder(sid("S-1-5-21-1-2-3-1105"), "Kerberos", "anna")
    }

    /// A body around these elements.
    fn with(elements: &str) -> String {
        format!(r#"<r at="Kerberos" ln="anna">{elements}</r>"#)
    }

    /// A body with this start tag.
    fn rooted(start: &str) -> String {
        format!("{start}{USER}</r>")
    }

    fn kind(body: impl AsRef<[u8]>) -> Option<ReadErrorKind> {
        read(body.as_ref()).err().map(|error| error.kind())
    }

    #[test]
    //= src/docs/protocol.md#login-grammar
    fn bodies_seen_on_the_wire_are_read_and_written_byte_for_byte() {
        for body in EXAMPLES {
            assert_eq!(write(&read(body.as_bytes()).unwrap()).unwrap(), body);
        }
        let john = read(EXAMPLES[0].as_bytes()).unwrap();
        assert_eq!(
            (john.authentication_type(), john.logon_name()),
            ("Negotiate", "john")
        );
        assert_eq!(
            john.user(),
            &sid("S-1-5-21-1004336348-1177238915-682003330-500")
        );
        assert_eq!((john.groups().len(), john.restricted().len()), (5, 0));
        assert_eq!(
            john.groups()[4],
            Group {
                sid: sid("S-1-5-5-0-6948923"),
                attributes: GroupAttributes::new(0xC000_0007)
            }
        );

        let anna = read(EXAMPLES[1].as_bytes()).unwrap();
        assert_eq!(anna.logon_name(), r"CONTOSO\anna");
        assert_eq!(
            anna.groups()[1],
            Group {
                sid: sid("S-1-5-32-544"),
                attributes: GroupAttributes::USE_FOR_DENY_ONLY
            }
        );
        assert_eq!(
            anna.restricted(),
            [Group {
                sid: sid("S-1-5-12"),
                attributes: GroupAttributes::ENABLED_GROUP
            }]
        );
    }

    #[test]
    //= src/docs/protocol.md#login-grammar
    fn writer_keeps_the_order_and_leaves_out_what_is_zero() {
        let none = GroupAttributes::default();
        let rows = [
            (anna(), USER.to_owned()),
            (
                anna().group(sid("S-1-1-0"), none),
                format!(r#"{USER}<s t="1">S-1-1-0</s>"#),
            ),
            (
                anna().restricted(sid("S-1-1-0"), none),
                format!(r#"{USER}<s t="2">S-1-1-0</s>"#),
            ),
            (
                anna()
                    .restricted(sid("S-1-5-12"), GroupAttributes::new(u32::MAX))
                    .group(sid("S-1-1-0"), GroupAttributes::new(10)),
                format!(r#"{USER}<s a="10" t="1">S-1-1-0</s><s a="4294967295" t="2">S-1-5-12</s>"#),
            ),
        ];
        for (builder, elements) in rows {
            assert_eq!(write(&builder.build().unwrap()).unwrap(), with(&elements));
        }
    }

    /// SIDs that share a domain's text with the one before, and such as only seem to.
    #[test]
    fn sids_of_many_domains_are_written_in_full() {
        let sids = [
            "S-1-5-21-1-2-3-513",
            "S-1-5-21-1-2-3-0",
            "S-1-5-21-1-2-4-513",
            "S-1-5-21-1-2-4-4294967295",
            "S-1-5-21-1-2-4",
            "S-1-5-21-1-2-4-513-513",
            "S-1-6-21-1-2-4-513-513",
            "S-1-1-0",
            "S-1-1-1",
            "S-1-2-0",
            "S-1-0x000100000000-0",
            "S-1-0x000100000001-0",
        ];
        let none = GroupAttributes::default();
        let [in_groups, in_restricted] = sids.split_at(6).into();
        let context = in_groups
            .iter()
            .fold(anna(), |c, text| c.group(sid(text), none));
        let context = in_restricted
            .iter()
            .fold(context, |c, text| c.restricted(sid(text), none));
        let elements: String = in_groups
            .iter()
            .map(|text| format!(r#"<s t="1">{text}</s>"#))
            .chain(
                in_restricted
                    .iter()
                    .map(|text| format!(r#"<s t="2">{text}</s>"#)),
            )
            .collect();
        assert_eq!(
            write(&context.build().unwrap()).unwrap(),
            with(&format!("{USER}{elements}"))
        );
    }

    #[test]
    fn names_are_escaped() {
        let rows = [
            (r#"<>&"'"#, "&lt;&gt;&amp;&quot;'"),
            ("]]>", "]]&gt;"),
            ("&amp;", "&amp;amp;"),
            (
                r#""/><s>S-1-5-18</s>"#,
                "&quot;/&gt;&lt;s&gt;S-1-5-18&lt;/s&gt;",
            ),
            ("Jürgen \u{1F600}", "Jürgen \u{1F600}"),
            ("", ""),
        ];
        for (name, escaped) in rows {
            let context = ClientSecurityContext::builder(sid("S-1-5-21-1-2-3-1105"), name, name)
                .build()
                .unwrap();
            let body = write(&context).unwrap();
            assert_eq!(
                body,
                rooted(&format!(r#"<r at="{escaped}" ln="{escaped}">"#))
            );
            assert_eq!(read(&body).unwrap(), context);
        }
    }

    #[test]
    //= src/docs/protocol.md#login-reader
    fn other_spellings_of_the_same_context_are_read() {
        let group = |bits| {
            anna()
                .group(sid("S-1-1-0"), GroupAttributes::new(bits))
                .build()
                .unwrap()
        };
        let rows = [
            (
                "attributes in the other order",
                with(&format!(r#"{USER}<s t="1" a="7">S-1-1-0</s>"#)),
                group(7),
            ),
            (
                "user last",
                with(&format!(r#"<s a="7" t="1">S-1-1-0</s>{USER}"#)),
                group(7),
            ),
            (
                "attribute word 0 in full",
                with(&format!(r#"{USER}<s a="0" t="1">S-1-1-0</s>"#)),
                group(0),
            ),
            (
                "user with a zero attribute word",
                with(r#"<s a="0">S-1-5-21-1-2-3-1105</s>"#),
                anna().build().unwrap(),
            ),
            (
                "every bit",
                with(&format!(r#"{USER}<s a="4294967295" t="1">S-1-1-0</s>"#)),
                group(u32::MAX),
            ),
            (
                "R for r",
                format!(r#"<R at="Kerberos" ln="anna">{USER}</R>"#),
                anna().build().unwrap(),
            ),
            (
                "ln before at",
                rooted(r#"<r ln="anna" at="Kerberos">"#),
                anna().build().unwrap(),
            ),
            (
                "single quotes",
                format!("<r at='Kerberos' ln='anna'>{USER}<s a='7' t=\"1\">S-1-1-0</s></r>"),
                group(7),
            ),
            (
                "character references",
                rooted(r#"<r at="Kerber&#111;s" ln="&#x61;nn&#x0061;">"#),
                anna().build().unwrap(),
            ),
        ];
        for (name, body, context) in rows {
            assert_eq!(read(body.as_bytes()), Ok(context), "{name}");
        }
    }

    #[test]
    fn names_are_unescaped_once() {
        let rows = [
            ("&lt;&gt;&amp;&quot;&apos;", "<>&\"'"),
            ("&amp;lt;", "&lt;"),
            ("&#38;#60;", "&#60;"),
            ("a>b]]>'c", "a>b]]>'c"),
            ("&#x1F600;\u{1F600}", "\u{1F600}\u{1F600}"),
            ("&#000065;", "A"),
            (";", ";"),
        ];
        for (escaped, name) in rows {
            let context = read(rooted(&format!(r#"<r at="" ln="{escaped}">"#)).as_bytes()).unwrap();
            assert_eq!(context.logon_name(), name);
        }
    }

    #[test]
    //= src/docs/protocol.md#login-reader
    fn roots_that_are_not_exactly_r_with_at_and_ln_are_refused() {
        let rows = [
            "",
            r#"<r at="" ln="">"#,
            r#"<r ln="anna">"#,
            r#"<r at="Kerberos">"#,
            "<r>",
            r#"<r at="a" ln="b" x="c">"#,
            r#"<r at="a" ln="b" t="1">"#,
            r#"<r at="a" ln="b" xmlns="urn:x">"#,
            r#"<r at="a" ln="b" xmlns:x="urn:x">"#,
            r#"<r at="a" ln="b" xml:lang="en">"#,
            r#"<x:r at="a" ln="b">"#,
            r#"<r x:at="a" ln="b">"#,
            r#"<r AT="a" ln="b">"#,
            r#"<r at="a" LN="b">"#,
            r#"<r at="a" at="a" ln="b">"#,
            r#"<r at="a" ln="b" ln="c">"#,
            r#"<rr at="a" ln="b">"#,
            r#"<s at="a" ln="b">"#,
            r#"<ŕ at="a" ln="b">"#,
            // white space that is not one space before each attribute
            r#"< r at="a" ln="b">"#,
            r#"<r  at="a" ln="b">"#,
            r#"<r at="a"  ln="b">"#,
            "<r\tat=\"a\" ln=\"b\">",
            "<r at=\"a\"\nln=\"b\">",
            r#"<r at ="a" ln="b">"#,
            r#"<r at= "a" ln="b">"#,
            r#"<r at="a" ln="b" >"#,
            "<r\u{A0}at=\"a\" ln=\"b\">",
            // not well-formed, though some tokenizers let it pass
            r#"<r at="a"ln="b">"#,
            r#"<r at=a ln=b>"#,
            r#"<r at ln>"#,
            r#"<r at="a' ln='b">"#,
            r#"<r at='a" ln="b'>"#,
            r#"<r at="a<b" ln="b">"#,
            r#"<r at="a" ln="b"<s>"#,
            r#"<r at="a" ln="b"/>"#,
            r#"<r at="a" ln="b" / >"#,
            r#"<r/at="a" ln="b">"#,
            r#"<r at=“a” ln=“b”>"#,
        ];
        // The second row is the control: the same elements under a root that is right.
        for (row, start) in rows.into_iter().enumerate() {
            assert_eq!(
                kind(rooted(start)),
                (row != 1).then_some(Malformed),
                "{start}"
            );
        }
    }

    #[test]
    //= src/docs/protocol.md#login-reader
    fn names_that_hide_something_are_refused() {
        let rows = [
            "&nbsp;",
            "&eacute;",
            "&lol9;",
            "&unknown;",
            "&LT;",
            "&;",
            "&",
            "&amp",
            "&a&amp;",
            "& amp;",
            "&#;",
            "&#x;",
            "&#X41;",
            "&#-65;",
            "&#+65;",
            "&#xD800;",
            "&#x110000;",
            "&#99999999999999999999;",
            "&#xFFFE;",
            "&#xFFFF;",
            "\u{FFFE}",
            // controls, as they are and by reference
            "&#0;",
            "&#x0;",
            "&#1;",
            "&#8;",
            "&#9;",
            "&#10;",
            "&#xA;",
            "&#13;",
            "&#x1F;",
            "&#127;",
            "&#x85;",
            "\0",
            "\t",
            "\n",
            "\r",
            "\u{1B}[2J",
            "\u{7F}",
            "a&#13;&#10;X-OWA-ProxySid: S-1-5-18",
        ];
        for name in rows {
            assert_eq!(
                kind(rooted(&format!(r#"<r at="" ln="{name}">"#))),
                Some(Malformed),
                "ln {name:?}"
            );
            assert_eq!(
                kind(rooted(&format!(r#"<r at="{name}" ln="">"#))),
                Some(Malformed),
                "at {name:?}"
            );
        }
        let long = "x".repeat(ClientSecurityContext::MAX_LOGON_NAME + 1);
        assert_eq!(
            kind(rooted(&format!(r#"<r at="" ln="{long}">"#))),
            Some(Malformed)
        );
    }

    #[test]
    //= src/docs/protocol.md#login-reader
    fn bodies_without_exactly_one_plain_user_are_refused() {
        let rows = [
            ("nobody", with("")),
            ("groups alone", with(r#"<s a="7" t="1">S-1-1-0</s>"#)),
            ("a restricted SID alone", with(r#"<s t="2">S-1-5-12</s>"#)),
            (
                "user with attributes",
                with(r#"<s a="7">S-1-5-21-1-2-3-1105</s>"#),
            ),
            ("the same user twice", with(&USER.repeat(2))),
            ("two users", with(&format!("{USER}<s>S-1-5-18</s>"))),
            (
                "t of 0, as seen on the wire",
                r#"<r at="NTLM" ln="administrator"><s t="0">S-1-5-21-1-2-3-500</s></r>"#.to_owned(),
            ),
        ];
        for (name, body) in rows {
            assert_eq!(kind(body), Some(Malformed), "{name}");
        }
    }

    #[test]
    //= src/docs/protocol.md#login-reader
    fn elements_that_are_not_exactly_s_are_refused() {
        let rows = [
            // the user: once, and plain
            "",
            "<s>S-1-5-18</s>",
            r#"<s t="0">S-1-5-18</s>"#,
            r#"<s a="7">S-1-5-18</s>"#,
            USER,
            // names
            "<S>S-1-1-0</S>",
            r#"<S t="1">S-1-1-0</S>"#,
            r#"<x:s t="1">S-1-1-0</x:s>"#,
            r#"<g t="1">S-1-1-0</g>"#,
            r#"<r at="" ln=""></r>"#,
            r#"<s t="1">S-1-1-0</S>"#,
            r#"<s t="1">S-1-1-0</r>"#,
            r#"<s t="1">S-1-1-0</s >"#,
            r#"<s t="1">S-1-1-0</s t="1">"#,
            "<>S-1-1-0</>",
            // attributes
            r#"<s t="0">S-1-1-0</s>"#,
            r#"<s t="3">S-1-1-0</s>"#,
            r#"<s t="">S-1-1-0</s>"#,
            r#"<s t="01">S-1-1-0</s>"#,
            r#"<s t=" 1">S-1-1-0</s>"#,
            r#"<s t="1 ">S-1-1-0</s>"#,
            r#"<s t="&#49;">S-1-1-0</s>"#,
            r#"<s t="１">S-1-1-0</s>"#,
            r#"<s T="1">S-1-1-0</s>"#,
            r#"<s t="1" t="1">S-1-1-0</s>"#,
            r#"<s t="1" T="2">S-1-1-0</s>"#,
            r#"<s t="1" t='2'>S-1-1-0</s>"#,
            r#"<s a="7" a="0" t="1">S-1-1-0</s>"#,
            r#"<s a="7"t="1">S-1-1-0</s>"#,
            r#"<s a="" t="1">S-1-1-0</s>"#,
            r#"<s a="07" t="1">S-1-1-0</s>"#,
            r#"<s a="+7" t="1">S-1-1-0</s>"#,
            r#"<s a="-1" t="1">S-1-1-0</s>"#,
            r#"<s a="0x7" t="1">S-1-1-0</s>"#,
            r#"<s a="7.0" t="1">S-1-1-0</s>"#,
            r#"<s a="4294967296" t="1">S-1-1-0</s>"#,
            r#"<s a=" 7" t="1">S-1-1-0</s>"#,
            r#"<s a="&#55;" t="1">S-1-1-0</s>"#,
            r#"<s a="7" t="1" x="">S-1-1-0</s>"#,
            r#"<s at="" t="1">S-1-1-0</s>"#,
            r#"<s xmlns="" t="1">S-1-1-0</s>"#,
            r#"<s a=7 t=1>S-1-1-0</s>"#,
            r#"<s a="7" t="1" >S-1-1-0</s>"#,
            r#"<s  t="1">S-1-1-0</s>"#,
            // content
            r#"<s t="1"/>"#,
            r#"<s t="1"></s>"#,
            "<s/>",
            "<s></s>",
            r#"<s t="1"> S-1-1-0</s>"#,
            r#"<s t="1">S-1-1-0 </s>"#,
            "<s t=\"1\">\nS-1-1-0\n</s>",
            r#"<s t="1">s-1-1-0</s>"#,
            r#"<s t="1">S-1-1-00</s>"#,
            r#"<s t="1">S-1-1-0,S-1-5-18</s>"#,
            r#"<s t="1">S-1-1-&#48;</s>"#,
            r#"<s t="1">&#83;-1-1-0</s>"#,
            r#"<s t="1">S-1-1-0&amp;</s>"#,
            r#"<s t="1">&sid;</s>"#,
            r#"<s t="1">S-1-1-0&</s>"#,
            r#"<s t="1">S-1-5-<!-- -->18</s>"#,
            r#"<s t="1"><!-- -->S-1-1-0</s>"#,
            r#"<s t="1">S-1-1-0<!-- --></s>"#,
            r#"<s t="1"><![CDATA[S-1-1-0]]></s>"#,
            r#"<s t="1">S-1-5-<![CDATA[18]]></s>"#,
            r#"<s t="1">S-1-1-0<![CDATA[]]></s>"#,
            r#"<s t="1">S-1-1-0<?x?></s>"#,
            r#"<s t="1">S-1-1-0<x/></s>"#,
            r#"<s t="1"><s t="1">S-1-1-0</s></s>"#,
            r#"<s t="1">S-1-1-0<s t="1">S-1-5-18</s></s>"#,
            r#"<s t="1">S-1-1-0"#,
            r#"<s t="1">S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16</s>"#,
            "<s t=\"1\">S-1-1-0\0</s>",
            "<s t=\"1\">S-1-1-0\u{FEFF}</s>",
            // between elements
            " ",
            "\n",
            "\r\n",
            "text",
            "\0",
            "\u{FEFF}",
            "&amp;",
            "&#32;",
            "<!-- -->",
            "<![CDATA[]]>",
            "<?x?>",
            "<!DOCTYPE r>",
            r#"<?xml version="1.0"?>"#,
            "<!ELEMENT r ANY>",
            "<!ENTITY x 'y'>",
            "<",
            ">",
            "</",
            "<!",
            "<!-",
            "<?",
            "</s>",
            "</x>",
            "</r></r>",
            "]]>",
        ];
        for (row, element) in rows.into_iter().enumerate() {
            // The first row is the control.
            assert_eq!(
                kind(with(&format!("{USER}{element}"))),
                (row != 0).then_some(Malformed),
                "{element:?}"
            );
            let first = kind(with(&format!("{element}{USER}")));
            assert_eq!(first, (row != 0).then_some(Malformed), "{element:?} first");
        }
    }

    #[test]
    //= src/docs/protocol.md#login-reader
    fn documents_around_it_are_refused() {
        let good = with(USER);
        let utf16 = |to_bytes: fn(u16) -> [u8; 2]| {
            good.encode_utf16().flat_map(to_bytes).collect::<Vec<_>>()
        };
        let laughs = concat!(
            r#"<!DOCTYPE r [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>"#,
            r#"<r at="" ln="&c;"><s>S-1-5-21-1-2-3-1105</s></r>"#
        );
        let external = r#"<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r at="" ln="&x;"><s>S-1-5-21-1-2-3-1105</s></r>"#;
        let defaulted = r#"<!DOCTYPE r [<!ATTLIST s t CDATA "1">]><r at="" ln=""><s>S-1-5-21-1-2-3-1105</s></r>"#;
        let rows: Vec<(&str, Vec<u8>)> = vec![
            ("nothing", vec![]),
            ("white space", b" ".to_vec()),
            ("text", b"S-1-5-21-1-2-3-1105".to_vec()),
            ("nothing but </r>", b"</r>".to_vec()),
            ("bare elements", USER.into()),
            ("byte order mark", format!("\u{FEFF}{good}").into()),
            ("UTF-16, little-endian", utf16(u16::to_le_bytes)),
            ("UTF-16, big-endian", utf16(u16::to_be_bytes)),
            (
                "UTF-16 with byte order mark",
                [b"\xFF\xFE".to_vec(), utf16(u16::to_le_bytes)].concat(),
            ),
            ("UTF-7", good.replace('<', "+ADw-").into()),
            (
                "declaration",
                format!(r#"<?xml version="1.0" encoding="utf-8"?>{good}"#).into(),
            ),
            ("processing instruction", format!("<?x?>{good}").into()),
            ("comment", format!("<!-- -->{good}").into()),
            ("document type", format!("<!DOCTYPE r>{good}").into()),
            (
                "document type in lower case",
                format!("<!doctype r>{good}").into(),
            ),
            ("billion laughs", laughs.into()),
            ("external entity", external.into()),
            ("defaulted attribute", defaulted.into()),
            ("white space first", format!("\n{good}").into()),
            ("white space last", format!("{good}\n").into()),
            ("NUL last", format!("{good}\0").into()),
            ("comment last", format!("{good}<!-- -->").into()),
            ("processing instruction last", format!("{good}<?x?>").into()),
            ("text last", format!("{good}x").into()),
            ("& last", format!("{good}&").into()),
            ("< last", format!("{good}<").into()),
            ("end tag last", format!("{good}</r>").into()),
            ("twice", good.repeat(2).into()),
            ("wrapped", format!("<x>{good}</x>").into()),
            ("wrapped in r", with(&good).into()),
            ("cut", good.as_bytes()[..good.len() - 1].to_vec()),
            (
                "cut before </r>",
                good.as_bytes()[..good.len() - 4].to_vec(),
            ),
            (
                "closed by the other case",
                good.replace("</r>", "</R>").into(),
            ),
            ("closed by another", good.replace("</r>", "</s>").into()),
            (
                "white space in the end tag",
                good.replace("</r>", "</r >").into(),
            ),
            ("deep", "<r at=\"\" ln=\"\">".repeat(10_000).into()),
            (
                "deep s",
                format!(r#"<r at="" ln="">{}"#, "<s>".repeat(80_000)).into(),
            ),
            (
                "many attributes",
                format!(
                    "<r{}>",
                    (0..20_000).map(|n| format!(" a{n}=''")).collect::<String>()
                )
                .into(),
            ),
            ("one long tag", "<".repeat(MAX_BYTES).into()),
            (
                "one long name",
                format!("<{}", "r".repeat(MAX_BYTES - 1)).into(),
            ),
            (
                "many references",
                rooted(&format!(r#"<r at="" ln="{}">"#, "&lt;".repeat(60_000))).into(),
            ),
        ];
        assert_eq!(kind(&good), None);
        for (name, body) in rows {
            assert_eq!(kind(&body), Some(Malformed), "{name}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_refused() {
        for bytes in [
            &b"\xFF"[..],
            b"\xC0\xBC",
            b"\xC3",
            b"\xED\xA0\x80",
            b"\xF4\x90\x80\x80",
            b"\xE9",
            b"\x80",
        ] {
            for body in [
                [br#"<r at="" ln=""#, bytes, br#""><s>S-1-5-18</s></r>"#].concat(),
                [bytes, EXAMPLES[0].as_bytes()].concat(),
            ] {
                assert_eq!(kind(body), Some(Malformed), "{bytes:x?}");
            }
            let late = [EXAMPLES[0].as_bytes(), bytes].concat();
            assert_eq!(kind(late), Some(Malformed), "{bytes:x?} last");
        }
    }

    #[test]
    //= src/docs/protocol.md#login-limit
    fn the_3001st_sid_is_refused_as_soon_as_it_is_met() {
        let group = Group {
            sid: sid("S-1-1-0"),
            attributes: GroupAttributes::ENABLED_GROUP,
        };
        let of = |groups: usize| anna().groups(vec![group; groups]).build().unwrap();
        for groups in [0, 1, 1023, 2999] {
            let context = of(groups);
            assert_eq!(
                read(&write(&context).unwrap()),
                Ok(context),
                "{groups} groups"
            );
        }
        for groups in [3000, 5000] {
            let refused = write(&of(groups)).unwrap_err();
            assert_eq!(refused.sids(), groups + 1);
            assert_eq!(
                refused.to_string(),
                format!("{} SIDs where a login carries 3000", groups + 1)
            );
        }
        let full = with(&format!("{USER}{}", r#"<s t="1">S-1-1-0</s>"#.repeat(2999)));
        assert_eq!(kind(&full), None);
        for rest in ["<s>", r#"<s t="2">"#, r#"<s t="9" x>"#, USER] {
            assert_eq!(kind(full.replace("</r>", rest)), Some(TooMany), "{rest}");
        }
        assert_eq!(kind(full.replace("</r>", "<s")), Some(Malformed));
    }

    #[test]
    //= src/docs/protocol.md#login-limit
    fn a_body_over_256_kib_is_neither_read_nor_written() {
        let padded = |length: usize| {
            let body = with(USER);
            format!("{body}{}", "x".repeat(length - body.len()))
        };
        assert_eq!(kind(padded(MAX_BYTES)), Some(Malformed));
        assert_eq!(kind(padded(MAX_BYTES + 1)), Some(TooLarge));

        let longest = Sid::from_parts((1 << 48) - 1, &[u32::MAX; 15]).unwrap();
        let group = Group {
            sid: longest,
            attributes: GroupAttributes::new(u32::MAX),
        };
        let refused = write(&anna().groups([group; 1500]).build().unwrap()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "1501 SIDs that need more than the 262144 bytes of a login"
        );
    }

    #[test]
    fn the_largest_domain_user_fits() {
        let largest = Sid::from_parts(5, &[21, u32::MAX, u32::MAX, u32::MAX, u32::MAX]).unwrap();
        let group = Group {
            sid: largest,
            attributes: GroupAttributes::new(u32::MAX),
        };
        let (at, ln) = (
            ClientSecurityContext::MAX_AUTHENTICATION_TYPE,
            ClientSecurityContext::MAX_LOGON_NAME,
        );
        let context = ClientSecurityContext::builder(largest, "\"".repeat(at), "\"".repeat(ln))
            .groups(vec![group; MAX_SIDS - 1])
            .build()
            .unwrap();
        assert_eq!(read(&write(&context).unwrap()), Ok(context));
    }

    #[test]
    fn errors_tell_where_and_never_what() {
        let refused = read(with("<s>S-1-5-21-1-2-3-1105x</s>").as_bytes()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "malformed login body: malformed SID before byte 50"
        );
        assert!(!format!("{refused:?}").contains("1105"));
        assert_eq!(
            read(&[b'x'; MAX_BYTES + 1]).unwrap_err().to_string(),
            "login body of more than 262144 bytes"
        );
        let marked = read(format!("\u{FEFF}{}", EXAMPLES[0]).as_bytes()).unwrap_err();
        assert_eq!(
            marked.to_string(),
            "malformed login body: something else than UTF-8 markup before byte 0"
        );
        let many =
            read(with(&USER.replace("<s>", "<s t=\"1\">").repeat(3001)).as_bytes()).unwrap_err();
        assert_eq!(many.to_string(), "more than 3000 SIDs in the login body");
    }

    fn any_sid() -> impl Strategy<Value = Sid> {
        (
            prop_oneof![Just(5), 0..1_u64 << 48],
            prop::collection::vec(any::<u32>(), 1..=15),
        )
            .prop_map(|(authority, subs)| Sid::from_parts(authority, &subs).unwrap())
    }

    fn any_groups() -> impl Strategy<Value = Vec<Group>> {
        let bits = prop_oneof![Just(0), Just(7), any::<u32>()];
        let group = (any_sid(), bits).prop_map(|(sid, bits)| Group {
            sid,
            attributes: GroupAttributes::new(bits),
        });
        prop::collection::vec(group, 0..12)
    }

    fn any_context() -> impl Strategy<Value = ClientSecurityContext> {
        let name = r#"([ -~]|[<>&"';#x]|[^\p{Cc}\u{FFFE}\u{FFFF}]){0,40}"#;
        (any_sid(), name, name, any_groups(), any_groups()).prop_map(
            |(user, at, ln, groups, restricted)| {
                let builder = ClientSecurityContext::builder(user, at, ln).groups(groups);
                restricted
                    .iter()
                    .fold(builder, |builder, of| {
                        builder.restricted(of.sid, of.attributes)
                    })
                    .build()
                    .unwrap()
            },
        )
    }

    /// Whatever is read can be written, and is the same when read again.
    fn read_is_stable(body: &[u8]) -> Result<(), TestCaseError> {
        if let Ok(context) = read(body) {
            prop_assert_eq!(read(&write(&context).unwrap()), Ok(context));
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_as_it_was(context in any_context()) {
            let body = write(&context).unwrap();
            prop_assert_eq!(read(&body), Ok(context));
        }

        #[test]
        fn no_part_of_a_body_is_a_body(context in any_context(), cut in any::<prop::sample::Index>()) {
            let body = write(&context).unwrap();
            prop_assert_eq!(kind(&body[..cut.index(body.len())]), Some(Malformed));
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            read_is_stable(&body)?;
        }

        #[test]
        fn any_mix_of_tokens_is_read_or_refused(tokens in prop::collection::vec(prop::sample::select(vec![
            "<r", " at=\"\"", " ln=\"x\"", ">", "<s", "<s>", " a=\"7\"", " t=\"1\"", " t='2'", "S-1-5-18", "</s>", "</r>", "<!--",
            "-->", "<![CDATA[", "]]>", "<!DOCTYPE r", "[", "]", "<?xml", "?>", "&amp;", "&#0;", " ", "/", "\"", "'", "=", "<", "\u{FEFF}",
        ]), 0..24)) {
            read_is_stable(tokens.concat().as_bytes())?;
        }

        #[test]
        fn a_changed_byte_is_read_or_refused(
            context in any_context(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut body = write(&context).unwrap().to_vec();
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            read_is_stable(&body)?;
        }
    }
}
