//! One reading of a path: as it stands, or as someone sees it who has undone its percent-escapes.
//!
//! Several readers will see the path after us, and each makes something else of `;`, of empty segments, of a dot or a
//! blank at a name's end. A [`Reading`] notes every name that any of them could see.

use super::{owa_path::BadPath, scope::Scope};

/// What a path shows in one of its forms.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// The first name is a root of the scope.
    pub(super) in_scope: bool,
    /// That root is the first segment, as it stands.
    pub(super) root_is_plain: bool,
    /// That root is `/owa`.
    pub(super) is_owa: bool,
    /// The first name is not, but some later name is a root of the scope.
    pub(super) root_further_on: bool,
    /// A `.` or `..` segment, or `\`: names may move to another place.
    pub(super) moves: bool,
    /// Why the path has to be refused, if it is in scope.
    pub(super) bad: Option<BadPath>,
    /// A name only servers may ask for, at any place behind the root.
    pub(super) internal: Option<Internal>,
    /// A place that never leaves the server.
    pub(super) is_static: bool,
    /// The name behind `/owa` contains `@`.
    pub(super) explicit_logon: bool,
    /// A `%`: another decoding might show more.
    pub(super) has_escapes: bool,
    names: usize,
    nameless_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Internal {
    ProxyLogon,
    Ping,
}

impl Reading {
    /// Reads a path as it was sent, in which a byte beyond ASCII is an error.
    pub(super) fn of_raw(scope: &Scope, path: &str) -> Self {
        let path = path.as_bytes();
        let seen = signs_in(path);
        let mut reading = Self::with_signs(scope, path, seen);
        if seen & BEYOND_ASCII != 0 {
            reading.bad = Some(BadPath::NonAscii);
        }
        reading
    }

    /// Reads a path whose escapes have been undone. Text beyond ASCII may show now, but only as UTF-8 has it: anything
    /// else, the overlong forms of `.` and `/` above all, is an error.
    pub(super) fn of(scope: &Scope, path: &[u8]) -> Self {
        Self::with_signs(scope, path, signs_in(path))
    }

    fn with_signs(scope: &Scope, path: &[u8], seen: u8) -> Self {
        let mut reading = Self {
            has_escapes: seen & ESCAPE != 0,
            moves: seen & BACKSLASH != 0,
            ..Self::default()
        };
        if seen & BACKSLASH != 0 {
            reading.bad = Some(BadPath::Backslash);
        }
        if seen & CONTROL != 0 {
            reading.bad = Some(BadPath::Control);
        }
        if seen & BEYOND_ASCII != 0 && !is_clean_text(path) {
            reading.bad = Some(BadPath::NonAscii);
        }
        for segment in path.split(|byte| matches!(byte, b'/' | b'\\')) {
            let segment = Segment::of(segment, seen & END_OF_NAME != 0);
            if segment.is_dots() {
                reading.moves = true;
                reading.bad = Some(BadPath::DotSegment);
            }
            if !segment.name.is_empty() {
                reading.note(scope, &segment);
                reading.names += 1;
            } else if !segment.all.is_empty() {
                reading.note_nameless();
            }
        }
        reading
    }

    /// What this or another reading shows that concerns the path as a whole; of two errors, this one's.
    pub(super) fn or(&self, other: &Self) -> Self {
        Self {
            in_scope: self.in_scope | other.in_scope,
            root_further_on: self.root_further_on | other.root_further_on,
            moves: self.moves | other.moves,
            bad: self.bad.or(other.bad),
            internal: self.internal.or(other.internal),
            ..*self
        }
    }

    /// `;x`, say, which is a segment to some and none to others: the names behind it stand in one place or another.
    fn note_nameless(&mut self) {
        self.nameless_first |= self.names == 0;
        if self.is_owa && self.names <= LAST_PLACE {
            self.bad = self.bad.or(Some(BadPath::Ambiguous));
        }
    }

