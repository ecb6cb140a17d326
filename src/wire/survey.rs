//! One look over all headers of a request, so that nobody has to search for what most requests have not.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};

use super::{forwarded::is_account, framing::agreed_host, names::names_identity};

/// What one look over all lines of a request finds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Survey<'h> {
    /// All names and values, and four bytes for each line.
    pub(super) bytes: usize,
    pub(super) hosts: usize,
    host: Option<&'h HeaderValue>,
    pub(super) authorizations: usize,
    pub(super) cookies: usize,
    /// The last line of cookies.
    pub(super) cookie: Option<&'h HeaderValue>,
    pub(super) connection: bool,
    pub(super) lengths: usize,
    /// The last line that tells a length.
    pub(super) length: Option<&'h HeaderValue>,
    pub(super) transfer_encoding: bool,
    pub(super) te: bool,
    pub(super) destination: bool,
    pub(crate) upgrade: bool,
    pub(crate) via: bool,
    /// A name that only CASs may use among themselves.
    pub(super) identity: bool,
}

/// What a header is to whoever sends the request on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Host,
    Authorization,
    Cookie,
    Connection,
    ContentLength,
    TransferEncoding,
    Te,
    /// Where WebDAV's COPY and MOVE lead.
    Destination,
    Upgrade,
    Via,
    /// Of one hop, whatever it says.
    OfHop,
    /// An account of the client's connection.
    Account,
    Identity,
    OfMessage,
}

impl Class {
    /// Of a name in lower case, as a [`HeaderMap`] keeps it.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        // By the first letter, or most names would be compared with several.
        match name {
            [b'a', ..] if name == b"authorization" => Self::Authorization,
            [b'c', ..] => match name {
                b"cookie" => Self::Cookie,
                b"connection" => Self::Connection,
                b"content-length" => Self::ContentLength,
                _ => Self::OfMessage,
            },
            [b'd', ..] if name == b"destination" => Self::Destination,
            [b'e', ..] if name == b"expect" => Self::OfHop,
            [b'f', ..] if is_account(name) => Self::Account,
            [b'h', ..] => match name {
                b"host" => Self::Host,
                b"http2-settings" => Self::OfHop,
                _ => Self::OfMessage,
            },
            [b'k', ..] if name == b"keep-alive" => Self::OfHop,
            [b'm', ..] if names_identity(name) => Self::Identity,
            [b'p', ..] => match name {
                b"proxy-connection"
                | b"proxy-authorization"
                | b"proxy-authenticate"
                | b"proxy-authentication-info" => Self::OfHop,
                _ => Self::OfMessage,
            },
            [b't', ..] => match name {
                b"te" => Self::Te,
                b"transfer-encoding" => Self::TransferEncoding,
                _ => Self::OfMessage,
            },
            [b'u', ..] if name == b"upgrade" => Self::Upgrade,
            [b'v', ..] if name == b"via" => Self::Via,
            [b'x', ..] if names_identity(name) => Self::Identity,
            [b'x', ..] if is_account(name) => Self::Account,
            _ => Self::OfMessage,
        }
    }
}

impl<'h> Survey<'h> {
    pub(crate) fn of(headers: &'h HeaderMap) -> Self {
        let mut survey = Self::default();
        for (name, value) in headers {
            survey.note(name, value);
        }
        survey
    }

    /// Takes note of one line, and tells what it is.
    #[inline(always)]
    pub(super) fn note(&mut self, name: &HeaderName, value: &'h HeaderValue) -> Class {
        let name = name.as_str().as_bytes();
        self.bytes += name.len() + value.len() + 4;
        let class = Class::of(name);
        match class {
            Class::Host => {
                self.hosts += 1;
                self.host = Some(value);
            }
            Class::Authorization => self.authorizations += 1,
            Class::Cookie => {
                self.cookies += 1;
                self.cookie = Some(value);
            }
            Class::Connection => self.connection = true,
            Class::ContentLength => {
                self.lengths += 1;
                self.length = Some(value);
            }
            Class::TransferEncoding => self.transfer_encoding = true,
            Class::Te => self.te = true,
            Class::Destination => self.destination = true,
            Class::Upgrade => self.upgrade = true,
            Class::Via => self.via = true,
            Class::Identity => self.identity = true,
            Class::OfHop | Class::Account | Class::OfMessage => {}
        }
        class
    }

    /// The one host of the request, as the client named it; see [`client_host`](super::hop_by_hop::client_host).
    pub(super) fn host(&self, version: Version, uri: &'h Uri) -> Option<&'h [u8]> {
        if self.hosts > 1 {
            return None;
        }
        agreed_host(version, uri, self.host)
    }

    /// The same, as a value for another header.
    pub(crate) fn host_value(&self, version: Version, uri: &'h Uri) -> Option<HeaderValue> {
        let host = self.host(version, uri)?;
        match self.host {
            Some(line) => Some(line.clone()),
            None => HeaderValue::from_bytes(host).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_class() {
        for (name, class) in [
            ("host", Class::Host),
            ("cookie", Class::Cookie),
            ("cookie2", Class::OfMessage),
            ("destination", Class::Destination),
            ("content-type", Class::OfMessage),
            ("content-length", Class::ContentLength),
            ("expect", Class::OfHop),
            ("keep-alive", Class::OfHop),
            ("http2-settings", Class::OfHop),
            ("proxy-authorization", Class::OfHop),
            ("forwarded", Class::Account),
            ("x-forwarded-for", Class::Account),
            ("x_real_ip", Class::Account),
            ("x-owa-proxysid", Class::Identity),
            ("msexchlogonmailbox", Class::Identity),
            ("x-requested-with", Class::OfMessage),
            ("", Class::OfMessage),
        ] {
            assert_eq!(Class::of(name.as_bytes()), class, "{name}");
        }
    }
}
