//! Connections that go on as something else, WebSocket most of all: through a first and a second CAS, over real
//! sockets, with tungstenite at both ends.

mod checks;
mod draining;
mod ends;
mod offers;
mod websocket;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cas_proxy::{
    csc::ClientSecurityContext,
    first_cas::{CasProxyLayer, ResponseBody},
    outbound::credentials::danger::BasicCredentials,
    second_cas::{SecondCasLayer, danger::StaticCredential, unless_proxied},
};
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{DuplexStream, duplex},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, handshake::derive_accept_key, protocol::Role},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, layer::layer_fn, service_fn};

use crate::support::{
    pipes::Pipes,
    site::{Setup, Site, before},
    user,
    wire::Hop,
};

/// A second CAS whose mailboxes echo what they get by WebSocket.
struct Dallas {
    site: Site,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// An upgrade as a mailbox got it.
struct Seen {
    user: Option<ClientSecurityContext>,
}

impl Dallas {
    async fn new(setup: Setup) -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let witness = Arc::clone(&seen);
        let mailbox = service_fn(move |request: Request<Incoming>| {
            witness.lock().unwrap().push(Seen {
                user: request.extensions().get().cloned(),
            });
            let answer = echo(request);
            async move { Ok::<_, Infallible>(answer) }
        });
        // Whoever comes by itself is not signed in; the users of a verified CAS pass it by.
        let sign_in = layer_fn(|_| {
            service_fn(|_: Request<Incoming>| async {
                let mut answer = Response::new(Empty::<Bytes>::new());
                *answer.status_mut() = StatusCode::UNAUTHORIZED;
                Ok::<_, Infallible>(answer)
            })
        });
        let stack = SecondCasLayer::new(StaticCredential::basic("seattle", "secret"))
            .layer(unless_proxied(sign_in).layer(mailbox));
        let site = setup
            .serve(move |request| answer(stack.clone(), request))
            .await;
        Self { site, seen }
    }

    /// A first CAS that proxies to it.
    fn first_cas(&self) -> CasProxyLayer {
        before([self.site.as_cas("dallas")])
            .credentials(BasicCredentials::new("seattle:secret").unwrap())
    }
}

/// The server that clients reach.
async fn front(layer: &CasProxyLayer) -> Site {
    let stack = stack(layer);
    Setup::plain()
        .serve(move |request| answer(stack.clone(), request))
        .await
}

/// What it serves: user 2 is signed in; user 5, or user 1, whose mailbox is here, where the path
/// says so.
fn stack(
    layer: &CasProxyLayer,
) -> impl Service<
    Request<Incoming>,
    Response = Response<ResponseBody<Full<Bytes>>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ use<> {
    let mailbox = service_fn(|request| async { Ok(echo(request)) });
    let sign_in = |mut request: Request<Incoming>| {
        let rid = match request.uri().path() {
            "/owa/here" => 1,
            "/owa/another/ws" => 5,
            _ => 2,
        };
        request.extensions_mut().insert(user(rid));
        request
    };
    ServiceBuilder::new()
        .map_request(sign_in)
        .service(layer.layer(mailbox))
}

/// A client, the first CAS, and a second one that is driven by hand: all of it in memory.
struct Line {
    client: Hop<DuplexStream>,
    dallas: Pipes,
    layer: CasProxyLayer,
}

impl Line {
    fn new() -> Self {
        Self::set_up(|layer| layer)
    }

    fn set_up(change: impl FnOnce(CasProxyLayer) -> CasProxyLayer) -> Self {
        let dallas = Pipes::new();
        let layer = change(crate::bodies::layer(&dallas, &["dallas"]));
        let client = Hop::new(connect(&layer));
        Self {
            client,
            dallas,
            layer,
        }
    }

    /// Another client.
    fn join(&self) -> Hop<DuplexStream> {
        Hop::new(connect(&self.layer))
    }

    /// The ends of a tunnel.
    async fn open(&self) -> (Hop<DuplexStream>, Hop<DuplexStream>) {
        self.open_by(ASK).await
    }

    async fn open_by(&self, ask: &str) -> (Hop<DuplexStream>, Hop<DuplexStream>) {
        let mut client = self.join();
        client.answer(ask).await;
        let mut hop = self.dallas.accept().await;
        hop.head().await;
        hop.answer(SWITCHED).await;
        assert!(client.head().await.starts_with("HTTP/1.1 101 "));
        (client, hop)
    }
}

/// A connection of a client to the server that [`front`] is, too.
fn connect(layer: &CasProxyLayer) -> DuplexStream {
    let (near, far) = duplex(64 * 1024);
    let stack = stack(layer);
    tokio::spawn(async move {
        let service = hyper::service::service_fn(move |request| stack.clone().oneshot(request));
        let http = auto::Builder::new(TokioExecutor::new());
        // A client that leaves is no failure of the test.
        let _ = http
            .serve_connection_with_upgrades(TokioIo::new(far), service)
            .await;
    });
    near
}

async fn answer<S, B>(stack: S, request: Request<Incoming>) -> Response<B>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
{
    stack.oneshot(request).await.unwrap()
}

/// Takes up any WebSocket, and sends back each message.
fn echo(mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(key) = request.headers().get("sec-websocket-key") else {
        return Response::new(Full::from("mail"));
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let upgraded = TokioIo::new(upgrade.await.unwrap());
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
        let (mut write, mut read) = socket.split();
        while let Some(Ok(message)) = read.next().await {
            // A client that leaves is no failure of the test.
            if (message.is_text() || message.is_binary()) && write.send(message).await.is_err() {
                return;
            }
        }
    });
    Response::builder()
        .status(101)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", accept)
        .body(Full::default())
        .unwrap()
}

type Socket = WebSocketStream<TcpStream>;

/// Opens a WebSocket, with tungstenite's own checks of the answer.
async fn open(front: &Site, path: &str) -> tungstenite::Result<Socket> {
    let stream = TcpStream::connect(front.address).await.unwrap();
    let url = format!("ws://mail.contoso.com{path}");
    client_async(url, stream)
        .await
        .map(|(socket, _answer)| socket)
}

pub const ASK: &str = "GET /owa/ws HTTP/1.1\r\nhost: mail.contoso.com\r\nconnection: keep-alive, Upgrade\r\n\
     upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// RFC 6455 section 1.3.
pub const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const NEED_IDENTITY_AND_CLOSE: &str =
    "HTTP/1.1 441 Need Identity\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
