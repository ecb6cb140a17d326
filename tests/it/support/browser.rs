//! A client of the first CAS, with a connection of its own, of HTTP/1.1 or HTTP/2.

use std::convert::Infallible;

use cas_proxy::first_cas::CasProxyLayer;
use http::{Request, Response, Version};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::io::DuplexStream;
use tower::{Layer, ServiceBuilder, service_fn};

use super::{site::Answer, user};

/// Serves a first CAS to user `rid`, whose requests can then be written by hand.
pub fn connect(layer: &CasProxyLayer, rid: u32) -> DuplexStream {
    let inner = service_fn(|request: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let signed_in = ServiceBuilder::new()
        .map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(user(rid));
            request
        })
        .service(layer.layer(inner));
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let server = auto::Builder::new(TokioExecutor::new());
        let service = TowerToHyperService::new(signed_in);
        // A client that leaves is no failure of the test.
        let _ = server.serve_connection(TokioIo::new(theirs), service).await;
    });
    ours
}

pub enum Browser {
    Http1(http1::SendRequest<Answer>),
    Http2(http2::SendRequest<Answer>),
}

impl Browser {
    pub async fn new(layer: &CasProxyLayer, rid: u32, version: Version) -> Self {
        let stream = TokioIo::new(connect(layer, rid));
        if version == Version::HTTP_2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
                .await
                .unwrap();
            tokio::spawn(connection);
            Self::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            Self::Http1(sender)
        }
    }

    /// Sends a request with a relative target.
    pub async fn send(
        &mut self,
        mut request: Request<Answer>,
    ) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                let host = "mail.contoso.com".parse().unwrap();
                request.headers_mut().entry("host").or_insert(host);
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                let target = format!("https://mail.contoso.com{}", request.uri());
                *request.uri_mut() = target.parse().unwrap();
                *request.version_mut() = Version::HTTP_2;
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Sends a request and reads the answer to its end.
    pub async fn fetch(
        &mut self,
        request: Request<Answer>,
    ) -> Response<http_body_util::Collected<bytes::Bytes>> {
        let (parts, body) = self.send(request).await.unwrap().into_parts();
        Response::from_parts(parts, body.collect().await.unwrap())
    }
}
