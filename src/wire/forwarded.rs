//! `Forwarded` (RFC 7239) and its older cousins: what the second CAS is told of the client.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

use super::names::begins_with;

/// What is known of the client's connection, and whether what the client says of earlier ones counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// The other end of the connection.
    pub peer: Option<SocketAddr>,
    /// Whether the connection is encrypted.
    pub https: bool,
    /// Whether the peer is a proxy of ours, whose own account of the client is kept and added to. An account from
    /// anyone else is thrown away.
    pub trusted: bool,
}

/// Whether a header of this name gives account of the client's connection, or of the URL as it was before someone
/// rewrote it.
pub(super) fn is_account(name: &[u8]) -> bool {
    match name {
        b"forwarded" => true,
        [b'x' | b'X', sign, rest @ ..] if !sign.is_ascii_alphanumeric() => {
            ACCOUNTS.iter().any(|family| begins_with(rest, family))
        }
        _ => false,
    }
}

/// An account of a client that asked for `host`.
pub(super) struct Account {
    /// `Forwarded`; there to be taken.
    pub(super) forwarded: Option<HeaderValue>,
    /// `X-Forwarded-For`; there to be taken, if the client's address is known.
    pub(super) address: Option<HeaderValue>,
    pub(super) proto: HeaderValue,
    pub(super) host: HeaderValue,
}

impl Account {
    pub(super) fn of(client: &Client, host: HeaderValue) -> Self {
        //= src/docs/protocol.md#copy-request
        let peer = client.peer.map(|peer| peer.ip().to_canonical());
        let text = peer.map(text_of);
        let for_whom = text.as_deref().unwrap_or(b"unknown");
        let (before, behind): (&[u8], &[u8]) = match peer {
            Some(IpAddr::V6(_)) => (b"\"[", b"]\""),
            _ => (b"", b""),
        };
        let is_token = !host
            .as_bytes()
            .iter()
            .any(|byte| matches!(byte, b':' | b'['));
        let quote: &[u8] = if is_token { b"" } else { b"\"" };
        let proto = if client.https { HTTPS } else { HTTP };
        // As long as the text, and no longer: what is left over would be cut off by a copy.
        let names = "for=;host=;proto=".len();
        let (quotes, values) = (
            before.len() + behind.len() + 2 * quote.len(),
            for_whom.len() + host.len() + proto.len(),
        );
        let mut account = Vec::with_capacity(names + quotes + values);
        account.extend_from_slice(b"for=");
        account.extend_from_slice(before);
        account.extend_from_slice(for_whom);
        account.extend_from_slice(behind);
        account.extend_from_slice(b";host=");
        account.extend_from_slice(quote);
        account.extend_from_slice(host.as_bytes());
        account.extend_from_slice(quote);
        account.extend_from_slice(b";proto=");
        account.extend_from_slice(proto.as_bytes());
        Self {
            forwarded: HeaderValue::from_maybe_shared(Bytes::from(account)).ok(),
            address: text.and_then(|text| HeaderValue::from_bytes(&text).ok()),
            proto,
            host,
        }
    }

    /// Adds it to `headers`. Other accounts are gone by now, unless they are trusted.
    pub(super) fn write(self, headers: &mut HeaderMap, trusted: bool) {
        if let Some(address) = self.address {
            headers.append(X_FORWARDED_FOR, address);
        }
        if let Some(forwarded) = self.forwarded {
            headers.append(FORWARDED, forwarded);
        }
        if !(trusted && headers.contains_key(X_FORWARDED_PROTO)) {
            headers.insert(X_FORWARDED_PROTO, self.proto);
        }
        if !(trusted && headers.contains_key(X_FORWARDED_HOST)) {
            headers.insert(X_FORWARDED_HOST, self.host);
        }
    }
}

fn text_of(address: IpAddr) -> Vec<u8> {
    let mut text = Vec::with_capacity(LONGEST_ADDRESS);
    match address {
        // By hand, at a quarter of a formatter's price: this is done for every request.
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    text.push(b'.');
                }
                if octet >= 100 {
                    text.push(b'0' + octet / 100);
                }
                if octet >= 10 {
                    text.push(b'0' + octet / 10 % 10);
                }
                text.push(b'0' + octet % 10);
            }
        }
        IpAddr::V6(address) => {
            // Writing to a vector cannot fail.
            let _ = write!(text, "{address}");
        }
    }
    text
}

