//! Full names of accounts and services: `SEATTLE$@FOURTHCOFFEE.COM`.

use std::{fmt, sync::Arc};

use super::NotUsable;

/// A name with its realm. Equal in any case of the account and in one of the realm.
#[derive(Clone)]
pub(super) struct Principal {
    text: Arc<str>,
    /// Where the `@` is.
    at: usize,
}

impl Principal {
    pub(super) fn new(text: &str) -> Result<Self, NotUsable> {
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        match text.split_once('@') {
            Some((account, realm))
                if plain && !account.is_empty() && !realm.is_empty() && !realm.contains('@') =>
            {
                Ok(Self {
                    text: text.into(),
                    at: account.len(),
                })
            }
            _ => Err(NotUsable::new(format_args!(
                "{text:?} is not of the form ACCOUNT@REALM"
            ))),
        }
    }

    /// Whether this is the name that the Kerberos library gives. It puts a backslash before an `@` of the account.
    pub(super) fn is(&self, name: &str) -> bool {
        let (account, realm) = self.parts();
        let same_account = name
            .get(..self.at)
            .is_some_and(|found| found.eq_ignore_ascii_case(account));
        same_account && name.get(self.at..) == Some(realm)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    pub(super) fn name_and_realm(&self) -> (&str, &str) {
        let (name, realm) = self.parts();
        (name, realm.trim_start_matches('@'))
    }

    pub(super) fn has_realm_of(&self, other: &Self) -> bool {
        self.parts().1 == other.parts().1
    }

    /// The same account in the one case that it is known by.
    pub(super) fn in_capitals(&self) -> Self {
        let (name, realm) = self.parts();
        Self {
            text: format!("{}{realm}", name.to_ascii_uppercase()).into(),
            at: self.at,
        }
    }

    /// The realm with its `@`.
    fn parts(&self) -> (&str, &str) {
        self.text.split_at(self.at)
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.text)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_the_same_in_any_case_and_a_realm_in_one() {
        let seattle = Principal::new("SEATTLE$@CORP").unwrap();
        for (name, same) in [
            ("SEATTLE$@CORP", true),
            ("seattle$@CORP", true),
            ("SEATTLE$@corp", false),
            ("SEATTLE@CORP", false),
            ("SEATTLE$", false),
            ("SEATTLE$@CORP@CORP", false),
            ("SEATTLE$\\@CORP@CORP", false),
            ("SEATTLE$@CORP.ELSEWHERE", false),
            ("XSEATTLE$@CORP", false),
            ("ſEATTLE$@CORP", false),
            ("", false),
        ] {
            assert_eq!(seattle.is(name), same, "{name}");
        }
    }

    #[test]
    fn a_name_without_a_realm_is_none() {
        for text in [
            "",
            "@",
            "SEATTLE$",
            "SEATTLE$@",
            "@CORP",
            "a@b@c",
            "a b@c",
            "a\\@b",
            "ä@c",
        ] {
            let error = Principal::new(text).unwrap_err().to_string();
            assert!(error.contains("ACCOUNT@REALM"), "{error}");
        }
    }
}
