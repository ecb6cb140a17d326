//! Where a message ends, and whom it is for: whatever two readers could settle differently is refused.

use http::{
    HeaderMap, HeaderValue, Uri, Version,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};

/// How long a body is, by the message's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The headers do not tell. Without a body, or over HTTP/2, or inside one process, that is in order: ask the body.
    Undeclared,
    /// This many bytes, by `Content-Length`, which is left in the headers.
    Length(u64),
    /// As long as chunks come. `Transfer-Encoding` belongs to one hop and is taken out; whoever sends the message on
    /// has to frame it anew, or a body nobody expects, as with a GET, is lost.
    Chunked,
}

/// Why the framing of a message cannot be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadFraming {
    ContentLength,
    TransferEncoding,
}

/// Reads and tidies the framing: afterwards there is one `Content-Length` or none, and no `Transfer-Encoding`.
pub(super) fn settle(version: Version, headers: &mut HeaderMap) -> Result<Framing, BadFraming> {
    let framing = read(version, headers)?;
    match framing {
        //= src/docs/protocol.md#copy-request
        Framing::Chunked => {
            headers.remove(TRANSFER_ENCODING);
            // RFC 9112 section 6.3: it overrides a Content-Length, which must not be sent on.
            headers.remove(CONTENT_LENGTH);
        }
        Framing::Length(length) if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() => {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        Framing::Length(_) | Framing::Undeclared => {}
    }
    Ok(framing)
}

/// Reads the framing and changes nothing.
pub(super) fn read(version: Version, headers: &HeaderMap) -> Result<Framing, BadFraming> {
    if headers.contains_key(TRANSFER_ENCODING) {
        read_transfer_encoding(version, headers)?;
        return Ok(Framing::Chunked);
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter().map(read_length);
    let Some(first) = lengths.next().transpose()? else {
        return Ok(Framing::Undeclared);
    };
    for length in lengths {
        if length? != first {
            return Err(BadFraming::ContentLength);
        }
    }
    Ok(Framing::Length(first))
}

/// One `chunked` and nothing else. hyper takes `gzip, chunked` and repeated lines as chunked, too, and hands on a body
/// that is still coded.
fn read_transfer_encoding(version: Version, headers: &HeaderMap) -> Result<(), BadFraming> {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None)
            if version == Version::HTTP_11 && line.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(())
        }
        _ => Err(BadFraming::TransferEncoding),
    }
}

pub(super) fn read_length(line: &HeaderValue) -> Result<u64, BadFraming> {
    let digits = line.to_str().unwrap_or_default();
    // `parse` alone would let a sign pass.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadFraming::ContentLength);
    }
    digits.parse().map_err(|_| BadFraming::ContentLength)
}

/// The host a request is for, as the client named it: the one `Host` line of HTTP/1, `:authority` of HTTP/2 or its
/// `Host`. If both are there they have to agree. `None` if there is none, or none that every reader would take.
///
/// What it names is the client's word only.
#[must_use]
pub fn client_host<'r>(version: Version, uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    let mut lines = headers.get_all(HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return None;
    }
    std::str::from_utf8(agreed_host(version, uri, line)?).ok()
}

/// The host by the only `Host` line, if there is one, and the URI. It is ASCII.
pub(super) fn agreed_host<'r>(
    version: Version,
    uri: &'r Uri,
    line: Option<&'r HeaderValue>,
) -> Option<&'r [u8]> {
    let authority = uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let line = line.map(HeaderValue::as_bytes);
    let host = match (line, authority) {
        (Some(line), None) => line,
        (Some(line), Some(authority)) if line.eq_ignore_ascii_case(authority) => line,
        (Some(_), Some(_)) => return None,
        (None, Some(authority)) if version >= Version::HTTP_2 => authority,
        (None, _) => return None,
    };
    is_host(host).then_some(host)
}

fn is_host(bytes: &[u8]) -> bool {
    let is_ipv6 = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let is_name = |byte: &u8| HOST_NAME.get(usize::from(*byte)).is_some_and(|fits| *fits);
    let (host, rest) = match bytes.strip_prefix(b"[") {
        None => split_while(bytes, is_name),
        Some(bytes) => match split_while(bytes, is_ipv6) {
            (host, [b']', rest @ ..]) => (host, rest),
            _ => return false,
        },
    };
    let is_port = match rest {
        [] => true,
        [b':'] => true,
        // `parse` alone would let a sign pass.
        [b':', digits @ ..] => {
            digits.iter().all(u8::is_ascii_digit)
                && std::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<u16>().is_ok())
        }
        _ => false,
    };
    !host.is_empty() && is_port
}

/// Which bytes a host's name is made of.
#[expect(
    clippy::indexing_slicing,
    reason = "done by the compiler, which would notice"
)]
static HOST_NAME: [bool; 256] = {
    let mut fits = [false; 256];
    let mut byte = 0;
    while byte < fits.len() {
        fits[byte] =
            matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_');
        byte += 1;
    }
    fits
};

