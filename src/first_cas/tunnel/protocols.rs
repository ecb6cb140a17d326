//! Which protocols a connection may be upgraded to.

use std::fmt;

use http::{HeaderValue, request::Parts};

use crate::wire::hop_by_hop::{is_http, upgrade_named};

/// Names as they stand in `Upgrade`, compared without regard to case.
#[derive(Clone, Debug)]
pub(in crate::first_cas) struct Protocols(Vec<String>);

impl Protocols {
    /// # Errors
    /// One of them is no protocol's name, or a version of HTTP: whoever speaks that speaks past this layer.
    pub(in crate::first_cas) fn new<P: AsRef<str>>(
        names: impl IntoIterator<Item = P>,
    ) -> Result<Self, InvalidProtocol> {
        let checked = |name: P| {
            let name = name.as_ref();
            let is_name = !name.is_empty() && name.bytes().all(is_name_byte);
            let is_http = is_http(name.as_bytes());
            if is_name && !is_http {
                Ok(name.to_owned())
            } else {
                Err(InvalidProtocol { is_http })
            }
        };
        names
            .into_iter()
            .map(checked)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The protocol that a request offers to go on with, if it is one of these. Whoever sent it may have sent bytes of
    /// that protocol behind it.
    pub(in crate::first_cas) fn offered(&self, parts: &Parts) -> Option<HeaderValue> {
        let offered = upgrade_named(parts.version, &parts.headers)?;
        let is_it = |name: &String| name.as_bytes().eq_ignore_ascii_case(offered.as_bytes());
        self.0.iter().any(is_it).then_some(offered)
    }
}

impl Default for Protocols {
    fn default() -> Self {
        Self(vec![WEBSOCKET.to_owned()])
    }
}

/// RFC 9110 section 7.8: a token, and perhaps a slash and another.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte)
}

/// Not the name of a protocol that a connection may be upgraded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidProtocol {
    is_http: bool,
}

impl fmt::Display for InvalidProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_http {
            "allow an upgrade to HTTP itself, which would pass every check by"
        } else {
            "read a protocol's name"
        })
    }
}

impl std::error::Error for InvalidProtocol {}

pub(super) const WEBSOCKET: &str = "websocket";
