//! As much of DER as SPNEGO needs: elements of a given tag, one after the other.

/// An element.
pub(super) fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|&&byte| byte == 0).count();
    let significant = length.get(zeros..).unwrap_or_default();
    let mut element = vec![tag];
    if content.len() >= 0x80 {
        element.push(0x80 | significant.len() as u8);
    } else if significant.is_empty() {
        element.push(0);
    }
    element.extend_from_slice(significant);
    element.extend_from_slice(content);
    element
}

/// Elements not read yet. Every method gives `None` if the next one is not what was asked for.
#[derive(Clone, Copy)]
pub(super) struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    pub(super) fn of(bytes: &'d [u8]) -> Self {
        Self(bytes)
    }

    /// The content of the next element.
    pub(super) fn next(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (&found, rest) = self.0.split_first()?;
        if found != tag {
            return None;
        }
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let count = usize::from(first & 0x7f);
            if !(1..=MAX_LENGTH_BYTES).contains(&count) {
                return None;
            }
            let (bytes, after) = rest.split_at_checked(count)?;
            length = bytes
                .iter()
                .fold(0, |length, &byte| length << 8 | usize::from(byte));
            rest = after;
        }
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some(content)
    }

    /// The next element if it has this tag; the outer `None` if it is broken.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Option<&'d [u8]>> {
        match self.0.first() {
            Some(&found) if found == tag => self.next(tag).map(Some),
            _ => Some(None),
        }
    }

    pub(super) fn skip(&mut self, tag: u8) -> Option<()> {
        self.optional(tag).map(|_| ())
    }

    /// The elements of the only one there is.
    pub(super) fn only(self, tag: u8) -> Option<Self> {
        self.last(tag)
    }

    /// The elements of the next one, which must be the last.
    pub(super) fn last(self, tag: u8) -> Option<Self> {
        self.last_bytes(tag).map(Self)
    }

    /// The content of the next element, which must be the last.
    pub(super) fn last_bytes(mut self, tag: u8) -> Option<&'d [u8]> {
        let content = self.next(tag)?;
        self.end()?;
        Some(content)
    }

    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

const MAX_LENGTH_BYTES: usize = 3;