    fn note(&mut self, scope: &Scope, segment: &Segment<'_>) {
        if self.names == 0 {
            self.is_owa = matches!(segment.name, [b'o' | b'O', b'w' | b'W', b'a' | b'A']);
            self.in_scope = match self.is_owa {
                true => scope.has_owa,
                false => scope.contains(segment.name),
            };
            self.root_is_plain = self.in_scope && segment.is_exact() && !self.nameless_first;
            return;
        }
        if !self.in_scope {
            self.root_further_on |= scope.contains(segment.name);
            return;
        }
        //= src/docs/protocol.md#path-normal
        // At any place: a server may take what follows a file's name for an argument to it.
        if segment.is_named("proxyLogon.owa") {
            self.internal = Some(Internal::ProxyLogon);
        } else if segment.is_named("ping.owa") {
            self.internal = Some(Internal::Ping);
        }
        if !self.is_owa {
            return;
        }
        //= src/docs/protocol.md#decide-explicit-logon
        let is_explicit = self.names == 1 && segment.all.contains(&b'@');
        let is_language_page =
            self.names <= LAST_PLACE && segment.is_named("languageselection.aspx");
        //= src/docs/protocol.md#static-local
        let is_static = is_language_page
            || self.names == 1 && (segment.is_named("auth") || is_version_folder(segment.name));
        if (is_static || is_explicit) && !segment.is_exact() {
            // `/owa/auth;x/` is static to some and a mailbox's page to others.
            self.bad = Some(BadPath::Ambiguous);
        }
        self.is_static |= is_static;
        self.explicit_logon |= is_explicit;
    }
}

/// A segment, and the shortest name a reader could make of it.
struct Segment<'p> {
    all: &'p [u8],
    /// What is left when what follows `;`, `:`, `?`, `#` or NUL is cut, and dots and blanks at the end are lost.
    name: &'p [u8],
    has_dots: bool,
}

impl<'p> Segment<'p> {
    fn of(all: &'p [u8], may_be_cut: bool) -> Self {
        let mut name = all;
        if may_be_cut {
            let mut parts = all.split(|&byte| signs_of(byte) & END_OF_NAME != 0);
            name = parts.next().unwrap_or_default();
        }
        let mut has_dots = false;
        while let [rest @ .., last @ (b'.' | b' ')] = name {
            has_dots |= *last == b'.';
            name = rest;
        }
        Self {
            all,
            name,
            has_dots,
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Nothing but dots and blanks.
    fn is_dots(&self) -> bool {
        self.name.is_empty() && self.has_dots
    }

    /// Whether every reader makes the same name of it.
    fn is_exact(&self) -> bool {
        self.name.len() == self.all.len()
    }
}

/// UTF-8, and without the controls U+0080 to U+009F.
fn is_clean_text(path: &[u8]) -> bool {
    std::str::from_utf8(path)
        .is_ok_and(|text| !text.chars().any(|c| matches!(c, '\u{80}'..='\u{9f}')))
}

/// Two to four numbers with dots between them.
fn is_version_folder(name: &[u8]) -> bool {
    let mut numbers = name.split(|&byte| byte == b'.');
    (2..=4).contains(&numbers.clone().count())
        && numbers.all(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

fn signs_in(path: &[u8]) -> u8 {
    path.iter().fold(0, |seen, &byte| seen | signs_of(byte))
}

fn signs_of(byte: u8) -> u8 {
    SIGNS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Behind `/owa`, the last place at which it matters what a name is.
const LAST_PLACE: usize = 2;

const ESCAPE: u8 = 1;
const BACKSLASH: u8 = 2;
const CONTROL: u8 = 4;
const BEYOND_ASCII: u8 = 8;
const END_OF_NAME: u8 = 16;

/// What each byte is a sign of. One look at every byte of a path is all that most paths need.
#[expect(
    clippy::indexing_slicing,
    reason = "done by the compiler, which would notice"
)]
static SIGNS: [u8; 256] = {
    let mut signs = [0; 256];
    let mut byte = 0;
    while byte < signs.len() {
        signs[byte] = match byte as u8 {
            0 => CONTROL | END_OF_NAME,
            1..=0x1f | 0x7f => CONTROL,
            b'%' => ESCAPE,
            b'\\' => BACKSLASH,
            b';' | b':' | b'?' | b'#' => END_OF_NAME,
            0x80.. => BEYOND_ASCII,
            _ => 0,
        };
        byte += 1;
    }
    signs
};
