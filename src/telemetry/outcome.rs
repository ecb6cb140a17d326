//! What became of a request, as a value.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::Event;
use crate::directory::{ExternalUrl, ServerName, SiteName};

/// What became of a request. Found in the extensions of every answer that the inner service did not give; its absence
/// means that the request was served here.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// A second CAS answered.
    #[non_exhaustive]
    Proxied {
        /// The one that answered.
        server: ServerName,
        /// Its AD site.
        site: SiteName,
        /// Candidates tried, this one included; from 1.
        candidates: usize,
        /// A proxy login took place for this request, its own or one it waited for.
        logged_in: bool,
        /// The request was sent a second time to the same server.
        replayed: bool,
    },
    /// An Exchange 2003 back-end answered.
    #[non_exhaustive]
    BackEnd {
        /// The one that answered.
        server: ServerName,
    },
    /// The mailbox has no language yet; the browser was sent to the page that asks for it.
    #[non_exhaustive]
    Language {
        /// The second CAS that said so.
        server: ServerName,
        /// Its AD site.
        site: SiteName,
    },
    /// The browser was pointed to the CAS of the mailbox's own site.
    #[non_exhaustive]
    Redirected {
        /// That CAS.
        url: ExternalUrl,
        /// Sent there at once, without a page.
        silent: bool,
    },
    /// As second CAS: the proxy login was taken (241).
    LoginAccepted,
    /// As second CAS: no context is held for this user (441).
    IdentityNeeded,
    /// As second CAS: a ping was answered (242).
    Pinged,
    /// The request failed.
    Refused(Failure),
}

impl Outcome {
    /// The value of the metric label `outcome`.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Proxied { .. } => "proxied",
            Self::BackEnd { .. } => "back_end",
            Self::Language { .. } => "language",
            Self::Redirected { .. } => "redirected",
            Self::LoginAccepted => "login_accepted",
            Self::IdentityNeeded => "identity_needed",
            Self::Pinged => "pinged",
            Self::Refused(_) => "refused",
        }
    }
}

/// Why a request failed: whose fault, in which step, and whether anything had been sent by then.
///
/// Its text fits after "failed to": `reach dallas: connection refused`.
#[derive(Clone, Debug)]
pub struct Failure {
    culprit: Culprit,
    phase: Phase,
    sent: bool,
    server: Option<ServerName>,
    event: Option<Event>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure before anything was sent.
    pub(crate) fn new(culprit: Culprit, phase: Phase) -> Self {
        Self {
            culprit,
            phase,
            sent: false,
            server: None,
            event: None,
            cause: None,
        }
    }

    /// Names the server it happened with.
    pub(crate) fn at(mut self, server: &ServerName) -> Self {
        self.server = Some(server.clone());
        self
    }

    /// Says that the other server may have seen some of the request.
    pub(crate) fn after_sending(mut self) -> Self {
        self.sent = true;
        self
    }

    /// Gives the number for the log and the page.
    pub(crate) fn with_event(mut self, event: Event) -> Self {
        self.event = Some(event);
        self
    }

