//! What the names of directory entries tell.
//!
//! One directory writes one name in one way, so names are compared as text, without regard to case.

/// The entry itself, then what it stands below, up to the root.
pub(super) fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        let (_, above) = name.split_at_checked(end_of_first(name) + 1)?;
        Some(above)
    })
}

/// The value of the name's first part: `Dallas` of `CN=Dallas,CN=Sites,…`.
pub(super) fn leaf(name: &str) -> Option<String> {
    let first = name.get(..end_of_first(name))?;
    let (_, value) = first.split_once('=')?;
    unescaped(value)
}

/// As a key of a map.
pub(super) fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// Where the first comma stands that is not escaped.
fn end_of_first(name: &str) -> usize {
    let mut escaped = false;
    name.bytes()
        .position(|byte| match byte {
            _ if escaped => {
                escaped = false;
                false
            }
            b'\\' => {
                escaped = true;
                false
            }
            byte => byte == b',',
        })
        .unwrap_or(name.len())
}

/// RFC 4514: a backslash stands before a special character or two hexadecimal digits.
fn unescaped(value: &str) -> Option<String> {
    let mut bytes = value.bytes();
    let mut plain = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            plain.push(byte);
            continue;
        }
        let next = bytes.next()?;
        match hexadecimal(next) {
            Some(high) => plain.push(high << 4 | hexadecimal(bytes.next()?)?),
            None => plain.push(next),
        }
    }
    String::from_utf8(plain).ok()
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_stands_below_its_ancestors() {
        let found: Vec<&str> = ancestors(r"CN=a\,b,CN=Servers,DC=test").collect();
        assert_eq!(
            found,
            [
                r"CN=a\,b,CN=Servers,DC=test",
                "CN=Servers,DC=test",
                "DC=test"
            ]
        );
        assert_eq!(ancestors("").count(), 1);
        assert_eq!(ancestors("CN=a,").last(), Some(""));
    }

    #[test]
    fn the_leaf_is_unescaped() {
        for (name, expected) in [
            ("CN=Dallas,CN=Sites", Some("Dallas")),
            ("cn=Dallas", Some("Dallas")),
            (r"CN=Dallas\, TX,CN=Sites", Some("Dallas, TX")),
            (r"CN=S\c3\bcd,CN=Sites", Some("Süd")),
            (r"CN=a\\b\=c,CN=Sites", Some(r"a\b=c")),
            (r"CN=a\ff,CN=Sites", None),
            (r"CN=a\", None),
            ("Dallas", None),
            ("", None),
        ] {
            assert_eq!(leaf(name).as_deref(), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_name_panics(name in r"[a=,\\ü]{0,12}|.{0,20}") {
            let _ = leaf(&name);
            prop_assert!(ancestors(&name).count() <= name.len() + 1);
        }
    }
}
