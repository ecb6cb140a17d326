use std::{fmt, str::FromStr};

use http::HeaderValue;

/// The version of an Exchange server, `major.minor.build.revision`.
///
/// ```
/// use cas_proxy::directory::ExchangeVersion;
///
/// let exchange_2007: ExchangeVersion = "8.1.240.5".parse()?;
/// let exchange_2003: ExchangeVersion = "6.5.7638".parse()?;
///
/// assert!(exchange_2003 < exchange_2007);
/// assert!(exchange_2003.is_legacy());
/// assert_eq!(exchange_2003.to_string(), "6.5.7638.0");
/// # Ok::<(), cas_proxy::directory::InvalidVersion>(())
/// ```
///
/// Two servers compare by all four numbers. Text has three or four runs of digits, of at most 2, 2, 4 and 4
/// digits (`header-version`); a revision that is left out is 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeVersion(
    // major, minor, build and revision in 16 bits each: one comparison orders two versions.
    u64,
);

impl ExchangeVersion {
    /// Puts a version together from its numbers.
    ///
    /// # Errors
    ///
    /// Numbers that [`X-OWA-ProxyVersion`](ExchangeVersion::to_header_value) has no room for: a major or minor
    /// above 99, a build or revision above 9999.
    pub const fn from_parts(
        major: u8,
        minor: u8,
        build: u16,
        revision: u16,
    ) -> Result<Self, InvalidVersion> {
        if major > 99 || minor > 99 || build > 9999 || revision > 9999 {
            return Err(InvalidVersion(()));
        }
        Ok(Self(
            (major as u64) << 48 | (minor as u64) << 32 | (build as u64) << 16 | revision as u64,
        ))
    }

    /// Reads the `versionNumber` and the `serialNumber` of a server in Active Directory.
    ///
    /// ```
    /// use cas_proxy::directory::ExchangeVersion;
    ///
    /// let version = ExchangeVersion::from_directory(1_912_701_168, Some("Version 8.1 (Build 30240.6)"))?;
    /// assert_eq!(version.to_string(), "8.1.240.6");
    /// # Ok::<(), cas_proxy::directory::InvalidVersion>(())
    /// ```
    ///
    /// From Exchange 2007 on, the number holds major, minor and build, and only the revision comes from the serial
    /// number; without one it is 0. Before, the number is the bare build, and the serial number says all.
    ///
    /// # Errors
    ///
    /// A number without a major version, if the serial number does not help out.
    pub fn from_directory(number: u32, serial: Option<&str>) -> Result<Self, InvalidVersion> {
        let serial = serial.and_then(Serial::read);
        let (major, minor, build) = (number >> 22 & 0x3f, number >> 16 & 0x3f, number & 0x7fff);
        if major == 0 {
            let serial = serial.ok_or(InvalidVersion(()))?;
            return Self::from_parts(serial.major, serial.minor, serial.build, serial.revision);
        }
        let revision = serial.map_or(0, |serial| serial.revision);
        // Six bits fit into eight, and fifteen into sixteen.
        Self::from_parts(major as u8, minor as u8, build as u16, revision)
    }

    /// The first number: 6 for Exchange 2000 and 2003, 8 for 2007, 14 for 2010, 15 for 2013 and later.
    #[must_use]
    pub const fn major(self) -> u8 {
        (self.0 >> 48) as u8
    }

    /// The second number; for Exchange 2007 the service pack.
    #[must_use]
    pub const fn minor(self) -> u8 {
        (self.0 >> 32) as u8
    }

    /// The third number.
    #[must_use]
    pub const fn build(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The fourth number, 0 if it was left out.
    #[must_use]
    pub const fn revision(self) -> u16 {
        self.0 as u16
    }

    /// Whether this is Exchange 2003 or older, which has no Client Access server.
    #[must_use]
    //= src/docs/protocol.md#decide-legacy
    pub const fn is_legacy(self) -> bool {
        self.major() < FIRST_WITH_CLIENT_ACCESS_SERVERS
    }

    /// The version as the value of `X-OWA-ProxyVersion` and `X-OWA-Version`.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "digits and dots fit into any header value"
    )]
    pub fn to_header_value(self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("digits and dots")
    }
}