    /// Gives the cause. Its text must hold no secret and no full SID.
    pub(crate) fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Arc::from(cause.into()));
        self
    }

    /// Says that what was taken for a second CAS is a back-end.
    pub(crate) fn of_back_end(mut self) -> Self {
        if self.culprit == Culprit::SecondCas {
            self.culprit = Culprit::BackEnd;
        }
        self
    }

    /// Whose fault it is.
    #[must_use]
    pub fn culprit(&self) -> Culprit {
        self.culprit
    }

    /// In which step it happened.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the other server may have seen some of the request.
    #[must_use]
    pub fn was_anything_sent(&self) -> bool {
        self.sent
    }

    /// The server it happened with, if it was another one.
    #[must_use]
    pub fn server(&self) -> Option<&ServerName> {
        self.server.as_ref()
    }

    /// The numbered event it is.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        self.event
    }

    /// The error behind it.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self
            .server
            .as_ref()
            .map_or("the server", ServerName::as_str);
        match self.phase {
            Phase::Accept => formatter.write_str("accept the request")?,
            Phase::Identify => formatter.write_str("identify the user")?,
            Phase::Locate => formatter.write_str("find the mailbox")?,
            Phase::Decide => formatter.write_str("choose a server")?,
            Phase::VerifyCaller => formatter.write_str("verify the calling server")?,
            Phase::ReadLogin => formatter.write_str("read the proxy login")?,
            Phase::Connect => write!(formatter, "reach {server}")?,
            Phase::Login => write!(formatter, "log the user in at {server}")?,
            Phase::Send => write!(formatter, "send the request to {server}")?,
            Phase::Replay => write!(formatter, "give the request again to {server}")?,
            Phase::Answer => write!(formatter, "get an answer from {server}")?,
        }
        let mut told = String::new();
        let mut next: Option<&dyn Error> = self.cause.as_deref().map(|cause| cause as &dyn Error);
        while let Some(cause) = next {
            let text = cause.to_string();
            // Some errors tell their source themselves, and once is enough.
            if !told.ends_with(&text) {
                write!(formatter, ": {text}")?;
                told = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Culprit {
    /// Whoever sent the request.
    Client,
    /// This server: its configuration, its limits, or a defect.
    Here,
    /// The directory, or what it says.
    Directory,
    /// The second CAS, or the way to it.
    SecondCas,
    /// The Exchange 2003 back-end, or the way to it.
    BackEnd,
}

/// The step in which a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Limits, path and headers.
    Accept,
    /// Who is the user?
    Identify,
    /// Where is the mailbox?
    Locate,
    /// What is to be done?
    Decide,
    /// As second CAS: is the caller a trusted CAS?
    VerifyCaller,
    /// As second CAS: the body of the proxy login.
    ReadLogin,
    /// Name resolution, connection, TLS.
    Connect,
    /// The proxy login.
    Login,
    /// The request, on its way out.
    Send,
    /// The second sending of the request.
    Replay,
    /// The head of the answer.
    Answer,
}

impl Phase {
    /// The value of the metric label and log field `phase`.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Identify => "identify",
            Self::Locate => "locate",
            Self::Decide => "decide",
            Self::VerifyCaller => "verify_caller",
            Self::ReadLogin => "read_login",
            Self::Connect => "connect",
            Self::Login => "login",
            Self::Send => "send",
            Self::Replay => "replay",
            Self::Answer => "answer",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn dallas() -> ServerName {
        ServerName::new("dallas").unwrap()
    }

    #[track_caller]
    fn check(failure: &Failure, text: &str) {
        assert_eq!(failure.to_string(), text);
    }

    #[test]
    fn a_failure_reads_well_after_failed_to() {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let away = Failure::new(Culprit::SecondCas, Phase::Connect).at(&dallas());
        check(&away, "reach dallas");
        check(&away.because(refused()), "reach dallas: connection refused");
        check(
            &Failure::new(Culprit::Client, Phase::Identify),
            "identify the user",
        );
        check(
            &Failure::new(Culprit::SecondCas, Phase::Login)
                .at(&dallas())
                .because("it offers only NTLM"),
            "log the user in at dallas: it offers only NTLM",
        );
        check(
            &Failure::new(Culprit::BackEnd, Phase::Answer),
            "get an answer from the server",
        );
    }

    #[test]
    fn every_cause_in_the_chain_is_told() {
        #[derive(Debug)]
        struct Outer(io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("client error")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let failure = Failure::new(Culprit::SecondCas, Phase::Send)
            .at(&dallas())
            .after_sending()
            .with_event(Event::AllAttemptsFailed)
            .because(Outer(io::Error::other("broken pipe")));
        check(
            &failure,
            "send the request to dallas: client error: broken pipe",
        );
        assert!(failure.was_anything_sent());
        assert_eq!(failure.event(), Some(Event::AllAttemptsFailed));
        assert_eq!(failure.server(), Some(&dallas()));
        assert_eq!(
            (failure.culprit(), failure.phase()),
            (Culprit::SecondCas, Phase::Send)
        );
        assert_eq!(failure.cause().unwrap().to_string(), "client error");
    }

    #[test]
    fn a_cause_that_tells_its_source_itself_is_not_told_twice() {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let failure = Failure::new(Culprit::SecondCas, Phase::Connect).at(&dallas());
        // What a wrapped `io::Error` does, and many others.
        check(
            &failure.because(io::Error::other(io::Error::other(refused()))),
            "reach dallas: connection refused",
        );
    }

    #[test]
    fn an_outcome_can_travel_in_extensions() {
        let mut extensions = http::Extensions::new();
        extensions.insert(Outcome::Refused(Failure::new(
            Culprit::Directory,
            Phase::Locate,
        )));
        assert!(
            matches!(extensions.get(), Some(Outcome::Refused(failure)) if failure.phase() == Phase::Locate)
        );
    }
}
