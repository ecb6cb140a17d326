//! The words: what each page says, and with which status.

use std::borrow::Cow;

use http::StatusCode;

use super::accept::Wish;
use super::{Audience, Facts, Page, SecondHop};

//= src/docs/protocol.md#error-not-responding
/// What the user reads when no CAS of the mailbox's site answers.
pub const NOT_RESPONDING: &str = "Outlook Web Access is not currently available for the user mailbox that you are trying to access. Please try again in a few minutes. If the problem continues, contact technical support for your organization and tell them the following: The available Microsoft Exchange Client Access servers in the target Active Directory site are not responding.";

//= src/docs/protocol.md#error-not-configured
/// What the user reads when no CAS of the mailbox's site is configured to be reached.
pub const NOT_CONFIGURED: &str = "Outlook Web Access is not available. If the problem continues, contact technical support for your organization and tell them the following: There is no Microsoft Exchange Client Access server that has the necessary configuration in the Active Directory site where the mailbox is stored.";

//= src/docs/protocol.md#decide-no-mailbox
/// What the user reads when there is no mailbox; `{}` stands for `DOMAIN\USER`.
pub const NO_MAILBOX: &str = "Outlook Web Access could not find a mailbox for {}.";

impl Page {
    //= src/docs/protocol.md#error-status
    pub(super) fn facts(&self, audience: &Audience) -> Facts<'_> {
        match self {
            Self::NotResponding => {
                facts(503, "not-responding", "Your mailbox cannot be reached right now", NOT_RESPONDING).retry_after(60)
            }
            Self::NotConfigured => facts(500, "not-configured", "Your mailbox cannot be reached", NOT_CONFIGURED),
            Self::NoMailbox { name } => {
                let text = NO_MAILBOX.replace("{}", &readable(name));
                facts(404, "no-mailbox", "There is no such mailbox", text)
            }
            Self::AmbiguousMailbox => facts(
                500,
                "ambiguous-mailbox",
                "Your mailbox is not clear",
                "The directory lists more than one mailbox for you, and this server will not guess. Contact technical support for your organization.",
            ),
            Self::DirectoryUnreachable => facts(
                503,
                "directory-unreachable",
                "Your mailbox cannot be looked up right now",
                "The directory that knows where your mailbox is did not answer. Please try again in a few minutes.",
            )
            .retry_after(30),
            Self::IdentityMissing => {
                facts(401, "identity-missing", "Please sign in", "Sign in to open your mailbox.")
            }
            Self::RefusedCaller => facts(
                403,
                "refused-caller",
                "This request is not allowed",
                "Only Client Access servers that this server trusts may send this request.",
            ),
            Self::BadRequest => facts(
                400,
                "bad-request",
                "This request cannot be understood",
                "The address or the headers of the request are not well formed. Check the address, or go back and try again.",
            ),
            Self::LoginTooLarge => facts(
                413,
                "login-too-large",
                "The proxy login is too large",
                "The proxy login has more bytes or more SIDs than this server accepts.",
            ),
            Self::TargetTooLong => facts(
                414,
                "target-too-long",
                "The address is too long",
                "The address of this request is longer than this server accepts.",
            ),
            Self::HeadTooLarge => facts(
                431,
                "head-too-large",
                "The request is too large",
                "The headers of this request are larger than this server accepts. Deleting the cookies of this site may help.",
            ),
            Self::WrongSite => facts(
                421,
                "wrong-site",
                "This is not the site of the mailbox",
                "The mailbox is not in the Active Directory site of this server.",
            ),
            Self::CannotBeGivenAgain => facts(
                503,
                "cannot-be-given-again",
                "Please send it once more",
                "The server that holds your mailbox had to get to know you first, and what you sent was too large to be kept meanwhile. It was not carried out. Please send it again.",
            )
            .retry_after(1),
            Self::TooManyGroups => facts(
                500,
                "too-many-groups",
                "You are a member of too many groups",
                "Your account is a member of more groups than can be passed on to the server that holds your mailbox. Contact technical support for your organization.",
            ),
            Self::SecondHop(failure) => failure.facts(),
            Self::RequestTooSlow => facts(
                408,
                "request-too-slow",
                "Your request took too long",
                "What you sent arrived too slowly, and was given up. Please try again.",
            ),
            Self::TimedOut => facts(
                504,
                "timed-out",
                "The server took too long",
                "The server that holds your mailbox did not answer in time. Please try again in a few minutes.",
            ),
            Self::Loop => facts(
                508,
                "loop",
                "This request went in a circle",
                "The Client Access servers do not agree where your mailbox is. Please try again in a few minutes.",
            ),
            Self::TooManyInFlight => facts(
                503,
                "too-many-in-flight",
                "The server is busy",
                "Too many requests are under way to the server that holds your mailbox. Please try again in a moment.",
            )
            .retry_after(1),
            Self::MethodNotAllowed { .. } => facts(
                405,
                "method-not-allowed",
                "This is not possible here",
                "This address does not take requests of this kind.",
            ),
            Self::UnsupportedMethod => facts(
                501,
                "unsupported-method",
                "This is not possible",
                "This server does not know how to carry out requests of this kind.",
            ),
            Self::Internal => facts(
                500,
                "internal",
                "Something went wrong",
                "This server could not carry out the request. If the problem continues, contact technical support for your organization.",
            ),
            Self::Redirect { url, silent } => {
                let status = match (silent, audience.safe) {
                    (true, true) => 302,
                    // Any other method keeps its method and body on the way.
                    (true, false) => 307,
                    (false, true) if audience.wish != Wish::Json => 200,
                    // Nothing was done, so a script that saves a draft must not read success.
                    (false, _) => 409,
                };
                let mut facts = facts(status, "other-site", REDIRECT_HEADING, REDIRECT_TEXT);
                facts.link = Some(url);
                facts
            }
        }
    }
}

