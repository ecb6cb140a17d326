//! The service a [`CasProxyLayer`](super::CasProxyLayer) makes, and its future.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    admit::{Admitted, admit, mark_passed},
    body::ResponseBody,
    config::Config,
    pipeline::{Verdict, pipeline},
    report::{Answered, Report},
    trip::Trip,
    visit::Visit,
};
use crate::{outbound::BoxError, pages::Audience, telemetry};

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
        let (mut parts, body) = request.into_parts();
        let state = match admit(&self.config, &mut parts) {
            Admitted::Inner => {
                mark_passed(&mut parts);
                self.serve(Request::from_parts(parts, body))
            }
            Admitted::Refused(refused) => {
                let offers_upgrade = self.config.upgrades.offered(&parts).is_some();
                let report = Report::new(started, offers_upgrade);
                let audience = Audience::of(&parts.method, &parts.headers);
                let answer = Some(Box::new(report.refuse(refused, audience)));
                State::Answered { answer }
            }
            Admitted::InScope { asked, known, host } => {
                let offers_upgrade =
                    asked.has_upgrade && self.config.upgrades.offered(&parts).is_some();
                let visit = Box::new(Visit {
                    trip: Trip::new(parts, body, host, offers_upgrade),
                    asked,
                    known,
                    report: Report::new(started, offers_upgrade),
                });
                State::Deciding {
                    verdict: Box::pin(pipeline(Arc::clone(&self.config), visit)),
                    inner: Some(self.inner.clone()),
                }
            }
        };
        ResponseFuture { state, started }
    }
}

impl<S: Clone> CasProxy<S> {
    /// Hands a request to the inner service, at once if that is ready: then nothing is moved, and what hyper has read is
    /// not held on to for longer than the inner service does.
    fn serve<B>(&mut self, request: Request<B>) -> State<S, B>
    where
        S: Service<Request<B>>,
    {
        // Whoever was asked goes along with the request: it may have places reserved that its call does not use up, or
        // have failed, and stands in a queue if it is not ready.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        // The future that waits asks again, with a waker of its own.
        match inner.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => State::Serving {
                answer: inner.call(request),
            },
            Poll::Ready(Err(error)) => State::Failed { error: Some(error) },
            Poll::Pending => State::readying(inner, request),
        }
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
        state: State<S, B>,
        started: Instant,
    }
}

pin_project! {
    /// Small, as it is moved a few times: what is rare or large is boxed.
    #[project = StateProjection]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        Deciding { verdict: Pin<Box<dyn Future<Output = Verdict<B>> + Send>>, inner: Option<S> },
        Readying { waiting: Box<(S, Option<Request<B>>)> },
        Serving { #[pin] answer: S::Future },
        Answered { answer: Option<Box<Answered>> },
        Failed { error: Option<S::Error> },
    }
}

impl<S, B> State<S, B>
where
    S: Service<Request<B>>,
{
    fn readying(inner: S, request: Request<B>) -> Self {
        Self::Readying {
            waiting: Box::new((inner, Some(request))),
        }
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
                        (Verdict::Serve(request), Some(inner)) => State::readying(inner, request),
                        (Verdict::Answer(answer), _) => {
                            return Poll::Ready(Ok(answer.map(ResponseBody::from)));
                        }
                        // Only a future polled after its end gets here.
                        (Verdict::Serve(_), None) => return Poll::Pending,
                    }
                }
                StateProjection::Readying { waiting } => {
                    let (inner, request) = &mut **waiting;
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
                        Some(answer) => Poll::Ready(Ok((*answer).map(ResponseBody::from))),
                        None => Poll::Pending,
                    };
                }
                StateProjection::Failed { error } => {
                    return error
                        .take()
                        .map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
                }
            };
            this.state.set(next);
        }
    }
}
