//! What travels to the second hop: nothing, one piece, or the client's own body, shared between attempts.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{BoxError, replay::AttemptBody};

/// The body of an outbound request.
///
/// A request without a body boxes nothing; a proxy login is one piece; the client's body is shared with
/// the pipeline, which may take it over for another attempt.
#[derive(Debug, Default)]
pub struct OutboundBody(Kind);

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Empty,
    Full(Option<Bytes>),
    Shared(AttemptBody),
}

impl OutboundBody {
    /// No body at all.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// One piece of known length.
    #[must_use]
    pub fn full(piece: Bytes) -> Self {
        Self(if piece.is_empty() {
            Kind::Empty
        } else {
            Kind::Full(Some(piece))
        })
    }

    pub(crate) fn shared(body: AttemptBody) -> Self {
        Self(Kind::Shared(body))
    }

    /// The upload of a client's body.
    #[cfg(feature = "client")]
    pub(super) fn upload(&self) -> Option<super::replay::Upload> {
        match &self.0 {
            Kind::Shared(body) => Some(body.upload()),
            Kind::Empty | Kind::Full(_) => None,
        }
    }
}

impl Body for OutboundBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(piece) => Poll::Ready(piece.take().map(|piece| Ok(Frame::data(piece)))),
            Kind::Shared(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(piece) => piece.is_none(),
            Kind::Shared(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty | Kind::Full(None) => SizeHint::with_exact(0),
            Kind::Full(Some(piece)) => SizeHint::with_exact(piece.len() as u64),
            Kind::Shared(body) => body.size_hint(),
        }
    }
}
