//! Failures of ours: what the user reads and what the operator reads, said together.

use http::StatusCode;

use crate::{
    csc::ClientSecurityContext,
    decision::Refusal,
    directory::{MailboxKey, ServerName},
    lookup::CouldNotAsk,
    outbound::{BoxError, SendError, SendErrorKind, Stalled},
    pages::{Page, SecondHop},
    telemetry::{Culprit, Event, Failure, Phase},
};

/// A request refused: one page, one line in the log.
#[derive(Clone, Debug)]
pub(super) struct Refused(Box<(Page, Failure)>);

impl Refused {
    fn new(page: Page, failure: Failure) -> Self {
        Self(Box::new((page, failure)))
    }

    /// A request that is not even looked at further; the client can mend it.
    pub(super) fn at_the_door(page: Page, cause: impl Into<BoxError>) -> Self {
        let failure = Failure::new(Culprit::Client, Phase::Accept).because(cause);
        Self::new(page, failure)
    }

    pub(super) fn identity_missing() -> Self {
        let failure = Failure::new(Culprit::Client, Phase::Identify)
            .because("no layer before this one has signed the user in");
        Self::new(Page::IdentityMissing, failure)
    }

    pub(super) fn could_not_ask(error: CouldNotAsk) -> Self {
        let failure = Failure::new(Culprit::Directory, Phase::Locate)
            .with_event(Event::DirectoryLookupFailed)
            .because(error);
        Self::new(Page::DirectoryUnreachable, failure)
    }

    pub(super) fn ambiguous() -> Self {
        let failure = Failure::new(Culprit::Directory, Phase::Locate)
            .with_event(Event::DirectoryLookupFailed)
            .because("more than one mailbox fits");
        Self::new(Page::AmbiguousMailbox, failure)
    }

    pub(super) fn decided(
        refusal: Refusal,
        user: &ClientSecurityContext,
        key: &MailboxKey,
    ) -> Self {
        let (page, event) = match refusal {
            //= src/docs/protocol.md#decide-no-mailbox
            Refusal::NoMailbox => (no_mailbox(user, key), None),
            Refusal::NotConfigured | Refusal::BackEndNotConfigured => {
                (Page::NotConfigured, Some(Event::NoneConfigured))
            }
            Refusal::NotResponding => (Page::NotResponding, Some(Event::AllAttemptsFailed)),
            Refusal::TlsRequired => (Page::SecondHop(SecondHop::Tls), Some(Event::TlsRequired)),
            Refusal::IncompatibleVersions => (
                Page::SecondHop(SecondHop::Version),
                Some(Event::VersionsIncompatible),
            ),
            Refusal::WrongSite => (Page::WrongSite, None),
        };
        let mut failure =
            Failure::new(Culprit::Directory, Phase::Decide).because(refusal.to_string());
        if let Some(event) = event {
            failure = failure.with_event(event);
        }
        Self::new(page, failure)
    }

    /// The user has more SIDs than a proxy login may carry.
    pub(super) fn too_many_sids(error: impl Into<BoxError>) -> Self {
        let failure = Failure::new(Culprit::Directory, Phase::Login)
            .with_event(Event::TooManySids)
            .because(error);
        Self::new(Page::TooManyGroups, failure)
    }

    pub(super) fn foreign_sid() -> Self {
        let failure = Failure::new(Culprit::Here, Phase::Identify)
            .because("the user's SID is none of a domain, and no CAS may speak for it");
        Self::new(Page::Internal, failure)
    }

    pub(super) fn too_many_in_flight(server: &ServerName) -> Self {
        let failure = Failure::new(Culprit::SecondCas, Phase::Connect)
            .at(server)
            .because("too many requests are in flight there");
        Self::new(Page::TooManyInFlight, failure)
    }

    /// An upgrade for which there is no room, or no time any more. Anybody can ask for many.
    pub(super) fn too_many_tunnels(cause: &'static str) -> Self {
        let failure = Failure::new(Culprit::Client, Phase::Accept).because(cause);
        Self::new(Page::TooManyInFlight, failure)
    }

    pub(super) fn cannot_be_given_again(server: &ServerName) -> Self {
        let failure = Failure::new(Culprit::SecondCas, Phase::Replay)
            .at(server)
            .after_sending()
            .because("the body has left, and was too large to be kept");
        Self::new(Page::CannotBeGivenAgain, failure)
    }

    /// The exchange brought no answer, and nothing else may be tried.
    pub(super) fn no_answer(server: &ServerName, phase: Phase, error: SendError) -> Self {
        let (page, event, sent) = match error.kind() {
            //= src/docs/protocol.md#tls-verified
            SendErrorKind::CertificateNotTrusted => (
                Page::SecondHop(SecondHop::Tls),
                Some(Event::CertificateNotTrusted),
                false,
            ),
            SendErrorKind::Unreachable => {
                (Page::NotResponding, Some(Event::AllAttemptsFailed), false)
            }
            SendErrorKind::Closed => (Page::NotResponding, Some(Event::AllAttemptsFailed), true),
            SendErrorKind::NoUpgrade => (Page::SecondHop(SecondHop::UnexpectedAnswer), None, false),
            _ => (Page::SecondHop(SecondHop::UnexpectedAnswer), None, true),
        };
        let phase = match phase {
            Phase::Send if !sent => Phase::Connect,
            phase => phase,
        };
        let mut failure = Failure::new(Culprit::SecondCas, phase)
            .at(server)
            .because(error);
        if let Some(event) = event {
            failure = failure.with_event(event);
        }
        Self::new(
            page,
            if sent {
                failure.after_sending()
            } else {
                failure
            },
        )
    }

