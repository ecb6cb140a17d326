//! Streams: each frame on its way at once, nobody buffered for, and nobody cut off who still moves.

use std::{sync::atomic::AtomicU64, time::Duration};

use bytes::Bytes;
use cas_proxy::first_cas::ResponseBody;
use http::{Method, Request, Response, Version};
use http_body_util::BodyExt;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep, timeout},
};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::support::{
    browser::Browser,
    by,
    site::whole,
    wire::{CONTINUE, OK},
};

const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// A GET by a client of its own, and the line by which it came to the second CAS.
async fn stream(version: Version) -> (http::Response<hyper::body::Incoming>, Line) {
    let pipes = Pipes::new();
    let mut browser = Browser::new(&layer(&pipes, &["dallas"]), 2, version).await;
    let asking = tokio::spawn(async move {
        let request = Request::get("/owa/ev.owa").body(whole("")).unwrap();
        browser.send(request).await.unwrap()
    });
    let mut line = pipes.accept().await;
    line.head().await;
    line.answer(STREAM).await;
    (asking.await.unwrap(), line)
}

#[tokio::test(start_paused = true)]
async fn each_event_reaches_the_client_before_the_next_is_sent() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (answer, mut line) = stream(version).await;
        let mut events = answer.into_body();
        let started = Instant::now();
        for number in 0..100 {
            let event = format!("data: {number}\n\n");
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            line.answer(&chunk).await;
            let frame = timeout(Duration::from_millis(1), events.frame()).await;
            let frame = frame.expect("at once").unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), event);
            // Most of an idle window, every time.
            sleep(Duration::from_secs(59)).await;
        }
        assert!(started.elapsed() > Duration::from_secs(5000));
        line.answer("0\r\n\r\n").await;
        assert_eq!(events.collect().await.unwrap().to_bytes(), "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_waits_for_what_it_waits_for_and_not_for_ever() {
    for (wait, status) in [(29, 200), (31, 504)] {
        let pipes = Pipes::new();
        let mut browser = Browser::new(&layer(&pipes, &["dallas"]), 2, Version::HTTP_11).await;
        let asking = tokio::spawn(async move {
            let request = Request::get("/owa/ev.owa").body(whole("")).unwrap();
            browser.fetch(request).await.status()
        });
        let mut line = pipes.accept().await;
        line.head().await;
        sleep(Duration::from_secs(wait)).await;
        if status == 200 {
            line.answer(OK).await;
        }
        assert_eq!(asking.await.unwrap(), status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_for_a_minute_breaks_off_at_both_ends() {
    let (answer, mut line) = stream(Version::HTTP_11).await;
    line.answer("1\r\na\r\n").await;
    let mut events = answer.into_body();
    events.frame().await.unwrap().unwrap();
    let started = Instant::now();
    // An error: whoever reads it knows that it is not all.
    assert!(events.frame().await.unwrap().is_err());
    assert_eq!(started.elapsed().as_secs(), 60);
    assert_eq!(line.closed().await, 0);
}

type Direct = Response<ResponseBody<String>>;

fn send(pipes: &Pipes, body: Counted) -> impl Future<Output = Direct> + Send + use<> {
    let never = service_fn(|_: Request<Counted>| async {
        Err::<Response<String>, _>(std::io::Error::other("not served here"))
    });
    let request = by(2, Method::POST, "/owa/x").body(body).unwrap();
    let answer = layer(pipes, &["dallas"]).layer(never).oneshot(request);
    async { answer.await.unwrap() }
}

/// What may be on its way between two who are both slow: the pipe between them, and a buffer of hyper's.
const BETWEEN: u64 = 1024 * 1024;
const LARGE: u64 = 16 * 1024 * 1024;

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_slows_the_second_cas_down() {
    let pipes = Pipes::new();
    let asking = tokio::spawn(send(&pipes, Counted::new(0, true).0));
    let mut line = pipes.accept().await;
    line.head().await;
    let written = Arc::<AtomicU64>::default();
    let counter = Arc::clone(&written);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
    line.answer(&head).await;
    tokio::spawn(async move {
        let (mut stream, mut place) = (line.into_stream(), 0);
        while place < LARGE {
            let piece = Counted::piece(place, (LARGE - place).min(8192));
            stream.write_all(&piece).await.unwrap();
            place += piece.len() as u64;
            counter.store(place, Ordering::SeqCst);
        }
        // Held until the client has read all.
        sleep(Duration::from_secs(3600)).await;
    });
    let mut body = asking.await.unwrap().into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let piece: Bytes = frame.unwrap().into_data().unwrap();
        for (at, byte) in (read..).zip(piece.iter()).step_by(997) {
            assert_eq!(*byte, Counted::byte(at));
        }
        read += piece.len() as u64;
        sleep(Duration::from_millis(10)).await;
        let between = written.load(Ordering::SeqCst) - read;
        assert!(between <= BETWEEN, "{between} bytes in between");
    }
    assert_eq!(read, LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_second_cas_that_reads_slowly_slows_the_client_down() {
    for sized in [true, false] {
        let pipes = Pipes::new();
        let (body, pulled) = Counted::new(LARGE, sized);
        let asking = tokio::spawn(send(&pipes, body));
        let mut line = pipes.accept().await;
        line.head().await;
        line.answer(CONTINUE).await;
        let mut read = 0;
        // Framing comes on top.
        while read < LARGE {
            let piece = (LARGE - read).min(64 * 1024);
            read += line.exactly(piece as usize).await.len() as u64;
            sleep(Duration::from_millis(10)).await;
            let between = pulled.load(Ordering::SeqCst).saturating_sub(read);
            assert!(between <= BETWEEN, "{between} bytes in between");
        }
        line.answer(OK).await;
        assert_eq!(asking.await.unwrap().status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_takes_longer_than_an_answer_may_is_not_cut_off() {
    for answers in [true, false] {
        let pipes = Pipes::new();
        let asking = tokio::spawn(send(&pipes, Counted::new(LARGE, true).0));
        let started = Instant::now();
        let mut line = pipes.accept().await;
        line.head().await;
        line.answer(CONTINUE).await;
        for _ in 0..LARGE / 65_536 {
            line.exactly(65_536).await;
            sleep(Duration::from_secs(2)).await;
        }
        let uploaded = started.elapsed();
        assert!(uploaded > 10 * RESPONSE_HEAD);
        if answers {
            sleep(Duration::from_secs(10)).await;
            line.answer(OK).await;
        }
        let status = if answers { 200 } else { 504 };
        assert_eq!(asking.await.unwrap().status(), status);
        // Counted from when the last byte had left this server, a few buffers before it was read.
        assert!(started.elapsed() > uploaded && started.elapsed() <= uploaded + RESPONSE_HEAD);
    }
}

const RESPONSE_HEAD: Duration = Duration::from_secs(30);
