//! From an origin to a connection that speaks HTTP.

#[cfg(feature = "rustls")]
use std::future::poll_fn;
use std::{io, net::SocketAddr, time::Duration};

#[cfg(feature = "rustls")]
use hyper::client::conn::http2;
use hyper::{client::conn::http1, rt};
use hyper_util::rt::TokioIo;
#[cfg(feature = "rustls")]
use hyper_util::rt::TokioTimer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{SendError, Tasks, body::OutboundBody, dial::Dial, h1::H1, pool::H2};
use crate::{clock::later, directory::Origin};

/// How connections are made.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) timeout: Duration,
    /// Instead of TCP.
    pub(super) dial: Option<Dial>,
    /// Every connection is one.
    pub(super) tasks: Tasks,
    #[cfg(feature = "rustls")]
    pub(super) tls: super::tls::Tls,
}

/// Which versions of HTTP a connection may turn out to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Versions {
    Any,
    /// HTTP/2 has other ways to another protocol.
    Http11,
}

/// A connection just made.
pub(super) enum Fresh {
    H1(H1),
    /// And how many requests it takes at a time.
    #[cfg_attr(
        not(feature = "rustls"),
        expect(dead_code, reason = "HTTP/2 is agreed on by TLS")
    )]
    H2(H2, watch::Sender<usize>),
}

impl Connector {
    /// Until when a connection that is begun now has to be made.
    pub(super) fn deadline(&self) -> Instant {
        later(Instant::now(), self.timeout)
    }

    /// Resolves, connects, and shakes hands, all before `deadline`.
    pub(super) async fn connect(
        &self,
        origin: &Origin,
        deadline: Instant,
        versions: Versions,
    ) -> Result<Fresh, SendError> {
        match timeout_at(deadline, self.try_connect(origin, deadline, versions)).await {
            Ok(made) => made,
            Err(_) => Err(SendError::not_in_time()),
        }
    }

    async fn try_connect(
        &self,
        origin: &Origin,
        deadline: Instant,
        versions: Versions,
    ) -> Result<Fresh, SendError> {
        match &self.dial {
            None => {
                let opened = tcp(origin, deadline).await;
                self.shake_hands(origin, opened, versions).await
            }
            Some(dial) => {
                let opened = dial.open(origin).await;
                self.shake_hands(origin, opened, versions).await
            }
        }
    }

    async fn shake_hands<T>(
        &self,
        origin: &Origin,
        opened: io::Result<T>,
        #[cfg_attr(not(feature = "rustls"), expect(unused_variables))] versions: Versions,
    ) -> Result<Fresh, SendError>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let io = opened.map_err(SendError::unreachable)?;
        if !origin.is_https() {
            return h1(io, &self.tasks).await;
        }
        //= src/docs/protocol.md#tls-verified
        #[cfg(feature = "rustls")]
        {
            let tls = self.tls.handshake(origin, io, versions).await?;
            if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
                return h2(tls, &self.tasks).await;
            }
            h1(tls, &self.tasks).await
        }
        #[cfg(not(feature = "rustls"))]
        Err(SendError::unreachable(io::Error::new(
            io::ErrorKind::Unsupported,
            "https needs the feature `rustls`",
        )))
    }
}

/// Tries one address after the other, each for its share of the time that is left: one that swallows packets
/// must not cost the others theirs.
async fn tcp(origin: &Origin, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((origin.host(), origin.port()))
        .await?
        .collect();
    for (left, address) in (1..=addresses.len() as u32).rev().zip(addresses) {
        let now = Instant::now();
        let until = now + deadline.saturating_duration_since(now) / left;
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn h1<T>(io: T, tasks: &Tasks) -> Result<Fresh, SendError>
where
    TokioIo<T>: rt::Read + rt::Write,
    T: Send + Unpin + 'static,
{
    // 100 lines are hyper's own limit; a limit that is set costs it 1,700 instructions an answer.
    let (sender, connection) = http1::Builder::new()
        .max_header_size(MAX_ANSWER_HEAD)
        .handshake::<_, OutboundBody>(TokioIo::new(io))
        .await
        .map_err(SendError::unreachable)?;
    let (sender, connection) = H1::new(sender, connection.with_upgrades());
    drive(tasks, connection);
    Ok(Fresh::H1(sender))
}

#[cfg(feature = "rustls")]
async fn h2<T>(io: T, tasks: &Tasks) -> Result<Fresh, SendError>
where
    TokioIo<T>: rt::Read + rt::Write,
    T: Send + Unpin + 'static,
{
    let (sender, connection) = http2::Builder::new(tasks.clone())
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_ANSWER_HEAD as u32)
        // None before the server has said how many it takes: the first request waits for that, and then the
        // connection, which is polled because of it, knows.
        .initial_max_send_streams(0)
        .keep_alive_interval(H2_KEEP_ALIVE)
        .keep_alive_timeout(H2_KEEP_ALIVE)
        .handshake::<_, OutboundBody>(TokioIo::new(io))
        .await
        .map_err(SendError::unreachable)?;
    let limit = watch::Sender::new(0);
    let told = limit.clone();
    let mut connection = Box::pin(connection);
    drive(
        tasks,
        poll_fn(move |cx| {
            let polled = connection.as_mut().poll(cx);
            let allowed = connection.current_max_send_streams().min(MAX_STREAMS);
            // Whoever waits for the number must learn of the end, too.
            let over = polled.is_ready();
            told.send_if_modified(|limit| std::mem::replace(limit, allowed) != allowed || over);
            polled
        }),
    );
    Ok(Fresh::H2(sender, limit))
}

/// Runs a connection until both sides are done with it; dropping its sender ends it.
fn drive<C>(tasks: &Tasks, connection: C)
where
    C: Future<Output = hyper::Result<()>> + Send + 'static,
{
    tasks.spawn(async move {
        // Whoever waits for an answer is told by the sender; idle ends are no news.
        if let Err(error) = connection.await {
            tracing::trace!(
                error = &error as &dyn std::error::Error,
                "second hop's connection ended"
            );
        }
    });
}

const MAX_ANSWER_HEAD: usize = 64 * 1024;
/// Requests at a time over one HTTP/2 connection, where the server allows more: what RFC 9113 section 6.5.2
/// wants as the least. A further one takes another connection and waits for nobody's long poll.
#[cfg(feature = "rustls")]
const MAX_STREAMS: usize = 100;
/// Pings while requests are under way, and the wait for the answer: a connection that died silently is found
/// out before the answer's time-out.
#[cfg(feature = "rustls")]
const H2_KEEP_ALIVE: Duration = Duration::from_secs(10);
