use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use http::HeaderValue;

/// An SMTP address, `local@domain`.
///
/// ```
/// use cas_proxy::directory::SmtpAddress;
///
/// let anna: SmtpAddress = "Anna@contoso.com".parse()?;
/// assert_eq!(anna, "anna@CONTOSO.com".parse()?);
/// assert_eq!(anna.as_str(), "Anna@contoso.com");
/// # Ok::<(), cas_proxy::directory::InvalidAddress>(())
/// ```
///
/// It comes out of request paths and goes into paths, headers and directory searches, so it is narrower than
/// RFC 5321: at most 320 bytes of printable ASCII, one `@` with text on both sides, and no space, slash,
/// backslash, double quote, back quote, angle bracket, `%`, `?` or `#`. Addresses compare without regard to ASCII case.
#[derive(Clone)]
pub struct SmtpAddress {
    text: Arc<str>,
    header_value: HeaderValue,
}

impl SmtpAddress {
    /// The address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.text.split_once('@').map_or("", |(local, _)| local)
    }

    /// What stands behind the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.text.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// The address as the value of `X-OWA-ExplicitLogonUser`; a cheap clone.
    #[must_use]
    pub fn to_header_value(&self) -> HeaderValue {
        self.header_value.clone()
    }
}

impl FromStr for SmtpAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let (local, domain) = text.split_once('@').ok_or(InvalidAddress(()))?;
        //= src/docs/protocol.md#decide-explicit-logon
        if text.len() > MAX_BYTES || !is_part(local) || !is_part(domain) {
            return Err(InvalidAddress(()));
        }
        Ok(Self {
            text: text.into(),
            header_value: HeaderValue::from_str(text).map_err(|_| InvalidAddress(()))?,
        })
    }
}

impl PartialEq for SmtpAddress {
    fn eq(&self, other: &Self) -> bool {
        self.text.eq_ignore_ascii_case(&other.text)
    }
}

impl Eq for SmtpAddress {}

impl Hash for SmtpAddress {
    // Clients choose addresses, so the bytes themselves go into the map's keyed hasher.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut lower_case = [0; 32];
        for chunk in self.text.as_bytes().chunks(lower_case.len()) {
            for (lower, byte) in lower_case.iter_mut().zip(chunk) {
                *lower = byte.to_ascii_lowercase();
            }
            state.write(lower_case.get(..chunk.len()).unwrap_or_default());
        }
        state.write_u8(0xff);
    }
}

impl fmt::Display for SmtpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Shows the first letter and the domain: enough to tell mailboxes apart in a log.
impl fmt::Debug for SmtpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.text.chars().next().unwrap_or('@');
        write!(f, "SmtpAddress({first}…@{})", self.domain())
    }
}

/// The text is no SMTP address, or one that does not fit into a path and a header as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAddress(());

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text is not an SMTP address of plain characters")
    }
}

impl std::error::Error for InvalidAddress {}

fn is_part(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !FORBIDDEN.contains(&byte))
}

const MAX_BYTES: usize = 320;
const FORBIDDEN: &[u8] = br#"@/\<>"`%?#"#;

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use proptest::prelude::*;

    use super::*;

    #[test]
    //= src/docs/protocol.md#decide-explicit-logon
    fn takes_plain_addresses() {
        for text in [
            "anna@contoso.com",
            "a@b",
            "first.last+tag=x{y}|z!*&$^~_-@mail.contoso.com",
            "o'hara@contoso.com",
            "room;5,6(a):[b]@contoso.com",
        ] {
            let address: SmtpAddress = text.parse().unwrap();
            assert_eq!(address.as_str(), text);
            assert_eq!(address.to_header_value(), text);
            let parts = (address.local_part(), address.domain());
            assert_eq!(text.split_once('@'), Some(parts));
        }
    }

    #[test]
    //= src/docs/protocol.md#decide-explicit-logon
    fn refuses_what_could_change_a_path_or_a_header() {
        let long = format!("{}@contoso.com", "a".repeat(309));
        for text in [
            "",
            "@",
            "anna",
            "anna@",
            "@contoso.com",
            "anna@contoso@com",
            "anna @contoso.com",
            "anna@contoso.com\r\n",
            "anna\0@contoso.com",
            "a/b@contoso.com",
            "a\\b@contoso.com",
            "a%2fb@contoso.com",
            "a?b@contoso.com",
            "a#b@contoso.com",
            "<anna@contoso.com>",
            "\"anna\"@contoso.com",
            "änna@contoso.com",
            &long,
        ] {
            assert!(text.parse::<SmtpAddress>().is_err(), "{text:?}");
        }
        assert!(long[1..].parse::<SmtpAddress>().is_ok(), "320 bytes fit");
    }

    #[test]
    fn debug_keeps_the_local_part_to_itself() {
        let address: SmtpAddress = "anna.smith@contoso.com".parse().unwrap();
        assert_eq!(format!("{address:?}"), "SmtpAddress(a…@contoso.com)");
    }

    proptest! {
        #[test]
        fn case_counts_neither_for_equality_nor_for_the_hash(text in "[a-zA-Z]{1,40}@[a-zA-Z]{1,40}") {
            let hasher = RandomState::new();
            let address: SmtpAddress = text.parse().unwrap();
            let shouted: SmtpAddress = text.to_uppercase().parse().unwrap();
            prop_assert_eq!(&address, &shouted);
            prop_assert_eq!(hasher.hash_one(&address), hasher.hash_one(&shouted));
        }

        #[test]
        fn any_text_is_refused_or_kept_as_it_is(text in ".{0,12}@.{0,12}") {
            if let Ok(address) = text.parse::<SmtpAddress>() {
                prop_assert_eq!(address.as_str(), text.as_str());
                let header_value = address.to_header_value();
                prop_assert_eq!(header_value.as_bytes(), text.as_bytes());
            }
        }
    }
}
