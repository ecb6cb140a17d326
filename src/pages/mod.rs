//! What the user reads when the mailbox cannot be served: a page for people, a problem document for programs.
//!
//! ```
//! use cas_proxy::pages::{Audience, Page, render};
//! use http::{HeaderMap, Method, StatusCode, header};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert(header::ACCEPT, "text/html,*/*;q=0.8".parse()?);
//! let audience = Audience::of(&Method::GET, &headers).with_event(40);
//!
//! let answer = render(&Page::NotResponding, &audience);
//! assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
//! assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```
//!
//! Pages carry nothing a browser could execute or fetch: no script, no image, no form, and a
//! `Content-Security-Policy` that forbids them. What came from outside (a logon name, a URL) is escaped, freed of
//! control and text-direction characters, and cut to a readable length.

mod accept;
mod html;
mod problem;
mod texts;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use self::accept::Wish;
use crate::directory::ExternalUrl;

pub use self::texts::{NO_MAILBOX, NOT_CONFIGURED, NOT_RESPONDING};

/// One thing the user may have to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Page {
    /// 503: no CAS in the site, or every candidate failed.
    NotResponding,
    /// 500: the site has CASs, and none is configured to be reached.
    NotConfigured,
    /// 404: the directory knows no mailbox for this name (`DOMAIN\USER`, or the address of an explicit logon).
    NoMailbox {
        /// Who was looked for.
        name: String,
    },
    /// 500: the directory gave several mailboxes for one user.
    AmbiguousMailbox,
    /// 503: the directory did not answer.
    DirectoryUnreachable,
    /// 401: nobody signed this user in.
    ///
    /// The page has no `WWW-Authenticate`: only the log-on layer knows its scheme, and adds it.
    IdentityMissing,
    /// 403: an internal path or internal headers, and the caller is not a trusted CAS.
    RefusedCaller,
    /// 400: path, headers or proxy login are not well formed.
    BadRequest,
    /// 413: the proxy login is over its limits.
    LoginTooLarge,
    /// 414: the request target is over its limit.
    TargetTooLong,
    /// 431: the request head is over its limits.
    HeadTooLarge,
    /// 421: between CASs only, the mailbox is not at this site.
    WrongSite,
    /// 503: the body would have to be sent a second time, and is gone.
    CannotBeGivenAgain,
    /// 500: the user is a member of more groups than a proxy login can carry.
    TooManyGroups,
    /// 502: the second CAS was reached, and it went wrong there.
    SecondHop(SecondHop),
    /// 408: the client sends its body too slowly.
    RequestTooSlow,
    /// 504: a server further on took too long.
    TimedOut,
    /// 508: the request came back to us.
    Loop,
    /// 503: too many requests are under way.
    TooManyInFlight,
    /// 405: the path exists, the method does not.
    MethodNotAllowed {
        /// The methods that exist, for the `Allow` header.
        allow: &'static str,
    },
    /// 501: the method, or what it asks for, is not built.
    UnsupportedMethod,
    /// 500: a defect or a broken part of this server.
    Internal,
    /// The mailbox is better reached elsewhere: a page with a link, or with `silent` a 302 (GET, HEAD) or 307.
    ///
    /// The page has status 200 for a GET or HEAD of a person; to any other method, or to a client that wants JSON, it
    /// is 409, for nothing of what was asked has been done.
    ///
    ///
    /// The link is the ExternalURL as configured. The path of this request is not appended: item ids and session
    /// state of one site mean nothing at the other, and a path chosen by a client has no business in a link.
    Redirect {
        /// Where the mailbox's own site is reached.
        url: ExternalUrl,
        /// Send the browser there without a page in between.
        silent: bool,
    },
}

/// What went wrong between this server and the second CAS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecondHop {
    /// Every candidate runs a newer version than this server.
    Version,
    /// The connection is not, or not credibly, protected.
    Tls,
    /// The second CAS did not accept this server's own credentials.
    Authentication,
    /// It asked for the identity again after accepting it.
    NeedIdentityAgain,
    /// It answered something this protocol has no meaning for.
    UnexpectedAnswer,
}

/// Who asks, and what support needs to find the request again. Taken from a request before its parts move on.
#[derive(Clone, Copy, Debug)]
pub struct Audience {
    wish: Wish,
    head: bool,
    safe: bool,
    event: Option<u16>,
    reference: Option<u64>,
}

impl Audience {
    /// Reads method and `Accept`.
    ///
    /// Whoever asks for `text/html` (every browser does) gets HTML; whoever does not, gets
    /// `application/problem+json`. That includes `*/*` alone and no `Accept` at all: scripts, probes and curl, for
    /// whom one line of JSON with the same text is the more readable answer. The redirect page is the exception:
    /// it is an answer, not a problem, so only a client that names JSON gets it as JSON.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        Self {
            wish: accept::read(headers),
            head: method == Method::HEAD,
            safe: method == Method::GET || method == Method::HEAD,
            event: None,
            reference: None,
        }
    }

    /// Names the event number that the operator finds in the log.
    #[must_use]
    pub fn with_event(mut self, event: impl Into<Option<u16>>) -> Self {
        self.event = event.into();
        self
    }

    /// Names the reference under which this very request is found in the log.
    #[must_use]
    pub fn with_reference(mut self, reference: u64) -> Self {
        self.reference = Some(reference);
        self
    }
}

/// Writes the answer: status, headers with the true `Content-Length`, and a body unless the method was HEAD.
#[must_use]
pub fn render(page: &Page, audience: &Audience) -> Response<Bytes> {
    let facts = page.facts(audience);
    let as_html = match (audience.wish, page) {
        (Wish::Html, _) | (Wish::Anything, Page::Redirect { .. }) => true,
        (Wish::Json | Wish::Anything, _) => false,
    };
    let body = if as_html {
        html::write(&facts, audience)
    } else {
        problem::write(&facts, audience)
    };

    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = facts.status;
    let headers = answer.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(html::POLICY),
    );
    let kind = if as_html {
        html::MEDIA_TYPE
    } else {
        problem::MEDIA_TYPE
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(seconds) = facts.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    match page {
        Page::Redirect { url, silent: true } => {
            headers.insert(header::LOCATION, url.to_header_value());
        }
        Page::MethodNotAllowed { allow } => {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        _ => {}
    }
    if !audience.head {
        *answer.body_mut() = Bytes::from(body);
    }
    answer
}

/// A page, taken apart for both writers.
struct Facts<'p> {
    status: StatusCode,
    /// Stable word for programs.
    code: &'static str,
    heading: &'static str,
    detail: Cow<'p, str>,
    retry_after: Option<u32>,
    link: Option<&'p ExternalUrl>,
}

const ALWAYS: [(header::HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_LANGUAGE, "en"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::VARY, "accept"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

#[cfg(test)]
mod tests;
