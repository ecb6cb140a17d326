use std::fmt;

/// The roots under which paths are ours: `/owa`, `/exchange`, `/exchweb` and `/public` unless said otherwise.
///
/// ```
/// use cas_proxy::wire::owa_path::Scope;
///
/// let scope = Scope::new(["/owa", "/webmail"])?;
/// assert!(scope.contains_root("WebMail"));
/// assert!(!scope.contains_root("exchange"));
/// # Ok::<(), cas_proxy::wire::owa_path::InvalidScope>(())
/// ```
///
/// A root is one whole segment, in any case: `/owa` is the root of `/OWA/x`, and not of `/owax`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// In lower case.
    roots: Box<[Box<str>]>,
    /// Whether `owa` is one of them, as it is the root of nearly all that is asked.
    pub(super) has_owa: bool,
}

impl Scope {
    /// A scope of these roots, each a `/` and one segment of letters, digits, `-`, `.`, `_` and `~`, at most 63 bytes.
    ///
    /// # Errors
    /// If there is no root, or one that is not of this form.
    pub fn new<Root: AsRef<str>>(
        roots: impl IntoIterator<Item = Root>,
    ) -> Result<Self, InvalidScope> {
        let segment = |root: Root| match root.as_ref().strip_prefix('/') {
            Some(segment) if is_plain(segment) => Ok(segment.to_ascii_lowercase().into()),
            _ => Err(InvalidScope(())),
        };
        let segments = roots
            .into_iter()
            .map(segment)
            .collect::<Result<Box<[_]>, _>>()?;
        if segments.is_empty() {
            Err(InvalidScope(()))
        } else {
            Ok(Self::of(segments))
        }
    }

    fn of(roots: Box<[Box<str>]>) -> Self {
        Self {
            has_owa: roots.iter().any(|root| **root == *"owa"),
            roots,
        }
    }

    /// Whether `segment`, without slashes, is one of the roots, in any case.
    #[must_use]
    pub fn contains_root(&self, segment: &str) -> bool {
        self.contains(segment.as_bytes())
    }

    pub(super) fn contains(&self, segment: &[u8]) -> bool {
        //= src/docs/protocol.md#scope
        self.roots
            .iter()
            .any(|root| root.as_bytes().eq_ignore_ascii_case(segment))
    }
}

impl Default for Scope {
    fn default() -> Self {
        //= src/docs/protocol.md#scope
        Self::of(
            ["owa", "exchange", "exchweb", "public"]
                .map(Box::from)
                .into(),
        )
    }
}

/// A root is not a `/` and one plain segment, or there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidScope(());

impl fmt::Display for InvalidScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("scope is not made of roots such as /owa")
    }
}

impl std::error::Error for InvalidScope {}

fn is_plain(segment: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    // A dot at the end is lost on some servers; a root of dots alone is a dot segment.
    (1..=MAX_ROOT).contains(&segment.len())
        && segment.bytes().all(is_plain)
        && !segment.ends_with('.')
}

/// In bytes.
const MAX_ROOT: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    //= src/docs/protocol.md#scope
    fn four_roots_in_any_case_are_ours() {
        let scope = Scope::default();
        for root in ["owa", "OWA", "Exchange", "exchWeb", "PUBLIC"] {
            assert!(scope.contains_root(root), "{root}");
        }
        for root in ["", "ow", "owax", "/owa", "ecp"] {
            assert!(!scope.contains_root(root), "{root}");
        }
    }

    #[test]
    //= src/docs/protocol.md#scope
    fn roots_are_plain_segments() {
        let long = format!("/{}", "a".repeat(64));
        for root in [
            "",
            "/",
            "owa",
            "/owa/",
            "//owa",
            "/mail/owa",
            "/.",
            "/..",
            "/owa.",
            "/o%77a",
            "/o wa",
            "/owä",
            "/owa;x",
            &long,
        ] {
            assert!(Scope::new([root]).is_err(), "{root}");
        }
        assert!(Scope::new(&[] as &[&str]).is_err());
        assert!(Scope::new([&long[..64]]).is_ok());
        assert_eq!(
            Scope::new(["/OWA", "/exchange", "/exchweb", "/public"]),
            Ok(Scope::default())
        );
    }
}
