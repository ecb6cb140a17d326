//! Everything there is between a client's bytes and a mailbox, in memory: hyper, a log-on layer, the first CAS, the bytes
//! of the second hop, hyper again, the second CAS. Witnesses stand wherever something could go wrong.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use cas_proxy::{
    csc::ClientSecurityContext,
    directory::Origin,
    first_cas::CasProxyLayer,
    outbound::{BoxError, Outbound, OutboundBody, OutboundService, SendFuture},
    second_cas::{Proxied, SecondCasLayer, SharedKeys, unless_proxied},
    wire::{signature::SharedKey, trailers::CleanTrailers},
};
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tower::{
    Layer, Service, ServiceExt,
    layer::layer_fn,
    service_fn,
    util::{BoxCloneSyncService, MapRequestLayer},
};

use crate::support::{here, lookup, topology, user};

/// A request as a mailbox got it.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub uri: Uri,
    pub headers: HeaderMap,
    pub trailers: HeaderMap,
    /// What the extensions say.
    pub user: Option<ClientSecurityContext>,
    pub explicit_logon: Option<String>,
    /// Whether another CAS sent it.
    pub proxied: bool,
    pub body: Bytes,
}

/// A request that the first CAS sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub origin: Origin,
    pub uri: Uri,
    /// All that went over its connection.
    pub bytes: Arc<Mutex<Vec<u8>>>,
}

/// What the witnesses have seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub here: Vec<Arrived>,
    pub there: Vec<Arrived>,
    pub sent: Vec<Sent>,
}

#[derive(Clone)]
pub struct Chain {
    seen: Arc<Mutex<Seen>>,
    front: Front,
}

/// What a client meets.
#[derive(Clone)]
enum Front {
    First(CasProxyLayer),
    /// A second CAS, with no first one behind it.
    Second(SecondCasLayer),
    /// Both on one server.
    Stacked(SecondCasLayer, CasProxyLayer),
}

impl Chain {
    pub fn new() -> Self {
        Self::set_up(|layer| layer)
    }

    /// A first CAS in Seattle and a second one in Dallas, with a key that both know.
    pub fn set_up(first: impl FnOnce(CasProxyLayer) -> CasProxyLayer) -> Self {
        let key = SharedKey::new("seattle", b"seattle to dallas, and no others").unwrap();
        let trusted = SharedKeys::for_authorities(["dallas.corp"])
            .unwrap()
            .accept(key.clone());
        let seen = Arc::<Mutex<Seen>>::default();
        let hop = Hop {
            second: SecondCasLayer::new(trusted),
            seen: Arc::clone(&seen),
        };
        let layer = CasProxyLayer::with_outbound(here(), topology(&["dallas"]), lookup(), hop)
            .external_url(&"https://mail.contoso.com/owa".parse().unwrap())
            .credentials(key);
        Self {
            seen,
            front: Front::First(first(layer)),
        }
    }

    /// A second CAS that serves everybody, and trusts one CAS whose key nobody here has.
    pub fn second() -> Self {
        Self {
            seen: Arc::default(),
            front: Front::Second(second_cas()),
        }
    }

    /// The same around the first CAS of [`new`](Self::new).
    pub fn stacked() -> Self {
        let chain = Self::new();
        let front = match chain.front {
            Front::First(first) => Front::Stacked(second_cas(), first),
            front => front,
        };
        Self { front, ..chain }
    }

    /// All three.
    pub fn of_every_make() -> [Self; 3] {
        [Self::new(), Self::second(), Self::stacked()]
    }

    /// Whether users of Dallas are proxied there.
    pub fn proxies(&self) -> bool {
        !matches!(self.front, Front::Second(_))
    }

    /// Sends bytes over a connection of its own; gives what comes back until the server hangs up or has nothing more
    /// to say for five minutes. Time has to be paused.
    pub async fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let stack = self.stack();
        let serving = tokio::spawn(async move {
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(server), TowerToHyperService::new(stack))
                .await;
        });
        // It may hang up before it has read everything.
        let _ = client.write_all(bytes).await;
        let mut answer = Vec::new();
        let patience = tokio::time::sleep(Duration::from_secs(300));
        let mut patience = std::pin::pin!(patience);
        loop {
            tokio::select! {
                read = client.read_buf(&mut answer) => if !matches!(read, Ok(1..)) { break },
                () = &mut patience => break,
            }
        }
        serving.abort();
        answer
    }

    fn stack(&self) -> Stack {
        let mail = mailbox(&self.seen, false);
        let sign_in = MapRequestLayer::new(log_on);
        match &self.front {
            Front::First(first) => boxed(sign_in.layer(first.layer(mail))),
            Front::Second(second) => boxed(second.layer(unless_proxied(sign_in).layer(mail))),
            Front::Stacked(second, first) => {
                boxed(second.layer(unless_proxied(sign_in).layer(first.layer(mail))))
            }
        }
    }

    /// What was seen since this was last asked.
    pub fn seen(&self) -> Seen {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn second_cas() -> SecondCasLayer {
    let key = SharedKey::new("boston", b"boston to seattle, known to none").unwrap();
    let trusted = SharedKeys::for_authorities(["mail.contoso.com"]).unwrap();
    SecondCasLayer::new(trusted.accept(key)).version("8.3.83.6".parse().unwrap())
}

type Stack = BoxCloneSyncService<Request<Incoming>, Response<Boxed>, Infallible>;
type Boxed = UnsyncBoxBody<Bytes, BoxError>;

fn boxed<S, B>(service: S) -> Stack
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let boxed = |answer: Response<B>| answer.map(|body| body.map_err(Into::into).boxed_unsync());
    BoxCloneSyncService::new(service.map_response(boxed))
}

