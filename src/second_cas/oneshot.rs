//! Readies a service and calls it, once.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

pin_project! {
    /// The one way an inner service is called: readied on the very clone that is called, and not before it is needed.
    #[project = OneshotProjection]
    pub(super) enum Oneshot<S, R>
    where
        S: Service<R>,
    {
        Readying { service: S, request: Option<R> },
        Called { #[pin] answer: S::Future },
    }
}

impl<S: Service<R>, R> Oneshot<S, R> {
    pub(super) fn new(service: S, request: R) -> Self {
        Self::Readying {
            service,
            request: Some(request),
        }
    }
}

impl<S: Service<R>, R> Future for Oneshot<S, R> {
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let answer = match self.as_mut().project() {
                OneshotProjection::Called { answer } => return answer.poll(cx),
                OneshotProjection::Readying { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    // Gone only if a failed future is polled again, which nobody may.
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    service.call(request)
                }
            };
            self.set(Self::Called { answer });
        }
    }
}
