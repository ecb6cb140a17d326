//! What a 441 costs an upload: nothing.
//!
//! ```sh
//! cargo run --release --example upload_through_441
//! cargo run --release --example upload_through_441 -- 1024 chunked
//! ```
//!
//! Size in MiB and framing, `sized`, `chunked` or `h2`, are yours to choose; 64 and `sized` otherwise.
//!
//! A user of Dallas uploads 64 MiB through Seattle, as the first thing of the day: Dallas knows nothing of the user
//! yet, and answers 441. Seattle logs the user in and sends the upload again, although it keeps none of it, for by
//! the time of the 441 it has not asked the client for a single byte.

#[path = "gateway/server.rs"]
mod server;

use std::{
    convert::Infallible,
    error::Error,
    fmt::Write as _,
    fs,
    future::pending,
    net::SocketAddr,
    pin::Pin,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use cas_proxy::{
    csc::ClientSecurityContext,
    decision::{Here, Policy},
    directory::{ClientAccessServer, Mailbox, MailboxKey, Topology},
    first_cas::CasProxyLayer,
    lookup::InMemory,
    second_cas::{SecondCasLayer, SharedKeys},
    wire::{names::NEED_IDENTITY, signature::SharedKey},
};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pin_project_lite::pin_project;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tower::{Layer as _, ServiceExt as _, service_fn};

type BoxError = Box<dyn Error + Send + Sync>;

/// What is uploaded, and how.
#[derive(Clone, Copy, Debug)]
struct Upload {
    bytes: u64,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Sized,
    Chunked,
    Http2,
}

impl Upload {
    fn from_arguments() -> Result<Self, BoxError> {
        let mut arguments = std::env::args().skip(1);
        let mebibytes: u64 = arguments.next().map_or(Ok(64), |size| size.parse())?;
        let framing = match arguments.next().as_deref() {
            None | Some("sized") => Framing::Sized,
            Some("chunked") => Framing::Chunked,
            Some("h2") => Framing::Http2,
            Some(other) => return Err(format!("upload anything as `{other}`").into()),
        };
        let bytes = mebibytes * 1024 * 1024;
        Ok(Self { bytes, framing })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("upload_through_441 failed to {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is counted while it goes on.
#[derive(Debug, Default)]
struct Counters {
    /// Bytes that the client has sent.
    sent: AtomicU64,
    /// Bytes that Seattle has asked the client's connection for.
    pulled: AtomicU64,
    /// How often Dallas answered 441, and what the two others were then.
    refusals: AtomicU64,
    sent_at_refusal: AtomicU64,
    pulled_at_refusal: AtomicU64,
}

/// True if all is as the title says.
async fn run() -> Result<bool, BoxError> {
    let wanted = Upload::from_arguments()?;
    let counters = Arc::<Counters>::default();
    let (dallas, seattle) = (
        TcpListener::bind("127.0.0.1:0").await?,
        TcpListener::bind("127.0.0.1:0").await?,
    );
    let (dallas_at, seattle_at) = (dallas.local_addr()?, seattle.local_addr()?);
    let key = SharedKey::new("seattle-to-dallas", b"32 random bytes from a secret store")?;

    // Dallas: a second CAS around a service that hashes what it is sent. Outside both, the 441 is noted.
    let trusted = SharedKeys::for_authorities([dallas_at.to_string()])?.accept(key.clone());
    let noting = Arc::clone(&counters);
    let service = SecondCasLayer::new(trusted)
        .layer(service_fn(hash))
        .map_response(move |answer: Response<_>| {
            if answer.status() == NEED_IDENTITY {
                noting.refusals.fetch_add(1, Relaxed);
                noting
                    .sent_at_refusal
                    .store(noting.sent.load(Relaxed), Relaxed);
                noting
                    .pulled_at_refusal
                    .store(noting.pulled.load(Relaxed), Relaxed);
            }
            answer
        });
    tokio::spawn(server::serve(
        dallas,
        None,
        REQUEST_HEAD,
        service,
        pending(),
    ));

    // Seattle: a first CAS. In place of a log-on, everyone is bert; and what is pulled of a body is counted.
    let bert =
        ClientSecurityContext::builder("S-1-5-21-1-2-3-1105".parse()?, "Basic", "bert").build()?;
    let home =
        Mailbox::new("mailbox-server".parse()?, VERSION.parse()?).with_site("Dallas".parse()?);
    let lookup = InMemory::new().insert(MailboxKey::Sid(*bert.user()), home);
    let cas = ClientAccessServer::new("dallas".parse()?, "Dallas".parse()?, VERSION.parse()?)
        .with_internal_url(&format!("http://{dallas_at}/owa"))
        .with_integrated_windows_authentication();
    let topology = Arc::new(Topology::builder().client_access_server(cas).build()?);
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = true;
    let here = Here::new("seattle".parse()?, "Seattle".parse()?, VERSION.parse()?);
    let counting = Arc::clone(&counters);
    let service = CasProxyLayer::new(here, topology, lookup)
        .policy(policy)
        .credentials(key)
        .layer(service_fn(hash))
        .map_request(move |mut request: Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(bert.clone());
            let counters = Arc::clone(&counting);
            request.map(|body| Counted { body, counters })
        });
    tokio::spawn(server::serve(
        seattle,
        None,
        REQUEST_HEAD,
        service,
        pending(),
    ));

    let before = high_water();
    let (sent, received) = upload(seattle_at, wanted, &counters).await?;
    let grown = high_water()
        .zip(before)
        .map(|(after, before)| after - before);

    let [refusals, sent_then, pulled_then, pulled] = [
        &counters.refusals,
        &counters.sent_at_refusal,
        &counters.pulled_at_refusal,
        &counters.pulled,
    ]
    .map(|counter| counter.load(Relaxed));
    println!(
        "uploaded         {} bytes, through seattle to dallas",
        wanted.bytes
    );
    println!("answers of 441   {refusals}");
    println!(
        "at the 441       the client had sent {sent_then} bytes, seattle had pulled {pulled_then}"
    );
    println!("in the end       seattle had pulled {pulled} bytes");
    println!("SHA-256 sent     {sent}");
    println!("SHA-256 arrived  {received}");
    match grown {
        Some(grown) => {
            println!("memory           VmHWM grew by {grown} KiB, client and both servers together")
        }
        None => println!("memory           not known on this system"),
    }
    let whole = sent == received && pulled == wanted.bytes;
    // Over HTTP/2 a client sends what the window of its stream holds, and it stays in Seattle's connection unread.
    let free =
        (refusals, pulled_then) == (1, 0) && (sent_then == 0 || wanted.framing == Framing::Http2);
    // Were it kept anywhere, it would be 65,536 KiB.
    let streamed = grown.is_none_or(|grown| grown < 16 * 1024);
    Ok(whole && free && streamed)
}

/// Uploads as a browser does, which asks first where it can; the SHA-256 of what was sent, and the answer.
async fn upload(
    server: SocketAddr,
    wanted: Upload,
    counters: &Arc<Counters>,
) -> Result<(String, String), BoxError> {
    let stream = TcpStream::connect(server).await?;
    let letter = Letter {
        left: wanted.bytes,
        number: 0,
        hash: Arc::default(),
        counters: Arc::clone(counters),
    };
    let hash = Arc::clone(&letter.hash);
    let answer = match wanted.framing {
        Framing::Http2 => over_http2(stream, letter).await?,
        framing => over_http1(stream, server, framing, letter).await?,
    };
    let hash = std::mem::take(&mut *hash.lock().map_err(|_| "hash what was sent")?);
    Ok((hex(hash), answer))
}

async fn over_http1(
    stream: TcpStream,
    server: SocketAddr,
    framing: Framing,
    mut letter: Letter,
) -> Result<String, BoxError> {
    let mut stream = BufReader::new(stream);
    let length = match framing {
        Framing::Chunked => "transfer-encoding: chunked".to_owned(),
        _ => format!("content-length: {}", letter.left),
    };
    let head = format!(
        "POST /owa/upload HTTP/1.1\r\nhost: {server}\r\n{length}\r\n\
         expect: 100-continue\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await?;
        if !line.starts_with("HTTP/1.1 100") && line != "\r\n" {
            return Err(format!("be asked for the body: {line:?}").into());
        }
    }
    let chunked = framing == Framing::Chunked;
    while let Some(piece) = letter.piece() {
        if chunked {
            stream
                .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
                .await?;
        }
        stream.write_all(&piece).await?;
        if chunked {
            stream.write_all(b"\r\n").await?;
        }
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, received) = answer.split_once("\r\n\r\n").ok_or("read an answer")?;
    Ok(received.to_owned())
}

async fn over_http2(stream: TcpStream, letter: Letter) -> Result<String, BoxError> {
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::post("http://seattle/owa/upload").body(letter)?;
    let answer = sender.send_request(request).await?;
    let text = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(text.to_vec())?)
}

/// What is uploaded: made, hashed and counted as it is sent.
struct Letter {
    left: u64,
    number: u64,
    hash: Arc<Mutex<Sha256>>,
    counters: Arc<Counters>,
}

impl Letter {
    fn piece(&mut self) -> Option<Bytes> {
        let length = self.left.min(64 * 1024);
        if length == 0 {
            return None;
        }
        let piece: Vec<u8> = (self.number..self.number + length)
            .map(|place| (place ^ (place >> 8)) as u8)
            .collect();
        self.number += 1;
        self.left -= length;
        if let Ok(mut hash) = self.hash.lock() {
            hash.update(&piece);
        }
        self.counters.sent.fetch_add(length, Relaxed);
        Some(piece.into())
    }
}

impl Body for Letter {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.piece().map(|piece| Ok(Frame::data(piece))))
    }
}

/// The service behind the layers: answers with the SHA-256 of the body.
async fn hash<B>(request: Request<B>) -> Result<Response<String>, Infallible>
where
    B: Body<Error: std::fmt::Debug> + Unpin,
{
    let (mut body, mut hash) = (request.into_body(), Sha256::new());
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Ok(Response::new(format!("the body broke off: {error:?}"))),
        };
        if let Ok(mut data) = frame.into_data() {
            while data.has_remaining() {
                hash.update(data.chunk());
                data.advance(data.chunk().len());
            }
        }
    }
    Ok(Response::new(hex(hash)))
}

fn hex(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The most memory this process ever had, in KiB; known on Linux.
fn high_water() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

pin_project! {
    /// The client's body, counted as it is read.
    struct Counted<B> {
        #[pin]
        body: B,
        counters: Arc<Counters>,
    }
}

impl<B: Body> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.counters
                .pulled
                .fetch_add(data.remaining() as u64, Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

const VERSION: &str = "8.3.83.6";

const REQUEST_HEAD: Duration = Duration::from_secs(10);
