//! What a request's path asks for, and the paths of the requests made from it.
//!
//! A path is judged and passed on as the same bytes; nothing is ever normalised. That is safe only if everyone who reads
//! it after us sees what we saw. So a path is read as it stands and as it looks after one and after two percent-decodings,
//! each time with the liberties servers take: empty segments do not count; `;`, `:`, `?`, `#` and NUL end a name; dots and
//! blanks at its end are lost; names have no case. Then:
//!
//! - a path that is in scope in one reading has to be so as it stands, plainly: `/owa%2Fx` and `/%6Fwa/x` are refused;
//! - so is a path outside that could be moved into it, such as `/x/../owa/`;
//! - in scope, an escape without two hexadecimal digits is refused: http.sys would read `%u002e` as a dot;
//! - an internal name seen in any reading, at any place behind the root, makes the path internal. Only for these names
//!   more than two decodings are undone, so that whoever decodes before us gets the same answer;
//! - text beyond ASCII may come escaped, as the UTF-8 that WebDAV clients send, never raw;
//! - a path that is static, or names a mailbox, in one reading and not in another is refused.

use std::{borrow::Cow, fmt};

use http::{HeaderValue, Uri, uri::PathAndQuery};
use memchr::memchr;

pub use super::scope::{InvalidScope, Scope};
use super::{
    path_reading::{Internal, Reading},
    percent::{Decoded, decode, is_well_formed},
};
use crate::directory::{InternalUrl, SmtpAddress};

/// Tells what the path of `uri` asks for. Scheme and host of an absolute URI are not looked at.
///
/// ```
/// use cas_proxy::wire::owa_path::{self, BadPath, Kind, Scope};
/// use http::Uri;
///
/// let scope = Scope::default();
/// let kind = |uri: &'static str| {
///     owa_path::classify(&scope, &Uri::from_static(uri)).map(|path| path.kind())
/// };
/// assert_eq!(kind("/favicon.ico"), Ok(Kind::OutOfScope));
/// assert_eq!(kind("/owa/?ae=Folder"), Ok(Kind::Mailbox));
/// assert_eq!(kind("/owa/auth/logon.aspx"), Ok(Kind::StaticLocal));
/// assert_eq!(kind("/owa/p%69ng.OWA"), Ok(Kind::Ping));
/// assert_eq!(kind("/owa/%2e%2e/secret"), Err(BadPath::DotSegment));
///
/// let uri = Uri::from_static("/owa/anna%40contoso.com/?cmd=contents");
/// let path = owa_path::classify(&scope, &uri)?;
/// assert_eq!(path.explicit_logon().map(|address| address.as_str()), Some("anna@contoso.com"));
/// assert!(path.is_web_part());
/// # Ok::<(), BadPath>(())
/// ```
///
/// Allocates for an explicit logon and for a path with escapes; else not at all.
///
/// # Errors
/// If the path is in scope and could be read in two ways; see the [module](self).
pub fn classify<'a>(scope: &Scope, uri: &'a Uri) -> Result<OwaPath<'a>, BadPath> {
    let path = uri.path();
    if !path.starts_with('/') {
        // `*`, or the empty path of a CONNECT.
        return Ok(OwaPath::new(Kind::OutOfScope, uri));
    }
    let raw = Reading::of_raw(scope, path);
    let mut readings = Readings::same(raw);
    if raw.has_escapes {
        readings = decoded(scope, raw, path)?;
    }
    conclude(uri, &readings)
}

/// A path as it stands, and with its escapes undone.
struct Readings {
    raw: Reading,
    once: Reading,
    twice: Reading,
    /// An internal name that takes more than two decodings to see.
    further: Option<Internal>,
}

impl Readings {
    fn same(raw: Reading) -> Self {
        Self {
            raw,
            once: raw,
            twice: raw,
            further: None,
        }
    }
}

//= src/docs/protocol.md#path-normal
#[cold]
fn decoded(scope: &Scope, raw: Reading, path: &str) -> Result<Readings, BadPath> {
    let form = decode(path.as_bytes());
    let once = Reading::of(scope, &form);
    let (mut twice, mut further) = (once, None);
    if once.has_escapes {
        let form = decode(&form);
        twice = Reading::of(scope, &form);
        if twice.has_escapes {
            further = internal_further_on(scope, form)?;
        }
    }
    Ok(Readings {
        raw,
        once,
        twice,
        further,
    })
}