/// The longest address, of IPv6.
const LONGEST_ADDRESS: usize = 45;

/// Beginnings of names, behind `x-`; a `-` stands for any sign.
const ACCOUNTS: [&[u8]; 5] = [
    b"forwarded",
    b"real-ip",
    b"client-ip",
    b"original-",
    b"rewrite-url",
];
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const HTTP: HeaderValue = HeaderValue::from_static("http");
const HTTPS: HeaderValue = HeaderValue::from_static("https");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(client: Client, host: &'static str, expected: [Option<&str>; 4]) {
        let mut headers = HeaderMap::new();
        Account::of(&client, HeaderValue::from_static(host)).write(&mut headers, client.trusted);
        let value = |name| {
            headers
                .get(name)
                .map(|value: &HeaderValue| value.to_str().unwrap())
        };
        let written = [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-host",
        ]
        .map(value);
        assert_eq!(written, expected);
    }

    fn from(peer: &str) -> Client {
        Client {
            peer: Some(peer.parse().unwrap()),
            https: true,
            trusted: false,
        }
    }

    #[test]
    //= src/docs/protocol.md#copy-request
    fn the_account_is_of_the_connection() {
        check(
            from("192.0.2.100:4711"),
            "mail.contoso.com",
            [
                Some("for=192.0.2.100;host=mail.contoso.com;proto=https"),
                Some("192.0.2.100"),
                Some("https"),
                Some("mail.contoso.com"),
            ],
        );
        check(
            from("[2001:db8::1]:4711"),
            "[::1]:8080",
            [
                Some("for=\"[2001:db8::1]\";host=\"[::1]:8080\";proto=https"),
                Some("2001:db8::1"),
                Some("https"),
                Some("[::1]:8080"),
            ],
        );
        check(
            from("[::ffff:10.0.0.9]:1"),
            "m:1",
            [
                Some("for=10.0.0.9;host=\"m:1\";proto=https"),
                Some("10.0.0.9"),
                Some("https"),
                Some("m:1"),
            ],
        );
        check(
            Client::default(),
            "mail",
            [
                Some("for=unknown;host=mail;proto=http"),
                None,
                Some("http"),
                Some("mail"),
            ],
        );
    }

    #[test]
    //= src/docs/protocol.md#copy-request
    fn a_trusted_account_is_added_to() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-forwarded-for", "198.51.100.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "mail"),
            ("forwarded", "for=198.51.100.7"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let peer = Some("10.0.0.1:1".parse().unwrap());
        let client = Client {
            peer,
            https: false,
            trusted: true,
        };
        Account::of(&client, HeaderValue::from_static("inner")).write(&mut headers, true);
        let values = |name: &str| -> Vec<_> { headers.get_all(name).iter().cloned().collect() };
        assert_eq!(values("x-forwarded-for"), ["198.51.100.7", "10.0.0.1"]);
        assert_eq!(values("x-forwarded-proto"), ["https"]);
        assert_eq!(values("x-forwarded-host"), ["mail"]);
        assert_eq!(
            values("forwarded"),
            ["for=198.51.100.7", "for=10.0.0.1;host=inner;proto=http"]
        );
    }

    #[test]
    //= src/docs/protocol.md#copy-request
    fn knows_an_account() {
        for name in [
            "forwarded",
            "x-forwarded-for",
            "X_Forwarded_Host",
            "x-real-ip",
            "x-original-url",
            "x-rewrite-url",
        ] {
            assert!(is_account(name.as_bytes()), "{name}");
        }
        for name in ["", "x", "x-forward", "via", "from", "x-requested-with"] {
            assert!(!is_account(name.as_bytes()), "{name}");
        }
    }

    proptest! {
        #[test]
        //= src/docs/protocol.md#copy-request
        fn any_address_is_written_as_everyone_writes_it(address: IpAddr, port: u16) {
            let mut headers = HeaderMap::new();
            let client = Client { peer: Some((address, port).into()), ..Client::default() };
            Account::of(&client, HeaderValue::from_static("mail")).write(&mut headers, client.trusted);
            let written = headers["x-forwarded-for"].to_str().unwrap();
            prop_assert_eq!(written, address.to_canonical().to_string());
        }
    }
}
