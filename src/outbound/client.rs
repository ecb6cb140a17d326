//! The built-in outbound: a lean pool over hyper's connections.

use std::{fmt, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version,
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
    pool::{Connection, H2, Lane, Lease, Next, Pool, Stream},
    sending::{Answered, Sending},
};
use crate::{clock::later, directory::Origin};

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

    /// Goes on from what the pool said until there is an answer, or none can be had.
    async fn exchange(
        self,
        lane: Arc<Lane>,
        mut next: Next,
        mut request: Request<OutboundBody>,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let mut may_wait = true;
        // Begins when there is something to wait for.
        let mut deadline = None;
        loop {
            match next {
                Next::Wait(waiting) => {
                    let deadline = *deadline.get_or_insert_with(|| self.0.connector.deadline());
                    let over = timeout_at(deadline, waiting.over()).await;
                    may_wait = over.map_err(|_| SendError::not_in_time())?;
                }
                Next::Open(opening) => {
                    let connector = &self.0.connector;
                    let deadline = *deadline.get_or_insert_with(|| connector.deadline());
                    let connecting = connector.connect(lane.origin(), deadline, Versions::Any);
                    let fresh = match connecting.await {
                        Ok(fresh) => fresh,
                        Err(error) => {
                            opening.failed();
                            return Err(error);
                        }
                    };
                    return over(lane.opened(opening, fresh), request).await;
                }
                // A stale connection hands the request back unsent: that is no attempt. Each turn uses one up.
                Next::Ready(connection) => match over(connection, request).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => {
                        request = error.into_unsent()?;
                        deadline = None;
                    }
                },
            }
            next = lane.next(may_wait);
        }
    }

    /// By a connection that no request has used, and that can go on as something else. If it does not, it is one
    /// like others.
    async fn over_its_own(
        self,
        lane: Arc<Lane>,
        request: Request<OutboundBody>,
    ) -> Result<Response<UpstreamBody>, SendError> {
        let connector = &self.0.connector;
        let deadline = connector.deadline();
        match connector
            .connect(lane.origin(), deadline, Versions::Http11)
            .await?
        {
            Fresh::H1(sender) => over_h1(sender, lane, request, give_up).await,
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
        if request.headers().contains_key(UPGRADE) {
            return Box::pin(client.over_its_own(lane, request));
        }
        match lane.next(true) {
            // What is usual goes off at once, and the future is a small one.
            Next::Ready(Connection::H1(sender, lane)) => {
                Box::pin(over_h1(sender, lane, request, move |error, lane| {
                    let unsent = error.into_unsent()?;
                    let next = lane.next(true);
                    Ok(Box::pin(client.clone().exchange(lane, next, unsent)))
                }))
            }
            next => Box::pin(client.exchange(lane, next, request)),
        }
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
    request: Request<OutboundBody>,
) -> Result<Response<UpstreamBody>, SendError> {
    match connection {
        Connection::H1(sender, lane) => over_h1(sender, lane, request, give_up).await,
        Connection::H2(sender, stream) => over_h2(sender, stream, request).await,
    }
}

/// Begins at once.
fn over_h1<A>(
    mut sender: H1,
    lane: Arc<Lane>,
    mut request: Request<OutboundBody>,
    again: A,
) -> Sending<impl Future<Output = Answered>, A>
where
    A: FnMut(SendError, Arc<Lane>) -> Result<SendFuture, SendError>,
{
    if let Some(on_continue) = request.extensions_mut().remove::<OnContinue>() {
        hyper::ext::on_informational(&mut request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                on_continue.said();
            }
        });
    }
    //= src/docs/protocol.md#copy-path
    *request.uri_mut() = origin_form(request.uri());
    *request.version_mut() = Version::HTTP_11;
    let answer = sender.try_send_request(request);
    Sending::new(answer, sender, lane, again)
}

/// Leaves it to whoever asked what is to be done about a request that did not get through.
fn give_up(error: SendError, _lane: Arc<Lane>) -> Result<SendFuture, SendError> {
    Err(error)
}

async fn over_h2(
    mut sender: H2,
    stream: Stream,
    mut request: Request<OutboundBody>,
) -> Result<Response<UpstreamBody>, SendError> {
    if request.headers().contains_key(EXPECT) {
        return Err(SendError::no_continue());
    }
    *request.version_mut() = Version::HTTP_2;
    let lines = OfHttp1::take(request.headers_mut());
    match sender.try_send_request(request).await {
        Ok(answer) => {
            let lease = Lease::H2 { _stream: stream };
            Ok(answer.map(|body| UpstreamBody::pooled(body, lease)))
        }
        Err(mut failed) => {
            let unsent = failed.take_message().map(|mut request| {
                lines.give_back(request.headers_mut());
                request
            });
            Err(SendError::from_hyper(failed.into_error(), unsent))
        }
    }
}

/// What HTTP/2 says in `:authority` and by frames. HTTP/1.1 needs it again, if the request is handed back.
struct OfHttp1 {
    host: Option<HeaderValue>,
    transfer_encoding: Option<HeaderValue>,
}

impl OfHttp1 {
    fn take(headers: &mut HeaderMap) -> Self {
        Self {
            host: headers.remove(HOST),
            transfer_encoding: headers.remove(TRANSFER_ENCODING),
        }
    }

    fn give_back(self, headers: &mut HeaderMap) {
        headers.extend(self.host.map(|host| (HOST, host)));
        let transfer_encoding = self.transfer_encoding.map(|it| (TRANSFER_ENCODING, it));
        headers.extend(transfer_encoding);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_http2_hands_back_is_framed_for_http1() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("dallas"));
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        let before = headers.clone();
        let lines = OfHttp1::take(&mut headers);
        assert!(headers.is_empty());
        lines.give_back(&mut headers);
        assert_eq!(headers, before);
    }
}
