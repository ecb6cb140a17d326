//! What tests of the layers share: a small company with its sites, users and servers, and a scripted second CAS.

pub mod body;
pub mod browser;
mod company;
#[allow(
    dead_code,
    reason = "shared with the library's own tests, which need more of it"
)]
#[path = "../../../src/telemetry/counted.rs"]
pub mod counted;
pub mod dice;
#[path = "../../../src/telemetry/collected.rs"]
pub mod logs;
pub mod pipes;
pub mod process;
pub mod site;
pub mod wire;

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cas_proxy::{
    csc::ClientSecurityContext,
    first_cas::CasProxyLayer,
    outbound::{Outbound, OutboundBody, OutboundService},
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};

pub use company::*;

/// A user of the company, by the last part of the SID. Nearly every test begins with one.
pub fn user(rid: u32) -> ClientSecurityContext {
    logs::log_all_if_asked();
    company::user(rid)
}

/// A request as the second hop saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A second hop that notes what it sees and answers by a script.
#[derive(Clone, Default)]
pub struct Peer {
    seen: Arc<Mutex<Vec<Seen>>>,
    script: Arc<Mutex<VecDeque<Response<String>>>>,
}

impl Peer {
    pub fn answering(answers: impl IntoIterator<Item = Response<String>>) -> Self {
        let peer = Self::default();
        peer.script.lock().unwrap().extend(answers);
        peer
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Reads each request whole; a script that has run out means a refused connection.
    pub fn outbound(&self) -> impl Outbound + use<> {
        let peer = self.clone();
        OutboundService::new(service_fn(move |request: Request<OutboundBody>| {
            let peer = peer.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body
                    .collect()
                    .await
                    .map_err(std::io::Error::other)?
                    .to_bytes();
                peer.seen.lock().unwrap().push(Seen {
                    method: parts.method,
                    uri: parts.uri,
                    headers: parts.headers,
                    body,
                });
                let answer = peer.script.lock().unwrap().pop_front();
                answer.ok_or_else(|| std::io::Error::other("the script has run out"))
            }
        }))
    }
}

pub fn status(code: u16) -> Response<String> {
    answer(code, "")
}

pub fn answer(code: u16, body: &str) -> Response<String> {
    Response::builder()
        .status(code)
        .body(body.to_owned())
        .unwrap()
}

pub fn first_cas(peer: &Peer, dallas: &[&str]) -> CasProxyLayer {
    CasProxyLayer::with_outbound(here(), topology(dallas), lookup(), peer.outbound())
        .external_url(&"https://mail.contoso.com/owa".parse().unwrap())
}

/// A request by user `rid` to the first CAS.
pub fn by(rid: u32, method: Method, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "mail.contoso.com")
        .header("accept", "text/html")
        .extension(user(rid))
}

/// Sends one request through a layer around an inner service that echoes what it got.
pub async fn through(layer: &CasProxyLayer, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let inner = service_fn(|request: Request<Full<Bytes>>| async move {
        let mut answer = Response::new(Full::new(Bytes::from_static(b"served here")));
        *answer.headers_mut() = request.headers().clone();
        Ok::<_, Infallible>(answer)
    });
    let answer = layer.layer(inner).oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, body)
}

pub fn get(rid: u32, path: &str) -> Request<Full<Bytes>> {
    by(rid, Method::GET, path).body(Full::default()).unwrap()
}

pub fn post(rid: u32, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    by(rid, Method::POST, path)
        .body(Full::new(body.into()))
        .unwrap()
}

#[track_caller]
pub fn assert_status(answer: &Response<Bytes>, code: u16) {
    let text = String::from_utf8_lossy(answer.body());
    assert_eq!(
        answer.status(),
        StatusCode::from_u16(code).unwrap(),
        "{text}"
    );
}
