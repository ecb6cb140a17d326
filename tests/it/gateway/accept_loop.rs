//! The accept loop: who may stay on the line, and for how long.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cas_proxy::wire::hop_by_hop;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, watch},
    time::Instant,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, ServerConfig, pki_types::PrivateKeyDer},
};
use tower::service_fn;

use super::server::{connection, serve};

pub(super) const HEAD: Duration = Duration::from_secs(10);
pub(super) const CLIENT: hop_by_hop::Client = hop_by_hop::Client {
    peer: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1)),
    https: false,
    trusted: false,
};

/// A served connection, over which time can be paused: our end of it, and the switch that makes it drain.
fn line(gate: Option<Arc<Semaphore>>) -> (DuplexStream, watch::Sender<bool>) {
    let (ours, theirs) = tokio::io::duplex(1024 * 1024);
    let (draining, drain) = watch::channel(false);
    let service = service_fn(move |request: Request<Incoming>| {
        let gate = gate.clone();
        async move {
            if let Some(gate) = gate {
                gate.acquire().await.unwrap().forget();
            }
            let client = request.extensions().get::<hop_by_hop::Client>().copied();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(format!("{client:?}")))))
        }
    });
    tokio::spawn(connection(theirs, CLIENT, HEAD, service, drain));
    (ours, draining)
}

/// How long it takes until the other side hangs up.
async fn hung_up_after(stream: &mut DuplexStream) -> Duration {
    let start = Instant::now();
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    let _ = tokio::time::timeout(HEAD * 100, end).await.unwrap();
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn whoever_is_silent_is_cut_off() {
    for begun in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HT",
        "GET / HTTP/1.1\r\nhost: a\r\n",
    ] {
        let (mut stream, _draining) = line(None);
        stream.write_all(begun.as_bytes()).await.unwrap();
        let after = hung_up_after(&mut stream).await;
        assert!(
            after >= HEAD && after <= HEAD * 2,
            "{begun:?} after {after:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_in_drops_is_cut_off() {
    let (mut stream, _draining) = line(None);
    let start = Instant::now();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: ")
        .await
        .unwrap();
    // A byte a second keeps no connection open.
    while stream.write_all(b"x").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(
            start.elapsed() <= HEAD * 2,
            "still open after {:?}",
            start.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_waited_for() {
    for h2 in [false, true] {
        let gate = Arc::new(Semaphore::new(0));
        let (stream, _draining) = line(Some(gate.clone()));
        let mut client = Client::connect(stream, h2).await;
        let request = tokio::spawn(async move {
            let answer = client.get("/").await.unwrap();
            (
                answer.status(),
                answer.into_body().collect().await.unwrap().to_bytes(),
                client,
            )
        });
        tokio::time::sleep(HEAD * 20).await;
        gate.add_permits(1);
        let (status, body, _client) = request.await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body, format!("{:?}", Some(CLIENT)));
    }
}

/// `Content-Length` of the one answer that [`long_line`] gives.
const LONG: usize = 8 * 1024 * 1024;

/// A served connection whose answers are longer than anyone buffers.
fn long_line() -> (DuplexStream, watch::Sender<bool>) {
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let (draining, drain) = watch::channel(false);
    let service = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b'.'; LONG]))))
    });
    tokio::spawn(connection(theirs, CLIENT, HEAD, service, drain));
    (ours, draining)
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_an_answer_unread_is_cut_off() {
    let (mut stream, _draining) = long_line();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(121)).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < LONG, "{} bytes", rest.len());
    assert!(rest.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_window_of_zero_keeps_no_answer_waiting_for_ever() {
    let (mut stream, _draining) = line(None);
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    // :method GET, :scheme http, :path / by the static table; :authority a.
    let headers = [
        0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 0x01, b'a',
    ];
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&settings).await.unwrap();
    stream.write_all(&headers).await.unwrap();
    let start = Instant::now();
    // It does whatever keeps the connection alive, but for taking the answer.
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        if (head[3], head[4]) == (PING, 0) {
            // Both fail once the server has hung up, which the next read tells.
            let _ = stream.write_all(&[0, 0, 8, PING, ACK, 0, 0, 0, 0]).await;
            let _ = stream.write_all(&payload).await;
        }
        assert!(start.elapsed() <= Duration::from_secs(150), "still open");
    }
    assert!(
        start.elapsed() >= Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
}

const PING: u8 = 6;
const ACK: u8 = 1;

#[tokio::test(start_paused = true)]
async fn whoever_reads_slowly_is_put_up_with() {
    let (mut stream, _draining) = long_line();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut read = 0;
    let mut some = vec![0; 256 * 1024];
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        match stream.read(&mut some).await.unwrap() {
            0 => break,
            more => read += more,
        }
    }
    assert!(read > LONG);
}

