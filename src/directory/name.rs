use std::{
    cmp::Ordering,
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

macro_rules! name {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Caseless);

        impl $name {
            /// Takes the name as the directory spells it.
            ///
            /// # Errors
            ///
            /// An empty name, one of more than 256 bytes, or one with a control character in it.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
                Caseless::new(text.as_ref()).map(Self)
            }

            /// The name as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0.text
            }

            /// Equal for equal names, in this and in every other process, and scattered.
            #[allow(dead_code, reason = "asked of one of the two kinds")]
            pub(crate) fn known_hash(&self) -> u64 {
                self.0.hash
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.as_str())
            }
        }
    };
}

name! {
    /// The name of an AD site, such as `Dallas`.
    ///
    /// ```
    /// use cas_proxy::directory::SiteName;
    ///
    /// let dallas: SiteName = "Dallas".parse()?;
    /// assert_eq!(dallas, SiteName::new("DALLAS")?);
    /// assert!(SiteName::new("").is_err());
    /// # Ok::<(), cas_proxy::directory::InvalidName>(())
    /// ```
    ///
    /// Names compare without regard to ASCII case and clone without copying. The hash is unkeyed: make names
    /// from directory data, not from what a client sends.
    SiteName
}

name! {
    /// The name of a server, such as `CAS-DAL-01` or its fully qualified form; one and the same form throughout.
    ///
    /// ```
    /// use cas_proxy::directory::ServerName;
    ///
    /// let dallas: ServerName = "CAS-DAL-01".parse()?;
    /// assert_eq!(dallas, ServerName::new("cas-dal-01")?);
    /// # Ok::<(), cas_proxy::directory::InvalidName>(())
    /// ```
    ///
    /// Names compare without regard to ASCII case and clone without copying. The hash is unkeyed: make names
    /// from directory data, not from what a client sends.
    ServerName
}

/// The text is no name of a site or server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidName(&'static str);

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidName {}

/// A map whose keys are names: their hash is known already.
pub(crate) type ByName<Name, Value> =
    std::collections::HashMap<Name, Value, BuildHasherDefault<KnownHash>>;

/// Every request compares names and looks them up; folding case once, here, makes both a matter of a word.
#[derive(Clone)]
struct Caseless {
    text: Arc<str>,
    hash: u64,
}

impl Caseless {
    fn new(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() {
            return Err(InvalidName("name is empty"));
        }
        if text.len() > MAX_BYTES {
            return Err(InvalidName("name has more than 256 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidName("name has a control character"));
        }
        Ok(Self {
            text: text.into(),
            hash: scatter(fold(text)),
        })
    }

    fn lower_case(&self) -> impl Iterator<Item = u8> {
        self.text.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

impl PartialEq for Caseless {
    // Different names mostly differ in the hash, and equal ones mostly do not differ in case.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && (self.text == other.text || self.text.eq_ignore_ascii_case(&other.text))
    }
}

impl Eq for Caseless {}

impl Hash for Caseless {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialOrd for Caseless {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Caseless {
    fn cmp(&self, other: &Self) -> Ordering {
        self.lower_case().cmp(other.lower_case())
    }
}

/// Passes on the one word a name hashes to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct KnownHash(u64);

impl Hasher for KnownHash {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, mix);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A hash that does not see ASCII case.
///
/// FNV-1a over the lower-case bytes; the last step carries low bits to the top, which hash tables read too.
pub(super) fn fold(text: &str) -> u64 {
    let hash = text
        .bytes()
        .map(|byte| byte.to_ascii_lowercase())
        .fold(FNV_OFFSET, |hash, byte| mix(hash, &byte));
    (hash ^ (hash >> 32)).wrapping_mul(GOLDEN_RATIO)
}

/// The finalizer of SplitMix64: every bit of the input moves half of the output.
#[inline]
pub(crate) fn scatter(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(GOLDEN_RATIO);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn mix(hash: u64, byte: &u8) -> u64 {
    (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
}

const MAX_BYTES: usize = 256;
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_does_not_count_but_is_kept() {
        let name = SiteName::new("Dallas-Süd").unwrap();
        assert_eq!(name, SiteName::new("dALLAS-Süd").unwrap());
        assert_ne!(name, SiteName::new("Dallas-SÜd").unwrap(), "ASCII only");
        assert_eq!(name.as_str(), "Dallas-Süd");
        assert_eq!(name.to_string(), "Dallas-Süd");
        assert_eq!(format!("{name:?}"), r#"SiteName("Dallas-Süd")"#);
    }

    #[test]
    fn refuses_what_would_spoil_a_log_or_a_header() {
        for text in ["", "a\0", "a\r\nb", "a\u{7f}", "a\u{85}b"] {
            assert!(SiteName::new(text).is_err(), "{text:?}");
            assert!(ServerName::new(text).is_err(), "{text:?}");
        }
        assert!(ServerName::new("a".repeat(256)).is_ok());
        assert!(ServerName::new("a".repeat(257)).is_err());
    }

    #[test]
    fn a_name_is_read_like_any_other_value() {
        assert_eq!("Dallas".parse(), SiteName::new("Dallas"));
        assert_eq!("CAS-DAL-01".parse(), ServerName::new("cas-dal-01"));
        assert_eq!("".parse::<SiteName>(), SiteName::new(""));
    }

    #[test]
    fn a_map_by_name_finds_any_case() {
        let mut map = ByName::default();
        for number in 0..200 {
            map.insert(SiteName::new(format!("Site-{number}")).unwrap(), number);
        }
        for number in 0..200 {
            let name = SiteName::new(format!("SITE-{number}")).unwrap();
            assert_eq!(map.get(&name), Some(&number));
        }
        assert_eq!(map.get(&SiteName::new("Site-200").unwrap()), None);
    }

    proptest! {
        #[test]
        fn equality_hash_and_order_agree(left in "[a-cA-C]{1,3}", right in "[a-cA-C]{1,3}") {
            let hasher = RandomState::new();
            let same = left.eq_ignore_ascii_case(&right);
            let (left, right) = (ServerName::new(left).unwrap(), ServerName::new(right).unwrap());
            prop_assert_eq!(left == right, same);
            prop_assert_eq!(left.cmp(&right) == Ordering::Equal, same);
            prop_assert_eq!(left.cmp(&right), right.cmp(&left).reverse());
            if same {
                prop_assert_eq!(hasher.hash_one(&left), hasher.hash_one(&right));
            }
        }
    }
}
