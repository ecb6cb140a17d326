//! The built-in outbound: a lean pool over hyper's connections.

use std::{fmt, sync::Arc, time::Duration};

use http::{
    Request, Response, StatusCode, Uri, Version,
    header::{EXPECT, HOST, TRANSFER_ENCODING, UPGRADE},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};

use super::{
    DrainFuture, OnContinue, Outbound, SendError, SendFuture, Tasks, UpstreamBody,
    body::OutboundBody,
    connect::{Connector, Fresh, Versions},
    dial::Dial,
    h1::H1,
    later,
    pool::{Connection, H2, Lane, Lease, Next, Pool, Stream},
};
use crate::directory::Origin;

/// HTTP/1.1 and HTTP/2 (by ALPN) to second CASs and back-ends, over pooled connections.
///
/// Redirects are not followed, nothing is retried once a byte was sent. Idle connections are kept 30 s, 64
/// per server; an answer's head may have 100 lines and 64 KiB.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    pool: Pool,
    connector: Connector,
}

/// Sets up a [`Client`].
#[derive(Debug)]
pub struct ClientBuilder {
    connector: Connector,
    idle_timeout: Duration,
    max_idle: usize,
}

impl Client {
    /// Starts a client with the defaults above.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            connector: Connector {
                timeout: CONNECT_TIMEOUT,
                dial: None,
                tasks: Tasks::new(),
                #[cfg(feature = "rustls")]
                tls: super::Tls::system(),
            },
            idle_timeout: IDLE_TIMEOUT,
            max_idle: MAX_IDLE,
        }
    }

    async fn exchange(
        &self,
        lane: Arc<Lane>,
        mut request: Request<OutboundBody>,
    ) -> Result<Response<UpstreamBody>, SendError> {
        if request.headers().contains_key(UPGRADE) {
            return self.over_its_own(request, lane).await;
        }
        let origin = lane.origin();
        let mut may_wait = true;
        // Begins when there is something to wait for.
        let mut deadline = None;
        loop {
            let sent = match lane.next(may_wait) {
                Next::Wait(waiting) => {
                    let deadline = *deadline.get_or_insert_with(|| self.0.connector.deadline());
                    let over = timeout_at(deadline, waiting.over()).await;
                    may_wait = over.map_err(|_| SendError::not_in_time())?;
                    continue;
                }
                Next::Open(opening) => {
                    let deadline = *deadline.get_or_insert_with(|| self.0.connector.deadline());
                    let connector = &self.0.connector;
                    let fresh = match connector.connect(origin, deadline, Versions::Any).await {
                        Ok(fresh) => fresh,
                        Err(error) => {
                            opening.failed();
                            return Err(error);
                        }
                    };
                    let connection = lane.opened(opening, fresh);
                    return over(connection, origin, request).await;
                }
                Next::Ready(connection) => over(connection, origin, request).await,
            };
            // A stale connection hands the request back unsent: that is no attempt. Each turn uses one up.
            match sent.map_err(SendError::into_unsent) {
                Ok(answer) => return Ok(answer),
                Err(Ok(unsent)) => request = unsent,
                Err(Err(error)) => return Err(error),
            }
            deadline = None;
        }
    }

    /// By a connection that no request has used, and that can go on as something else. If it does not, it is one
    /// like others.
    async fn over_its_own(
        &self,
        request: Request<OutboundBody>,
        lane: Arc<Lane>,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let connector = &self.0.connector;
        let deadline = connector.deadline();
        match connector
            .connect(lane.origin(), deadline, Versions::Http11)
            .await?
        {
            Fresh::H1(sender) => over_h1(sender, request, lane).await,
            Fresh::H2(..) => Err(SendError::no_upgrade("it chose HTTP/2")),
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl Outbound for Client {
    fn send(&self, origin: &Origin, request: Request<OutboundBody>) -> SendFuture {
        let (client, lane) = (self.clone(), self.0.pool.lane(origin));
        Box::pin(async move { client.exchange(lane, request).await })
    }

    fn drain(&self, within: Duration) -> DrainFuture {
        let (client, deadline) = (self.clone(), later(Instant::now(), within));
        Box::pin(async move {
            client.0.pool.close();
            client.0.connector.tasks.finish(deadline).await
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("pool", &self.0.pool)
            .finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// Whom to trust; the system's roots by default.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(mut self, tls: super::Tls) -> Self {
        self.connector.tls = tls;
        self
    }

    /// Opens connections by `dial` instead of TCP: through a tunnel, a Unix socket, or a test's pipe. TLS, where the
    /// origin asks for it, is spoken over what it opens.
    ///
    /// ```
    /// use cas_proxy::{directory::Origin, outbound::Client};
    ///
    /// let client = Client::builder()
    ///     .dial(|origin: &Origin| {
    ///         let socket = format!("/run/cas/{}", origin.host());
    ///         async move { tokio::net::UnixStream::connect(socket).await }
    ///     })
    ///     .build();
    /// # let _ = client;
    /// ```
    #[must_use]
    pub fn dial<F, Fut, T>(mut self, dial: F) -> Self
    where
        F: Fn(&Origin) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = std::io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.connector.dial = Some(Dial::new(dial));
        self
    }

    /// For name resolution, connecting and the TLS handshake together; 2 s by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connector.timeout = timeout;
        self
    }

    /// How long a connection may wait for its next request; 30 s by default.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How many connections to one server may wait; 64 by default.
    #[must_use]
    pub fn max_idle_per_server(mut self, connections: usize) -> Self {
        self.max_idle = connections;
        self
    }

    /// The client.
    #[must_use]
    pub fn build(self) -> Client {
        Client(Arc::new(Inner {
            pool: Pool::new(self.idle_timeout, self.max_idle),
            connector: self.connector,
        }))
    }
}

async fn over(
    connection: Connection,
    origin: &Origin,
    request: Request<OutboundBody>,
) -> Result<Response<UpstreamBody>, SendError> {
    match connection {
        Connection::H1(sender, lane) => over_h1(sender, request, lane).await,
        Connection::H2(sender, stream) => over_h2(sender, request, origin, stream).await,
    }
}

async fn over_h1(
    mut sender: H1,
    mut request: Request<OutboundBody>,
    lane: Arc<Lane>,
) -> Result<Response<UpstreamBody>, SendError> {
    if let Some(on_continue) = request.extensions_mut().remove::<OnContinue>() {
        hyper::ext::on_informational(&mut request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                on_continue.said();
            }
        });
    }
    let absolute = request.uri().clone();
    //= src/docs/protocol.md#copy-path
    *request.uri_mut() = origin_form(&absolute);
    *request.version_mut() = Version::HTTP_11;
    match sender.try_send_request(request).await {
        Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
            sender.switched();
            Ok(answer.map(|_nothing| UpstreamBody::empty()))
        }
        Ok(answer) => {
            let lease = Lease::H1(sender, lane);
            Ok(answer.map(|body| UpstreamBody::pooled(body, lease)))
        }
        Err(mut failed) => {
            let unsent = failed.take_message().map(|mut request| {
                *request.uri_mut() = absolute;
                request
            });
            Err(SendError::from_hyper(failed.into_error(), unsent))
        }
    }
}

async fn over_h2(
    mut sender: H2,
    mut request: Request<OutboundBody>,
    origin: &Origin,
    stream: Stream,
) -> Result<Response<UpstreamBody>, SendError> {
    if request.headers().contains_key(EXPECT) {
        return Err(SendError::no_continue());
    }
    *request.version_mut() = Version::HTTP_2;
    // HTTP/2 says it in `:authority`.
    request.headers_mut().remove(HOST);
    request.headers_mut().remove(TRANSFER_ENCODING);
    match sender.try_send_request(request).await {
        Ok(answer) => {
            let lease = Lease::H2 { _stream: stream };
            Ok(answer.map(|body| UpstreamBody::pooled(body, lease)))
        }
        Err(mut failed) => {
            let unsent = failed.take_message().map(|mut request| {
                request
                    .headers_mut()
                    .insert(HOST, origin.host_header().clone());
                request
            });
            Err(SendError::from_hyper(failed.into_error(), unsent))
        }
    }
}

fn origin_form(absolute: &Uri) -> Uri {
    absolute
        .path_and_query()
        .cloned()
        .map_or_else(Uri::default, Uri::from)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_IDLE: usize = 64;
