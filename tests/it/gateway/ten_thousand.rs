//! As many connections as the server takes, over real sockets: what they cost, and that all of it is given back.
//!
//! Three processes: the test, the clients, and the server, which answers each line on its standard input with what it
//! has in use. So each has all the file descriptors that one process may have.

use std::{
    convert::Infallible,
    env,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tower::service_fn;

use super::server::serve;
use crate::support::process::Usage;

const ROLE: &str = "CAS_PROXY_TEN_THOUSAND";
const CONNECTIONS: usize = 10_000;
/// What the other sockets and files of a process take.
const SPARE: usize = 200;
const NAME: &str =
    "gateway::ten_thousand::ten_thousand_silent_connections_are_borne_and_given_back";

#[test]
#[ignore = "needs a process of its own"]
fn ten_thousand_silent_connections_are_borne_and_given_back() {
    match env::var(ROLE).as_deref() {
        Ok("clients") => return run(clients()),
        Ok(_) => return run(server()),
        Err(_) => {}
    }
    // The limit is the shell's to raise, as far as it may.
    let all = r#"ulimit -n "$(ulimit -Hn)" && exec "$0" "$@""#;
    let output = Command::new("sh")
        .args(["-c", all])
        .arg(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", NAME])
        .env(ROLE, "clients")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn run(role: impl Future<Output = ()>) {
    // On one thread, so that the allocator has one heap.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(role);
}

async fn clients() {
    let most = Usage::most_file_descriptors();
    assert!(
        most >= CONNECTIONS + SPARE,
        "one process may have {most} file descriptors: raise the hard limit (ulimit -Hn)"
    );
    let mut server = Server::start();
    let before = server.usage();
    let mut crowds = Vec::new();
    for _ in 0..5 {
        crowds.push(crowd(&mut server, before).await.resident);
    }
    let each = crowds[0].saturating_sub(before.resident) / CONNECTIONS;
    println!("{before:?}, {each} bytes for each of {CONNECTIONS}, five times: {crowds:?}");
    assert!(each <= 32 * 1024, "{each} bytes for each connection");
    // The allocator keeps what a crowd took for the next one to use, though not at once all of it.
    assert!(crowds[4] <= crowds[3] + crowds[0] / 10, "{crowds:?}");
}

/// Takes every place there is, and leaves; what the server had in use meanwhile.
async fn crowd(server: &mut Server, before: Usage) -> Usage {
    let mut held = Vec::with_capacity(CONNECTIONS);
    // All but one have begun a request, some of them their second.
    for number in 0..CONNECTIONS - 1 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if number % 4 == 0 {
            stream.write_all(WHOLE).await.unwrap();
            answer(&mut stream).await;
        }
        stream.write_all(BEGUN).await.unwrap();
        held.push(stream);
    }
    // The last place is as good as the first.
    let mut last = TcpStream::connect(server.address).await.unwrap();
    last.write_all(WHOLE).await.unwrap();
    answer(&mut last).await;
    // Beyond that, newcomers wait for their turn.
    let mut waiting = TcpStream::connect(server.address).await.unwrap();
    waiting.write_all(WHOLE).await.unwrap();
    let full = server.usage();
    assert_eq!(
        full.file_descriptors,
        before.file_descriptors + CONNECTIONS,
        "{full:?}"
    );
    drop(last);
    answer(&mut waiting).await;

    drop((held, waiting));
    for _ in 0..600 {
        if server.usage().file_descriptors == before.file_descriptors {
            return full;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("file descriptors are left: {:?}", server.usage());
}

/// The server's process, and its two pipes.
struct Server {
    process: Child,
    said: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", NAME])
            .env(ROLE, "server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let address = line_with("address ", &mut said).parse().unwrap();
        Self {
            process,
            said,
            address,
        }
    }

    fn usage(&mut self) -> Usage {
        let mut stdin = self.process.stdin.as_ref().unwrap();
        stdin.write_all(b"\n").unwrap();
        line_with("usage ", &mut self.said).parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The rest of the next line that holds `word`; the test's own frame prints others.
fn line_with(word: &str, said: &mut impl BufRead) -> String {
    let mut line = String::new();
    while said.read_line(&mut line).unwrap() > 0 {
        if let Some((_, rest)) = line.split_once(word) {
            return rest.trim().to_owned();
        }
        line.clear();
    }
    panic!("the server has ended");
}

async fn server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("address {}", listener.local_addr().unwrap());
    let mailbox = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"mail"))))
    });
    // Longer than the test: time-outs are for others to show.
    let patience = Duration::from_secs(3600);
    tokio::spawn(serve(
        listener,
        None,
        patience,
        mailbox,
        std::future::pending(),
    ));
    let asked = tokio::task::spawn_blocking(|| {
        for _ in std::io::stdin().lock().lines() {
            println!("usage {}", Usage::now());
        }
    });
    asked.await.unwrap();
}

async fn answer(stream: &mut TcpStream) {
    let mut read = Vec::new();
    while !read.ends_with(b"mail") {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0);
    }
}

const WHOLE: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const BEGUN: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nx: ";
