//! A request that has gone to a connection of the pool, up to the head of its answer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, client::conn::TrySendError};
use pin_project_lite::pin_project;

use super::{
    OutboundBody, SendError, SendFuture, UpstreamBody, absolute,
    h1::H1,
    pool::{Lane, Lease},
};
use crate::directory::Origin;

/// What hyper says to a request.
pub(super) type Answered = Result<Response<Incoming>, TrySendError<Request<OutboundBody>>>;

pin_project! {
    /// An exchange over HTTP/1.1. By hand, for an `async` block would keep what it is given twice.
    pub(super) struct Sending<F, A> {
        #[pin]
        answer: F,
        held: Option<(H1, Arc<Lane>)>,
        // What is to be done with a request that was handed back unsent.
        again: A,
        sent_again: Option<SendFuture>,
    }
}

impl<F, A> Sending<F, A> {
    pub(super) fn new(answer: F, sender: H1, lane: Arc<Lane>, again: A) -> Self {
        Self {
            answer,
            held: Some((sender, lane)),
            again,
            sent_again: None,
        }
    }
}

impl<F, A> Future for Sending<F, A>
where
    F: Future<Output = Answered>,
    A: FnMut(SendError, Arc<Lane>) -> Result<SendFuture, SendError>,
{
    type Output = Result<Response<UpstreamBody>, SendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(sent) = this.sent_again {
            return sent.as_mut().poll(cx);
        }
        let answered = ready!(this.answer.poll(cx));
        let Some((sender, lane)) = this.held.take() else {
            // Nobody gets here: hyper's future does not end twice.
            return Poll::Pending;
        };
        let mut failed = match answered {
            Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                sender.switched();
                return Poll::Ready(Ok(answer.map(|_nothing| UpstreamBody::empty())));
            }
            Ok(answer) => {
                let lease = Lease::H1(sender, lane);
                let answer = answer.map(|body| UpstreamBody::pooled(body, lease));
                return Poll::Ready(Ok(answer));
            }
            Err(failed) => failed,
        };
        let unsent = failed.take_message();
        let unsent = unsent.and_then(|unsent| absolute_again(lane.origin(), unsent));
        let error = SendError::from_hyper(failed.into_error(), unsent);
        // The connection is of no use any more.
        drop(sender);
        match (this.again)(error, lane) {
            Ok(sent) => this.sent_again.insert(sent).as_mut().poll(cx),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// A request that was handed back, as it was: another connection may want to know where it goes.
fn absolute_again(
    origin: &Origin,
    mut unsent: Request<OutboundBody>,
) -> Option<Request<OutboundBody>> {
    let target = unsent.uri().path_and_query()?.clone();
    *unsent.uri_mut() = absolute(origin, target).ok()?;
    Some(unsent)
}
