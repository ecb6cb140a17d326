//! Why an exchange with a second hop brought no answer.

use std::fmt;

#[cfg(feature = "client")]
use http::Request;

use super::BoxError;
#[cfg(feature = "client")]
use super::body::OutboundBody;

/// An exchange that brought no answer, worded to fit after "failed to".
#[derive(Debug)]
pub struct SendError {
    kind: SendErrorKind,
    source: BoxError,
    #[cfg(feature = "client")]
    unsent: Option<Box<Request<OutboundBody>>>,
}

/// What went wrong, as far as it matters for what may be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// The name could not be resolved, or no connection be made: nothing was sent.
    Unreachable,
    /// The server's certificate is not trusted: nothing was sent, and no other server is to be tried.
    CertificateNotTrusted,
    /// The connection ended after something was sent and before an answer.
    Closed,
    /// What came back is no HTTP answer.
    BadAnswer,
    /// The request body broke off before its end.
    Body,
    /// The connection cannot tell of `100 Continue`, which the request asks for: nothing was sent.
    NoContinue,
    /// The server speaks no HTTP/1.1, which an upgrade needs: nothing was sent.
    NoUpgrade,
}

impl SendError {
    /// No connection could be made; nothing was sent.
    pub fn unreachable(source: impl Into<BoxError>) -> Self {
        Self::new(SendErrorKind::Unreachable, source)
    }

    /// The server's certificate is not trusted; nothing was sent.
    pub fn certificate_not_trusted(source: impl Into<BoxError>) -> Self {
        Self::new(SendErrorKind::CertificateNotTrusted, source)
    }

    /// The connection ended after something was sent and before an answer.
    pub fn closed(source: impl Into<BoxError>) -> Self {
        Self::new(SendErrorKind::Closed, source)
    }

    /// The connection cannot tell of `100 Continue`; nothing was sent.
    pub fn no_continue() -> Self {
        Self::new(
            SendErrorKind::NoContinue,
            "informational answers are not told of over HTTP/2",
        )
    }

    /// The server speaks no HTTP/1.1, which an upgrade needs; nothing was sent.
    pub fn no_upgrade(source: impl Into<BoxError>) -> Self {
        Self::new(SendErrorKind::NoUpgrade, source)
    }

    /// No connection within the time for it; nothing was sent.
    #[cfg(feature = "client")]
    pub(super) fn not_in_time() -> Self {
        Self::unreachable("no connection within the connect time-out")
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> SendErrorKind {
        self.kind
    }

    fn new(kind: SendErrorKind, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            source: source.into(),
            #[cfg(feature = "client")]
            unsent: None,
        }
    }

    #[cfg(feature = "client")]
    pub(super) fn from_hyper(error: hyper::Error, unsent: Option<Request<OutboundBody>>) -> Self {
        let kind = if unsent.is_some() {
            SendErrorKind::Unreachable
        } else if error.is_parse() {
            SendErrorKind::BadAnswer
        } else if error.is_user() {
            SendErrorKind::Body
        } else {
            SendErrorKind::Closed
        };
        Self {
            kind,
            source: error.into(),
            unsent: unsent.map(Box::new),
        }
    }

    /// The request, where it was handed back unsent.
    #[cfg(feature = "client")]
    pub(super) fn into_unsent(mut self) -> Result<Request<OutboundBody>, Self> {
        match self.unsent.take() {
            Some(request) => Ok(*request),
            None => Err(self),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            SendErrorKind::Unreachable => "connect",
            SendErrorKind::CertificateNotTrusted => "trust the server's certificate",
            SendErrorKind::Closed => "get an answer before the connection ended",
            SendErrorKind::BadAnswer => "understand the answer",
            SendErrorKind::Body => "send the request body",
            SendErrorKind::NoContinue => "wait for 100 Continue on this connection",
            SendErrorKind::NoUpgrade => "speak HTTP/1.1, which an upgrade needs",
        })?;
        // hyper and rustls tell the cause only through `source`.
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self.source.as_ref());
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}
