//! A crowd of clients that hardly send.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use cas_proxy::{
    first_cas::Limits,
    outbound::{OutboundBody, OutboundService},
};
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, Sleep, sleep},
};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::support::{Peer, by, first_cas, status};

/// Half a kibibyte at once, and then a byte a second for ever.
struct Trickle {
    sized: bool,
    begun: bool,
    next: Pin<Box<Sleep>>,
    _alive: Arc<()>,
}

impl Trickle {
    fn new(sized: bool, alive: &Arc<()>) -> Self {
        Self {
            sized,
            begun: false,
            next: Box::pin(sleep(SECOND)),
            _alive: Arc::clone(alive),
        }
    }
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !std::mem::replace(&mut self.begun, true) {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; BEGINNING])))));
        }
        ready!(self.next.as_mut().poll(cx));
        self.next.as_mut().reset(Instant::now() + SECOND);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
    }

    fn size_hint(&self) -> SizeHint {
        match self.sized {
            true => SizeHint::with_exact(32 * 1024),
            false => SizeHint::default(),
        }
    }
}

/// A second CAS that reads all there is. It asks once who somebody is who writes a letter, and knows everybody else.
struct Dallas {
    reading: AtomicUsize,
    /// Requests to `held` are here together before one is answered.
    held: Semaphore,
    all_held: usize,
    letters: AtomicUsize,
}

impl Dallas {
    async fn answer(self: Arc<Self>, request: Request<OutboundBody>) -> io::Result<u16> {
        struct Reading<'d>(&'d AtomicUsize);
        impl Drop for Reading<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let (parts, body) = request.into_parts();
        self.reading.fetch_add(1, Ordering::SeqCst);
        let reading = Reading(&self.reading);
        body.collect().await.map_err(io::Error::other)?;
        drop(reading);
        Ok(match parts.uri.path() {
            "/owa/proxyLogon.owa" => 241,
            "/owa/letter"
                if self
                    .letters
                    .fetch_add(1, Ordering::SeqCst)
                    .is_multiple_of(2) =>
            {
                441
            }
            "/owa/held" => {
                self.held.add_permits(1);
                let all = u32::try_from(self.all_held).unwrap();
                drop(self.held.acquire_many(all).await.unwrap());
                200
            }
            _ => 200,
        })
    }
}

type Asked = Request<UnsyncBoxBody<Bytes, Infallible>>;

fn request<B>(rid: u32, method: Method, path: &str, body: B) -> Asked
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    by(rid, method, path).body(body.boxed_unsync()).unwrap()
}

async fn status_of(layer: CasProxyLayer, request: Asked) -> u16 {
    let inner = service_fn(|_: Asked| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let answer = layer.layer(inner).oneshot(request).await.unwrap();
    answer.status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_that_trickle_are_let_go_of_after_a_minute_and_leave_others_alone() {
    let before = Handle::current().metrics().num_alive_tasks();
    let dallas = Arc::new(Dallas {
        reading: AtomicUsize::new(0),
        held: Semaphore::new(0),
        all_held: CROWD + ROOM,
        letters: AtomicUsize::new(0),
    });
    let serving = Arc::clone(&dallas);
    let outbound = OutboundService::new(service_fn(move |request| {
        let answer = Arc::clone(&serving).answer(request);
        async move { answer.await.map(status) }
    }));
    let mut limits = Limits::default();
    limits.in_flight_per_server = CROWD + ROOM;
    // What the crowd has begun is kept, and leaves less than a letter takes.
    limits.recorded = CROWD * BEGINNING + LETTER / 2;
    limits.recorded_per_request = LETTER;
    limits.sent_without_asking = LETTER as u64;
    let layer = first_cas(&Peer::default(), &["dallas"])
        .outbound(outbound)
        .limits(limits);
    let letter = || {
        request(
            2,
            Method::POST,
            "/owa/letter",
            Full::from(vec![b'x'; LETTER]),
        )
    };

    let alive = Arc::new(());
    let mut crowd = JoinSet::new();
    let since = Instant::now();
    for number in 0..CROWD {
        let body = Trickle::new(number % 4 > 0, &alive);
        let asked = request(5, Method::POST, "/owa/slow", body);
        let asked = status_of(layer.clone(), asked);
        crowd.spawn(async move { (asked.await, since.elapsed().as_secs()) });
    }
    sleep(30 * SECOND).await;
    assert_eq!(dallas.reading.load(Ordering::SeqCst), CROWD);
    assert_eq!(Arc::strong_count(&alive), CROWD + 1);
    let asked = Instant::now();
    let get = request(2, Method::GET, "/owa/", Full::default());
    assert_eq!(status_of(layer.clone(), get).await, 200);
    let post = request(2, Method::POST, "/owa/", Full::from("mail"));
    assert_eq!(status_of(layer.clone(), post).await, 200);
    // For want of memory its body could not be given again.
    assert_eq!(status_of(layer.clone(), letter()).await, 503);
    dallas.letters.store(0, Ordering::SeqCst);
    assert_eq!(asked.elapsed(), Duration::ZERO);

    let mut ended = Vec::new();
    while let Some(one) = crowd.join_next().await {
        ended.push(one.unwrap());
    }
    assert_eq!(ended.len(), CROWD);
    // Those of no known size began a second later, when nobody had said 100 Continue.
    let in_time = |(status, seconds): &(u16, u64)| *status == 408 && (60..=61).contains(seconds);
    assert!(ended.iter().all(in_time), "{ended:?}");

    sleep(SECOND).await;
    assert_eq!(dallas.reading.load(Ordering::SeqCst), 0);
    assert_eq!(Arc::strong_count(&alive), 1);
    assert_eq!(status_of(layer.clone(), letter()).await, 200);
    // All the places at once.
    for _ in 0..CROWD + ROOM {
        let held = request(5, Method::GET, "/owa/held", Full::default());
        crowd.spawn({
            let held = status_of(layer.clone(), held);
            async move { (held.await, 0) }
        });
    }
    while let Some(one) = crowd.join_next().await {
        assert_eq!(one.unwrap().0, 200);
    }
    drop(layer);
    sleep(SECOND).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), before);
}

const CROWD: usize = 1000;
/// Places that it leaves.
const ROOM: usize = 3;
const BEGINNING: usize = 512;
const LETTER: usize = 64 * 1024;
const SECOND: Duration = Duration::from_secs(1);
