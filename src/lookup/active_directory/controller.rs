//! A domain controller: where it is, and whether it was well lately.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Uri;
use tokio::time::Instant;

use super::error::DirectoryError;
use crate::clock::give_or_take;

pub(super) struct Controller {
    /// For ldap3 to connect to, and for people to read.
    pub(super) url: Arc<str>,
    #[cfg(feature = "negotiate")]
    pub(super) host: Arc<str>,
    #[cfg(feature = "negotiate")]
    pub(super) port: u16,
    /// TLS is asked for on a connection that begins in clear.
    pub(super) start_tls: bool,
    health: Mutex<Health>,
    dice: RandomState,
}

#[derive(Default)]
struct Health {
    failures: u32,
    rests_until: Option<Instant>,
    last: Option<DirectoryError>,
}

impl Controller {
    pub(super) fn new(url: &str) -> Result<Self, InvalidControllerUrl> {
        let uri: Uri = url.parse().map_err(|_| InvalidControllerUrl(()))?;
        // In lower case, however it was written.
        let start_tls = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("ldaps") => false,
            Some("ldap") => true,
            _ => return Err(InvalidControllerUrl(())),
        };
        let authority = uri.authority().ok_or(InvalidControllerUrl(()))?.as_str();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !bare || !authority.bytes().all(plain) || uri.host().is_none_or(str::is_empty) {
            return Err(InvalidControllerUrl(()));
        }
        let scheme = if start_tls { "ldap" } else { "ldaps" };
        Ok(Self {
            url: format!("{scheme}://{authority}").into(),
            #[cfg(feature = "negotiate")]
            host: uri.host().unwrap_or_default().into(),
            #[cfg(feature = "negotiate")]
            port: uri.port_u16().unwrap_or(if start_tls { 389 } else { 636 }),
            start_tls,
            health: Mutex::default(),
            dice: RandomState::new(),
        })
    }

    /// Why it is not to be asked now; `None` if it may be.
    pub(super) fn rests(&self) -> Option<DirectoryError> {
        let health = self.health();
        let until = health.rests_until?;
        (Instant::now() < until).then(|| health.last.clone())?
    }

    pub(super) fn failed(&self, error: &DirectoryError) {
        let mut health = self.health();
        // Those who were on their way together count as one.
        if health
            .rests_until
            .is_some_and(|until| Instant::now() < until)
        {
            return;
        }
        let rest = FIRST_REST * 2u32.saturating_pow(health.failures.min(16));
        // So that many servers do not come back at once.
        let rest = give_or_take(rest.min(LONGEST_REST), self.dice.hash_one(Instant::now()));
        health.failures = health.failures.saturating_add(1);
        health.rests_until = Some(Instant::now() + rest);
        health.last = Some(error.clone());
        drop(health);
        super::log::failed(error, rest);
    }

    pub(super) fn answered(&self) {
        let failures = std::mem::take(&mut *self.health()).failures;
        if failures > 0 {
            super::log::recovered(&self.url);
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text is no URL of a domain controller: `ldaps://dc1.contoso.com` or, for StartTLS, `ldap://dc1.contoso.com`,
/// each with a port if need be, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidControllerUrl(());

impl fmt::Display for InvalidControllerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("domain controller is not ldaps://host or ldap://host, with or without a port")
    }
}

impl std::error::Error for InvalidControllerUrl {}

const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::{super::error::DirectoryErrorKind, *};

    #[test]
    fn urls_are_of_two_kinds() {
        for (url, expected) in [
            (
                "ldaps://dc1.contoso.com",
                Some("ldaps://dc1.contoso.com false"),
            ),
            ("LDAPS://dc1:3269/", Some("ldaps://dc1:3269 false")),
            ("ldap://10.0.0.1:389", Some("ldap://10.0.0.1:389 true")),
            ("https://dc1", None),
            ("dc1", None),
            ("ldaps://", None),
            ("ldaps://:636", None),
            ("ldaps://user@dc1", None),
            ("ldaps://[::1]", None),
            ("ldaps://dc1/DC=contoso", None),
            ("ldaps://dc1?sub", None),
            ("ldaps://dc%31", None),
        ] {
            let read = Controller::new(url).ok();
            let read = read.map(|read| format!("{} {}", read.url, read.start_tls));
            assert_eq!(read.as_deref(), expected, "{url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rests_grow_to_ten_seconds_and_end_with_an_answer() {
        let controller = Controller::new("ldaps://dc1").unwrap();
        let error = DirectoryError::general(DirectoryErrorKind::TimedOut);
        for seconds in [1.0, 2.0, 4.0, 8.0, 10.0, 10.0] {
            assert!(controller.rests().is_none());
            controller.failed(&error);
            controller.failed(&error);
            tokio::time::advance(Duration::from_secs_f64(seconds * 0.89)).await;
            assert!(controller.rests().is_some(), "{seconds}");
            tokio::time::advance(Duration::from_secs_f64(seconds * 0.22)).await;
        }
        controller.answered();
        controller.failed(&error);
        tokio::time::advance(Duration::from_secs_f64(1.11)).await;
        assert!(controller.rests().is_none());
    }
}