fn conclude<'a>(uri: &'a Uri, readings: &Readings) -> Result<OwaPath<'a>, BadPath> {
    let path = uri.path();
    let Readings {
        raw,
        once,
        twice,
        further,
    } = readings;
    let seen = match raw.has_escapes {
        true => once.or(&twice.or(raw)),
        false => *raw,
    };
    //= src/docs/protocol.md#scope
    if !seen.in_scope && further.is_none() {
        return if seen.moves && seen.root_further_on {
            Err(BadPath::Ambiguous)
        } else {
            Ok(OwaPath::new(Kind::OutOfScope, uri))
        };
    }
    //= src/docs/protocol.md#path-normal
    if let Some(bad) = seen.bad {
        return Err(bad);
    }
    if raw.has_escapes && !is_well_formed(path) {
        return Err(BadPath::Escape);
    }
    if !raw.root_is_plain {
        return Err(BadPath::Ambiguous);
    }
    let (explicit_segment, explicit_logon) = explicit_logon(path, readings)?.unzip();
    let kind = match seen.internal.or(*further) {
        //= src/docs/protocol.md#path-normal
        Some(Internal::ProxyLogon) => Kind::ProxyLogon,
        Some(Internal::Ping) => Kind::Ping,
        None if once.is_static != raw.is_static || twice.is_static != raw.is_static => {
            return Err(BadPath::Ambiguous);
        }
        //= src/docs/protocol.md#static-local
        None if raw.is_static => Kind::StaticLocal,
        None => Kind::Mailbox,
    };
    Ok(OwaPath {
        kind,
        is_owa: raw.is_owa,
        query: uri.query(),
        explicit_segment,
        explicit_logon,
    })
}

/// What a path asks for; made by [`classify`].
#[derive(Clone, Debug)]
pub struct OwaPath<'a> {
    kind: Kind,
    is_owa: bool,
    query: Option<&'a str>,
    explicit_segment: Option<&'a str>,
    explicit_logon: Option<SmtpAddress>,
}

impl<'a> OwaPath<'a> {
    fn new(kind: Kind, uri: &'a Uri) -> Self {
        Self {
            kind,
            is_owa: false,
            query: uri.query(),
            explicit_segment: None,
            explicit_logon: None,
        }
    }

    /// What the path asks for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the path's root is `/owa`.
    #[must_use]
    pub fn is_owa(&self) -> bool {
        self.is_owa
    }

    /// The mailbox the path names: the segment behind `/owa`, if it contains `@` once decoded.
    #[must_use]
    pub fn explicit_logon(&self) -> Option<&SmtpAddress> {
        self.explicit_logon.as_ref()
    }

    /// The segment that names the mailbox, as it was sent.
    #[must_use]
    pub fn explicit_segment(&self) -> Option<&'a str> {
        self.explicit_segment
    }

    /// Whether the query asks for a web part: `cmd=contents`, in any case and escaped or not. Reads the whole query.
    #[must_use]
    pub fn is_web_part(&self) -> bool {
        is_web_part(self.query)
    }
}

/// [`OwaPath::is_web_part`], of a query.
pub(crate) fn is_web_part(query: Option<&str>) -> bool {
    //= src/docs/protocol.md#header-webpart
    let mut rest = query.unwrap_or_default().as_bytes();
    loop {
        let end = memchr(b'&', rest);
        // Few names begin so: most are not looked at any further.
        if matches!(rest.first(), Some(b'c' | b'C' | b'%')) {
            let pair = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let mut parts = pair.splitn(2, |&byte| byte == b'=');
            let mut is_next = |word| parts.next().is_some_and(|part| shows(part, word));
            if is_next("cmd") && is_next("contents") {
                return true;
            }
        }
        rest = match end {
            Some(end) => rest.get(end + 1..).unwrap_or_default(),
            None => return false,
        };
    }
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing of ours.
    OutOfScope,
    /// What every server has for itself: log-on pages, the language page, pictures and scripts of some version.
    StaticLocal,
    /// `proxyLogon.owa`, which only a CAS may ask for.
    ProxyLogon,
    /// `ping.owa`, which only a CAS may ask for.
    Ping,
    /// Something in a mailbox.
    Mailbox,
}

/// The target of the proxy login at the second CAS: `/owa/[user/]proxyLogon.owa`, `explicit` being the
/// [segment](OwaPath::explicit_segment) that names the mailbox, as it was sent.
///
/// # Errors
/// If `explicit` is not a segment that names a mailbox.
pub fn login_path(internal: &InternalUrl, explicit: Option<&str>) -> Result<PathAndQuery, BadPath> {
    //= src/docs/protocol.md#login-request
    page(internal.path(), explicit, "proxyLogon.owa")
}

/// The target of a ping at the second CAS: `/owa/[user/]ping.owa`.
///
/// # Errors
/// If `explicit` is not a segment that names a mailbox.
pub fn ping_path(internal: &InternalUrl, explicit: Option<&str>) -> Result<PathAndQuery, BadPath> {
    //= src/docs/protocol.md#ping-request
    page(internal.path(), explicit, "ping.owa")
}

/// Where a browser is sent that has to choose a language: `/owa/[user/]languageselection.aspx`, a path that stays on
/// this server.
///
/// # Errors
/// If `explicit` is not a segment that names a mailbox.
pub fn language_path(explicit: Option<&str>) -> Result<HeaderValue, BadPath> {
    //= src/docs/protocol.md#status-442
    let path = page("/owa", explicit, "languageselection.aspx")?;
    HeaderValue::from_str(path.as_str()).map_err(|_| BadPath::ExplicitLogon)
}