impl FromStr for ExchangeVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let mut parts = text.split('.');
        let mut required = |digits| number(parts.next().ok_or(InvalidVersion(()))?, digits);
        //= src/docs/protocol.md#header-version
        let (major, minor, build) = (required(2)?, required(2)?, required(4)?);
        let revision = match parts.next() {
            Some(text) => number(text, 4)?,
            None => 0,
        };
        match (parts.next(), u8::try_from(major), u8::try_from(minor)) {
            (None, Ok(major), Ok(minor)) => Self::from_parts(major, minor, build, revision),
            _ => Err(InvalidVersion(())),
        }
    }
}

impl fmt::Display for ExchangeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}.{}",
            self.major(),
            self.minor(),
            self.build(),
            self.revision()
        )
    }
}

impl fmt::Debug for ExchangeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExchangeVersion({self})")
    }
}

/// The text is no version, or a number in it has too many digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidVersion(());

impl fmt::Display for InvalidVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("version is not dotted decimal of at most 2, 2, 4 and 4 digits")
    }
}

impl std::error::Error for InvalidVersion {}

/// `u16::from_str` alone would let a sign pass.
fn number(text: &str, digits: usize) -> Result<u16, InvalidVersion> {
    if text.len() > digits || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidVersion(()));
    }
    text.parse().map_err(|_| InvalidVersion(()))
}

/// What `serialNumber` says: `Version 8.1 (Build 30240.6)`, `Version 6.5 (Build 7638.2: Service Pack 2)`.
struct Serial {
    major: u8,
    minor: u8,
    build: u16,
    revision: u16,
}

impl Serial {
    fn read(text: &str) -> Option<Self> {
        let (version, build) = text.strip_prefix("Version ")?.split_once(" (Build ")?;
        let (major, minor) = version.split_once('.')?;
        let build = build.strip_suffix(')')?;
        // A service pack may follow.
        let build = build.split_once(':').map_or(build, |(build, _)| build);
        let (build, revision) = build.split_once('.').unwrap_or((build, "0"));
        let build = number(build, 5).ok()?;
        Some(Self {
            major: number(major, 2).ok()?.try_into().ok()?,
            minor: number(minor, 2).ok()?.try_into().ok()?,
            build: build.checked_sub(SERIAL_BUILD_OFFSET).unwrap_or(build),
            revision: number(revision, 4).ok()?,
        })
    }
}

/// Added to builds in serial numbers from Exchange 2007 on.
const SERIAL_BUILD_OFFSET: u16 = 30_000;

