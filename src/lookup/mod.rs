//! Where does this mailbox live? The question a first CAS asks for every request, and who answers it.
//!
//! Anything that can answer is a [`MailboxLookup`]; a closure will do:
//!
//! ```
//! use cas_proxy::directory::{Mailbox, MailboxKey, ServerName, SiteName};
//! use cas_proxy::lookup::{Answer, Cached, CouldNotAsk, MailboxLookup};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! async fn ask_the_directory(_key: MailboxKey) -> Result<Option<Mailbox>, std::io::Error> {
//!     // ...
//! #   let server = ServerName::new("MBX-DAL-01").unwrap();
//! #   let site = SiteName::new("Dallas").unwrap();
//! #   Ok(Some(Mailbox::new(server, "8.1.240.5".parse().unwrap()).with_site(site)))
//! }
//!
//! let lookup = Cached::new(|key| async {
//!     match ask_the_directory(key).await {
//!         Ok(Some(mailbox)) => Ok(Answer::Found(mailbox.into())),
//!         Ok(None) => Ok(Answer::NotFound),
//!         Err(error) => Err(CouldNotAsk::from_source(error)),
//!     }
//! });
//!
//! let anna = MailboxKey::Sid("S-1-5-21-1-2-3-1105".parse()?);
//! assert!(lookup.peek(&anna).is_none());
//! assert!(matches!(lookup.locate(anna.clone()).await?, Answer::Found(_)));
//! assert!(lookup.peek(&anna).is_some(), "remembered");
//! # Ok(())
//! # }
//! ```
//!
//! | part | answers from |
//! |---|---|
//! | [`InMemory`] | a table of its own: tests, small sites, tables loaded from a file |
//! | `active_directory` (feature `active-directory`) | the domain controllers of a forest, over LDAP |
//! | [`Cached`] | its memory, and asks another lookup for what it does not hold |
//!
//! A lookup says where a mailbox is, not whether the user may open it; that is the second CAS's business.

#[cfg(feature = "active-directory")]
pub mod active_directory;
mod cached;
mod in_memory;

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc};

use crate::directory::{Mailbox, MailboxKey};

pub use cached::{Cached, CachedBuilder};
pub use in_memory::InMemory;

/// Someone who knows where mailboxes live.
///
/// Also implemented for closures `Fn(MailboxKey) -> impl Future<Output = Located>`, and for an `Arc` of a lookup, so that
/// `Arc<dyn MailboxLookup>` is one too.
//= src/docs/protocol.md#decide-lookup
#[diagnostic::on_unimplemented(
    message = "`{Self}` looks up no mailboxes",
    note = "a closure is a lookup if it takes a `MailboxKey` and its future gives `Result<Answer, CouldNotAsk>`"
)]
pub trait MailboxLookup: Send + Sync + 'static {
    /// The answer, if it is at hand. Must not block; asked before every [`locate`](Self::locate).
    ///
    /// By default nothing is at hand.
    fn peek(&self, _key: &MailboxKey) -> Option<Answer> {
        None
    }

    /// Asks. The future may be dropped at any time.
    fn locate(&self, key: MailboxKey) -> LocateFuture;

    /// Forgets what is remembered about a mailbox, because it proved wrong.
    ///
    /// By default nothing is remembered.
    fn invalidate(&self, _key: &MailboxKey) {}
}

/// What came of asking: an answer, or none because nobody could be asked.
pub type Located = Result<Answer, CouldNotAsk>;

/// What [`MailboxLookup::locate`] returns.
pub type LocateFuture = Pin<Box<dyn Future<Output = Located> + Send + 'static>>;

/// The directory's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The mailbox lives here.
    Found(Arc<Mailbox>),
    /// There is no such mailbox.
    NotFound,
    /// The key fits more than one mailbox, and guessing is out of the question.
    Ambiguous,
}

impl<F, Fut> MailboxLookup for F
where
    F: Fn(MailboxKey) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Located> + Send + 'static,
{
    fn locate(&self, key: MailboxKey) -> LocateFuture {
        Box::pin(self(key))
    }
}

impl<L: MailboxLookup + ?Sized> MailboxLookup for Arc<L> {
    fn peek(&self, key: &MailboxKey) -> Option<Answer> {
        (**self).peek(key)
    }

    fn locate(&self, key: MailboxKey) -> LocateFuture {
        (**self).locate(key)
    }

    fn invalidate(&self, key: &MailboxKey) {
        (**self).invalidate(key);
    }
}

/// The directory could not be asked, so nothing is known: neither that there is a mailbox nor that there is none.
#[derive(Debug, Clone)]
pub struct CouldNotAsk(Reason);

#[derive(Debug, Clone)]
enum Reason {
    Source(Arc<dyn Error + Send + Sync>),
    TimedOut,
    TooManyInFlight,
    Panicked,
    Abandoned,
}

impl CouldNotAsk {
    /// For the error of whatever was asked, which becomes the [source](Error::source).
    pub fn from_source(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Reason::Source(source.into().into()))
    }

    /// For an answer that did not come in time.
    #[must_use]
    pub fn timed_out() -> Self {
        Self(Reason::TimedOut)
    }

    /// Whether time ran out, as against an error.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        matches!(self.0, Reason::TimedOut)
    }
}

impl fmt::Display for CouldNotAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Reason::Source(_) => "ask the directory",
            Reason::TimedOut => "ask the directory: no answer in time",
            Reason::TooManyInFlight => "ask the directory: too many lookups in flight",
            Reason::Panicked => "ask the directory: the lookup panicked",
            Reason::Abandoned => "ask the directory: the lookup was abandoned",
        })
    }
}

impl Error for CouldNotAsk {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Reason::Source(source) => Some(&**source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_well_after_failed_to() {
        let error = CouldNotAsk::from_source("connection refused");
        assert_eq!(error.to_string(), "ask the directory");
        assert_eq!(error.source().unwrap().to_string(), "connection refused");
        assert!(!error.is_timed_out());

        let error = CouldNotAsk::timed_out();
        assert_eq!(error.to_string(), "ask the directory: no answer in time");
        assert!(error.source().is_none() && error.is_timed_out());
    }

    #[tokio::test]
    async fn a_closure_and_an_arc_of_any_lookup_are_lookups() {
        let closure = |key| async move {
            match key {
                MailboxKey::Sid(_) => Ok(Answer::NotFound),
                _ => Ok(Answer::Ambiguous),
            }
        };
        let lookup: Arc<dyn MailboxLookup> = Arc::new(Arc::new(closure));
        let key = MailboxKey::Address("anna@contoso.com".parse().unwrap());
        assert_eq!(lookup.peek(&key), None);
        lookup.invalidate(&key);
        assert_eq!(lookup.locate(key).await.unwrap(), Answer::Ambiguous);
    }
}
