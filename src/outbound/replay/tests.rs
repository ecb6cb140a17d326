//! The body between attempts, polled by hand.

use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};

use super::*;

mod schedules;

const CAP: usize = 1000;

fn budget() -> ReplayBudget {
    ReplayBudget::new(10 * CAP)
}

/// A body of which nothing else is known.
pub(super) struct Steps {
    steps: VecDeque<Step>,
    exact: Option<u64>,
    _alive: Arc<()>,
}

#[derive(Clone)]
pub(super) enum Step {
    /// The client is silent; whoever polls is woken by nobody.
    Silent,
    Data(Bytes),
    Trailers(HeaderMap),
    Fails,
}

/// The body, and what tells whether it is still held.
pub(super) fn body(steps: impl IntoIterator<Item = Step>) -> (Steps, std::sync::Weak<()>) {
    let alive = Arc::new(());
    let told = Arc::downgrade(&alive);
    let steps = Steps {
        steps: steps.into_iter().collect(),
        exact: None,
        _alive: alive,
    };
    (steps, told)
}

fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

impl Body for Steps {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Silent) => Poll::Pending,
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::Fails) => Poll::Ready(Some(Err(std::io::Error::other("the client left")))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.exact.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What one poll of an attempt's body brought.
#[derive(Debug, PartialEq)]
pub(super) enum Read {
    Nothing,
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Error,
}

pub(super) fn read(body: &mut OutboundBody) -> Read {
    read_as(body, Waker::noop())
}

fn read_as(body: &mut OutboundBody, waker: &Waker) -> Read {
    match Pin::new(body).poll_frame(&mut Context::from_waker(waker)) {
        Poll::Pending => Read::Nothing,
        Poll::Ready(None) => Read::End,
        Poll::Ready(Some(Err(_))) => Read::Error,
        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
            Ok(data) => Read::Data(data),
            Err(frame) => Read::Trailers(frame.into_trailers().unwrap()),
        },
    }
}

/// All that can be had without waiting, and how it ended.
fn rest(body: &mut OutboundBody) -> (String, Read) {
    let (bytes, end) = rest_of_bytes(body);
    (String::from_utf8(bytes).unwrap(), end)
}

fn rest_of_bytes(body: &mut OutboundBody) -> (Vec<u8>, Read) {
    let mut bytes = Vec::new();
    loop {
        match read(body) {
            Read::Data(data) => bytes.extend_from_slice(&data),
            other => return (bytes, other),
        }
    }
}

fn replay(steps: impl IntoIterator<Item = Step>) -> Replay {
    Replay::new(body(steps).0, &budget(), CAP, false)
}

fn attempt(replay: &Replay) -> OutboundBody {
    replay.attempt(false).unwrap().0
}

#[tokio::test]
async fn a_take_over_gives_everything_from_the_first_byte_and_ends_the_old_attempt() {
    let replay = replay([data("one"), data("two"), Step::Silent, data("three")]);
    let mut first = attempt(&replay);
    assert_eq!(rest(&mut first), ("onetwo".into(), Read::Nothing));
    let mut second = attempt(&replay);
    assert_eq!(read(&mut first), Read::Error);
    assert_eq!(read(&mut second), Read::Data("one".into()));
    assert_eq!(read(&mut first), Read::Error);
    assert_eq!(rest(&mut second), ("twothree".into(), Read::End));
    assert_eq!(replay.pulled(), 11);
}

