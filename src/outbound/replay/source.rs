//! A body of any type.

use std::{
    any::Any,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};

use super::{super::BoxError, attempt::TakenOver};

pub(super) trait Source: Any + Send {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>;
    fn is_end_stream(&self) -> bool;
}

/// Pinned only when it is first read: untouched, a body can be had back.
pub(super) enum Lazy<B> {
    Untouched(B),
    Reading(Pin<Box<B>>),
    Gone,
}

/// The body itself, if it is a `B` of which nothing was ever read.
pub(super) fn reclaim<B: 'static>(source: &mut dyn Source) -> Option<B> {
    let lazy = (source as &mut dyn Any).downcast_mut::<Lazy<B>>()?;
    match std::mem::replace(lazy, Lazy::Gone) {
        Lazy::Untouched(body) => Some(body),
        touched => {
            *lazy = touched;
            None
        }
    }
}

impl<B> Source for Lazy<B>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if matches!(self, Lazy::Untouched(_))
            && let Lazy::Untouched(body) = std::mem::replace(self, Lazy::Gone)
        {
            *self = Lazy::Reading(Box::pin(body));
        }
        match self {
            Lazy::Reading(body) => body.as_mut().poll_frame(cx).map(|frame| {
                frame.map(|frame| {
                    frame
                        .map(|frame| {
                            frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
                        })
                        .map_err(Into::into)
                })
            }),
            Lazy::Untouched(_) | Lazy::Gone => Poll::Ready(Some(Err(TakenOver.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Lazy::Untouched(body) => body.is_end_stream(),
            Lazy::Reading(body) => body.is_end_stream(),
            Lazy::Gone => true,
        }
    }
}
