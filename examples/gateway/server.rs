//! The accept loop. `axum::serve` would do but for three things that a server on the open network needs: a time-out
//! for the head of a request, a limit on connections, and an end to draining.

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use cas_proxy::wire::hop_by_hop::Client;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{self, Instant},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tower::{BoxError, Service, ServiceExt};

/// Serves until `stop` completes, then lets requests in flight finish, for [`DRAIN`] at most.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    request_head: Duration,
    service: S,
    stop: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let tls = tls.map(TlsAcceptor::from);
    let connections = Arc::new(Semaphore::new(CONNECTIONS as usize));
    let (draining, drain) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        // The semaphore is never closed, and an accept that failed has been waited for.
        let Some((stream, peer, permit)) = accepted else {
            continue;
        };
        let (tls, service, drain) = (tls.clone(), service.clone(), drain.clone());
        // Nobody's own account of where a request comes from is believed. Behind a proxy of yours that tells the
        // truth, and is the only way in, `trusted` may be true.
        let client = Client {
            peer: Some(peer),
            https: tls.is_some(),
            trusted: false,
        };
        tokio::spawn(async move {
            match tls {
                None => connection(stream, client, request_head, service, drain).await,
                // Nobody gets longer for a handshake than for a request.
                Some(tls) => match time::timeout(request_head, tls.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        connection(stream, client, request_head, service, drain).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS handshake"),
                    Err(_) => tracing::debug!(%peer, "no TLS handshake in time"),
                },
            }
            drop(permit);
        });
    }
    // From here on the kernel refuses newcomers.
    drop(listener);
    draining.send_replace(true);
    if time::timeout(DRAIN, connections.acquire_many(CONNECTIONS))
        .await
        .is_err()
    {
        tracing::warn!("requests were still in flight after {DRAIN:?}");
    }
}

type Permit = tokio::sync::OwnedSemaphorePermit;

/// The next connection, once there is room for one. Until then newcomers wait in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, Permit)> {
    let permit = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Heads and small answers are not to wait for an acknowledgement.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, permit))
        }
        Err(error) => {
            // Most often no file descriptor is free, and trying again at once would only burn a core.
            tracing::warn!(%error, "failed to accept a connection");
            time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// One connection, HTTP/1.1 or HTTP/2, from its first byte to its last. Each of its requests tells, among its
/// extensions, whose connection it is.
pub(crate) async fn connection<I, S, B>(
    stream: I,
    client: Client,
    request_head: Duration,
    service: S,
    mut drain: watch::Receiver<bool>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let (counter, in_flight) = watch::channel(0);
    let counter = Arc::new(counter);
    let unread = Unread::default();
    let answers = unread.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let busy = Busy::new(&counter);
        // What the first CAS writes into `Forwarded` and `X-Forwarded-For`.
        request.extensions_mut().insert(client);
        let answer = service.clone().oneshot(request);
        let unread = answers.clone();
        async move { Ok::<_, S::Error>(answer.await?.map(|body| Tracked::new(body, busy, unread))) }
    });
    let builder = builder(request_head);
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        ended = &mut serving => return log(&client, ended),
        () = unread.too_long() => return tracing::debug!(peer = ?client.peer, "answer left unread"),
        () = quiet(in_flight, request_head) => {}
        _ = drain.wait_for(|draining| *draining) => {}
    }
    // Requests in flight finish; a connection without any is closed at once.
    serving.as_mut().graceful_shutdown();
    match time::timeout(DRAIN, serving).await {
        Ok(ended) => log(&client, ended),
        Err(_) => tracing::debug!(peer = ?client.peer, "cut off"),
    }
}