/// Runs a test with paused time.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

/// The head of a request by user `rid`, up to lines of the test's own.
pub fn by(rid: u32, request_line: &str) -> String {
    format!("{request_line} HTTP/1.1\r\nhost: mail.contoso.com\r\nauthorization: user {rid}\r\n")
}

/// The status of the first answer; `None` if there is none.
pub fn status_of(answer: &[u8]) -> Option<u16> {
    let rest = answer
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

/// `Authorization: user 2` signs user 2 in. Whoever does not say it goes on as nobody.
fn log_on<B>(mut request: Request<B>) -> Request<B> {
    if let Some(user) = signed_in(request.headers()) {
        request.extensions_mut().insert(user);
    }
    request
}

fn signed_in(headers: &HeaderMap) -> Option<ClientSecurityContext> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let rid = line.to_str().ok()?.strip_prefix("user ")?.parse().ok()?;
    (1..=4).contains(&rid).then(|| user(rid))
}

type Mailbox = BoxCloneSyncService<Request<Incoming>, Response<Full<Bytes>>, Infallible>;

/// Notes what it gets, here or there, and answers "mail".
fn mailbox(seen: &Arc<Mutex<Seen>>, there: bool) -> Mailbox {
    let seen = Arc::clone(seen);
    BoxCloneSyncService::new(service_fn(move |request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            let Ok(collected) = CleanTrailers::new(body).collect().await else {
                return Ok(status(StatusCode::BAD_REQUEST));
            };
            let proxied = parts.extensions.get::<Proxied>();
            let explicit = proxied.and_then(Proxied::explicit_logon);
            let arrived = Arrived {
                explicit_logon: explicit.map(|address| address.as_str().to_owned()),
                proxied: proxied.is_some(),
                user: parts.extensions.get().cloned(),
                uri: parts.uri,
                headers: parts.headers,
                trailers: collected.trailers().cloned().unwrap_or_default(),
                body: collected.to_bytes(),
            };
            let mut seen = seen.lock().unwrap();
            let list = if there {
                &mut seen.there
            } else {
                &mut seen.here
            };
            list.push(arrived);
            Ok(Response::new(Full::new(Bytes::from_static(b"mail"))))
        }
    }))
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// The second hop: each request over a connection of its own.
struct Hop {
    second: SecondCasLayer,
    seen: Arc<Mutex<Seen>>,
}

impl Outbound for Hop {
    fn send(&self, origin: &Origin, request: Request<OutboundBody>) -> SendFuture {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        self.seen.lock().unwrap().sent.push(Sent {
            origin: origin.clone(),
            uri: request.uri().clone(),
            bytes: Arc::clone(&bytes),
        });
        // Nobody signs in there but through a CAS.
        let closed = layer_fn(|_| {
            service_fn(|_: Request<Incoming>| async {
                Ok::<_, Infallible>(status(StatusCode::UNAUTHORIZED))
            })
        });
        let inner = unless_proxied(closed).layer(mailbox(&self.seen, true));
        let stack = self.second.layer(inner);
        let send = service_fn(move |request: Request<OutboundBody>| {
            let (near, far) = tokio::io::duplex(1 << 16);
            let near = Tapped {
                stream: near,
                written: Arc::clone(&bytes),
            };
            let stack = TowerToHyperService::new(stack.clone());
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(far), stack)
                    .await;
            });
            over(near, request)
        });
        OutboundService::new(send).send(origin, request)
    }
}

async fn over(
    stream: Tapped,
    mut request: Request<OutboundBody>,
) -> Result<Response<Incoming>, BoxError> {
    let target = request.uri().path_and_query().cloned();
    *request.uri_mut() = target.map_or_else(Uri::default, Uri::from);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// Notes all that is written.
struct Tapped {
    stream: DuplexStream,
    written: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(length)) = written {
            self.written
                .lock()
                .unwrap()
                .extend_from_slice(&bytes[..length]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