const FIRST_WITH_CLIENT_ACCESS_SERVERS: u8 = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> ExchangeVersion {
        text.parse().unwrap()
    }

    #[test]
    //= src/docs/protocol.md#header-version
    fn reads_three_or_four_runs_of_digits() {
        for (text, shown) in [
            ("8.1.240.5", "8.1.240.5"),
            ("8.1.240", "8.1.240.0"),
            ("08.01.0240.0005", "8.1.240.5"),
            ("0.0.0.0", "0.0.0.0"),
            ("99.99.9999.9999", "99.99.9999.9999"),
        ] {
            assert_eq!(version(text).to_string(), shown, "{text}");
            assert_eq!(version(text).to_header_value(), shown, "{text}");
        }
    }

    #[test]
    //= src/docs/protocol.md#header-version
    fn refuses_everything_else() {
        for text in [
            "",
            ".",
            "8",
            "8.1",
            "8.1.",
            "8.1.240.",
            "8.1.240.5.",
            "8.1.240.5.6",
            ".8.1.240",
            "100.1.240.5",
            "8.100.240.5",
            "8.1.10000.5",
            "8.1.240.10000",
            "008.1.240.5",
            "+8.1.240.5",
            "8.-1.240.5",
            "8.1.240.5 ",
            " 8.1.240.5",
            "8,1,240,5",
            "8.1.240.0x5",
            "8.1.240.٥",
            "8.1.240.5\r\nX-OWA-ProxySid: S-1-5-18",
        ] {
            assert!(text.parse::<ExchangeVersion>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn orders_by_the_first_number_that_differs() {
        let ascending = [
            "6.5.7638.0",
            "8.0.685.24",
            "8.1.240.5",
            "8.1.240.6",
            "8.1.291.0",
            "8.2.176.2",
            "14.0.639.21",
        ];
        assert!(ascending.is_sorted_by(|left, right| version(left) < version(right)));
    }

    #[test]
    //= src/docs/protocol.md#decide-legacy
    fn exchange_2003_is_legacy_and_2007_is_not() {
        assert!(version("6.5.7638.1").is_legacy());
        assert!(version("7.99.9999.9999").is_legacy());
        assert!(!version("8.0.0.0").is_legacy());
    }

    #[test]
    //= src/docs/protocol.md#decide-lookup
    fn reads_what_the_directory_says() {
        let modern = |major: u32, minor: u32, build: u32| {
            7 << 28 | major << 22 | minor << 16 | 1 << 15 | build
        };
        for (number, serial, expected) in [
            (
                modern(8, 1, 240),
                "Version 8.1 (Build 30240.6)",
                "8.1.240.6",
            ),
            (1_912_701_168, "Version 8.1 (Build 30240.6)", "8.1.240.6"),
            (modern(8, 3, 83), "Version 8.3 (Build 30083.6)", "8.3.83.6"),
            (
                modern(14, 3, 123),
                "Version 14.3 (Build 30123.4)",
                "14.3.123.4",
            ),
            (
                modern(15, 2, 1118),
                "Version 15.2 (Build 31118.7)",
                "15.2.1118.7",
            ),
            // The number counts for all it holds.
            (
                modern(8, 1, 240),
                "Version 9.9 (Build 30999.6)",
                "8.1.240.6",
            ),
            (modern(8, 1, 240), "Version 8.1 (Build 30240)", "8.1.240.0"),
            (modern(8, 1, 240), "", "8.1.240.0"),
            (
                modern(8, 1, 240),
                "Version 8.1 (Build 30240.-6)",
                "8.1.240.0",
            ),
            (
                7638,
                "Version 6.5 (Build 7638.2: Service Pack 2)",
                "6.5.7638.2",
            ),
            (6944, "Version 6.5 (Build 6944.4)", "6.5.6944.4"),
            (7638, "", "refused"),
            (7638, "Version 6.5 (Build 7638.2: Service Pack 2", "refused"),
            (7638, "Version 6.5 (Build 99999.2)", "refused"),
            (7638, "Version six", "refused"),
            (modern(8, 1, 10_000), "", "refused"),
            (0, "", "refused"),
        ] {
            let serial = Some(serial).filter(|text| !text.is_empty());
            let read = ExchangeVersion::from_directory(number, serial);
            let shown = read.map_or("refused".to_owned(), |version| version.to_string());
            assert_eq!(shown, expected, "{number} {serial:?}");
        }
    }

    proptest! {
        #[test]
        fn no_entry_of_the_directory_panics(number: u32, serial in "Version [0-9.]{0,6} \\(Build [0-9.:]{0,12}\\)|.{0,24}") {
            let _ = ExchangeVersion::from_directory(number, Some(&serial));
        }

        #[test]
        fn what_is_written_reads_back(major in 0u8.., minor in 0u8.., build in 0u16.., revision in 0u16..) {
            match ExchangeVersion::from_parts(major, minor, build, revision) {
                Ok(made) => {
                    prop_assert_eq!(version(&made.to_string()), made);
                    prop_assert_eq!(
                        (made.major(), made.minor(), made.build(), made.revision()),
                        (major, minor, build, revision)
                    );
                }
                Err(_) => prop_assert!(major > 99 || minor > 99 || build > 9999 || revision > 9999),
            }
        }

        #[test]
        fn no_text_panics(text in "[0-9.+ -]{0,24}|.{0,24}") {
            if let Ok(read) = text.parse::<ExchangeVersion>() {
                prop_assert_eq!(version(&read.to_string()), read);
            }
        }
    }
}
