//! Groups in the one form in which they are written: nearly all of a login is that, and quick-xml, which takes any XML,
//! needs six times the instructions for it.

use super::super::sid::take_decimal;
use super::super::{Group, GroupAttributes, Sid};

/// In which of a user's two lists of groups one is.
#[derive(Clone, Copy)]
pub(super) enum List {
    Groups,
    Restricted,
}

/// A group and what comes after it.
pub(super) struct PlainGroup<'t> {
    pub(super) list: List,
    pub(super) group: Group,
    pub(super) rest: &'t [u8],
}

/// Reads one such group after another.
///
/// Takes nothing that quick-xml and the grammar do not take, and makes the same of it; the tests compare the two.
#[derive(Default)]
pub(super) struct PlainGroups<'t> {
    /// The last SID, and its text up to the last number: a user's groups are mostly of one domain.
    last: Option<(&'t [u8], Sid)>,
}

impl<'t> PlainGroups<'t> {
    /// The group that the text begins with.
    pub(super) fn group(&mut self, text: &'t [u8]) -> Option<PlainGroup<'t>> {
        let text = text.strip_prefix(b"<s ")?;
        let (bits, text) = match text.strip_prefix(b"a=\"") {
            Some(number) => {
                let (bits, text) = take_decimal(number)?;
                (bits, text.strip_prefix(b"\" ")?)
            }
            None => (0, text),
        };
        let (list, text) = match text.split_first_chunk()? {
            (b"t=\"1\">", text) => (List::Groups, text),
            (b"t=\"2\">", text) => (List::Restricted, text),
            _ => return None,
        };
        let (sid, text) = self.of_the_same_domain(text).or_else(|| self.sid(text))?;
        let attributes = GroupAttributes::new(bits);
        Some(PlainGroup {
            list,
            group: Group { sid, attributes },
            rest: text.strip_prefix(b"</s>")?,
        })
    }

    fn of_the_same_domain(&self, text: &'t [u8]) -> Option<(Sid, &'t [u8])> {
        let (domain, last) = self.last.as_ref()?;
        let (relative, rest) = take_decimal(text.strip_prefix(*domain)?)?;
        // Where another number follows, this was none that is last.
        (!rest.starts_with(b"-")).then(|| (last.with_relative(relative), rest))
    }

    fn sid(&mut self, text: &'t [u8]) -> Option<(Sid, &'t [u8])> {
        let (sid, rest) = Sid::take(text).ok()?;
        let own = text.get(..text.len() - rest.len())?;
        let relative = own.rsplit(|byte| *byte == b'-').next()?;
        self.last = Some((own.strip_suffix(relative)?, sid));
        Some((sid, rest))
    }
}