/// hyper's buffers are a little larger than the layers' own limits, so that those are reached, and answered with a
/// page. Its 100 header lines are theirs as well.
fn builder(request_head: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // Without a timer the time-out would be ignored without a word.
        .timer(TokioTimer::new())
        .header_read_timeout(request_head)
        .max_buf_size(HEAD_BUFFER as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_header_list_size(HEAD_BUFFER)
        .max_concurrent_streams(STREAMS);
    builder
}

/// Completes when no request has been in flight for that long.
///
/// hyper's own time-out begins with the first bytes of HTTP/1.1. This one also covers the peer that connects and is
/// silent, or stops in the midst of the HTTP/2 preface.
async fn quiet(mut in_flight: watch::Receiver<usize>, patience: Duration) {
    loop {
        while *in_flight.borrow_and_update() > 0 {
            if in_flight.changed().await.is_err() {
                return;
            }
        }
        if time::timeout(patience, in_flight.changed()).await.is_err() {
            return;
        }
    }
}

/// Counts a request as in flight until its answer has been sent, or given up.
struct Busy(Arc<watch::Sender<usize>>);

impl Busy {
    fn new(counter: &Arc<watch::Sender<usize>>) -> Self {
        counter.send_modify(|count| *count += 1);
        Self(counter.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Since when the client has not taken the next piece of each answer. hyper has no time-out for that, and with HTTP/2
/// even a short answer can be left lying, by a window of zero.
#[derive(Clone, Default)]
struct Unread(Arc<Mutex<BTreeMap<u64, Instant>>>);

impl Unread {
    async fn too_long(&self) {
        loop {
            let longest = self.lock().values().min().copied();
            let end = longest.unwrap_or_else(Instant::now) + UNREAD;
            time::sleep_until(end).await;
            if longest.is_some() && self.lock().values().any(|since| *since + UNREAD <= end) {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pin_project! {
    /// The answer's body in pieces of bearable size, holding on to its [`Busy`].
    struct Tracked<B: Body> {
        #[pin]
        body: B,
        // Of a piece larger than [`PIECE`].
        rest: Option<B::Data>,
        busy: Busy,
        left: Left,
    }
}

/// One answer among those [`Unread`].
struct Left {
    unread: Unread,
    key: u64,
}

impl<B: Body> Tracked<B> {
    fn new(body: B, busy: Busy, unread: Unread) -> Self {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = KEYS.fetch_add(1, Ordering::Relaxed);
        let left = Left { unread, key };
        left.note();
        Self {
            body,
            rest: None,
            busy,
            left,
        }
    }
}

impl Left {
    fn note(&self) {
        self.unread.lock().insert(self.key, Instant::now());
    }

    fn forget(&self) {
        self.unread.lock().remove(&self.key);
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        self.forget();
    }
}

impl<B: Body> Body for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        // Whoever asks has taken what was there.
        this.left.forget();
        let mut data = match this.rest.take() {
            Some(data) => data,
            None => match ready!(this.body.poll_frame(cx)?).map(Frame::into_data) {
                None => return Poll::Ready(None),
                Some(Ok(data)) => data,
                Some(Err(frame)) => {
                    // No data, so trailers: the closure is not called.
                    return Poll::Ready(Some(Ok(frame.map_data(|_| Bytes::new()))));
                }
            },
        };
        let piece = data.copy_to_bytes(data.remaining().min(PIECE));
        *this.rest = data.has_remaining().then_some(data);
        this.left.note();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or(0, Buf::remaining) as u64;
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

fn log(client: &Client, ended: Result<(), BoxError>) {
    if let Err(error) = ended {
        tracing::debug!(peer = ?client.peer, %error, "connection broke");
    }
}

/// How long requests in flight may take once the server is told to stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// How long a client may leave the next piece of an answer unread.
const UNREAD: Duration = Duration::from_secs(60);

/// Bytes of an answer that are left to hyper at a time, so that it shows who reads them.
const PIECE: usize = 16 * 1024;

/// Most connections at a time.
const CONNECTIONS: u32 = 10_000;

/// Most requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 128;

/// Bytes of head that are read at all.
const HEAD_BUFFER: u32 = 64 * 1024;
