//! Percent-escapes.

/// The bytes of `I` with their percent-escapes undone once. What is no escape is passed as it stands.
///
/// `%uXXXX` counts as an escape too: http.sys, in front of every IIS, undoes it unless told otherwise. Beyond ASCII it
/// gives 0xFF, a byte no text holds.
#[derive(Clone, Debug)]
pub(super) struct Decoded<I>(pub(super) I);

impl<I: Iterator<Item = u8> + Clone> Iterator for Decoded<I> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let byte = self.0.next()?;
        if byte != b'%' {
            return Some(byte);
        }
        let mut ahead = self.0.clone();
        let Some(decoded) = escape(&mut ahead) else {
            return Some(byte);
        };
        self.0 = ahead;
        Some(decoded)
    }
}

/// `text` with its percent-escapes undone once.
pub(super) fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend(Decoded(text.iter().copied()));
    decoded
}

/// Whether every `%` begins an escape as RFC 3986 section 2.1 has it, two hexadecimal digits.
pub(super) fn is_well_formed(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let mut digits = rest.bytes().map(hexadecimal);
        matches!(
            (digits.next(), digits.next()),
            (Some(Some(_)), Some(Some(_)))
        )
    })
}

fn escape(ahead: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = ahead.next()?;
    if !matches!(first, b'u' | b'U') {
        return Some(hexadecimal(first)? << 4 | hexadecimal(ahead.next()?)?);
    }
    let mut code = 0_u16;
    for _ in 0..4 {
        code = code << 4 | u16::from(hexadecimal(ahead.next()?)?);
    }
    Some(u8::try_from(code).ok().filter(u8::is_ascii).unwrap_or(0xff))
}

fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn undoes_escapes_once() {
        for (text, decoded) in [
            ("", &b""[..]),
            ("owa", b"owa"),
            ("%6fwa%6F", b"owao"),
            ("%252e", b"%2e"),
            ("%00%ff", b"\x00\xff"),
            ("a+b", b"a+b"),
            ("%u002e%U0061", b".a"),
            ("%u00e4%u4e2d", b"\xff\xff"),
            ("%", b"%"),
            ("%2", b"%2"),
            ("%2g", b"%2g"),
            ("%%41", b"%A"),
            ("%u002", b"%u002"),
            ("100% sure", b"100% sure"),
        ] {
            assert_eq!(decode(text.as_bytes()), decoded, "{text}");
        }
    }

    #[test]
    fn tells_escapes_from_stray_signs() {
        for text in ["", "owa", "%41", "a%2F%2f"] {
            assert!(is_well_formed(text), "{text}");
        }
        for text in ["%", "%4", "%4x", "%%41", "a%2", "%u0041", "%é"] {
            assert!(!is_well_formed(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn gives_back_what_was_escaped(bytes: Vec<u8>, lower: bool) {
            let escaped: String = bytes
                .iter()
                .map(|byte| if lower { format!("%{byte:02x}") } else { format!("%{byte:02X}") })
                .collect();
            prop_assert!(is_well_formed(&escaped));
            prop_assert_eq!(decode(escaped.as_bytes()), bytes);
        }

        #[test]
        fn never_grows(text in "[%u0-9a-fA-F/.]{0,40}") {
            prop_assert!(decode(text.as_bytes()).len() <= text.len());
        }
    }
}
