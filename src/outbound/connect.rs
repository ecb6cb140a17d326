//! From an origin to a connection that speaks HTTP.

use std::{io, net::SocketAddr, time::Duration};

#[cfg(feature = "rustls")]
use hyper::client::conn::http2;
use hyper::{client::conn::http1, rt};
use hyper_util::rt::TokioIo;
#[cfg(feature = "rustls")]
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::TcpStream;

#[cfg(feature = "rustls")]
use super::pool::H2;
use super::{SendError, body::OutboundBody, pool::H1};
use crate::directory::Origin;

/// How connections are made.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) timeout: Duration,
    #[cfg(feature = "rustls")]
    pub(super) tls: super::tls::Tls,
}

/// A connection just made.
pub(super) enum Fresh {
    H1(H1),
    #[cfg(feature = "rustls")]
    H2(H2),
}

impl Connector {
    /// Resolves, connects, and shakes hands, all within the connect time-out.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<Fresh, SendError> {
        match tokio::time::timeout(self.timeout, self.try_connect(origin)).await {
            Ok(made) => made,
            Err(_) => Err(SendError::unreachable(io::Error::new(
                io::ErrorKind::TimedOut,
                "not connected within the connect time-out",
            ))),
        }
    }

    async fn try_connect(&self, origin: &Origin) -> Result<Fresh, SendError> {
        let tcp = tcp(origin).await.map_err(SendError::unreachable)?;
        if !origin.is_https() {
            return h1(tcp).await;
        }
        //= src/docs/protocol.md#tls-verified
        #[cfg(feature = "rustls")]
        {
            let tls = self.tls.handshake(origin, tcp).await?;
            if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
                return h2(tls).await;
            }
            h1(tls).await
        }
        #[cfg(not(feature = "rustls"))]
        Err(SendError::unreachable(io::Error::new(
            io::ErrorKind::Unsupported,
            "https needs the feature `rustls`",
        )))
    }
}

async fn tcp(origin: &Origin) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((origin.host(), origin.port()))
        .await?
        .collect();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn h1<T>(io: T) -> Result<Fresh, SendError>
where
    TokioIo<T>: rt::Read + rt::Write,
    T: Send + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_headers(MAX_ANSWER_HEADERS)
        .max_header_size(MAX_ANSWER_HEAD)
        .handshake::<_, OutboundBody>(TokioIo::new(io))
        .await
        .map_err(SendError::unreachable)?;
    drive(connection);
    Ok(Fresh::H1(sender))
}

#[cfg(feature = "rustls")]
async fn h2<T>(io: T) -> Result<Fresh, SendError>
where
    TokioIo<T>: rt::Read + rt::Write,
    T: Send + Unpin + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_ANSWER_HEAD as u32)
        .keep_alive_interval(H2_KEEP_ALIVE)
        .handshake::<_, OutboundBody>(TokioIo::new(io))
        .await
        .map_err(SendError::unreachable)?;
    drive(connection);
    Ok(Fresh::H2(sender))
}

/// Runs a connection until both sides are done with it; dropping its sender ends it.
fn drive<C>(connection: C)
where
    C: Future<Output = hyper::Result<()>> + Send + 'static,
{
    tokio::spawn(async move {
        // Whoever waits for an answer is told by the sender; idle ends are no news.
        if let Err(error) = connection.await {
            tracing::trace!(
                error = &error as &dyn std::error::Error,
                "second hop's connection ended"
            );
        }
    });
}

const MAX_ANSWER_HEADERS: usize = 100;
const MAX_ANSWER_HEAD: usize = 64 * 1024;
#[cfg(feature = "rustls")]
const H2_KEEP_ALIVE: Duration = Duration::from_secs(15);
