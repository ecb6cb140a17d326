//! A second CAS driven by hand, byte by byte, over a real socket.

use std::net::SocketAddr;

use cas_proxy::directory::{ClientAccessServer, Topology};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Duration, timeout},
};

use super::site::cas_at;

/// One connection of a first CAS.
pub struct Hop<T = TcpStream> {
    stream: T,
    read: Vec<u8>,
}

/// Listens on a loopback port of its own.
pub struct Listener(TcpListener);

impl Listener {
    pub async fn new() -> Self {
        Self(TcpListener::bind(("127.0.0.1", 0)).await.unwrap())
    }

    pub async fn accept(&self) -> Hop {
        let (stream, _) = self.0.accept().await.unwrap();
        Hop::new(stream)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// This listener as a CAS in Dallas.
    pub fn as_cas(&self, server: &str) -> ClientAccessServer {
        cas_at(server, &format!("http://{}/owa", self.address()))
    }

    pub fn topology(&self) -> std::sync::Arc<Topology> {
        let topology = Topology::builder().client_access_server(self.as_cas("dallas"));
        topology.build().unwrap().into()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Hop<T> {
    pub fn new(stream: T) -> Self {
        let read = Vec::new();
        Self { stream, read }
    }

    /// Reads a request's head.
    pub async fn head(&mut self) -> String {
        self.next_head().await.expect("closed within a head")
    }

    /// The same, if the other side does not close the connection instead.
    pub async fn next_head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            if self.fill().await == 0 {
                return None;
            }
        }
    }

    /// Reads the whole body of a request with this head.
    pub async fn body(&mut self, head: &str) -> Vec<u8> {
        self.next_body(head).await.expect("closed within a body")
    }

    /// The same, if the other side does not close the connection instead.
    pub async fn next_body(&mut self, head: &str) -> Option<Vec<u8>> {
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        match field("content-length: ") {
            Some(length) => self.next(length.parse().unwrap()).await,
            None if field("transfer-encoding: ") == Some("chunked") => self.next_chunked().await,
            None => Some(Vec::new()),
        }
    }

    /// Waits for `length` bytes of whatever comes, and leaves them unread; fewer if the other side closes.
    pub async fn wait_for(&mut self, length: usize) {
        while self.read.len() < length && self.fill().await > 0 {}
    }

    /// Reads exactly `length` bytes of a body.
    pub async fn exactly(&mut self, length: usize) -> Vec<u8> {
        self.next(length).await.expect("closed within a body")
    }

    /// Reads a whole chunked body.
    pub async fn chunked(&mut self) -> Vec<u8> {
        self.next_chunked().await.expect("closed within a body")
    }

    async fn next(&mut self, length: usize) -> Option<Vec<u8>> {
        self.wait_for(length).await;
        (self.read.len() >= length).then(|| self.read.drain(..length).collect())
    }

    async fn next_chunked(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") {
                    let line: Vec<u8> = self.read.drain(..end + 2).collect();
                    break String::from_utf8(line).unwrap();
                }
                if self.fill().await == 0 {
                    return None;
                }
            };
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            body.extend(self.next(size).await?);
            assert_eq!(self.next(2).await?, b"\r\n");
            if size == 0 {
                return Some(body);
            }
        }
    }

    /// Whether nothing has come that is not read, and nothing comes for a second.
    pub async fn is_silent(&mut self) -> bool {
        self.read.is_empty() && timeout(SECOND, self.fill()).await.is_err()
    }

    pub async fn answer(&mut self, text: &str) {
        self.try_answer(text).await.unwrap();
    }

    /// The same, of any bytes, where the other side may have hung up.
    pub async fn try_answer(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// The connection itself, to be written to by other means.
    pub fn into_stream(self) -> T {
        self.stream
    }

    /// Bytes already here and not read; then waits for the other side to close.
    pub async fn closed(self) -> usize {
        self.rest().await.len()
    }

    /// All that comes until the other side closes.
    pub async fn rest(mut self) -> Vec<u8> {
        self.until_end().await
    }

    /// All that comes until the other side sends no more.
    pub async fn until_end(&mut self) -> Vec<u8> {
        while matches!(self.stream.read_buf(&mut self.read).await, Ok(1..)) {}
        std::mem::take(&mut self.read)
    }

    /// Sends no more.
    pub async fn end(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    async fn fill(&mut self) -> usize {
        self.stream.read_buf(&mut self.read).await.unwrap()
    }
}

const SECOND: Duration = Duration::from_secs(1);
pub const NEED_IDENTITY: &str = "HTTP/1.1 441 Need Identity\r\ncontent-length: 0\r\n\r\n";
pub const ACCEPTED: &str = "HTTP/1.1 241 Accepted\r\ncontent-length: 0\r\n\r\n";
pub const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
