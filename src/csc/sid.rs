//! Security identifiers: the names Windows gives to users, groups and machines.

use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A security identifier (SID) of revision 1, the only revision there is.
///
/// ```
/// use cas_proxy::csc::Sid;
///
/// let anna: Sid = "S-1-5-21-1004336348-1177238915-682003330-1105".parse()?;
/// assert_eq!(anna.authority(), 5);
/// assert_eq!(anna.sub_authorities(), [21, 1004336348, 1177238915, 682003330, 1105]);
/// assert!(anna.is_domain_account());
///
/// // A directory stores the binary form, in `objectSid`.
/// assert_eq!(Sid::from_bytes(&anna.to_bytes())?, anna);
///
/// // `Display` tells all, `Debug` only what a log may keep.
/// assert_eq!(anna.to_string(), "S-1-5-21-1004336348-1177238915-682003330-1105");
/// assert_eq!(format!("{anna:?}"), "Sid(S-1-5-21-…-1105)");
/// # Ok::<(), cas_proxy::csc::InvalidSid>(())
/// ```
///
/// A SID has one text and one binary form, so texts are equal exactly if SIDs are. Parsing takes nothing but that text
/// ([MS-DTYP] 2.4.2.1, read strictly): `S` in upper case; decimals without sign, space or leading zero; the authority in
/// decimal below 2³², from there on as `0x` and twelve lower-case hexadecimal digits, as Windows writes it.
///
/// SIDs are ordered by authority, then by sub-authorities, a prefix first.
///
/// [MS-DTYP]: https://learn.microsoft.com/openspecs/windows_protocols/ms-dtyp/
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sid {
    // Derived order and equality rest on this order of fields and on zeros behind the last sub-authority.
    authority: [u8; 6],
    sub_authorities: [u32; Sid::MAX_SUB_AUTHORITIES],
    count: u8,
}

impl Sid {
    /// The most sub-authorities a SID can have.
    pub const MAX_SUB_AUTHORITIES: usize = 15;

    /// A SID from its numbers: `S-1-authority-sub-sub-…`.
    ///
    /// # Errors
    /// If the authority needs more than 48 bits, or there are no sub-authorities, or more than
    /// [`MAX_SUB_AUTHORITIES`](Self::MAX_SUB_AUTHORITIES).
    pub fn from_parts(authority: u64, sub_authorities: &[u32]) -> Result<Self, InvalidSid> {
        let [0, 0, authority @ ..] = authority.to_be_bytes() else {
            return Err(InvalidSid(Flaw::Authority));
        };
        let mut sid = Self::without_sub_authorities(authority);
        for &sub_authority in sub_authorities {
            sid.push(sub_authority)?;
        }
        sid.finish()
    }

    /// A SID from its binary form ([MS-DTYP] 2.4.2.2): revision, number of sub-authorities, authority big-endian,
    /// sub-authorities little-endian.
    ///
    /// # Errors
    /// If the revision is not 1, the number of sub-authorities is not 1 to 15, or bytes are missing or left over.
    ///
    /// [MS-DTYP]: https://learn.microsoft.com/openspecs/windows_protocols/ms-dtyp/
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSid> {
        let Some((&[revision, count, ref authority @ ..], mut rest)) =
            bytes.split_first_chunk::<8>()
        else {
            return Err(InvalidSid(Flaw::Length));
        };
        if revision != 1 {
            return Err(InvalidSid(Flaw::Form));
        }
        let mut sid = Self::without_sub_authorities(*authority);
        while let Some((word, after)) = rest.split_first_chunk() {
            sid.push(u32::from_le_bytes(*word))?;
            rest = after;
        }
        if sid.count != count || !rest.is_empty() {
            return Err(InvalidSid(Flaw::Length));
        }
        sid.finish()
    }

