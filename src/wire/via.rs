use std::fmt;

use http::{HeaderMap, HeaderValue, Version, header::VIA};

/// The name this server goes by in `Via`, with the lines that bear it.
///
/// ```
/// use cas_proxy::wire::hop_by_hop::Via;
/// use http::{HeaderMap, Version};
///
/// let via = Via::new("cas-seattle")?;
/// let mut headers = HeaderMap::new();
/// assert!(!via.is_in(&headers));
///
/// via.append(&mut headers, Version::HTTP_11);
/// assert_eq!(headers["via"], "1.1 cas-seattle");
/// assert!(via.is_in(&headers));
/// # Ok::<(), cas_proxy::wire::hop_by_hop::InvalidPseudonym>(())
/// ```
#[derive(Clone, Debug)]
pub struct Via {
    pseudonym: Box<str>,
    http_1_0: HeaderValue,
    http_1_1: HeaderValue,
    http_2: HeaderValue,
    http_3: HeaderValue,
}

impl Via {
    /// Prepares the lines. The pseudonym is usually the server's name.
    ///
    /// # Errors
    /// If the pseudonym is not made of letters, digits, `-`, `.` and `_`, or longer than 256 bytes.
    pub fn new(pseudonym: &str) -> Result<Self, InvalidPseudonym> {
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if !(1..=256).contains(&pseudonym.len()) || !pseudonym.bytes().all(is_plain) {
            return Err(InvalidPseudonym(()));
        }
        let line = |version| {
            HeaderValue::try_from([version, " ", pseudonym].concat())
                .map_err(|_| InvalidPseudonym(()))
        };
        Ok(Self {
            pseudonym: pseudonym.into(),
            http_1_0: line("1.0")?,
            http_1_1: line("1.1")?,
            http_2: line("2")?,
            http_3: line("3")?,
        })
    }

    /// Adds this server to the way a message came; `received` is the version it came with.
    pub fn append(&self, headers: &mut HeaderMap, received: Version) {
        headers.append(VIA, self.line(received).clone());
    }

    pub(super) fn line(&self, received: Version) -> &HeaderValue {
        //= src/docs/protocol.md#header-via
        match received {
            Version::HTTP_2 => &self.http_2,
            Version::HTTP_3 => &self.http_3,
            Version::HTTP_11 => &self.http_1_1,
            _ => &self.http_1_0,
        }
    }

    /// Whether the message has passed this server before.
    ///
    /// Sees the pseudonym as any word of any line, in any case. Not only where a recipient's name belongs: a comment left
    /// open by someone on the way must not hide a loop.
    #[must_use]
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        //= src/docs/protocol.md#decide-one-hop
        let between_words = |byte: &u8| matches!(byte, b' ' | b'\t' | b',' | b'(' | b')');
        let mut lines = headers.get_all(VIA).iter();
        lines.any(|line| {
            let mut words = line.as_bytes().split(between_words);
            words.any(|word| word.eq_ignore_ascii_case(self.pseudonym.as_bytes()))
        })
    }
}

/// The name cannot stand in a `Via` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPseudonym(());

impl fmt::Display for InvalidPseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pseudonym for Via is not a plain name")
    }
}

impl std::error::Error for InvalidPseudonym {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    //= src/docs/protocol.md#header-via
    fn is_appended_with_the_version_received() {
        let via = Via::new("cas-seattle").unwrap();
        let mut headers = HeaderMap::new();
        headers.append(VIA, HeaderValue::from_static("1.0 fred"));
        for version in [
            Version::HTTP_10,
            Version::HTTP_11,
            Version::HTTP_2,
            Version::HTTP_3,
        ] {
            via.append(&mut headers, version);
        }
        let lines: Vec<_> = headers.get_all(VIA).iter().collect();
        assert_eq!(
            lines,
            [
                "1.0 fred",
                "1.0 cas-seattle",
                "1.1 cas-seattle",
                "2 cas-seattle",
                "3 cas-seattle"
            ]
        );
    }

    #[test]
    //= src/docs/protocol.md#decide-one-hop
    fn a_loop_is_seen_in_any_line() {
        let via = Via::new("cas-seattle").unwrap();
        for (line, expected) in [
            ("1.1 cas-seattle", true),
            ("1.0 fred, HTTP/1.1 CAS-Seattle (Apache)", true),
            ("1.1 fred (open, 2 cas-seattle", true),
            ("1.1\tcas-seattle,1.1 p", true),
            ("1.1 cas-seattle-2", false),
            ("1.1 xcas-seattle", false),
            ("1.1 cas-seattle:8080", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(VIA, HeaderValue::from_static("1.1 other"));
            headers.append(VIA, HeaderValue::from_static(line));
            assert_eq!(via.is_in(&headers), expected, "{line}");
        }
        assert!(!via.is_in(&HeaderMap::new()));
    }

    #[test]
    fn a_pseudonym_is_a_plain_name() {
        for name in ["", "a b", "a,b", "a(b)", "ä", "a\r\nb", &"a".repeat(257)] {
            assert!(Via::new(name).is_err(), "{name:?}");
        }
    }
}
