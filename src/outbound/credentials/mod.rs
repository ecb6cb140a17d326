//! How this CAS shows a second CAS, or a back-end, who it is.

use std::{fmt, pin::Pin};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::BoxError;
use crate::directory::Origin;

pub mod danger;
#[cfg(feature = "signatures")]
mod shared_key;

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
    /// The headers to set will be known later: a ticket is being asked for.
    Later(LaterHeaders),
}

/// Headers that take a while.
pub type LaterHeaders =
    Pin<Box<dyn Future<Output = Result<Vec<(HeaderName, HeaderValue)>, CredentialsError>> + Send>>;

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(result) => f.debug_tuple("Now").field(result).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// Why there are no credentials to send; event 71. Worded to fit after "failed to".
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
        write!(f, "get credentials for the second CAS: {}", self.0)
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
