//! The layer against a scripted inner service and peers that are verified by an extension.

mod incoming;
mod login;
mod signed;
mod stack;

use std::{
    cell::Cell,
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    marker::PhantomPinned,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::*;

/// Who is at the other end, as a connection layer would tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Client,
    Chicago,
    Boston,
    /// Shows credentials that are not good.
    Impostor,
    /// Is judged after a moment.
    SlowChicago,
    Unlucky,
    Unauthenticated,
}

fn verify(request: &Parts) -> Verdict {
    let peer = *request.extensions.get::<Peer>().unwrap();
    let verdict = match peer {
        Peer::Client => Err(NotVerified::no_credentials()),
        Peer::Chicago | Peer::SlowChicago => Ok(VerifiedCaller::vouched_for("chicago")),
        Peer::Boston => Ok(VerifiedCaller::vouched_for("boston")),
        Peer::Impostor => Err(NotVerified::refused("wrong secret")),
        Peer::Unlucky => Err(NotVerified::unavailable("memory is full")),
        Peer::Unauthenticated => Err(NotVerified::challenge(vec![
            "Negotiate".parse().unwrap(),
            "NTLM".parse().unwrap(),
        ])),
    };
    if peer != Peer::SlowChicago {
        return Verdict::Now(verdict);
    }
    Verdict::Later(Box::pin(async {
        tokio::task::yield_now().await;
        verdict
    }))
}

fn layer() -> SecondCasLayer {
    SecondCasLayer::new(verify).version("8.1.240.5".parse().unwrap())
}

/// An inner service that has to be ready before it is called, and keeps what it is called with.
struct Inner {
    seen: Arc<Mutex<Vec<Parts>>>,
    ready: bool,
}

impl Clone for Inner {
    /// A clone is not ready because the original was.
    fn clone(&self) -> Self {
        Self {
            seen: Arc::clone(&self.seen),
            ready: false,
        }
    }
}

impl Service<Request<TestBody>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<TestBody>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        self.seen.lock().unwrap().push(request.into_parts().0);
        ready(Ok(Response::new(Full::from("mail"))))
    }
}

struct Server {
    service: SecondCas<Inner>,
    seen: Arc<Mutex<Vec<Parts>>>,
}

fn server(layer: &SecondCasLayer) -> Server {
    let seen = Arc::default();
    Server {
        service: layer.layer(Inner {
            seen: Arc::clone(&seen),
            ready: false,
        }),
        seen,
    }
}

impl Server {
    async fn send(&self, request: Request<TestBody>) -> Answer {
        let response = self.service.clone().call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            answered: parts.extensions.get().copied(),
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// Sends a proxy login that ought to succeed.
    async fn log_in(&self, peer: Peer, sid: &str) {
        let answer = self.send(login(peer, sid, &context(sid, "anna"))).await;
        assert_eq!(answer.status, 241);
    }

    /// What the inner service got, once.
    fn taken(&self) -> Option<Parts> {
        let mut seen = self.seen.lock().unwrap();
        assert!(seen.len() <= 1);
        seen.pop()
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    answered: Option<Answered>,
    body: Bytes,
}

const ANNA: &str = "S-1-5-21-1-2-3-1105";
const BERT: &str = "S-1-5-21-1-2-3-1106";

fn context(sid: &str, name: &str) -> String {
    format!(r#"<r at="Negotiate" ln="{name}"><s>{sid}</s><s a="7" t="1">S-1-1-0</s></r>"#)
}

fn request(peer: Peer, method: Method, uri: &str, body: TestBody) -> Request<TestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().unwrap();
    let host = "dallas.corp".parse().unwrap();
    request.headers_mut().insert("host", host);
    request.extensions_mut().insert(peer);
    request
}

fn get(peer: Peer, uri: &str) -> Request<TestBody> {
    request(peer, Method::GET, uri, TestBody::untouchable())
}

fn with(mut request: Request<TestBody>, name: &str, value: &str) -> Request<TestBody> {
    let name: http::HeaderName = name.parse().unwrap();
    request.headers_mut().append(name, value.parse().unwrap());
    request
}

fn for_user(request: Request<TestBody>, sid: &str) -> Request<TestBody> {
    let request = with(request, "X-OWA-ProxyUri", "https://mail.contoso.com/owa");
    let request = with(request, "X-OWA-ProxyVersion", "8.1.240.5");
    with(request, "X-OWA-ProxySid", sid)
}

fn login(peer: Peer, sid: &str, body: &str) -> Request<TestBody> {
    for_user(
        request(
            peer,
            Method::POST,
            "/owa/proxyLogon.owa",
            TestBody::of([body]),
        ),
        sid,
    )
}

pin_project! {
    /// Neither `Unpin` nor `Sync`, since bodies need not be.
    struct TestBody {
        steps: VecDeque<Step>,
        hint: SizeHint,
        not_sync: Cell<()>,
        #[pin]
        not_unpin: PhantomPinned,
    }
}

#[derive(Debug)]
enum Step {
    Data(Bytes),
    Trailers,
    Error,
    /// No more ever comes.
    Silence,
    /// Nobody may ask.
    Panic,
}

impl TestBody {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps = steps.into_iter().collect();
        Self {
            steps,
            hint: SizeHint::default(),
            not_sync: Cell::new(()),
            not_unpin: PhantomPinned,
        }
    }

    fn untouchable() -> Self {
        Self::new([Step::Panic])
    }

    fn of<'a>(chunks: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(
            chunks
                .into_iter()
                .map(|chunk| Step::Data(Bytes::copy_from_slice(chunk.as_bytes()))),
        )
    }
}

impl Body for TestBody {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let steps = self.project().steps;
        match steps.front() {
            None => return Poll::Ready(None),
            Some(Step::Silence) => return Poll::Pending,
            Some(Step::Panic) => panic!("the body was touched"),
            Some(_) => {}
        }
        Poll::Ready(steps.pop_front().map(|step| match step {
            Step::Data(data) => Ok(Frame::data(data)),
            Step::Trailers => Ok(Frame::trailers(HeaderMap::new())),
            _ => Err("connection reset"),
        }))
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}
