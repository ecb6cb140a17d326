//! `Connection`: which headers a sender declares to belong to one hop.

use http::{
    HeaderMap, HeaderValue, Version,
    header::{CONNECTION, UPGRADE},
};

use super::{
    forwarded::is_account,
    names::{begins_with, names_identity},
};

/// What all `Connection` lines of a message nominate, read before any of them is removed.
pub(super) struct Nominations {
    upgrade: bool,
    /// Names beyond those that stand for themselves, and are removed anyway.
    others: bool,
    /// One of them is a header that nobody may take out.
    pub(super) protected: bool,
}

impl Nominations {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut nominated = Self {
            upgrade: false,
            others: false,
            protected: false,
        };
        for name in headers.get_all(CONNECTION).iter().flat_map(names_in) {
            if name.eq_ignore_ascii_case(b"upgrade") {
                nominated.upgrade = true;
            } else if !name.eq_ignore_ascii_case(b"close")
                && !name.eq_ignore_ascii_case(b"keep-alive")
            {
                nominated.others = true;
                //= src/docs/protocol.md#copy-request
                nominated.protected |= is_protected(name);
            }
        }
        nominated
    }

    /// The protocol offered, if it is one, and not a version of HTTP.
    pub(super) fn upgrade(&self, version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut lines = headers.get_all(UPGRADE).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) if self.upgrade && version == Version::HTTP_11 => {
                let protocol = line.as_bytes();
                let is_one = !protocol.is_empty() && protocol.iter().all(u8::is_ascii_graphic);
                (is_one && !protocol.contains(&b',') && !is_http(protocol)).then(|| line.clone())
            }
            _ => None,
        }
    }

    /// The lines that nominate more than what is removed anyway.
    pub(super) fn lines(&self, headers: &HeaderMap) -> Vec<HeaderValue> {
        match self.others {
            true => headers.get_all(CONNECTION).iter().cloned().collect(),
            false => Vec::new(),
        }
    }

    /// Removes what is nominated in `lines` and may go.
    pub(super) fn remove<'l>(
        lines: impl IntoIterator<Item = &'l HeaderValue>,
        headers: &mut HeaderMap,
        may_go: impl Fn(&str) -> bool,
    ) {
        for name in lines.into_iter().flat_map(names_in) {
            match std::str::from_utf8(name) {
                Ok(name) if may_go(name) => drop(headers.remove(name)),
                // Not a name that a header could have.
                _ => {}
            }
        }
    }
}

/// The protocol that a message offers to go on with, or goes on with; see [`Nominations::upgrade`].
pub(crate) fn upgrade_named(version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    if !headers.contains_key(UPGRADE) {
        return None;
    }
    Nominations::read(headers).upgrade(version, headers)
}

/// Whether a protocol that `Upgrade` names is a version of HTTP, in any case: whoever is upgraded to that speaks past us
/// (h2c smuggling).
pub(crate) fn is_http(protocol: &[u8]) -> bool {
    let versions = [&b"h2"[..], b"h3", b"http"];
    versions.iter().any(|http| begins_with(protocol, http))
}

/// The names in one line of a list, without white space and without empty ones.
pub(super) fn names_in(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes()
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
}

/// Whether losing this header would change who a request is from, whom it is for, or what it means.
pub(super) fn is_protected(name: &[u8]) -> bool {
    PROTECTED
        .iter()
        .any(|protected| name.eq_ignore_ascii_case(protected))
        || PROTECTED_FAMILIES
            .iter()
            .any(|family| begins_with(name, family))
        || is_account(name)
        || names_identity(name)
}

const PROTECTED: [&[u8]; 11] = [
    b"host",
    b"authorization",
    b"cookie",
    b"cookie2",
    b"set-cookie",
    b"via",
    b"origin",
    b"referer",
    b"range",
    b"signature",
    b"signature-input",
];
const PROTECTED_FAMILIES: [&[u8]; 4] = [b"content-", b"sec-", b"if-", b"x-owa-"];
