//! The lines of the log. One function per thing that happens; each counts it, too.

use std::fmt::{self, Write as _};
use std::time::Duration;

use http::StatusCode;

use super::{Culprit, Event, Failure, Outcome, Reference, measure};
use crate::directory::{ServerName, SiteName};

/// The inner service takes the request. Counted, not logged: its own layers do that.
pub(crate) fn served_locally(elapsed: Duration) {
    measure::served_locally(elapsed);
}

/// An answer of ours leaves: exactly one line for each.
pub(crate) fn answered(
    outcome: &Outcome,
    status: StatusCode,
    reference: Reference,
    elapsed: Duration,
) {
    count(outcome, elapsed);
    let status = status.as_u16();
    match outcome {
        Outcome::Proxied {
            server,
            site,
            candidates,
            logged_in,
            replayed,
        } => {
            tracing::debug!(
                target: TARGET, %reference, status, server = %Tame(server), site = %Tame(site), candidates, logged_in,
                replayed, ?elapsed, "proxied"
            );
        }
        Outcome::BackEnd { server } => {
            tracing::debug!(target: TARGET, %reference, status, server = %Tame(server), ?elapsed, "sent to the back-end");
        }
        Outcome::Language { server, site } => {
            tracing::debug!(
                target: TARGET, %reference, status, server = %Tame(server), site = %Tame(site), "asked for a language"
            );
        }
        Outcome::Redirected { url, silent } => {
            tracing::debug!(target: TARGET, %reference, status, url = %Tame(url.as_str()), silent, "redirected");
        }
        Outcome::LoginAccepted | Outcome::IdentityNeeded | Outcome::Pinged => {
            tracing::debug!(target: TARGET, %reference, status, outcome = outcome.label(), "answered a calling server");
        }
        Outcome::Refused(failure) => refused(failure, status, reference),
    }
}

/// A second CAS answers by itself. Counted here; what it has to say to the operator it has said.
pub(crate) fn answered_as_second_cas(outcome: &Outcome, elapsed: Duration) {
    count(outcome, elapsed);
}

fn count(outcome: &Outcome, elapsed: Duration) {
    let phase = match outcome {
        Outcome::Proxied { .. } => return measure::proxied(elapsed),
        Outcome::Refused(failure) => failure.phase().label(),
        _ => "none",
    };
    measure::request(outcome.label(), phase, elapsed);
}

/// A candidate is given up for the next one.
//= src/docs/protocol.md#failover-when
pub(crate) fn failed_over(server: &ServerName, site: &SiteName, failure: &Failure) {
    measure::failed_over(server);
    tracing::warn!(
        target: TARGET, event_id = Event::Failover.number(), server = %Tame(server), site = %Tame(site),
        "trying the next Client Access server, failed to {}", Tame(failure)
    );
}

/// No candidate is left, and the last one's own answer is the user's.
//= src/docs/protocol.md#failover-when
pub(crate) fn all_failed(candidates: usize) {
    tracing::warn!(
        target: TARGET, event_id = Event::AllAttemptsFailed.number(), candidates,
        "no candidate is left, the last one's answer goes to the user"
    );
}

/// A second CAS answered 403, which may be its word on the user or on this server.
pub(crate) fn forbidden(server: &ServerName) {
    tracing::info!(
        target: TARGET, event_id = Event::TlsRequired.number(), server = %Tame(server), "the second CAS answered 403"
    );
}

/// A proxy login came to an end.
pub(crate) fn logged_in(server: &ServerName, site: &SiteName, result: LoginResult) {
    measure::logged_in(server, result.label());
    tracing::info!(
        target: TARGET, server = %Tame(server), site = %Tame(site), result = result.label(), "proxy login"
    );
}

/// How a proxy login ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginResult {
    /// 241.
    Accepted,
    /// Any other answer.
    Refused,
    /// No answer.
    Failed,
}

impl LoginResult {
    const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// A request goes to the same server a second time, after a login.
pub(crate) fn replayed(server: &ServerName) {
    measure::replayed(server);
    tracing::debug!(target: TARGET, server = %Tame(server), "sending the request again after the proxy login");
}

fn refused(failure: &Failure, status: u16, reference: Reference) {
    // A field that is `None` is left out.
    let event_id = failure.event().map(Event::number);
    let server = failure
        .server()
        .map(|server| tracing::field::display(Tame(server)));
    let phase = failure.phase().label();
    let sent = failure.was_anything_sent();
    let why = Tame(failure);
    match (failure.culprit(), failure.event()) {
        // Anybody can cause these, as often as they like.
        (Culprit::Client, None) => {
            tracing::info!(target: TARGET, %reference, status, phase, "failed to {why}");
        }
        (Culprit::Here, _) => {
            tracing::error!(target: TARGET, event_id, %reference, status, server, phase, sent, "failed to {why}");
        }
        _ => {
            tracing::warn!(target: TARGET, event_id, %reference, status, server, phase, sent, "failed to {why}")
        }
    }
}

/// Text that somebody else chose, made fit for one line of a log: control and direction characters escaped, and cut.
struct Tame<T>(T);

impl<T: fmt::Display> fmt::Display for Tame<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = Taming {
            out: formatter,
            left: LONGEST,
            cut: false,
        };
        write!(writer, "{}", self.0)
    }
}

struct Taming<'out, 'buffer> {
    out: &'out mut fmt::Formatter<'buffer>,
    left: usize,
    cut: bool,
}

impl fmt::Write for Taming<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.left == 0 {
                // An error would make the logger give up the whole line.
                return if std::mem::replace(&mut self.cut, true) {
                    Ok(())
                } else {
                    self.out.write_char('…')
                };
            }
            self.left -= 1;
            match character {
                '\\' => self.out.write_str("\\\\")?,
                '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(self.out, "{}", character.escape_unicode())?;
                }
                control if control.is_control() => {
                    write!(self.out, "{}", control.escape_default())?
                }
                other => self.out.write_char(other)?,
            }
        }
        Ok(())
    }
}

const TARGET: &str = "cas_proxy";

/// Longest text of others in one line, in characters.
const LONGEST: usize = 1024;

#[cfg(test)]
mod tests;
