//! The body of an answer: the inner service's own, the second hop's, or a page.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use crate::outbound::{BoxError, UpstreamBody};

pin_project! {
    /// What [`CasProxy`](super::CasProxy) answers with. Nothing is boxed on the local branch.
    ///
    /// Its default is an empty page, whatever `B` is.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProjection]
    enum Kind<B> {
        Local { #[pin] body: B },
        Upstream { #[pin] body: UpstreamBody },
        Page { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn local(body: B) -> Self {
        Self {
            kind: Kind::Local { body },
        }
    }

    pub(super) fn upstream(body: UpstreamBody) -> Self {
        Self {
            kind: Kind::Upstream { body },
        }
    }

    pub(super) fn page(body: Bytes) -> Self {
        Self {
            kind: Kind::Page {
                body: Full::new(body),
            },
        }
    }
}

impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::page(Bytes::new())
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProjection::Local { body } => body.poll_frame(cx).map_err(Into::into),
            KindProjection::Upstream { body } => body.poll_frame(cx),
            KindProjection::Page { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Local { body } => body.is_end_stream(),
            Kind::Upstream { body } => body.is_end_stream(),
            Kind::Page { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Local { body } => body.size_hint(),
            Kind::Upstream { body } => body.size_hint(),
            Kind::Page { body } => body.size_hint(),
        }
    }
}