fn split_while(bytes: &[u8], fits: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(
        bytes
            .iter()
            .position(|byte| !fits(byte))
            .unwrap_or(bytes.len()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[track_caller]
    fn check(lines: &[(&'static str, &'static str)], expected: Result<Framing, BadFraming>) {
        let mut headers = headers(lines);
        assert_eq!(
            settle(Version::HTTP_11, &mut headers),
            expected,
            "{lines:?}"
        );
        if let Ok(framing) = expected {
            assert!(!headers.contains_key(TRANSFER_ENCODING));
            let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
            assert_eq!(lengths, usize::from(matches!(framing, Framing::Length(_))));
        }
    }

    #[test]
    //= src/docs/protocol.md#copy-request
    fn framing_that_readers_agree_on_is_kept() {
        check(&[], Ok(Framing::Undeclared));
        check(&[("content-length", "0")], Ok(Framing::Length(0)));
        check(
            &[("content-length", "5"), ("content-length", "5")],
            Ok(Framing::Length(5)),
        );
        check(
            &[("content-length", "18446744073709551615")],
            Ok(Framing::Length(u64::MAX)),
        );
        check(&[("transfer-encoding", "chunked")], Ok(Framing::Chunked));
        check(
            &[("transfer-encoding", "Chunked"), ("content-length", "5")],
            Ok(Framing::Chunked),
        );
        check(
            &[("content-length", "5, 6"), ("transfer-encoding", "chunked")],
            Ok(Framing::Chunked),
        );
    }

    #[test]
    //= src/docs/protocol.md#copy-request
    fn framing_that_readers_could_dispute_is_refused() {
        for value in [
            "",
            "+5",
            "-1",
            " 5",
            "5 ",
            "0x5",
            "5, 5",
            "5,",
            "1e3",
            "18446744073709551616",
            "٥",
        ] {
            check(&[("content-length", value)], Err(BadFraming::ContentLength));
        }
        check(
            &[("content-length", "5"), ("content-length", "6")],
            Err(BadFraming::ContentLength),
        );
        for value in [
            "",
            "identity",
            "gzip, chunked",
            "chunked, chunked",
            "chunked,",
            "xchunked",
            "chunked;q=1",
            "gzip",
        ] {
            check(
                &[("transfer-encoding", value)],
                Err(BadFraming::TransferEncoding),
            );
        }
        check(
            &[
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
            Err(BadFraming::TransferEncoding),
        );
        for version in [Version::HTTP_10, Version::HTTP_2] {
            let mut chunked = headers(&[("transfer-encoding", "chunked")]);
            assert_eq!(
                settle(version, &mut chunked),
                Err(BadFraming::TransferEncoding)
            );
        }
    }

    #[test]
    //= src/docs/protocol.md#copy-request
    fn there_is_one_host_or_the_request_is_refused() {
        let rows: [(Version, &str, &[&'static str], Option<&str>); 12] = [
            (
                Version::HTTP_11,
                "/owa",
                &["mail.contoso.com"],
                Some("mail.contoso.com"),
            ),
            (
                Version::HTTP_11,
                "/owa",
                &["[::1]:8080"],
                Some("[::1]:8080"),
            ),
            (Version::HTTP_11, "/owa", &[], None),
            (Version::HTTP_10, "/owa", &[], None),
            (Version::HTTP_11, "/owa", &["mail", "mail"], None),
            (Version::HTTP_11, "http://mail/owa", &["Mail"], Some("Mail")),
            (Version::HTTP_11, "http://mail/owa", &["other"], None),
            (Version::HTTP_11, "http://mail/owa", &[], None),
            (Version::HTTP_2, "https://mail/owa", &[], Some("mail")),
            (Version::HTTP_2, "https://mail/owa", &["mail"], Some("mail")),
            (Version::HTTP_2, "https://mail/owa", &["evil"], None),
            (Version::HTTP_2, "/owa", &["mail"], Some("mail")),
        ];
        for (version, uri, hosts, expected) in rows {
            let lines: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            assert_eq!(
                client_host(version, &uri.parse().unwrap(), &headers(&lines)),
                expected,
                "{uri} {hosts:?}"
            );
        }
    }

    #[test]
    //= src/docs/protocol.md#copy-request
    fn a_host_is_a_name_and_a_port() {
        for host in [
            "mail",
            "mail.contoso.com.",
            "10.0.0.1",
            "mail:443",
            "mail:65535",
            "mail:",
            "[2001:db8::1]",
            "a_b",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "", ":443", "a b", "a/b", "a@b", "a,b", "a:b", "a:80:80", "a:123456", "a:65536",
            "a:+80", "[::1", "[::1]x", "[]", "a\"b", "a%2e", "<a>", "ä", "a?b", "a#b", "a\\b",
            "http://a", "::1",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