    /// The client broke its own body off.
    pub(super) fn client_body(server: &ServerName) -> Self {
        let failure = Failure::new(Culprit::Client, Phase::Send)
            .at(server)
            .after_sending()
            .because("the client broke its body off");
        Self::new(Page::BadRequest, failure)
    }

    pub(super) fn login_abandoned(server: &ServerName) -> Self {
        let failure = Failure::new(Culprit::Here, Phase::Login)
            .at(server)
            .after_sending()
            .because("the proxy login was abandoned");
        Self::new(Page::NotResponding, failure)
    }

    pub(super) fn login_timed_out(server: &ServerName) -> Self {
        let failure = Failure::new(Culprit::SecondCas, Phase::Login)
            .at(server)
            .after_sending()
            .because("no answer within the time-out");
        Self::new(Page::TimedOut, failure)
    }

    pub(super) fn stalled(server: &ServerName, phase: Phase, stalled: Stalled) -> Self {
        let (page, culprit, cause) = match stalled {
            Stalled::Client => (
                Page::RequestTooSlow,
                Culprit::Client,
                "the client sends its body too slowly",
            ),
            Stalled::Upload => (
                Page::TimedOut,
                Culprit::SecondCas,
                "it does not read the request",
            ),
            Stalled::Answer => (
                Page::TimedOut,
                Culprit::SecondCas,
                "no answer within the time-out",
            ),
        };
        let failure = Failure::new(culprit, phase)
            .at(server)
            .after_sending()
            .because(cause);
        Self::new(page, failure)
    }

    /// This CAS was not accepted by the second one, or has no credentials to show.
    pub(super) fn authentication(server: &ServerName, cause: impl Into<BoxError>) -> Self {
        let failure = Failure::new(Culprit::SecondCas, Phase::Login)
            .at(server)
            .with_event(Event::AuthenticationFailed)
            .because(cause);
        Self::new(Page::SecondHop(SecondHop::Authentication), failure)
    }

    /// The second CAS refused this one by 403.
    pub(super) fn forbidden(server: &ServerName) -> Self {
        let failure = Failure::new(Culprit::SecondCas, Phase::Login)
            .at(server)
            .with_event(Event::TlsRequired)
            .because("it answered 403: it does not trust this server, or wants TLS");
        Self::new(Page::SecondHop(SecondHop::Authentication), failure)
    }

    pub(super) fn identity_needed_again(server: &ServerName) -> Self {
        let failure = Failure::new(Culprit::SecondCas, Phase::Replay)
            .at(server)
            .after_sending()
            .because("it answered 441 after it had accepted the login");
        Self::new(Page::SecondHop(SecondHop::NeedIdentityAgain), failure)
    }

    /// An answer that means nothing in this phase; its body is not shown.
    pub(super) fn unexpected(server: &ServerName, phase: Phase, status: StatusCode) -> Self {
        let failure = Failure::new(Culprit::SecondCas, phase)
            .at(server)
            .after_sending()
            .because(format!(
                "it answered {}, which means nothing here",
                status.as_u16()
            ));
        Self::new(Page::SecondHop(SecondHop::UnexpectedAnswer), failure)
    }

    /// An answer that can't be passed on.
    pub(super) fn bad_answer(server: &ServerName, cause: impl Into<BoxError>) -> Self {
        let failure = Failure::new(Culprit::SecondCas, Phase::Answer)
            .at(server)
            .after_sending()
            .because(cause);
        Self::new(Page::SecondHop(SecondHop::UnexpectedAnswer), failure)
    }

    /// 502 or 503, when what it answered can't be shown: the body of a login's answer.
    pub(super) fn unavailable(server: &ServerName, status: StatusCode) -> Self {
        let failure = Failure::new(Culprit::SecondCas, Phase::Login)
            .at(server)
            .with_event(Event::AllAttemptsFailed)
            .because(format!("it answered {}", status.as_u16()));
        Self::new(Page::NotResponding, failure)
    }

    pub(super) fn no_candidate_left() -> Self {
        let failure = Failure::new(Culprit::SecondCas, Phase::Connect)
            .with_event(Event::AllAttemptsFailed)
            .because("every candidate has failed");
        Self::new(Page::NotResponding, failure)
    }

    pub(super) fn looped(cause: &'static str) -> Self {
        let failure = Failure::new(Culprit::Here, Phase::Decide).because(cause);
        Self::new(Page::Loop, failure)
    }

    /// The back-end needs the user's own credentials, and there are none.
    pub(super) fn no_back_end_credentials(server: &ServerName) -> Self {
        let failure = Failure::new(Culprit::Here, Phase::Connect)
            .at(server)
            .with_event(Event::NoneConfigured)
            .because("no credentials of the user can be had for the back-end");
        Self::new(Page::NotConfigured, failure)
    }

    pub(super) fn internal(cause: impl Into<BoxError>) -> Self {
        let failure = Failure::new(Culprit::Here, Phase::Decide).because(cause);
        Self::new(Page::Internal, failure)
    }

    /// The same, where the server is a back-end and no CAS.
    pub(super) fn of_back_end(self) -> Self {
        let (page, failure) = self.into_parts();
        Self::new(page, failure.of_back_end())
    }

    pub(super) fn failure(&self) -> &Failure {
        &self.0.1
    }

    pub(super) fn event(&self) -> Option<u16> {
        self.0.1.event().map(Event::number)
    }

    pub(super) fn into_parts(self) -> (Page, Failure) {
        *self.0
    }
}

fn no_mailbox(user: &ClientSecurityContext, key: &MailboxKey) -> Page {
    let name = match key {
        MailboxKey::Address(address) => address.as_str().to_owned(),
        _ => user.logon_name().to_owned(),
    };
    Page::NoMailbox { name }
}
