//! The service a [`CasProxyLayer`](super::CasProxyLayer) makes, and its future.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    admit::{Admitted, admit},
    body::ResponseBody,
    config::Config,
    pipeline::{Verdict, pipeline},
    report::Answered,
};
use crate::{outbound::BoxError, telemetry};

/// A first CAS around the service `S`, which serves the mailboxes of this site.
///
/// Always ready: the inner service is asked only when a request is for it, and on the very clone that then
/// gets it. Errors are the inner service's own; every failure of the proxy is an answer.
pub struct CasProxy<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> CasProxy<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    /// The service within.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, B, RB> Service<Request<B>> for CasProxy<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
    RB: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let started = Instant::now();
        let inner = self.inner.clone();
        let state = match admit(&self.config, request, started) {
            Admitted::Inner(request) => State::Readying {
                inner,
                request: Some(request),
            },
            Admitted::Refused(answer) => State::Answered {
                answer: Some(answer),
            },
            Admitted::InScope(visit) => State::Deciding {
                verdict: Box::pin(pipeline(Arc::clone(&self.config), visit)),
                inner: Some(inner),
            },
        };
        ResponseFuture { state, started }
    }
}

impl<S: Clone> Clone for CasProxy<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            config: Arc::clone(&self.config),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for CasProxy<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CasProxy")
            .field("inner", &self.inner)
            .field("config", &self.config)
            .finish()
    }
}

pin_project! {
    /// The answer of a [`CasProxy`]. Dropping it ends whatever is under way for the request, but for a proxy
    /// login that others may be waiting for.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
        started: Instant,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, F> {
        Deciding { verdict: Pin<Box<dyn Future<Output = Verdict<B>> + Send>>, inner: Option<S> },
        Readying { inner: S, request: Option<Request<B>> },
        Serving { #[pin] answer: F },
        Answered { answer: Option<Answered> },
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Output = Result<Response<ResponseBody<RB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Deciding { verdict, inner } => {
                    match (ready!(verdict.as_mut().poll(cx)), inner.take()) {
                        (Verdict::Serve(request), Some(inner)) => State::Readying {
                            inner,
                            request: Some(request),
                        },
                        (Verdict::Answer(answer), _) => {
                            return Poll::Ready(Ok(answer.map(ResponseBody::from)));
                        }
                        // Only a future polled after its end gets here.
                        (Verdict::Serve(_), None) => return Poll::Pending,
                    }
                }
                StateProjection::Readying { inner, request } => {
                    if let Err(error) = ready!(inner.poll_ready(cx)) {
                        return Poll::Ready(Err(error));
                    }
                    match request.take() {
                        Some(request) => State::Serving {
                            answer: inner.call(request),
                        },
                        None => return Poll::Pending,
                    }
                }
                StateProjection::Serving { answer } => {
                    let answer = ready!(answer.poll(cx))?;
                    telemetry::served_locally(this.started.elapsed());
                    return Poll::Ready(Ok(answer.map(ResponseBody::local)));
                }
                StateProjection::Answered { answer } => {
                    return match answer.take() {
                        Some(answer) => Poll::Ready(Ok(answer.map(ResponseBody::from))),
                        None => Poll::Pending,
                    };
                }
            };
            this.state.set(next);
        }
    }
}