    /// The binary form that [`from_bytes`](Self::from_bytes) reads, 12 to 68 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 4 * usize::from(self.count));
        bytes.extend([1, self.count]);
        bytes.extend(self.authority);
        bytes.extend(
            self.sub_authorities()
                .iter()
                .flat_map(|word| word.to_le_bytes()),
        );
        bytes
    }

    /// The identifier authority, below 2⁴⁸; 5 is Windows NT itself.
    #[must_use]
    pub fn authority(&self) -> u64 {
        let [a, b, c, d, e, f] = self.authority;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The sub-authorities, 1 to 15; the last is the relative identifier (RID).
    #[must_use]
    pub fn sub_authorities(&self) -> &[u32] {
        self.sub_authorities
            .get(..usize::from(self.count))
            .unwrap_or_default()
    }

    /// Whether this is an account of a domain or of a machine: `S-1-5-21`, the three numbers of the domain, the RID.
    ///
    /// Says nothing of *which* account: administrators (`-500`), groups (`-513`) and machines are such accounts, too.
    #[must_use]
    pub fn is_domain_account(&self) -> bool {
        //= src/docs/protocol.md#login-same-sid
        self.authority() == 5 && matches!(self.sub_authorities(), [21, _, _, _, _])
    }

    /// The SID whose text stands first, as far as its numbers go, and what comes after it.
    pub(super) fn take(text: &[u8]) -> Result<(Self, &[u8]), InvalidSid> {
        let text = text.strip_prefix(b"S-1-").ok_or(InvalidSid(Flaw::Form))?;
        let (authority, mut rest) = take_authority(text).ok_or(InvalidSid(Flaw::Authority))?;
        let mut sid = Self::without_sub_authorities(authority);
        while let [b'-', number @ ..] = rest {
            let (number, after) = take_decimal(number).ok_or(InvalidSid(Flaw::Form))?;
            sid.push(number)?;
            rest = after;
        }
        Ok((sid.finish()?, rest))
    }

    /// The same up to the last number, which is this one.
    pub(super) fn with_relative(mut self, relative: u32) -> Self {
        let last = usize::from(self.count).checked_sub(1);
        if let Some(last) = last.and_then(|at| self.sub_authorities.get_mut(at)) {
            *last = relative;
        }
        self
    }

    /// Whether the text up to the last number is the same.
    pub(super) fn shares_domain(&self, other: &Self) -> bool {
        let domain = |sid: &Self| sid.count.checked_sub(1).map(usize::from);
        self.authority == other.authority
            && self.count == other.count
            && domain(self).is_some_and(|parts| {
                self.sub_authorities.get(..parts) == other.sub_authorities.get(..parts)
            })
    }

    /// Writes the text without the cost of a formatter: a login body holds up to 3,000 of them.
    pub(super) fn write_text(&self, out: &mut impl Write) -> fmt::Result {
        self.write_domain(out)?;
        write_decimal(self.relative(), out)
    }

    /// The text up to the last number.
    pub(super) fn write_domain(&self, out: &mut impl Write) -> fmt::Result {
        out.write_str("S-1-")?;
        match u32::try_from(self.authority()) {
            Ok(authority) => write_decimal(authority, out)?,
            Err(_) => write!(out, "{:#014x}", self.authority())?,
        }
        out.write_char('-')?;
        let (_, domain) = self.sub_authorities().split_last().unwrap_or((&0, &[]));
        for &sub_authority in domain {
            write_decimal(sub_authority, out)?;
            out.write_char('-')?;
        }
        Ok(())
    }

    /// The last number.
    pub(super) fn relative(&self) -> u32 {
        self.sub_authorities().last().copied().unwrap_or_default()
    }

    fn without_sub_authorities(authority: [u8; 6]) -> Self {
        Self {
            authority,
            sub_authorities: [0; Self::MAX_SUB_AUTHORITIES],
            count: 0,
        }
    }

    fn push(&mut self, sub_authority: u32) -> Result<(), InvalidSid> {
        //= src/docs/protocol.md#login-limit
        let slot = self
            .sub_authorities
            .get_mut(usize::from(self.count))
            .ok_or(InvalidSid(Flaw::Count))?;
        *slot = sub_authority;
        self.count += 1;
        Ok(())
    }

    fn finish(self) -> Result<Self, InvalidSid> {
        if self.count == 0 {
            Err(InvalidSid(Flaw::Count))
        } else {
            Ok(self)
        }
    }
}

/// Of what is there, in words: a cache hashes one for every request.
impl Hash for Sid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.authority() << 8 | u64::from(self.count));
        let mut parts = self.sub_authorities();
        while let [high, low, rest @ ..] = parts {
            state.write_u64(u64::from(*high) << 32 | u64::from(*low));
            parts = rest;
        }
        if let [last] = parts {
            state.write_u64(u64::from(*last));
        }
    }
}

