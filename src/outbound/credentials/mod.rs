//! How this CAS shows a second CAS, or a back-end, who it is.

use std::{fmt, pin::Pin};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};

use super::BoxError;
use crate::directory::Origin;

pub mod danger;
#[cfg(feature = "negotiate")]
mod integrated;
#[cfg(feature = "signatures")]
mod shared_key;

#[cfg(feature = "negotiate")]
pub use self::integrated::Integrated;
#[cfg(feature = "negotiate")]
pub use crate::kerberos::{TicketError, TicketErrorKind};

/// Puts this CAS's own credentials on a request to a second CAS.
///
/// Asked afresh for every attempt and every proxy login. With the feature `signatures`,
/// `cas_proxy::wire::signature::SharedKey` is one.
//= src/docs/protocol.md#login-caller
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no credentials of a CAS",
    note = "a `SharedKey` is (feature `signatures`); `NoCredentials` leaves it to the connection"
)]
pub trait Credentials: Send + Sync + 'static {
    /// Authenticates `request`, at once or later.
    fn authenticate(&self, request: &mut Unauthenticated<'_>) -> Authentication;
}

/// A request that lacks nothing but the credentials.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unauthenticated<'r> {
    /// Where the request will go.
    pub origin: &'r Origin,
    /// Its method.
    pub method: &'r Method,
    /// Its absolute URI.
    pub uri: &'r Uri,
    /// Its headers, to be added to.
    pub headers: &'r mut HeaderMap,
    /// The body of a proxy login; `None` for a body that streams.
    pub body: Option<&'r [u8]>,
}

/// What [`Credentials::authenticate`] says.
pub enum Authentication {
    /// The headers are in place, or can't be had.
    Now(Result<(), CredentialsError>),
    /// They will be known later: a ticket is being asked for.
    Later(LaterProof),
}

/// A proof that takes a while.
pub type LaterProof = Pin<Box<dyn Future<Output = Result<Proof, CredentialsError>> + Send>>;

/// What the request is to show, and what its answer has to show in turn.
pub struct Proof {
    headers: Vec<(HeaderName, HeaderValue)>,
    check: AnswerCheck,
}

impl Proof {
    /// Headers to set on the request.
    #[must_use]
    pub fn new(headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self {
            headers,
            check: AnswerCheck::default(),
        }
    }

    /// Judges the headers of the answer, before anything is done with it; with an error it is not used. Not asked
    /// about 401 and 407, which are a refusal anyway.
    #[must_use]
    pub fn checking_answer<F>(mut self, check: F) -> Self
    where
        F: FnOnce(&HeaderMap) -> Result<(), CredentialsError> + Send + 'static,
    {
        self.check = AnswerCheck(Some(Box::new(check)));
        self
    }

    /// Puts the headers where they belong, and gives what is to be asked about the answer.
    pub(crate) fn show(self, headers: &mut HeaderMap) -> AnswerCheck {
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        self.check
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(..)")
    }
}

/// Judges the answer to an authenticated request.
#[derive(Default)]
pub(crate) struct AnswerCheck(Option<BoxedCheck>);

type BoxedCheck = Box<dyn FnOnce(&HeaderMap) -> Result<(), CredentialsError> + Send>;

impl AnswerCheck {
    pub(crate) fn check<B>(self, answer: &Response<B>) -> Result<(), CredentialsError> {
        let refused = matches!(
            answer.status(),
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        );
        match self.0 {
            Some(check) if !refused => check(answer.headers()),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(result) => f.debug_tuple("Now").field(result).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// Why there are no credentials to send, or why those of the answer are not good; event 71. Worded to fit after
/// "failed to"; the cause is its source.
#[derive(Debug)]
pub struct CredentialsError(BoxError);

impl CredentialsError {
    /// Names the cause.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self(source.into())
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever logs it adds the source.
        f.write_str("show this server's credentials to the second CAS")
    }
}

impl std::error::Error for CredentialsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.0.as_ref())
    }
}

/// No credentials: what proves this CAS lies below HTTP (mutual TLS), or is added by the outbound service.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCredentials;

impl Credentials for NoCredentials {
    fn authenticate(&self, _request: &mut Unauthenticated<'_>) -> Authentication {
        Authentication::Now(Ok(()))
    }
}
