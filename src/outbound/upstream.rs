//! The body of the second hop's answer, with what has to be given back when it ends.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, combinators::UnsyncBoxBody};
use tokio::{sync::OwnedSemaphorePermit, time::Sleep};

use super::{BoxError, replay::Replay};
use crate::wire::trailers;

/// An answer's body on its way from the second hop to the client.
///
/// Fails if no byte arrives within the idle time-out. Dropping it closes the second hop's connection,
/// unless the body had been read to its end.
pub struct UpstreamBody {
    kind: Kind,
    idle: Option<Idle>,
    held: Held,
}

enum Kind {
    #[cfg(feature = "client")]
    Pooled {
        body: hyper::body::Incoming,
        lease: Option<super::pool::Lease>,
    },
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

struct Idle {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Released when the answer has been read, or dropped.
#[derive(Default)]
struct Held {
    in_flight: Option<OwnedSemaphorePermit>,
    unread: Option<Replay>,
}

impl UpstreamBody {
    /// Wraps the answer body of an outbound service of your own.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::of(Kind::Boxed(body.map_err(Into::into).boxed_unsync()))
    }

    /// Nothing.
    pub(crate) fn empty() -> Self {
        Self::new(Empty::new().map_err(|never| match never {}))
    }

    #[cfg(feature = "client")]
    pub(super) fn pooled(body: hyper::body::Incoming, lease: super::pool::Lease) -> Self {
        let lease = Some(lease);
        let mut pooled = Self::of(Kind::Pooled { body, lease });
        pooled.settle();
        pooled
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            idle: None,
            held: Held::default(),
        }
    }

    /// Fails the body when nothing arrives for `limit`.
    pub(crate) fn set_idle_timeout(&mut self, limit: Duration) {
        self.idle = Some(Idle { limit, timer: None });
    }

    /// Keeps a place among the requests in flight until the body has ended.
    pub(crate) fn hold(&mut self, in_flight: OwnedSemaphorePermit) {
        self.held.in_flight = Some(in_flight);
        self.settle();
    }

    /// Closes a request body, of which the answer wanted no byte, when the answer has ended.
    pub(crate) fn leave_unread(&mut self, body: Replay) {
        self.held.unread = Some(body);
        self.settle();
    }

    /// At the end of the body, at once, so that the next request finds the connection free.
    fn settle(&mut self) {
        if self.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        self.idle = None;
        self.held = Held::default();
        #[cfg(feature = "client")]
        if let Kind::Pooled { lease, .. } = &mut self.kind
            && let Some(lease) = lease.take()
        {
            lease.give_back();
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = match &mut self.kind {
            #[cfg(feature = "client")]
            Kind::Pooled { body, .. } => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Kind::Boxed(body) => Pin::new(body).poll_frame(cx),
        };
        match polled {
            Poll::Pending => {
                if let Some(idle) = &mut self.idle {
                    ready!(idle.poll(cx));
                    return Poll::Ready(Some(Err(IdleTooLong.into())));
                }
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(idle) = &mut self.idle {
                    idle.timer = None;
                }
                self.settle();
                //= src/docs/protocol.md#copy-response
                Poll::Ready(Some(Ok(trailers::clean(frame))))
            }
            Poll::Ready(None) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            #[cfg(feature = "client")]
            Kind::Pooled { body, .. } => body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            #[cfg(feature = "client")]
            Kind::Pooled { body, .. } => body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody")
            .field("size_hint", &self.size_hint())
            .finish_non_exhaustive()
    }
}

impl Idle {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        self.timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)))
            .as_mut()
            .poll(cx)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(body) = &self.unread {
            body.close();
        }
    }
}

#[derive(Debug)]
struct IdleTooLong;

impl fmt::Display for IdleTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the second hop sent nothing more within the idle time-out")
    }
}

impl std::error::Error for IdleTooLong {}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    //= src/docs/protocol.md#copy-response
    #[tokio::test]
    async fn trailers_of_an_answer_set_no_cookie_and_tell_nobody_who_the_user_is() {
        let mut trailers = http::HeaderMap::new();
        for name in [
            "set-cookie",
            "location",
            "x-owa-proxysid",
            "connection",
            "grpc-status",
        ] {
            trailers.insert(name, http::HeaderValue::from_static("1"));
        }
        let body = Full::new(Bytes::from_static(b"a"))
            .with_trailers(std::future::ready(Some(Ok(trailers))));
        let read = UpstreamBody::new(body).collect().await.unwrap();
        let left: Vec<_> = read.trailers().unwrap().keys().collect();
        assert_eq!(left, ["grpc-status"]);
    }
}
