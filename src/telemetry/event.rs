//! The numbers that operators of this protocol look for.

use std::fmt;

/// A numbered event, as Exchange writes it with the source `MSExchange OWA`.
///
/// ```
/// use cas_proxy::telemetry::Event;
///
/// assert_eq!(Event::Failover.number(), 39);
/// assert_eq!(Event::Failover.to_string(), "39 (failover to the next Client Access server)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum Event {
    //= src/docs/protocol.md#internal-url
    /// An InternalURL is malformed.
    MalformedInternalUrl = 38,
    //= src/docs/protocol.md#failover-when
    /// A candidate was given up for the next one.
    Failover = 39,
    //= src/docs/protocol.md#decide-none-responding
    /// Every candidate was tried.
    AllAttemptsFailed = 40,
    //= src/docs/protocol.md#decide-none-configured
    /// The site has no CAS with the configuration it takes.
    NoneConfigured = 41,
    //= src/docs/protocol.md#tls-required
    /// TLS is required on the second hop, or the target answered 403.
    TlsRequired = 42,
    //= src/docs/protocol.md#tls-verified
    /// The target's certificate is not trusted.
    CertificateNotTrusted = 43,
    //= src/docs/protocol.md#login-limit
    /// A proxy login has more SIDs than allowed.
    TooManySids = 44,
    //= src/docs/protocol.md#login-caller
    /// Somebody spoke as a CAS and could not prove to be one.
    CallerNotVerified = 45,
    //= src/docs/protocol.md#version-rule
    /// Every candidate is newer than this server.
    VersionsIncompatible = 46,
    /// The directory could not be asked, or gave no clear answer.
    DirectoryLookupFailed = 57,
    //= src/docs/protocol.md#hop-kerberos
    /// The second CAS did not accept this server's own credentials.
    AuthenticationFailed = 71,
}

impl Event {
    /// The number, as it stands in the log field `event_id`.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::MalformedInternalUrl => "malformed InternalURL",
            Self::Failover => "failover to the next Client Access server",
            Self::AllAttemptsFailed => "all attempts failed",
            Self::NoneConfigured => "no configured Client Access server",
            Self::TlsRequired => "TLS required, or refused by the target",
            Self::CertificateNotTrusted => "certificate not trusted",
            Self::TooManySids => "too many SIDs",
            Self::CallerNotVerified => "caller not verified",
            Self::VersionsIncompatible => "incompatible versions",
            Self::DirectoryLookupFailed => "directory lookup failed",
            Self::AuthenticationFailed => "authentication to the second CAS failed",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.number(), self.meaning())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_protocol() {
        for (event, number) in [
            (Event::MalformedInternalUrl, 38),
            (Event::Failover, 39),
            (Event::AllAttemptsFailed, 40),
            (Event::NoneConfigured, 41),
            (Event::TlsRequired, 42),
            (Event::CertificateNotTrusted, 43),
            (Event::TooManySids, 44),
            (Event::CallerNotVerified, 45),
            (Event::VersionsIncompatible, 46),
            (Event::DirectoryLookupFailed, 57),
            (Event::AuthenticationFailed, 71),
        ] {
            assert_eq!(event.number(), number);
            assert!(event.to_string().starts_with(&number.to_string()));
        }
    }
}
