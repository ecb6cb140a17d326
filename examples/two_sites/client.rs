//! A browser, as far as it is needed: one GET over a connection of its own.

use std::net::SocketAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{BoxError, company::PASSWORD};

/// Status and body of the answer.
pub(crate) async fn get(
    server: SocketAddr,
    user: &str,
    path: &str,
) -> Result<(StatusCode, String), BoxError> {
    let stream = TcpStream::connect(server).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let credentials = STANDARD.encode(format!("{user}:{PASSWORD}"));
    let request = Request::get(path)
        .header(header::HOST, server.to_string())
        .header(header::ACCEPT, "text/html")
        .header(header::AUTHORIZATION, format!("Basic {credentials}"))
        .body(Empty::<Bytes>::new())?;
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok((parts.status, String::from_utf8_lossy(&body).into_owned()))
}
