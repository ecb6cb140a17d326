//! The service: looks, has the caller verified, and acts.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response,
    header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE},
    request::Parts,
};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    Answered, NotVerified, Proxied, ResponseBody, Verdict, VerifiedCaller,
    answer::Answer,
    incoming::{self, Door, FirstLook, Incoming},
    layer::Config,
    log,
    login::Login,
    oneshot::Oneshot,
};
use crate::wire::{mark::FromCas, names::strip_identity, proxy_headers::ProxyHeaders};

/// A second CAS; made by [`SecondCasLayer`](super::SecondCasLayer).
///
/// Always ready. It clones the inner service for each request that reaches it, and readies that clone.
#[derive(Clone)]
pub struct SecondCas<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> SecondCas<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }
}

impl<S> fmt::Debug for SecondCas<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondCas")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<S, B, RB> Service<Request<B>> for SecondCas<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    B: Body,
    RB: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let mut proof = None;
        let state = match incoming::look(&self.config, &parts) {
            FirstLook::Answered(answer) => State::answered(answer),
            FirstLook::Direct => serve(
                self.inner.clone(),
                Incoming::Direct,
                &self.config,
                parts,
                body,
            ),
            FirstLook::ForCas(door) => match self.config.verifier.verify(&parts) {
                Verdict::Now(mut verdict) => {
                    proof = take_proof(&mut verdict);
                    judge(&self.inner, verdict, door, &self.config, parts, body)
                }
                Verdict::Later(verdict) => State::Verifying {
                    verdict,
                    door,
                    config: Arc::clone(&self.config),
                    waiting: Some((self.inner.clone(), parts, body)),
                },
            },
        };
        ResponseFuture {
            state,
            proof,
            started,
        }
    }
}

pin_project! {
    /// Response of a [`SecondCas`].
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
        // By which the caller knows us in turn.
        proof: Option<HeaderValue>,
        started: Instant,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        Verifying {
            verdict: Pin<Box<dyn Future<Output = Result<VerifiedCaller, NotVerified>> + Send>>,
            door: Door,
            config: Arc<Config>,
            waiting: Option<(S, Parts, B)>,
        },
        LoggingIn { #[pin] login: Login<B> },
        Serving { #[pin] response: Oneshot<S, Request<B>> },
        Answered { answer: Option<Answer> },
    }
}

impl<S, B> State<S, B>
where
    S: Service<Request<B>>,
{
    fn answered(answer: impl Into<Answer>) -> Self {
        Self::Answered {
            answer: Some(answer.into()),
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    B: Body,
    RB: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<RB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut state, proof) = (this.state, this.proof);
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Serving { response } => {
                    return response
                        .poll(cx)
                        .map_ok(|response| show(proof, response.map(ResponseBody::inner)));
                }
                StateProjection::Answered { answer } => match answer.take() {
                    Some(answer) => {
                        return Poll::Ready(Ok(show(proof, answer.into_response(*this.started))));
                    }
                    // Polled after it was ready, which nobody may.
                    None => return Poll::Pending,
                },
                StateProjection::LoggingIn { login } => State::answered(ready!(login.poll(cx))),
                StateProjection::Verifying {
                    verdict,
                    door,
                    config,
                    waiting,
                } => {
                    let mut verdict = ready!(verdict.as_mut().poll(cx));
                    *proof = take_proof(&mut verdict);
                    let Some((inner, parts, body)) = waiting.take() else {
                        return Poll::Pending;
                    };
                    judge(&inner, verdict, *door, config, parts, body)
                }
            };
            state.set(next);
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// Taken from the verdict, so that nothing keeps it longer than the answer takes.
fn take_proof(verdict: &mut Result<VerifiedCaller, NotVerified>) -> Option<HeaderValue> {
    verdict.as_mut().ok().and_then(VerifiedCaller::take_proof)
}

fn show<RB>(proof: &mut Option<HeaderValue>, mut response: Response<RB>) -> Response<RB> {
    if let Some(proof) = proof.take() {
        response.headers_mut().append(WWW_AUTHENTICATE, proof);
    }
    response
}

fn judge<S, B>(
    inner: &S,
    verdict: Result<VerifiedCaller, NotVerified>,
    door: Door,
    config: &Arc<Config>,
    parts: Parts,
    body: B,
) -> State<S, B>
where
    S: Service<Request<B>> + Clone,
    B: Body,
{
    match incoming::classify(config, door, verdict, &parts) {
        // The body is dropped as it came: a caller that waits for 100 Continue never sends it.
        Err(answer) => State::answered(answer),
        Ok(incoming) => serve(inner.clone(), incoming, config, parts, body),
    }
}

fn serve<S, B>(
    inner: S,
    incoming: Incoming,
    config: &Arc<Config>,
    mut parts: Parts,
    body: B,
) -> State<S, B>
where
    S: Service<Request<B>>,
    B: Body,
{
    match incoming {
        Incoming::Ping => {
            if config.version.is_none() {
                log::no_version();
            }
            return State::answered(Answer::ping(config.version.as_ref()));
        }
        Incoming::ProxyLogin(caller, headers) => {
            return State::LoggingIn {
                login: Login::new(Arc::clone(config), caller, headers.sid, body),
            };
        }
        Incoming::Proxied(caller, headers) => {
            if !identify(config, caller, headers, &mut parts) {
                return State::answered(Answered::NeedIdentity);
            }
            remove_caller_credentials(&mut parts.headers);
        }
        Incoming::Direct => {}
    }
    //= src/docs/protocol.md#header-client-never
    strip_identity(&mut parts.headers);
    State::Serving {
        response: Oneshot::new(inner, Request::from_parts(parts, body)),
    }
}

/// Gives the request its user, and the mark that it has one from us; false if we keep no context for the user.
fn identify(
    config: &Config,
    caller: VerifiedCaller,
    headers: ProxyHeaders,
    request: &mut Parts,
) -> bool {
    let Some(context) = config.store.get(&caller, &headers.sid) else {
        log::need_identity(&caller, &headers.sid);
        return false;
    };
    request.extensions.insert(context);
    request.extensions.insert(Proxied::new(caller, headers));
    request.extensions.insert(FromCas);
    true
}

/// What is left of a verified CAS's credentials speaks for that CAS, not for the user.
fn remove_caller_credentials(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    headers.remove("signature");
    headers.remove("signature-input");
}