#[tokio::test(start_paused = true)]
async fn draining_finishes_what_has_begun() {
    for h2 in [false, true] {
        let gate = Arc::new(Semaphore::new(0));
        let (stream, draining) = line(Some(gate.clone()));
        let mut client = Client::connect(stream, h2).await;
        let mut request = Box::pin(client.get("/"));
        // Once the service waits for its permit, the request is in flight.
        assert!(
            tokio::time::timeout(Duration::from_secs(1), &mut request)
                .await
                .is_err()
        );
        draining.send_replace(true);
        assert!(
            tokio::time::timeout(Duration::from_secs(5), &mut request)
                .await
                .is_err()
        );
        gate.add_permits(1);
        assert_eq!(request.await.unwrap().status(), StatusCode::OK);
        assert!(
            client.get("/").await.is_err(),
            "nothing more on this connection, h2: {h2}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn draining_ends_after_ten_seconds() {
    for h2 in [false, true] {
        let (stream, draining) = line(Some(Arc::new(Semaphore::new(0))));
        let mut client = Client::connect(stream, h2).await;
        let mut request = pin!(client.get("/"));
        assert!(
            tokio::time::timeout(Duration::from_secs(1), &mut request)
                .await
                .is_err()
        );
        let start = Instant::now();
        draining.send_replace(true);
        assert!(request.await.is_err());
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}

#[tokio::test]
async fn the_server_stops_when_told_and_not_before() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, gate, entered) = (
        Arc::new(Notify::new()),
        Arc::new(Semaphore::new(0)),
        Arc::new(Notify::new()),
    );
    let service = {
        let (gate, entered) = (gate.clone(), entered.clone());
        service_fn(move |_: Request<Incoming>| {
            let (gate, entered) = (gate.clone(), entered.clone());
            async move {
                entered.notify_one();
                gate.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"done"))))
            }
        })
    };
    let stopped = stop.clone();
    let server = tokio::spawn(serve(listener, None, HEAD * 1000, service, async move {
        stopped.notified().await
    }));

    let mut idle = TcpStream::connect(address).await.unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let mut client = Client::connect(stream, false).await;
    let request = tokio::spawn(async move {
        client
            .get("/")
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
    });
    entered.notified().await;
    stop.notify_one();
    // An idle line is closed at once, which also tells that the server has heard.
    let closed = tokio::time::timeout(Duration::from_secs(5), idle.read_u8())
        .await
        .unwrap();
    assert_eq!(
        closed.unwrap_err().kind(),
        std::io::ErrorKind::UnexpectedEof
    );
    assert!(TcpStream::connect(address).await.is_err());
    gate.add_permits(1);
    assert_eq!(request.await.unwrap().to_bytes(), "done");
    server.await.unwrap();
}

/// A server with a certificate of its own, and a client that trusts it.
async fn tls_server() -> (SocketAddr, TlsConnector) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = service_fn(async |request: Request<Incoming>| {
        let client = request.extensions().get::<hop_by_hop::Client>().unwrap();
        let text = format!("{:?} {}", request.version(), client.https);
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
    });
    tokio::spawn(serve(
        listener,
        Some(Arc::new(server)),
        HEAD,
        service,
        std::future::pending(),
    ));
    (address, TlsConnector::from(Arc::new(client)))
}

#[tokio::test]
async fn http_2_is_spoken_over_tls() {
    let (address, connector) = tls_server().await;
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = connector
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let answer = Client::connect(stream, true).await.get("/").await.unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "HTTP/2.0 true"
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_is_not_waited_for_longer_than_a_head() {
    let (address, _) = tls_server().await;
    let start = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The first bytes of a handshake, and no more.
    stream.write_all(&[22, 3, 1]).await.unwrap();
    let closed = tokio::time::timeout(HEAD * 100, stream.read_u8())
        .await
        .unwrap();
    assert!(closed.is_err());
    assert!(
        start.elapsed() >= HEAD && start.elapsed() <= HEAD * 2,
        "{:?}",
        start.elapsed()
    );
}

/// The two kinds of client connection, as one.
enum Client {
    Http1(conn::http1::SendRequest<Empty<Bytes>>),
    Http2(conn::http2::SendRequest<Empty<Bytes>>),
}

impl Client {
    async fn connect<I>(stream: I, h2: bool) -> Self
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        if h2 {
            let (client, connection) =
                conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::spawn(connection);
            Self::Http2(client)
        } else {
            let (client, connection) = conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            Self::Http1(client)
        }
    }

    async fn get(&mut self, target: &str) -> hyper::Result<Response<Incoming>> {
        let request = Request::get(format!("http://localhost{target}")).header("host", "localhost");
        let request = |version| {
            let mut request = request.body(Empty::new()).unwrap();
            *request.version_mut() = version;
            request
        };
        match self {
            Self::Http1(client) => {
                client.ready().await?;
                client.send_request(request(Version::HTTP_11)).await
            }
            Self::Http2(client) => {
                client.ready().await?;
                client.send_request(request(Version::HTTP_2)).await
            }
        }
    }
}