#[tokio::test]
async fn whoever_waits_is_woken_by_a_take_over_by_the_gate_and_by_the_end() {
    for wakes in [
        |replay: &Replay, _: &Gate| drop(replay.attempt(false)),
        |replay: &Replay, _: &Gate| replay.open_gate(),
        |_: &Replay, gate: &Gate| gate.open(),
        |replay: &Replay, _: &Gate| replay.halt(),
        |replay: &Replay, _: &Gate| replay.close(),
    ] {
        let replay = replay([data("one")]);
        let (mut body, gate) = replay.attempt(true).unwrap();
        let woken = Arc::<Woken>::default();
        assert_eq!(
            read_as(&mut body, &Arc::clone(&woken).into()),
            Read::Nothing
        );
        wakes(&replay, &gate);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_gate_holds_everything_back_and_opens_for_its_own_attempt_only() {
    let replay = replay([data("one")]);
    let (mut first, late) = replay.attempt(true).unwrap();
    assert_eq!(read(&mut first), Read::Nothing);
    let (mut second, gate) = replay.attempt(true).unwrap();
    late.open();
    assert!(replay.progress().gated);
    assert_eq!(read(&mut second), Read::Nothing);
    assert_eq!(replay.pulled(), 0);
    gate.open();
    assert_eq!(rest(&mut second), ("one".into(), Read::End));
}

#[tokio::test]
async fn a_halted_attempt_reads_no_more_and_the_next_gets_all() {
    let replay = replay([data("one"), data("two")]);
    let mut first = attempt(&replay);
    assert_eq!(read(&mut first), Read::Data("one".into()));
    replay.halt();
    assert_eq!(read(&mut first), Read::Error);
    assert_eq!(replay.pulled(), 3);
    assert_eq!(rest(&mut attempt(&replay)), ("onetwo".into(), Read::End));
}

#[tokio::test]
async fn what_is_over_the_cap_is_given_once() {
    for (extra, again) in [(0, true), (1, false)] {
        let budget = budget();
        let piece = Bytes::from(vec![b'x'; CAP + extra]);
        let replay = Replay::new(Full::new(piece), &budget, CAP, false);
        let mut first = attempt(&replay);
        assert!(replay.can_be_given_again());
        assert_eq!(rest(&mut first).0.len(), CAP + extra);
        assert_eq!(replay.can_be_given_again(), again, "{extra}");
        assert_eq!(replay.attempt(false).is_some(), again);
        assert_eq!(budget.used(), if again { CAP } else { 0 });
        drop((first, replay));
        assert_eq!(budget.used(), 0);
    }
}

#[tokio::test]
async fn a_spent_budget_means_given_once() {
    let budget = ReplayBudget::new(5);
    let one = Replay::new(Full::new(Bytes::from_static(b"one")), &budget, CAP, false);
    let two = Replay::new(Full::new(Bytes::from_static(b"two")), &budget, CAP, false);
    rest(&mut attempt(&one));
    rest(&mut attempt(&two));
    assert!(one.can_be_given_again());
    assert!(!two.can_be_given_again());
    // Nobody is refused: what was not kept was given.
    assert_eq!((two.pulled(), budget.used()), (3, 3));
}

#[tokio::test]
async fn what_is_recorded_holds_on_to_no_buffer_but_the_first() {
    struct Buffer(Vec<u8>, #[expect(dead_code, reason = "is held")] Arc<()>);
    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let alive = Arc::new(());
    let dribbled = |place: usize| {
        let buffer = vec![place as u8; 8192];
        let buffer = Bytes::from_owner(Buffer(buffer, Arc::clone(&alive)));
        Step::Data(buffer.slice(..1))
    };
    let bytes: Vec<u8> = (0..1000).map(|place| place as u8).collect();
    let mut steps: Vec<_> = (0..1000).map(dribbled).collect();
    steps.insert(600, Step::Silent);
    steps.insert(300, Step::Data(Bytes::new()));
    let budget = ReplayBudget::new(CAP);
    let replay = Replay::new(body(steps).0, &budget, CAP, false);
    assert_eq!(rest_of_bytes(&mut attempt(&replay)).0, bytes[..600]);
    assert_eq!(Arc::strong_count(&alive), 1 + 1 + 400);
    assert_eq!(budget.used(), 600);
    // And it is all there, for as many as ask: in the midst of it, or at its end.
    let mut second = attempt(&replay);
    assert_eq!(read(&mut second), Read::Data(bytes[..1].to_vec().into()));
    for _ in 0..2 {
        assert_eq!(
            rest_of_bytes(&mut attempt(&replay)),
            (bytes.clone(), Read::End)
        );
    }
    assert_eq!(Arc::strong_count(&alive), 2);
    assert_eq!(budget.used(), 1000);
    drop((second, replay));
    assert_eq!(budget.used(), 0);
}

//= src/docs/protocol.md#header-client-never
#[tokio::test]
async fn trailers_are_dropped_or_forwarded_without_identity_and_again() {
    let headers = |lines: &[(&str, &str)]| -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                let name: http::HeaderName = name.parse().unwrap();
                (name, value.parse().unwrap())
            })
            .collect()
    };
    let checksum = headers(&[("checksum", "1")]);
    let sent = headers(&[
        ("checksum", "1"),
        ("x-owa-proxysid", "S-1-5-18"),
        ("X_OWA_ExplicitLogonUser", "bob@contoso.com"),
        ("msExchLogonMailbox", "S-1-5-18"),
        ("cookie", "X-BEResource=evil"),
        ("authorization", "Basic Ym9i"),
        ("host", "evil"),
        ("signature", "cas=::"),
        ("transfer-encoding", "chunked"),
        ("content-length", "0"),
    ]);
    for forward in [false, true] {
        let (steps, _) = body([data("one"), Step::Trailers(sent.clone())]);
        let replay = Replay::new(steps, &budget(), CAP, forward);
        for _ in 0..2 {
            let mut attempt = attempt(&replay);
            assert_eq!(read(&mut attempt), Read::Data("one".into()));
            if forward {
                assert_eq!(read(&mut attempt), Read::Trailers(checksum.clone()));
            }
            assert_eq!(read(&mut attempt), Read::End);
            assert!(replay.progress().ended.is_some());
        }
    }
}

