//! Search filters, in which a value can never be more than a value.

use std::fmt;

use crate::csc::Sid;

/// A filter in the text of RFC 4515.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter(String);

impl Filter {
    /// The attribute has this value.
    pub(super) fn equals(attribute: &'static str, value: &str) -> Self {
        Self::bytes(attribute, value.as_bytes())
    }

    /// The attribute has this SID, in the binary form.
    pub(super) fn sid(attribute: &'static str, sid: &Sid) -> Self {
        Self::bytes(attribute, &sid.to_bytes())
    }

    /// The attribute has any value.
    pub(super) fn present(attribute: &'static str) -> Self {
        Self(format!("({attribute}=*)"))
    }

    pub(super) fn all<const N: usize>(filters: [Self; N]) -> Self {
        Self::joined('&', filters)
    }

    pub(super) fn any<const N: usize>(filters: [Self; N]) -> Self {
        Self::joined('|', filters)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn joined<const N: usize>(sign: char, filters: [Self; N]) -> Self {
        let filters: String = filters.into_iter().map(|filter| filter.0).collect();
        Self(format!("({sign}{filters})"))
    }

    fn bytes(attribute: &'static str, value: &[u8]) -> Self {
        Self(format!("({attribute}={})", Escaped(value)))
    }
}

/// All but the plainest characters are escaped: more than RFC 4515 asks for, and nothing to get wrong.
struct Escaped<'v>(&'v [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'@' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "\\{byte:02x}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_cannot_end_its_filter() {
        for (value, filter) in [
            ("anna@contoso.com", "(mail=anna@contoso.com)"),
            ("*", r"(mail=\2a)"),
            ("a)(objectClass=*", r"(mail=a\29\28objectClass\3d\2a)"),
            (r"a\2a", r"(mail=a\5c2a)"),
            ("a\0b", r"(mail=a\00b)"),
            (" a ", r"(mail=\20a\20)"),
            ("ä", r"(mail=\c3\a4)"),
            ("", "(mail=)"),
        ] {
            assert_eq!(Filter::equals("mail", value).as_str(), filter, "{value:?}");
        }
    }

    #[test]
    fn filters_nest() {
        let sid: Sid = "S-1-5-21-1-2-3-1105".parse().unwrap();
        let filter = Filter::all([
            Filter::equals("objectClass", "user"),
            Filter::any([Filter::sid("objectSid", &sid), Filter::present("homeMDB")]),
        ]);
        assert_eq!(
            filter.as_str(),
            r"(&(objectClass=user)(|(objectSid=\01\05\00\00\00\00\00\05\15\00\00\00\01\00\00\00\02\00\00\00\03\00\00\00Q\04\00\00)(homeMDB=*)))"
        );
        assert!(ldap3::parse_filter(filter.as_str()).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_the_value_the_filter_has_one_leaf(value in ".{0,40}") {
            let filter = Filter::equals("mail", &value);
            prop_assert!(ldap3::parse_filter(filter.as_str()).is_ok() || value.is_empty());
            prop_assert_eq!(filter.as_str().matches(['(', ')', '*']).count(), 2);
            let unescaped = ldap3::ldap_unescape(filter.as_str().to_owned()).unwrap();
            prop_assert_eq!(unescaped, format!("(mail={value})"));
        }
    }
}