/// The target at an Exchange 2003 back-end: the root `/owa` becomes `/exchange`. Other roots, and every byte behind the
/// root, stay as they are.
///
/// # Errors
/// If the target grows beyond what [`PathAndQuery`] can hold, 64 KiB.
pub fn to_back_end_path(target: &PathAndQuery) -> Result<PathAndQuery, BadPath> {
    let text = target.as_str();
    let behind_slashes = text.trim_start_matches('/');
    let (slashes, _) = text.split_at(text.len() - behind_slashes.len());
    let root_end = behind_slashes
        .find(['/', '?'])
        .unwrap_or(behind_slashes.len());
    let (root, rest) = behind_slashes.split_at(root_end);
    //= src/docs/protocol.md#decide-legacy
    //= src/docs/protocol.md#copy-path
    if !root.eq_ignore_ascii_case("owa") {
        return Ok(target.clone());
    }
    PathAndQuery::try_from([slashes, "exchange", rest].concat()).map_err(|_| BadPath::TooLong)
}

/// Why a path is refused, with status 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadPath {
    /// A `.` or `..` segment.
    DotSegment,
    /// A `\`.
    Backslash,
    /// NUL or another control character.
    Control,
    /// Bytes beyond ASCII, raw, or escaped but not as UTF-8.
    NonAscii,
    /// A `%` without two hexadecimal digits.
    Escape,
    /// What one server reads in it, another would not.
    Ambiguous,
    /// The segment that names the mailbox is not an SMTP address.
    ExplicitLogon,
    /// Longer than a target can be.
    TooLong,
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DotSegment => "dot segment in the path",
            Self::Backslash => "backslash in the path",
            Self::Control => "control character in the path",
            Self::NonAscii => "stray bytes beyond ASCII in the path",
            Self::Escape => "malformed percent-escape in the path",
            Self::Ambiguous => "path that servers would read differently",
            Self::ExplicitLogon => {
                "path that names a mailbox by something else than an SMTP address"
            }
            Self::TooLong => "path too long",
        })
    }
}

impl std::error::Error for BadPath {}

fn explicit_logon<'a>(
    path: &'a str,
    readings: &Readings,
) -> Result<Option<(&'a str, SmtpAddress)>, BadPath> {
    //= src/docs/protocol.md#decide-explicit-logon
    let Readings {
        raw, once, twice, ..
    } = readings;
    // As it stands, an escaped `@` does not show, but one that shows must still do so once decoded.
    if once.explicit_logon != twice.explicit_logon || raw.explicit_logon && !once.explicit_logon {
        return Err(BadPath::Ambiguous);
    }
    if !once.explicit_logon {
        return Ok(None);
    }
    let segment = segment(path, 1).ok_or(BadPath::Ambiguous)?;
    let address = match segment.contains('%') {
        true => String::from_utf8(decode(segment.as_bytes()))
            .map_err(|_| BadPath::NonAscii)?
            .into(),
        false => Cow::Borrowed(segment),
    };
    // An address holds neither `%` nor `/`: another decoding, or a decoded slash, would have nothing to change.
    let address = address.parse().map_err(|_| BadPath::ExplicitLogon)?;
    Ok(Some((segment, address)))
}

/// Looks for an internal name behind more than two layers of escapes.
fn internal_further_on(scope: &Scope, mut form: Vec<u8>) -> Result<Option<Internal>, BadPath> {
    let mut in_scope = false;
    for _ in 0..MOST_FURTHER_DECODINGS {
        let decoded = decode(&form);
        if decoded == form {
            return Ok(None);
        }
        let reading = Reading::of(scope, &decoded);
        in_scope |= reading.in_scope;
        if reading.in_scope && reading.internal.is_some() {
            return Ok(reading.internal);
        }
        form = decoded;
    }
    if in_scope {
        Err(BadPath::Ambiguous)
    } else {
        Ok(None)
    }
}

fn page(root: &str, explicit: Option<&str>, page: &str) -> Result<PathAndQuery, BadPath> {
    let path = match explicit {
        None => [root, "/", page].concat(),
        Some(segment) if names_mailbox(segment) => [root, "/", segment, "/", page].concat(),
        Some(_) => return Err(BadPath::ExplicitLogon),
    };
    PathAndQuery::try_from(path).map_err(|_| BadPath::ExplicitLogon)
}

/// Holds for every segment that [`classify`] has found, and for none that could lead elsewhere.
fn names_mailbox(segment: &str) -> bool {
    Decoded(segment.bytes()).any(|byte| byte == b'@') && !segment.contains(['/', '\\', '?', '#'])
}

/// A segment as it was sent, empty ones not counted.
fn segment(path: &str, at: usize) -> Option<&str> {
    let mut segments = path.as_bytes().split(|&byte| byte == b'/');
    let segment = segments
        .by_ref()
        .filter(|segment| !segment.is_empty())
        .nth(at)?;
    std::str::from_utf8(segment).ok()
}

/// Whether `text`, decoded once, is `word`, in any case.
fn shows(text: &[u8], word: &str) -> bool {
    let decoded = Decoded(text.iter().copied());
    decoded
        .map(|byte| byte.to_ascii_lowercase())
        .eq(word.bytes())
}

/// Each costs a pass over the path; nobody honest escapes even three times.
const MOST_FURTHER_DECODINGS: usize = 6;

#[cfg(test)]
mod tests;
