//! Whatever becomes of a request: its body, its connection and its bytes of the budget are let go of.

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use cas_proxy::first_cas::{Limits, ResponseBody};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::support::{
    by,
    wire::{CONTINUE, NEED_IDENTITY, OK},
};

const MEGABYTE: u64 = 1024 * 1024;

/// An upload of one megabyte, and what it leaves behind.
struct Upload {
    pipes: Pipes,
    layer: CasProxyLayer,
    /// Counts what was read of the body, and is shared by it while it lives.
    pulled: Arc<AtomicU64>,
}

type Answer = Response<ResponseBody<String>>;

impl Upload {
    fn new() -> (Self, Request<Counted>) {
        let (pipes, (body, pulled)) = (Pipes::new(), Counted::new(MEGABYTE, true));
        let layer = layer(&pipes, &["dallas"]);
        let request = by(2, Method::POST, "/owa/x").body(body).unwrap();
        let upload = Self {
            pipes,
            layer,
            pulled,
        };
        (upload, request)
    }

    fn send(&self, request: Request<Counted>) -> impl Future<Output = Answer> + Send + use<> {
        let never = service_fn(|_: Request<Counted>| async {
            Err::<Response<String>, _>(std::io::Error::other("not served here"))
        });
        let answer = self.layer.layer(never).oneshot(request);
        async { answer.await.unwrap() }
    }

    fn pulled(&self) -> u64 {
        self.pulled.load(Ordering::SeqCst)
    }

    fn body_is_gone(&self) -> bool {
        Arc::strong_count(&self.pulled) == 1
    }

    /// Waits for tasks to do what they can do at once.
    async fn settle(&self) {
        sleep(Duration::from_millis(1)).await;
    }

    async fn nothing_is_left(&self) {
        self.settle().await;
        assert!(self.body_is_gone(), "the client's body");
        assert_eq!(self.pipes.open(), 0, "connections");
    }
}

async fn text(answer: Answer) -> (u16, String) {
    let status = answer.status().as_u16();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(text.to_vec()).unwrap())
}

/// Takes the head of the next request, and lets its body come.
async fn begun(upload: &Upload) -> Line {
    let mut line = upload.pipes.accept().await;
    line.head().await;
    line.answer(CONTINUE).await;
    line
}

