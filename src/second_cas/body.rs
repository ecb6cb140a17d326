//! The body of a response: the inner service's, or one of our short answers.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

pin_project! {
    /// Body of a [`SecondCas`](super::SecondCas)'s response: the inner service's as it came, or an answer of ours.
    #[derive(Debug)]
    pub struct ResponseBody<RB> {
        #[pin]
        source: Source<RB>,
    }
}

pin_project! {
    #[project = SourceProjection]
    #[derive(Debug)]
    enum Source<RB> {
        Inner { #[pin] body: RB },
        Answer { #[pin] body: Full<Bytes> },
    }
}

impl<RB> ResponseBody<RB> {
    pub(super) fn inner(body: RB) -> Self {
        Self {
            source: Source::Inner { body },
        }
    }

    pub(super) fn answer(body: Bytes) -> Self {
        Self {
            source: Source::Answer {
                body: Full::new(body),
            },
        }
    }
}

/// Empty, whatever `RB` is.
impl<RB> Default for ResponseBody<RB> {
    fn default() -> Self {
        Self::answer(Bytes::new())
    }
}

impl<RB: Body<Data = Bytes>> Body for ResponseBody<RB> {
    type Data = Bytes;
    type Error = RB::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RB::Error>>> {
        match self.project().source.project() {
            SourceProjection::Inner { body } => body.poll_frame(cx),
            SourceProjection::Answer { body } => {
                body.poll_frame(cx).map_err(|never| match never {})
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Inner { body } => body.is_end_stream(),
            Source::Answer { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Inner { body } => body.size_hint(),
            Source::Answer { body } => body.size_hint(),
        }
    }
}