impl FromStr for Sid {
    type Err = InvalidSid;

    fn from_str(text: &str) -> Result<Self, InvalidSid> {
        match Self::take(text.as_bytes())? {
            (sid, []) => Ok(sid),
            _ => Err(InvalidSid(Flaw::Form)),
        }
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_text(f)
    }
}

/// Shortened: never the whole SID, so that it may stand in a log.
impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.authority();
        match self.sub_authorities() {
            [first, _, .., last] => write!(f, "Sid(S-1-{authority}-{first}-…-{last})"),
            [first, _] => write!(f, "Sid(S-1-{authority}-{first}-…)"),
            _ => write!(f, "Sid(S-1-{authority}-…)"),
        }
    }
}

/// The text, bytes or numbers are no [`Sid`]. Tells the flaw, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSid(Flaw);

impl fmt::Display for InvalidSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Flaw::Form => "malformed SID",
            Flaw::Authority => "malformed authority in a SID",
            Flaw::Count => "SID without sub-authorities or with more than 15",
            Flaw::Length => "binary SID of the wrong length",
        })
    }
}

impl std::error::Error for InvalidSid {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    Form,
    Authority,
    Count,
    Length,
}

/// A 32-bit number in the one way decimals are written here: no sign, no space, no leading zero.
pub(super) fn parse_decimal(text: &str) -> Option<u32> {
    match take_decimal(text.as_bytes())? {
        (number, []) => Some(number),
        _ => None,
    }
}

pub(super) fn write_decimal(number: u32, out: &mut impl Write) -> fmt::Result {
    let digits = Decimal::of(number);
    out.write_str(std::str::from_utf8(digits.as_bytes()).map_err(|_| fmt::Error)?)
}

/// Such a number, as ASCII.
pub(super) struct Decimal {
    digits: [u8; 10],
    used: usize,
}

impl Decimal {
    pub(super) fn of(mut number: u32) -> Self {
        let mut digits = [b'0'; 10];
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit += (number % 10) as u8;
            number /= 10;
            used += 1;
            if number == 0 {
                break;
            }
        }
        Self { digits, used }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        let unused = self.digits.len() - self.used;
        self.digits.get(unused..).unwrap_or_default()
    }
}

/// Such a number, as far as its digits go, and what comes after it.
pub(super) fn take_decimal(text: &[u8]) -> Option<(u32, &[u8])> {
    let mut number = 0_u64;
    let mut digits = 0;
    for digit in text.iter().map(|byte| byte.wrapping_sub(b'0')) {
        if digit > 9 {
            break;
        }
        // Ten digits do not overflow it, and more are no number here.
        number = number.wrapping_mul(10).wrapping_add(digit.into());
        digits += 1;
    }
    let one_form = match text {
        [b'0', ..] => digits == 1,
        _ => (1..=10).contains(&digits),
    };
    let number = u32::try_from(number).ok().filter(|_| one_form)?;
    Some((number, text.get(digits..)?))
}

