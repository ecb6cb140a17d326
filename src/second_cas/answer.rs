//! The answers a second CAS gives itself.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE},
};

use tokio::time::Instant;

use super::ResponseBody;
use crate::{
    telemetry::{self, Culprit, Event, Failure, Outcome, Phase},
    wire::names::{LOGIN_ACCEPTED, NEED_IDENTITY, PING_SUCCEEDED, X_OWA_VERSION},
};

/// What a [`SecondCas`](super::SecondCas) answered by itself. Among the extensions of the response; a response without
/// one is the inner service's. Beside it is an [`Outcome`], for layers that count the answers of a first CAS as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answered {
    /// 242: a verified CAS asked whether we are there.
    PingSucceeded,
    /// 501: it asked, and no [version](super::SecondCasLayer::version) was set to answer with.
    PingWithoutVersion,
    /// 241: the context is kept, the original request may be sent again.
    LoginAccepted,
    /// 441: a verified CAS sent a request for a user whose context is not kept.
    NeedIdentity,
    /// 403: what only a CAS may ask was asked by someone not verified.
    CallerNotVerified,
    /// 401: the caller has to authenticate first.
    CallerChallenged,
    /// 503: the caller cannot be judged now.
    VerifierUnavailable,
    /// 403: the login is for a user we do not take, or its body is not the one that was signed.
    LoginRefused,
    /// 400: the login's body is no context, or another user's.
    LoginMalformed,
    /// 413: the login's body has too many bytes or SIDs.
    LoginTooLarge,
    /// 408: the login's body did not arrive in time.
    LoginTimedOut,
    /// 503: the context is larger than all we may keep.
    LoginNotKept,
    /// 400: a verified CAS's headers are incomplete, repeated or malformed.
    HeadersMalformed,
    /// 400: the path hides something.
    PathMalformed,
    /// 400: no host or two, an uncertain length, two `Authorization` lines: what one reader makes of it, another would
    /// not.
    RequestMalformed,
    /// 501: CONNECT or TRACE.
    MethodNotImplemented,
    /// 405: a ping that is no GET, or a login that is no POST.
    MethodNotAllowed,
    /// 414: the request target is too long.
    TargetTooLong,
    /// 431: the head has too many bytes or lines.
    HeadTooLarge,
    /// 500: the layers are stacked the wrong way round.
    Misplaced,
}

impl Answered {
    /// The status it is sent with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        //= src/docs/protocol.md#error-status
        match self {
            //= src/docs/protocol.md#ping-answer
            Self::PingSucceeded => PING_SUCCEEDED,
            Self::PingWithoutVersion | Self::MethodNotImplemented => StatusCode::NOT_IMPLEMENTED,
            //= src/docs/protocol.md#status-241
            Self::LoginAccepted => LOGIN_ACCEPTED,
            //= src/docs/protocol.md#status-441
            Self::NeedIdentity => NEED_IDENTITY,
            Self::CallerNotVerified | Self::LoginRefused => StatusCode::FORBIDDEN,
            Self::CallerChallenged => StatusCode::UNAUTHORIZED,
            Self::VerifierUnavailable | Self::LoginNotKept => StatusCode::SERVICE_UNAVAILABLE,
            Self::LoginMalformed
            | Self::HeadersMalformed
            | Self::PathMalformed
            | Self::RequestMalformed => StatusCode::BAD_REQUEST,
            Self::LoginTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LoginTimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Misplaced => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The same in the words of both layers.
    fn outcome(self) -> Outcome {
        let (culprit, phase) = match self {
            Self::PingSucceeded => return Outcome::Pinged,
            Self::LoginAccepted => return Outcome::LoginAccepted,
            Self::NeedIdentity => return Outcome::IdentityNeeded,
            Self::CallerNotVerified => {
                let failure = Failure::new(Culprit::Client, Phase::VerifyCaller);
                return Outcome::Refused(failure.with_event(Event::CallerNotVerified));
            }
            Self::CallerChallenged => (Culprit::Client, Phase::VerifyCaller),
            Self::VerifierUnavailable => (Culprit::Here, Phase::VerifyCaller),
            Self::LoginRefused
            | Self::LoginMalformed
            | Self::LoginTooLarge
            | Self::LoginTimedOut => (Culprit::Client, Phase::ReadLogin),
            Self::LoginNotKept => (Culprit::Here, Phase::ReadLogin),
            Self::HeadersMalformed
            | Self::PathMalformed
            | Self::RequestMalformed
            | Self::MethodNotImplemented
            | Self::MethodNotAllowed
            | Self::TargetTooLong
            | Self::HeadTooLarge => (Culprit::Client, Phase::Accept),
            Self::PingWithoutVersion | Self::Misplaced => (Culprit::Here, Phase::Accept),
        };
        Outcome::Refused(Failure::new(culprit, phase))
    }

    /// One text a status, so that nothing tells apart what is answered alike.
    fn text(self) -> &'static str {
        match self.status().as_u16() {
            400 => "The request is malformed.\n",
            401 | 403 => "This server does not accept the request from you.\n",
            405 => "This method is not allowed here.\n",
            408 => "The request did not arrive in time.\n",
            413 | 414 | 431 => "The request is too large.\n",
            500 => "The server is not set up correctly.\n",
            501 => "The server does not do this.\n",
            503 => "The server cannot take the request now.\n",
            // 241, 242 and 441 are for a CAS, which reads the status.
            _ => "",
        }
    }
}

/// An answer with the header values that go with it.
#[derive(Debug)]
pub(super) struct Answer {
    what: Answered,
    headers: HeaderMap,
}

impl Answer {
    pub(super) fn ping(version: Option<&HeaderValue>) -> Self {
        //= src/docs/protocol.md#status-242
        match version {
            Some(version) => {
                Self::from(Answered::PingSucceeded).with(X_OWA_VERSION, version.clone())
            }
            None => Answered::PingWithoutVersion.into(),
        }
    }

    pub(super) fn allow(method: &'static str) -> Self {
        Self::from(Answered::MethodNotAllowed).with(ALLOW, HeaderValue::from_static(method))
    }

    pub(super) fn challenge(challenges: Vec<HeaderValue>) -> Self {
        let mut answer = Self::from(Answered::CallerChallenged);
        for challenge in challenges {
            answer.headers.append(WWW_AUTHENTICATE, challenge);
        }
        answer
    }

    pub(super) fn into_response<RB>(self, started: Instant) -> Response<ResponseBody<RB>> {
        let text = self.what.text();
        let mut response = Response::new(ResponseBody::answer(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = self.what.status();
        *response.headers_mut() = self.headers;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if !text.is_empty() {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
        }
        if self.what.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        let outcome = self.what.outcome();
        telemetry::answered_as_second_cas(&outcome, started.elapsed());
        response.extensions_mut().insert(outcome);
        response.extensions_mut().insert(self.what);
        response
    }

    fn with(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl From<Answered> for Answer {
    fn from(what: Answered) -> Self {
        Self {
            what,
            headers: HeaderMap::new(),
        }
    }
}