#[tokio::test]
async fn an_untouched_body_can_be_had_back_and_a_touched_one_cannot() {
    let replay = replay([data("one")]);
    let (mut first, gate) = replay.attempt(true).unwrap();
    assert_eq!(read(&mut first), Read::Nothing);
    assert!(replay.reclaim::<Empty<Bytes>>().is_none(), "it is no Empty");
    assert_eq!(read(&mut first), Read::Error);
    let mut steps = replay.reclaim::<Steps>().unwrap();
    assert!(pin!(steps.frame()).now().is_some());
    assert!(replay.reclaim::<Steps>().is_none(), "it is gone");
    gate.open();

    let replay = self::replay([data("one")]);
    assert_eq!(rest(&mut attempt(&replay)), ("one".into(), Read::End));
    assert!(replay.reclaim::<Steps>().is_none());
    assert_eq!(rest(&mut attempt(&replay)), ("one".into(), Read::End));
}

/// A future's output, if it is there at once.
trait Now: Future {
    fn now(self: Pin<&mut Self>) -> Option<Self::Output> {
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}

impl<F: Future> Now for F {}

#[tokio::test]
async fn an_accepted_body_goes_on_from_the_recording_and_then_costs_nothing() {
    let budget = budget();
    let steps = [data("one"), data("two"), Step::Silent, data("three")];
    let replay = Replay::new(body(steps).0, &budget, CAP, false);
    rest(&mut attempt(&replay));
    let mut second = attempt(&replay);
    replay.forget();
    assert_eq!(budget.used(), 6, "the second attempt has read nothing yet");
    assert_eq!(rest(&mut second), ("onetwothree".into(), Read::End));
    assert_eq!(budget.used(), 0);
    assert!(!replay.can_be_given_again());
}

#[tokio::test]
async fn a_closed_body_is_let_go_of_though_attempts_live_on() {
    let (budget, (steps, alive)) = (budget(), body([data("one"), data("two")]));
    let replay = Replay::new(steps, &budget, CAP, false);
    let (mut attempt, gate) = replay.attempt(false).unwrap();
    assert_eq!(read(&mut attempt), Read::Data("one".into()));
    assert_eq!((alive.strong_count(), budget.used()), (1, 3));
    replay.close();
    assert_eq!((alive.strong_count(), budget.used()), (0, 0));
    gate.open();
    assert_eq!(read(&mut attempt), Read::Error);
    assert!(replay.attempt(false).is_none());
}

#[tokio::test]
async fn an_attempt_that_had_everything_hears_no_more_of_the_others() {
    for (exact, polls) in [(None, 2), (Some(3), 1)] {
        let (mut steps, _) = body([data("one")]);
        steps.exact = exact;
        let replay = Replay::new(steps, &budget(), CAP, false);
        let mut attempt = attempt(&replay);
        for _ in 0..polls {
            read(&mut attempt);
        }
        assert!(replay.progress().ended.is_some());
        replay.close();
        // A sender looks whether that was the last piece, or asks for the next one.
        assert!(attempt.is_end_stream());
        assert_eq!(read(&mut attempt), Read::End);
    }
}

#[tokio::test]
async fn a_client_that_breaks_off_is_told_from_a_server_that_does() {
    let replay = replay([data("one"), Step::Fails]);
    let mut attempt = attempt(&replay);
    assert_eq!(rest(&mut attempt), ("one".into(), Read::Error));
    assert!(replay.client_failed());
    assert!(replay.attempt(false).is_none());
}

#[tokio::test]
async fn an_attempt_that_lets_go_has_ended() {
    let replay = replay([data("one"), data("two")]);
    let mut first = attempt(&replay);
    read(&mut first);
    assert_eq!(replay.progress().ended, None);
    let mut told = pin!(replay.changed());
    told.as_mut().enable();
    drop(first);
    assert!(replay.progress().ended.is_some());
    assert!(told.now().is_some());
    let second = attempt(&replay);
    assert_eq!(replay.progress().ended, None);
    drop((attempt(&replay), second));
    assert!(replay.progress().ended.is_some(), "by the third attempt");
}

#[cfg(feature = "client")]
#[tokio::test]
async fn what_waits_for_the_upload_is_done_once_it_is_whole_or_never() {
    type Then = fn(&Replay, OutboundBody);
    let rows: [(&str, bool, Then); 8] = [
        ("read to its end", true, |_, mut body| drop(rest(&mut body))),
        ("read to its end, and closed", true, |replay, mut body| {
            rest(&mut body);
            replay.close();
        }),
        ("counted", true, |_, mut body| {
            read(&mut body);
            read(&mut body);
            drop(body);
        }),
        ("let go", false, |_, mut body| {
            read(&mut body);
            drop(body);
        }),
        ("let go unread", false, |_, body| drop(body)),
        ("taken over", false, |replay, body| {
            let next = attempt(replay);
            drop((body, next));
        }),
        ("halted", false, |replay, _| replay.halt()),
        ("closed", false, |replay, _| replay.close()),
    ];
    for (name, done, end) in rows {
        for late in [false, true] {
            let (mut steps, _) = body([data("one"), data("two")]);
            steps.exact = Some(6);
            let replay = Replay::new(steps, &budget(), CAP, true);
            let body = attempt(&replay);
            let upload = body.upload().unwrap();
            let (tell, mut told) = tokio::sync::oneshot::channel();
            let then = move || tell.send(()).unwrap();
            if late {
                end(&replay, body);
                upload.when_sent(then);
            } else {
                upload.when_sent(then);
                end(&replay, body);
            }
            assert_eq!(told.try_recv().is_ok(), done, "{name}, late: {late}");
        }
    }
}

#[tokio::test]
async fn the_size_told_is_what_is_left_for_this_attempt() {
    let (mut steps, _) = body([data("one"), data("two")]);
    steps.exact = Some(6);
    let replay = Replay::new(steps, &budget(), CAP, false);
    let mut first = attempt(&replay);
    assert_eq!(first.size_hint().exact(), Some(6));
    read(&mut first);
    assert_eq!(first.size_hint().exact(), Some(3));
    assert_eq!(attempt(&replay).size_hint().exact(), Some(6));
    assert_eq!(replay.exact(), Some(6));
    let unsized_body = self::replay([data("one")]);
    assert_eq!(attempt(&unsized_body).size_hint().exact(), None);
}

//= src/docs/protocol.md#failover-when
#[tokio::test]
async fn a_body_that_turned_out_empty_is_known_to_be_empty() {
    let replay = self::replay([]);
    let mut first = attempt(&replay);
    assert_eq!((replay.exact(), first.size_hint().exact()), (None, None));
    assert!(matches!(read(&mut first), Read::End));
    let second = attempt(&replay);
    assert_eq!(
        (replay.exact(), second.size_hint().exact()),
        (Some(0), Some(0))
    );
    assert!(second.is_end_stream());
}