fn take_authority(text: &[u8]) -> Option<([u8; 6], &[u8])> {
    let (number, rest) = match text.strip_prefix(b"0x") {
        None => take_decimal(text).map(|(number, rest)| (number.into(), rest))?,
        Some(text) => {
            let (digits, rest) = text.split_first_chunk::<12>()?;
            let number = digits.iter().try_fold(0, |number, digit| match digit {
                b'0'..=b'9' => Some(number << 4 | u64::from(digit - b'0')),
                b'a'..=b'f' => Some(number << 4 | u64::from(digit - b'a' + 10)),
                _ => None,
            })?;
            (number, rest)
        }
    };
    // From 2^32 on in hexadecimal, below in decimal.
    let [0, 0, authority @ ..] = number.to_be_bytes() else {
        return None;
    };
    (text.starts_with(b"0x") == (number > u32::MAX.into())).then_some((authority, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_that_is_a_sid_comes_back_as_written() {
        let rows: &[(&str, u64, &[u32])] = &[
            ("S-1-1-0", 1, &[0]),
            ("S-1-0-0", 0, &[0]),
            ("S-1-5-18", 5, &[18]),
            ("S-1-5-32-544", 5, &[32, 544]),
            ("S-1-5-5-0-6948923", 5, &[5, 0, 6948923]),
            ("S-1-5-21-1-2-3-1105", 5, &[21, 1, 2, 3, 1105]),
            ("S-1-5-4294967295", 5, &[u32::MAX]),
            ("S-1-4294967295-1", u32::MAX.into(), &[1]),
            ("S-1-0x000100000000-1", 1 << 32, &[1]),
            ("S-1-0xffffffffffff-1", (1 << 48) - 1, &[1]),
            (
                "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15",
                5,
                &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
            ),
        ];
        for &(text, authority, sub_authorities) in rows {
            let sid: Sid = text.parse().unwrap_or_else(|flaw| panic!("{text}: {flaw}"));
            assert_eq!(
                (sid.authority(), sid.sub_authorities()),
                (authority, sub_authorities),
                "{text}"
            );
            assert_eq!(
                sid,
                Sid::from_parts(authority, sub_authorities).unwrap(),
                "{text}"
            );
            assert_eq!(sid.to_string(), text);
        }
    }

    #[test]
    //= src/docs/protocol.md#login-limit
    fn text_that_is_no_sid_is_refused() {
        let rows = [
            "",
            "S",
            "S-",
            "S-1",
            "S-1-",
            "S-1-5",
            "S-1-5-",
            "S-1--5",
            "S-1-5--1",
            "S-1-5-1-",
            "-S-1-5-1",
            // case, revision, spaces, line ends
            "s-1-5-18",
            "S-2-5-18",
            "S-01-5-18",
            " S-1-5-18",
            "S-1-5-18 ",
            "S-1-5- 18",
            "S-1-5-18\r\n",
            "S-1-5-18\0",
            // signs, zeros, bases, digits of other scripts
            "S-1-5-+18",
            "S-1-+5-18",
            "S-1-5-018",
            "S-1-05-18",
            "S-1-5-00",
            "S-1-5-0x12",
            "S-1-5-1e1",
            "S-1-5-1_0",
            "S-1-5-١٨",
            "S-1-5-１８",
            "S‐1‐5‐18",
            // range
            "S-1-5-4294967296",
            "S-1-5-99999999999999999999999999",
            "S-1-4294967296-1",
            // hexadecimal authority: only from 2^32, only twelve lower-case digits
            "S-1-0x000000000005-18",
            "S-1-0x0000ffffffff-1",
            "S-1-0x0001000000000-1",
            "S-1-0x100000000-1",
            "S-1-0X000100000000-1",
            "S-1-0xFFFFFFFFFFFF-1",
            "S-1-0x+00100000000-1",
            "S-1-0x-1",
            "S-1-0x00010000000g-1",
            // sixteen sub-authorities
            "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
            "S-1-5-21-1-2-3-500;S-1-5-18",
            "DOMAIN\\user",
            "BA",
        ];
        for text in rows {
            assert!(text.parse::<Sid>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn binary_form_is_that_of_the_directory() {
        let administrators = b"\x01\x02\x00\x00\x00\x00\x00\x05\x20\x00\x00\x00\x20\x02\x00\x00";
        assert_eq!(
            Sid::from_bytes(administrators).unwrap().to_string(),
            "S-1-5-32-544"
        );
        assert_eq!(
            "S-1-5-32-544".parse::<Sid>().unwrap().to_bytes(),
            administrators
        );
        let far = b"\x01\x01\x01\x02\x03\x04\x05\x06\xff\xff\xff\xff";
        assert_eq!(
            Sid::from_bytes(far).unwrap().to_string(),
            "S-1-0x010203040506-4294967295"
        );
    }

    #[test]
    fn bytes_that_are_no_sid_are_refused() {
        let sixteen = [&[1, 16, 0, 0, 0, 0, 0, 5][..], &[0; 64]].concat();
        let wraps_to_one = [&[1, 1, 0, 0, 0, 0, 0, 5][..], &[0; 4 * 257]].concat();
        let rows: &[(&str, &[u8])] = &[
            ("nothing", b""),
            ("half a head", b"\x01\x01\0\0\0"),
            ("no sub-authority", b"\x01\x00\0\0\0\0\0\x05"),
            ("revision 0", b"\x00\x01\0\0\0\0\0\x05\x12\0\0\0"),
            ("revision 2", b"\x02\x01\0\0\0\0\0\x05\x12\0\0\0"),
            ("one byte short", b"\x01\x01\0\0\0\0\0\x05\x12\0\0"),
            ("one byte more", b"\x01\x01\0\0\0\0\0\x05\x12\0\0\0\0"),
            ("one word short", b"\x01\x02\0\0\0\0\0\x05\x12\0\0\0"),
            (
                "one word more",
                b"\x01\x01\0\0\0\0\0\x05\x12\0\0\0\x12\0\0\0",
            ),
            ("sixteen sub-authorities", &sixteen),
            ("a count that wrapped", &wraps_to_one),
        ];
        for (name, bytes) in rows {
            assert!(Sid::from_bytes(bytes).is_err(), "{name}");
        }
    }

    #[test]
    fn numbers_that_are_no_sid_are_refused() {
        assert!(Sid::from_parts(5, &[]).is_err());
        assert!(Sid::from_parts(5, &[0; 16]).is_err());
        assert!(Sid::from_parts(1 << 48, &[1]).is_err());
        assert!(Sid::from_parts(u64::MAX, &[1]).is_err());
    }

    #[test]
    //= src/docs/protocol.md#login-same-sid
    fn accounts_of_domains_are_told_from_the_rest() {
        let rows = [
            ("S-1-5-21-1-2-3-1105", true),
            ("S-1-5-21-1-2-3-500", true),
            ("S-1-5-21-1-2-3", false),
            ("S-1-5-21-1-2-3-4-5", false),
            ("S-1-5-18", false),
            ("S-1-5-20-1-2-3-4", false),
            ("S-1-5-32-544", false),
            ("S-1-1-21-1-2-3-4", false),
            ("S-1-0x000500000000-21-1-2-3-4", false),
        ];
        for (text, expected) in rows {
            assert_eq!(
                text.parse::<Sid>().unwrap().is_domain_account(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn debug_is_short() {
        let rows = [
            ("S-1-1-0", "Sid(S-1-1-…)"),
            ("S-1-5-32-544", "Sid(S-1-5-32-…)"),
            ("S-1-5-5-0-6948923", "Sid(S-1-5-5-…-6948923)"),
            ("S-1-5-21-1-2-3-1105", "Sid(S-1-5-21-…-1105)"),
        ];
        for (text, expected) in rows {
            assert_eq!(format!("{:?}", text.parse::<Sid>().unwrap()), expected);
        }
    }

    #[test]
    fn a_prefix_comes_first() {
        let sorted = [
            "S-1-1-0",
            "S-1-5-2",
            "S-1-5-2-0",
            "S-1-5-2-0-1",
            "S-1-5-2-1",
            "S-1-5-3",
            "S-1-0x000100000000-0",
        ];
        let sids = sorted.map(|text| text.parse::<Sid>().unwrap());
        assert!(sids.is_sorted_by(|a, b| a < b));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_sid_has_one_text_and_one_binary_form(
            authority in prop_oneof![0..16_u64, 0..1_u64 << 48],
            sub_authorities in prop::collection::vec(any::<u32>(), 1..=15),
        ) {
            let sid = Sid::from_parts(authority, &sub_authorities).unwrap();
            prop_assert_eq!((sid.authority(), sid.sub_authorities()), (authority, &sub_authorities[..]));
            prop_assert_eq!(sid.to_string().parse(), Ok(sid));
            prop_assert_eq!(Sid::from_bytes(&sid.to_bytes()), Ok(sid));
            let debug = format!("{sid:?}");
            prop_assert!(!debug.contains(&sid.to_string()), "{}", debug);
        }

        #[test]
        fn what_parses_was_canonical(text in "S-[01]-(0x[0-9a-fA-F]{10,13}|[0-9]{1,11})(-[0-9]{0,11}){0,17}") {
            if let Ok(sid) = text.parse::<Sid>() {
                prop_assert_eq!(sid.to_string(), text);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop_oneof![Just(1_u8), any::<u8>()], 0..80)) {
            if let Ok(sid) = Sid::from_bytes(&bytes) {
                prop_assert_eq!(sid.to_bytes(), bytes);
            }
        }
    }
}
