//! Notes what a server is sent and what it answers, without having a part in either.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Buf;
use cas_proxy::telemetry::Outcome;
use http::{Request, Response, StatusCode, request::Parts};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::mpsc;
use tower::{Layer, Service};

/// A request and its answer, as one server saw them.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) server: &'static str,
    pub(crate) request: Parts,
    /// The beginning of the body, as far as it was read by the time of the answer.
    pub(crate) body: Vec<u8>,
    pub(crate) status: StatusCode,
    /// What the first CAS left in the answer for layers outside it.
    pub(crate) outcome: Option<Outcome>,
}

impl Exchange {
    /// What this server decided, in a few words.
    pub(crate) fn decision(&self) -> String {
        match &self.outcome {
            None => "served here".to_owned(),
            Some(Outcome::Proxied {
                server,
                logged_in: true,
                ..
            }) => {
                format!("proxied to {server}, logged in")
            }
            Some(Outcome::Proxied { server, .. }) => format!("proxied to {server}"),
            Some(Outcome::BackEnd { server, .. }) => format!("passed on to {server}"),
            Some(Outcome::Redirected { .. }) => "shown a link".to_owned(),
            Some(Outcome::IdentityNeeded) => "asked who this is".to_owned(),
            Some(Outcome::LoginAccepted) => "user taken".to_owned(),
            Some(Outcome::Refused(failure)) => match failure.event() {
                None => "refused".to_owned(),
                Some(event) => format!("refused, event {}", event.number()),
            },
            Some(other) => format!("{other:?}"),
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            server,
            request,
            status,
            outcome,
            ..
        } = self;
        write!(
            f,
            "{server:8} {} {} {}",
            request.method,
            request.uri,
            status.as_u16()
        )?;
        match outcome {
            None => Ok(()),
            Some(Outcome::Refused(failure)) => write!(f, "  failed to {failure}"),
            Some(_) => write!(f, "  {}", self.decision()),
        }
    }
}

/// To be put outside everything else.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    server: &'static str,
    log: mpsc::UnboundedSender<Exchange>,
}

impl Recorder {
    pub(crate) fn new(server: &'static str, log: mpsc::UnboundedSender<Exchange>) -> Self {
        Self { server, log }
    }
}

impl<S> Layer<S> for Recorder {
    type Service = Recorded<S>;

    fn layer(&self, inner: S) -> Recorded<S> {
        Recorded {
            inner,
            recorder: self.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Recorded<S> {
    inner: S,
    recorder: Recorder,
}

impl<S, B, R> Service<Request<B>> for Recorded<S>
where
    S: Service<Request<Watched<B>>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (request, body) = request.into_parts();
        let read = Arc::<Mutex<Vec<u8>>>::default();
        let body = Watched {
            body,
            read: read.clone(),
        };
        let answer = self.inner.call(Request::from_parts(request.clone(), body));
        let Recorder { server, log } = self.recorder.clone();
        Box::pin(async move {
            let answer = answer.await?;
            let exchange = Exchange {
                server,
                request,
                body: read.lock().unwrap_or_else(PoisonError::into_inner).clone(),
                status: answer.status(),
                outcome: answer.extensions().get().cloned(),
            };
            // If nobody reads the log any more, that is no reason to fail a request.
            let _ = log.send(exchange);
            Ok(answer)
        })
    }
}

pin_project! {
    /// A body, unchanged, whose beginning is noted as it is read.
    #[derive(Debug)]
    pub(crate) struct Watched<B> {
        #[pin]
        body: B,
        read: Arc<Mutex<Vec<u8>>>,
    }
}

impl<B: Body> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let mut read = this.read.lock().unwrap_or_else(PoisonError::into_inner);
            let room = NOTED.saturating_sub(read.len());
            read.extend(data.chunk().iter().take(room));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Most bytes of a body that are noted.
const NOTED: usize = 1024;