impl SecondHop {
    fn facts(self) -> Facts<'static> {
        let (code, detail) = match self {
            Self::Version => (
                "second-hop-version",
                "The Client Access server in the Active Directory site of your mailbox runs a newer version than this one. Contact technical support for your organization.",
            ),
            Self::Tls => (
                "second-hop-tls",
                "The connection to the Client Access server in the Active Directory site of your mailbox cannot be trusted. Contact technical support for your organization.",
            ),
            Self::Authentication => (
                "second-hop-authentication",
                "The Client Access server in the Active Directory site of your mailbox did not accept this server. Contact technical support for your organization.",
            ),
            Self::NeedIdentityAgain => (
                "second-hop-need-identity",
                "The Client Access server in the Active Directory site of your mailbox accepted who you are, and asked again. Please try again in a few minutes.",
            ),
            Self::UnexpectedAnswer => (
                "second-hop-unexpected-answer",
                "The Client Access server in the Active Directory site of your mailbox gave an answer that this server does not understand. Contact technical support for your organization.",
            ),
        };
        facts(502, code, "Your mailbox cannot be reached", detail)
    }
}

fn facts<'p>(
    status: u16,
    code: &'static str,
    heading: &'static str,
    detail: impl Into<Cow<'p, str>>,
) -> Facts<'p> {
    Facts {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        code,
        heading,
        detail: detail.into(),
        retry_after: None,
        link: None,
    }
}

impl Facts<'_> {
    fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

/// A name as people may see it: no control characters, nothing that turns the text direction, of bearable length.
fn readable(name: &str) -> Cow<'_, str> {
    let harmless = |character: char| {
        !character.is_control()
            && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if name.len() <= NAME_LENGTH && name.chars().all(harmless) {
        return Cow::Borrowed(name);
    }
    let mut shown: String = name
        .chars()
        .take(NAME_LENGTH)
        .map(|character| {
            if harmless(character) {
                character
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect();
    if name.chars().nth(NAME_LENGTH).is_some() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

/// Longest name on a page, in characters: the length of an SMTP address, more than any `DOMAIN\USER`.
const NAME_LENGTH: usize = 320;

const REDIRECT_HEADING: &str = "Your mailbox is at another address";
const REDIRECT_TEXT: &str = "Your mailbox is kept at another site, which has its own address for Outlook Web Access. Use this address from now on:";