#[tokio::test(start_paused = true)]
async fn a_second_cas_that_reads_no_more_is_left_after_a_minute() {
    let (upload, request) = Upload::new();
    let started = Instant::now();
    let answer = tokio::spawn(upload.send(request));
    let _line = begun(&upload).await;
    assert_eq!(text(answer.await.unwrap()).await.0, 504);
    // It read the beginning in the first minute.
    assert_eq!(started.elapsed().as_secs(), 120);
    upload.nothing_is_left().await;
    assert!(upload.pulled() < MEGABYTE);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_takes_everything_along() {
    for leaves_before_continue in [true, false] {
        let (upload, request) = Upload::new();
        let answer = tokio::spawn(upload.send(request));
        let mut line = upload.pipes.accept().await;
        line.head().await;
        if !leaves_before_continue {
            line.answer(CONTINUE).await;
        }
        upload.settle().await;
        assert!(!upload.body_is_gone());
        answer.abort();
        // The second CAS reads no more, and still nothing is left.
        upload.nothing_is_left().await;
        assert_eq!(upload.pulled() == 0, leaves_before_continue);
    }
}

#[tokio::test(start_paused = true)]
async fn an_early_success_passes_and_the_body_goes_on() {
    let (upload, request) = Upload::new();
    let answer = tokio::spawn(upload.send(request));
    let mut line = begun(&upload).await;
    line.answer(OK).await;
    assert_eq!(text(answer.await.unwrap()).await, (200, "ok".into()));
    upload.settle().await;
    assert!(upload.pulled() < MEGABYTE);
    let arrived = line.exactly(MEGABYTE as usize).await;
    assert!(Counted::begins(&arrived));
    upload.settle().await;
    assert!(upload.body_is_gone());
    assert_eq!(upload.pipes.open(), 1, "free for the next request");
    sleep(Duration::from_secs(60)).await;
    upload.nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn after_an_early_success_the_body_may_take_its_time() {
    let (upload, request) = Upload::new();
    let answer = tokio::spawn(upload.send(request));
    let mut line = begun(&upload).await;
    line.answer(OK).await;
    assert_eq!(text(answer.await.unwrap()).await, (200, "ok".into()));
    let mut arrived = Vec::new();
    while arrived.len() < 1_000_000 {
        arrived.extend(line.exactly(10_000).await);
        sleep(Duration::from_secs(1)).await;
    }
    arrived.extend(line.exactly(MEGABYTE as usize - arrived.len()).await);
    assert!(Counted::begins(&arrived));
    sleep(Duration::from_secs(60)).await;
    upload.nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn an_early_success_is_no_reason_to_wait_for_ever() {
    let (upload, request) = Upload::new();
    let answer = tokio::spawn(upload.send(request));
    let mut line = begun(&upload).await;
    line.answer(OK).await;
    assert_eq!(text(answer.await.unwrap()).await, (200, "ok".into()));
    upload.settle().await;
    assert!(!upload.body_is_gone());
    sleep(Duration::from_secs(121)).await;
    upload.nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_after_an_early_success_ends_the_upload() {
    let (upload, request) = Upload::new();
    let answer = tokio::spawn(upload.send(request));
    let mut line = begun(&upload).await;
    line.answer(OK).await;
    assert_eq!(text(answer.await.unwrap()).await, (200, "ok".into()));
    drop(line);
    upload.nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_to_its_end_ends_its_connection() {
    let (upload, request) = Upload::new();
    let answer = tokio::spawn(upload.send(request));
    let mut line = begun(&upload).await;
    line.answer("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok")
        .await;
    let answer = answer.await.unwrap();
    upload.settle().await;
    assert_eq!(upload.pipes.open(), 1);
    drop(answer);
    upload.nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_before_the_body_passes_and_leaves_the_body_with_the_client() {
    for answer_text in [
        "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 503 Later\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 302 There\r\nlocation: /\r\ncontent-length: 2\r\n\r\nno",
    ] {
        let (upload, request) = Upload::new();
        let answer = tokio::spawn(upload.send(request));
        let mut line = upload.pipes.accept().await;
        line.head().await;
        let (first, rest) = answer_text.split_at(answer_text.len() - 2);
        line.answer(first).await;
        let answer = answer.await.unwrap();
        sleep(Duration::from_secs(10)).await;
        line.answer(rest).await;
        assert_eq!(text(answer).await.1, "no");
        upload.nothing_is_left().await;
        assert_eq!(upload.pulled(), 0);
    }
}

//= src/docs/protocol.md#login-twice
#[tokio::test(start_paused = true)]
async fn what_was_refused_by_441_is_closed_whoever_reads_on() {
    let (mut upload, request) = Upload::new();
    let mut limits = Limits::default();
    limits.recorded_per_request = MEGABYTE as usize;
    upload.layer = upload.layer.limits(limits);
    let answer = tokio::spawn(upload.send(request));
    let mut first = begun(&upload).await;
    first.answer(NEED_IDENTITY).await;
    let mut login = upload.pipes.accept().await;
    let head = login.head().await;
    login.body(&head).await;
    // The first connection is full of bytes that nobody reads.
    assert_eq!(
        upload.pipes.open(),
        1,
        "the first is closed before the login is done"
    );
    let pulled = upload.pulled();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(
        upload.pulled(),
        pulled,
        "nothing is read for an attempt that is over"
    );
    login.answer(ACCEPTED).await;
    let head = login.head().await;
    login.answer(CONTINUE).await;
    let arrived = login.body(&head).await;
    assert!(Counted::begins(&arrived) && arrived.len() as u64 == MEGABYTE);
    login.answer(OK).await;
    assert_eq!(text(answer.await.unwrap()).await, (200, "ok".into()));
    upload.settle().await;
    assert!(upload.body_is_gone());
    assert_eq!(upload.pipes.open(), 1);
}

/// One request that needs `size` bytes of the budget, all there are, to be given again.
async fn needs_all_of_the_budget(pipes: &Pipes, layer: &CasProxyLayer, size: u64) -> u16 {
    let (body, _) = Counted::new(size, true);
    let request = by(2, Method::POST, "/owa/x").body(body).unwrap();
    let never = service_fn(|_: Request<Counted>| async {
        Err::<Response<String>, _>(std::io::Error::other("not served here"))
    });
    let answer = tokio::spawn(layer.layer(never).oneshot(request));
    let mut line = pipes.accept().await;
    let head = line.head().await;
    line.body(&head).await;
    line.answer(NEED_IDENTITY).await;
    let head = line.head().await;
    line.body(&head).await;
    line.answer(ACCEPTED).await;
    if let Ok(Some(head)) = timeout(Duration::from_secs(1), line.next_head()).await {
        line.body(&head).await;
        line.answer(OK).await;
    }
    answer.await.unwrap().unwrap().status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_is_a_503_that_asks_to_come_again_and_comes_back_with_the_request() {
    let pipes = Pipes::new();
    let mut limits = Limits::default();
    limits.recorded = 10_000;
    let layer = layer(&pipes, &["dallas"]).limits(limits);
    assert_eq!(needs_all_of_the_budget(&pipes, &layer, 10_001).await, 503);
    assert_eq!(needs_all_of_the_budget(&pipes, &layer, 10_000).await, 200);

    // One that waits for its answer holds the whole budget.
    let (body, _) = Counted::new(10_000, true);
    let request = by(2, Method::POST, "/owa/x").body(body).unwrap();
    let never = service_fn(|_: Request<Counted>| async {
        Err::<Response<String>, _>(std::io::Error::other("not served here"))
    });
    let holder = tokio::spawn(layer.layer(never).oneshot(request));
    let mut held = pipes.accept().await;
    let head = held.head().await;
    held.body(&head).await;
    assert_eq!(needs_all_of_the_budget(&pipes, &layer, 1).await, 503);
    // Its client leaves, though the second CAS goes on.
    holder.abort();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(needs_all_of_the_budget(&pipes, &layer, 10_000).await, 200);
    let mut closed = pin!(held.closed());
    assert!(timeout(Duration::from_secs(1), &mut closed).await.is_ok());
}
