//! Floods of HTTP/2 frames that cost their sender next to nothing: the line is closed, and little was done for them.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, split},
    sync::watch,
    time::{Instant, timeout},
};
use tower::service_fn;

use super::{
    accept_loop::{CLIENT, HEAD},
    server::connection,
};

/// What a flood came to.
struct Ended {
    /// Bytes the server took.
    taken: usize,
    /// Requests that reached the service.
    calls: usize,
    /// The reason in the server's GOAWAY, if it gave one.
    reason: Option<u32>,
    after: Duration,
}

/// Sends `first` and then `again` over and over, `times` times, in pieces of many; reads, or does not.
async fn flood(first: &[u8], again: impl Fn(u32) -> Vec<u8>, times: u32, reads: bool) -> Ended {
    let calls = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&calls);
    let service = service_fn(move |_: Request<Incoming>| {
        counter.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"mail"))))
        }
    });
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (_draining, drain) = watch::channel(false);
    let start = Instant::now();
    let served = tokio::spawn(connection(theirs, CLIENT, HEAD, service, drain));
    let (read, mut write) = split(ours);
    let reading = tokio::spawn(reason(read, reads));
    let taken = push(&mut write, first, again, times).await;
    // The line is kept up, and nothing more is said.
    timeout(Duration::from_secs(600), served)
        .await
        .expect("the line is closed")
        .unwrap();
    let after = start.elapsed();
    Ended {
        taken,
        calls: calls.load(Ordering::SeqCst),
        reason: reading.await.unwrap(),
        after,
    }
}

/// How many bytes went before the server took no more.
async fn push(
    write: &mut WriteHalf<DuplexStream>,
    first: &[u8],
    again: impl Fn(u32) -> Vec<u8>,
    times: u32,
) -> usize {
    let mut taken = 0;
    let mut batch = [PREFACE, &frame(SETTINGS, 0, 0, &[]), first].concat();
    for number in 0..times {
        batch.extend(again(number));
        if batch.len() < 16 * 1024 && number + 1 < times {
            continue;
        }
        match timeout(Duration::from_secs(300), write.write_all(&batch)).await {
            Ok(Ok(())) => taken += batch.len(),
            _ => break,
        }
        batch.clear();
    }
    taken
}

/// Reads until the server hangs up, for the reason in its GOAWAY; at once, or much too late.
async fn reason(mut read: ReadHalf<DuplexStream>, reads: bool) -> Option<u32> {
    if !reads {
        // Longer than any line is kept.
        tokio::time::sleep(Duration::from_secs(1000)).await;
    }
    let (mut head, mut found) = ([0; 9], None);
    while read.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        if read.read_exact(&mut payload).await.is_err() {
            break;
        }
        if head[3] == GOAWAY {
            found = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
    }
    found
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `:method GET`, `:scheme http`, `:path /` by the static table; `:authority a`.
const REQUEST: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// RFC 9113 section 6.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
// RFC 9113 section 7.
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const ENHANCE_YOUR_CALM: u32 = 11;

const MANY: u32 = 10_000;

#[tokio::test(start_paused = true)]
async fn requests_taken_back_at_once_end_the_line() {
    // CVE-2023-44487.
    let request = |number: u32| {
        let stream = number * 2 + 1;
        let flags = END_STREAM | END_HEADERS;
        let mut both = frame(HEADERS, flags, stream, REQUEST);
        both.extend(frame(RST_STREAM, 0, stream, &CANCEL));
        both
    };
    let ended = flood(&[], request, MANY, true).await;
    assert_eq!(ended.reason, Some(ENHANCE_YOUR_CALM));
    assert!(ended.calls < 200, "{} of {MANY} served", ended.calls);
    assert!(ended.taken < 256 * 1024, "{} bytes taken", ended.taken);
}

#[tokio::test(start_paused = true)]
async fn a_head_without_end_ends_the_line() {
    // CVE-2024-27316: pieces that are full, and pieces that are empty.
    let begin = frame(HEADERS, END_STREAM, 1, REQUEST);
    // A literal field, `x: ` and 16,000 times `x`.
    let mut field = vec![0x00, 0x01, b'x', 0x7f, 0x81, 0x7c];
    field.extend([b'x'; 16_000]);
    for piece in [field, Vec::new()] {
        let more = |_| frame(CONTINUATION, 0, 1, &piece);
        let ended = flood(&begin, more, MANY, true).await;
        assert_eq!(ended.calls, 0);
        assert!(
            ended.reason.is_some_and(|reason| reason != 0),
            "{:?} for pieces of {}",
            ended.reason,
            piece.len()
        );
        assert!(ended.taken < 1024 * 1024, "{} bytes taken", ended.taken);
    }
}

#[tokio::test(start_paused = true)]
async fn settings_and_pings_whose_answers_nobody_reads_are_not_piled_up() {
    for again in [
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
        frame(PING, 0, 0, &[0; 8]),
    ] {
        let ended = flood(&[], |_| again.clone(), 100 * MANY, false).await;
        assert_eq!(ended.calls, 0);
        assert!(ended.taken < 1024 * 1024, "{} bytes taken", ended.taken);
        assert!(ended.after < HEAD * 10, "{:?}", ended.after);
    }
}

#[tokio::test(start_paused = true)]
async fn settings_and_pings_are_no_reason_to_keep_a_line() {
    for again in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[0; 8])] {
        let ended = flood(&[], |_| again.clone(), MANY, true).await;
        assert_eq!(ended.calls, 0);
        assert!(ended.after < HEAD * 10, "{:?}", ended.after);
    }
}
