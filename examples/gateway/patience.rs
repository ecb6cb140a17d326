//! Nobody keeps a request going by sending next to nothing of its body.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower::BoxError;

pin_project! {
    /// A request body that fails if whoever reads it waits in vain for [`LEAST`] bytes within a given time.
    ///
    /// The first CAS has the same rule for what it sends on. This is for what is read here, some of it from people who
    /// have not signed in.
    #[derive(Debug)]
    pub(crate) struct Patient<B> {
        #[pin]
        body: B,
        window: Duration,
        arrived: usize,
        // Runs while the body is waited for.
        #[pin]
        ends: Option<Sleep>,
    }
}

impl<B> Patient<B> {
    pub(crate) fn new(body: B, window: Duration) -> Self {
        Self {
            body,
            window,
            arrived: 0,
            ends: None,
        }
    }
}

impl<B> Body for Patient<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            if let Some(Ok(frame)) = &frame {
                *this.arrived += frame.data_ref().map_or(0, Buf::remaining);
            }
            if *this.arrived >= LEAST {
                *this.arrived = 0;
                this.ends.set(None);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if this.ends.is_none() {
            this.ends.set(Some(sleep(*this.window)));
        }
        if let Some(ends) = this.ends.as_pin_mut() {
            ready!(ends.poll(cx));
        }
        Poll::Ready(Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[derive(Debug)]
struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body arrives too slowly")
    }
}

impl std::error::Error for TooSlow {}

/// Bytes that have to arrive within the time given.
pub(crate) const LEAST: usize = 1024;
