//! Taking single cookies out of `Cookie` lines, and leaving every byte of the others.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::COOKIE};
use memchr::memchr2;

/// Removes the cookies whose names `unwanted` picks, from every `Cookie` line. A line without any is not touched; one
/// with no others goes. Allocates only if there is something to remove.
///
/// Names are asked about as they stand, up to the `=`, without white space around them. A comma parts cookies like a
/// semicolon: servers exist that read it so (RFC 2109 section 4.3.4).
///
/// A name is looked at only if its first byte `may_begin` an unwanted one.
pub(super) fn remove(
    headers: &mut HeaderMap,
    may_begin: impl Fn(u8) -> bool,
    unwanted: impl Fn(&[u8]) -> bool,
) {
    let mut lines = headers.get_all(COOKIE).iter();
    if !lines.any(|line| any(line, &may_begin, &unwanted)) {
        return;
    }
    let lines = headers.get_all(COOKIE).iter();
    let kept: Vec<_> = lines.filter_map(|line| without(line, &unwanted)).collect();
    headers.remove(COOKIE);
    for line in kept {
        headers.append(COOKIE, line);
    }
}

/// Whether there are such cookies in a line. A name is cut out and asked about only if its first byte `may_begin` one;
/// of the others nothing more is looked at, as they are most.
pub(super) fn any(
    line: &HeaderValue,
    may_begin: impl Fn(u8) -> bool,
    wanted: impl Fn(&[u8]) -> bool,
) -> bool {
    let mut rest = line.as_bytes();
    loop {
        let cookie = rest.trim_ascii_start();
        if cookie.first().is_some_and(|&byte| may_begin(byte)) && wanted(name(cookie)) {
            return true;
        }
        rest = match memchr2(b';', b',', rest) {
            Some(at) => rest.get(at + 1..).unwrap_or_default(),
            None => return false,
        };
    }
}

fn without(line: &HeaderValue, unwanted: impl Fn(&[u8]) -> bool) -> Option<HeaderValue> {
    let mut kept = Vec::with_capacity(line.len());
    let mut ends_with_separator = false;
    for piece in line.as_bytes().split_inclusive(is_separator) {
        let is_unwanted = unwanted(name(piece));
        if !is_unwanted && kept.is_empty() {
            kept.extend_from_slice(piece.trim_ascii_start());
        } else if !is_unwanted {
            kept.extend_from_slice(piece);
        }
        ends_with_separator = is_unwanted;
    }
    if ends_with_separator {
        kept.pop();
    }
    if kept
        .iter()
        .all(|byte| is_separator(byte) || byte.is_ascii_whitespace())
    {
        return None;
    }
    // Parts of a valid value make a valid value; if they ever did not, the line would go.
    let mut value = HeaderValue::from_maybe_shared(Bytes::from(kept)).ok()?;
    value.set_sensitive(line.is_sensitive());
    Some(value)
}

/// The name of the cookie in `piece`, which may still end with its separator.
fn name(piece: &[u8]) -> &[u8] {
    let end = piece
        .iter()
        .position(|byte| *byte == b'=' || is_separator(byte));
    piece
        .get(..end.unwrap_or(piece.len()))
        .unwrap_or_default()
        .trim_ascii()
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b';' | b',')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(lines: &[&str], expected: &[&str]) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, line.parse().unwrap());
        }
        remove(&mut headers, |byte| byte == b'b', |name| name == b"bad");
        let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(left, expected, "{lines:?}");
    }

    #[test]
    fn removes_what_is_unwanted_and_no_byte_more() {
        check(&[], &[]);
        check(&["a=1; b=2"], &["a=1; b=2"]);
        check(&["a=1;b=2;"], &["a=1;b=2;"]);
        check(&["bad=1"], &[]);
        check(&["bad=1; bad=2;"], &[]);
        check(&["bad"], &[]);
        check(&["bad=1; a=1"], &["a=1"]);
        check(&["a=1; bad=1"], &["a=1"]);
        check(&["a=1;  bad = 1;b=2"], &["a=1;b=2"]);
        check(&["a=1; bad=x=y; b=\"2\""], &["a=1; b=\"2\""]);
        check(&["a=1, bad=1"], &["a=1"]);
        check(&["a=1,2; bad=1, b=3"], &["a=1,2; b=3"]);
        check(&["badly=1; a=bad; bad1=2"], &["badly=1; a=bad; bad1=2"]);
    }

    #[test]
    fn keeps_lines_apart_and_in_order() {
        check(
            &["a=1", "bad=1", "b=2; bad=2", "c=3"],
            &["a=1", "b=2", "c=3"],
        );
    }

    #[test]
    fn keeps_a_line_marked_sensitive() {
        let mut headers = HeaderMap::new();
        let mut line = HeaderValue::from_static("a=1; bad=1");
        line.set_sensitive(true);
        headers.append(COOKIE, line);
        remove(&mut headers, |byte| byte == b'b', |name| name == b"bad");
        assert!(headers[COOKIE].is_sensitive());
    }

    proptest! {
        #[test]
        fn any_line_is_freed(line in proptest::collection::vec(b' '..=b'\xff', 0..60), at in 0..60_usize) {
            let mut line = line;
            line.retain(|byte| *byte != 0x7f);
            let at = at.min(line.len());
            line.splice(at..at, *b"; bad=1; a=2");
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_bytes(&line).unwrap());
            remove(&mut headers, |byte| byte == b'b', |name| name == b"bad");
            let left = headers.get(COOKIE).map_or(&b""[..], HeaderValue::as_bytes);
            prop_assert!(left.windows(3).any(|part| part == b"a=2"));
            prop_assert!(left.split(is_separator).all(|piece| name(piece) != b"bad"));
        }
    }
}
