//! The body of a login as a context.

use super::super::sid::parse_decimal;
use super::super::{ClientSecurityContext, ContextBuilder, Group, GroupAttributes, Sid};
use super::plain::{List, PlainGroup, PlainGroups};
use super::{MAX_BYTES, MAX_SIDS};
use quick_xml::escape::{resolve_xml_entity, unescape_with};
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;

/// Reads the body of a login.
///
/// Takes time and memory in proportion to the bytes, of which it looks at no more than [`MAX_BYTES`]. What comes back says
/// who the user is only if the peer that sent it may say so, and only if the request was for the same SID.
///
/// # Errors
/// If the body is longer than [`MAX_BYTES`], holds more than [`MAX_SIDS`] SIDs, or is anything but the
/// [grammar](crate::csc::xml#what-the-reader-takes). The error never shows what was in the body.
pub fn read(body: &[u8]) -> Result<ClientSecurityContext, ReadError> {
    let mut plain = PlainGroups::default();
    read_with(body, |text| plain.group(text))
}

/// Reads groups by `plain`, which may say None to any, and all else by quick-xml.
pub(super) fn read_with<'b>(
    body: &'b [u8],
    mut plain: impl FnMut(&'b [u8]) -> Option<PlainGroup<'b>>,
) -> Result<ClientSecurityContext, ReadError> {
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
    let mut lists = Lists::for_a_body_of(body.len());
    for sids in 0.. {
        if sids < MAX_SIDS {
            // Between elements, so that quick-xml has nothing in mind but the name of the root.
            if let Some(PlainGroup { list, group, rest }) = plain(tokens.rest()) {
                tokens.skip_to(rest);
                lists.push(list, group);
                continue;
            }
        }
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
        let list = match list {
            Some("1") => List::Groups,
            Some("2") => List::Restricted,
            Some(_) => return Err(tokens.malformed("attribute t that is neither 1 nor 2")),
            None if bits != 0 => return Err(tokens.malformed("user with attributes")),
            None if user.replace(sid).is_some() => return Err(tokens.malformed("second user")),
            None => continue,
        };
        lists.push(list, group);
    }
    if !tokens.at_end() {
        return Err(tokens.malformed("something after the end of r"));
    }
    let user = user.ok_or_else(|| tokens.malformed("no user"))?;

    let builder = ContextBuilder {
        user,
        authentication_type: authentication_type.into_owned(),
        logon_name: logon_name.into_owned(),
        groups: lists.groups,
        restricted: lists.restricted,
    };
    builder
        .build()
        .map_err(|_| tokens.malformed("name too long or with control characters"))
}

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

struct Lists {
    groups: Vec<Group>,
    restricted: Vec<Group>,
    room: usize,
}

impl Lists {
    fn for_a_body_of(bytes: usize) -> Self {
        Self {
            groups: Vec::new(),
            restricted: Vec::new(),
            room: (bytes / TYPICAL_SID).min(MAX_SIDS),
        }
    }

    fn push(&mut self, list: List, group: Group) {
        let groups = match list {
            List::Groups => &mut self.groups,
            List::Restricted => &mut self.restricted,
        };
        if groups.capacity() == 0 {
            groups.reserve_exact(self.room);
        }
        groups.push(group);
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

    fn rest(&self) -> &'b [u8] {
        self.reader.get_ref()
    }

    fn skip_to(&mut self, rest: &[u8]) {
        let skipped = self.rest().len().saturating_sub(rest.len());
        self.reader.stream().consume(skipped);
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

/// What an ordinary group of a domain takes; the reader reserves by it.
const TYPICAL_SID: usize = 64;
