//! What goes wrong with Kerberos, with what to do about it.

use std::{fmt, time::Duration};

use libgssapi::error::Error;

/// Why there is no token, or why the server is not who it should be. The text names the cause and the remedy.
#[derive(Clone, Debug)]
pub struct TicketError {
    kind: TicketErrorKind,
    text: Box<str>,
}

/// The kinds of [`TicketError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TicketErrorKind {
    /// The InternalURL names an IP address, and there are no tickets for those.
    IpAddress,
    /// The KDC knows no service by this name.
    UnknownService,
    /// The clocks of this server and the KDC differ too much.
    ClockSkew,
    /// This server's account can't be used: keytab missing, empty or out of date, account unknown or disabled.
    Account,
    /// The KDC can't be reached, or does not answer in time.
    KdcUnreachable,
    /// The server doesn't show that it has the ticket's key.
    NotMutual,
    /// Anything else.
    Other,
}

impl TicketError {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> TicketErrorKind {
        self.kind
    }

    pub(crate) fn ip_address(host: &str) -> Self {
        Self::new(
            TicketErrorKind::IpAddress,
            format!(
                "InternalURL names an IP address ({host}), which has no service principal name: set it to the DNS name \
                 of the server"
            ),
        )
    }

    pub(super) fn silent(service: &str, timeout: Duration) -> Self {
        Self::new(
            TicketErrorKind::KdcUnreachable,
            format!(
                "no ticket for {service} within {timeout:?}, for the KDC is silent: see whether it runs, and that \
                 krb5.conf names it"
            ),
        )
    }

    pub(crate) fn not_mutual(service: &str, why: impl fmt::Display) -> Self {
        Self::new(
            TicketErrorKind::NotMutual,
            format!(
                "mutual authentication failed, the server does not prove to be {service}: {why}; see who answers at \
                 its URL"
            ),
        )
    }

    pub(super) fn no_token(service: &str) -> Self {
        let text = format!("the Kerberos library gives no token for {service}");
        Self::new(TicketErrorKind::Other, text)
    }

    #[cfg(feature = "active-directory")]
    pub(super) fn layer_demanded(service: &str) -> Self {
        let text = format!("{service} demands a security layer of SASL, although there is TLS");
        Self::new(TicketErrorKind::Other, text)
    }

    pub(super) fn abandoned() -> Self {
        Self::new(
            TicketErrorKind::Other,
            "the call of the Kerberos library was abandoned".to_owned(),
        )
    }

    /// Must be called on the thread that made the failed call, where the library keeps the details.
    pub(super) fn from_library(service: &str, error: Error) -> Self {
        let said = error.to_string();
        let kind = kind_of(error.minor as i32, &said);
        let cause = match kind {
            TicketErrorKind::UnknownService => format!(
                "the KDC knows no service {service}: register it on the account of that server (setspn -S \
                 {service} <account>)"
            ),
            TicketErrorKind::ClockSkew => {
                "the clocks of this server and the KDC differ too much: set them right".to_owned()
            }
            TicketErrorKind::Account => {
                "this server's own account can't be used: see that KRB5_CLIENT_KTNAME names a keytab with its current \
                 key, and that the account exists and is enabled"
                    .to_owned()
            }
            TicketErrorKind::KdcUnreachable => {
                "the KDC can't be reached: see whether it runs, and that krb5.conf names it".to_owned()
            }
            _ => format!("no ticket for {service}"),
        };
        Self::new(kind, format!("{cause} [{said}]"))
    }

    fn new(kind: TicketErrorKind, text: String) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }
}

impl fmt::Display for TicketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TicketError {}

/// By the code the library gives, and where it gives one of its own, by its text, which is never translated here.
fn kind_of(minor: i32, said: &str) -> TicketErrorKind {
    let says = |text: &str| said.contains(text);
    match minor.wrapping_sub(KRB5_ERRORS) {
        7 => TicketErrorKind::UnknownService,
        37 => TicketErrorKind::ClockSkew,
        // Client expired, unknown, disabled; key expired; pre-authentication failed; integrity: a wrong key.
        1 | 6 | 18 | 23 | 24 | 31 => TicketErrorKind::Account,
        // KDC unreachable; realm unknown; its KDCs not to be found.
        154 | 156 | 220 => TicketErrorKind::KdcUnreachable,
        // Keytab: bad name, unknown type, entry not found, end, unreadable. No cache, or an empty one.
        139 | 140 | 178..=184 | 193 | 195 => TicketErrorKind::Account,
        _ if says("keytab") || says("No Kerberos credentials available") => {
            TicketErrorKind::Account
        }
        _ if says("Key table") || says("Can't find client principal") => TicketErrorKind::Account,
        _ if says("Cannot contact any KDC") || says("Cannot find KDC") => {
            TicketErrorKind::KdcUnreachable
        }
        _ => TicketErrorKind::Other,
    }
}

/// Where the numbers of Kerberos' own errors begin (RFC 4120, 7.5.9, on MIT's base).
const KRB5_ERRORS: i32 = -1_765_328_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_s_failures_are_told_apart() {
        for (code, said, kind) in [
            (7, "Server not found", TicketErrorKind::UnknownService),
            (37, "Clock skew too great", TicketErrorKind::ClockSkew),
            (24, "Preauthentication failed", TicketErrorKind::Account),
            (
                156,
                "Cannot contact any KDC",
                TicketErrorKind::KdcUnreachable,
            ),
            (60, "Generic error", TicketErrorKind::Other),
        ] {
            assert_eq!(kind_of(KRB5_ERRORS + code, said), kind, "{said}");
        }
        for (said, kind) in [
            (
                "No Kerberos credentials available",
                TicketErrorKind::Account,
            ),
            (
                "Cannot find KDC for realm \"X\"",
                TicketErrorKind::KdcUnreachable,
            ),
            ("?", TicketErrorKind::Other),
        ] {
            assert_eq!(kind_of(100_001, said), kind, "{said}");
        }
    }
}
