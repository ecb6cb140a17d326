//! The client's body, given to one attempt at a time.
//!
//! An attempt whose answer was 441 is not waited for: the next one *takes the body over*. From then on the
//! old attempt reads an error, so no byte is given twice and none is lost, however late the old connection
//! is dropped.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::{sync::Notify, time::Instant};

use super::{
    BoxError,
    body::OutboundBody,
    budget::{ReplayBudget, Share},
};
use crate::wire::hop_by_hop;

/// The pipeline's handle on a request body.
#[derive(Clone)]
pub(crate) struct Replay(Arc<Shared>);

/// The same body as one attempt sees it.
pub(crate) struct AttemptBody {
    shared: Arc<Shared>,
    epoch: u64,
}

/// How far the current attempt's upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes given to the current attempt.
    pub(crate) given: u64,
    /// Whether the last read found the client silent; otherwise it is the second hop that does not read.
    pub(crate) starving: bool,
    /// When the last byte was given, if it was.
    pub(crate) ended: Option<Instant>,
    /// Whether the gate still holds the body back.
    pub(crate) gated: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Told when the gate opens, the upload ends or the body is closed.
    changed: Notify,
}

struct State {
    source: Box<dyn Source>,
    exact: Option<u64>,
    epoch: u64,
    gated: bool,
    waker: Option<Waker>,
    recording: Recording,
    /// Recorded pieces the current attempt was given. What is copied while it reads is of its own reading.
    cursor: usize,
    forward_trailers: bool,
    pulled: u64,
    given: u64,
    starving: bool,
    source_ended: bool,
    source_failed: bool,
    ended: Option<Instant>,
}

enum Recording {
    On {
        pieces: Vec<Bytes>,
        /// What came after them, copied.
        copied: Vec<u8>,
        share: Share,
        cap: usize,
    },
    /// Given up: over a cap, or no longer wanted.
    Off,
}

impl Replay {
    /// Wraps a client's body, of which nothing has been read. At most `cap` bytes are recorded.
    pub(crate) fn new<B>(body: B, budget: &ReplayBudget, cap: usize, forward_trailers: bool) -> Self
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                exact: body.size_hint().exact(),
                source: Box::new(Lazy::Untouched(body)),
                epoch: 0,
                gated: false,
                waker: None,
                recording: Recording::On {
                    pieces: Vec::new(),
                    copied: Vec::new(),
                    share: budget.share(),
                    cap,
                },
                cursor: 0,
                forward_trailers,
                pulled: 0,
                given: 0,
                starving: false,
                source_ended: false,
                source_failed: false,
                ended: None,
            }),
            changed: Notify::new(),
        }))
    }

    /// Gives the body, from its first byte, to a new attempt and ends every earlier one.
    ///
    /// With `gated`, nothing is read before [`Replay::open_gate`]. `None` if bytes have left that were
    /// not recorded: the body can't be given again.
    pub(crate) fn attempt(&self, gated: bool) -> Option<(OutboundBody, Gate)> {
        let mut state = self.0.lock();
        if !state.can_be_given_again() {
            return None;
        }
        state.supersede();
        state.seal();
        state.gated = gated;
        state.cursor = 0;
        state.given = 0;
        state.starving = false;
        state.ended = None;
        let epoch = state.epoch;
        let body = AttemptBody {
            shared: Arc::clone(&self.0),
            epoch,
        };
        let gate = Gate {
            shared: Arc::clone(&self.0),
            epoch,
        };
        Some((OutboundBody::shared(body), gate))
    }

    /// Lets the current attempt read.
    pub(crate) fn open_gate(&self) {
        self.0.open_gate(None);
    }

    /// Ends every attempt: what has not been read stays unread, and the connection that waits for it fails.
    pub(crate) fn close(&self) {
        self.0.lock().supersede();
        self.0.changed.notify_waiters();
    }

    /// Stops recording and gives its bytes back: an answer has been accepted.
    pub(crate) fn forget(&self) {
        let mut state = self.0.lock();
        // The current attempt may still be in the recorded part; it must get the rest of it first.
        if let Recording::On { cap, .. } = &mut state.recording {
            *cap = 0;
        }
        state.settle();
    }

    /// Whether the body can be given from its first byte once more.
    pub(crate) fn can_be_given_again(&self) -> bool {
        self.0.lock().can_be_given_again()
    }

    /// Bytes read from the client so far.
    pub(crate) fn pulled(&self) -> u64 {
        self.0.lock().pulled
    }

    /// Whether it was the client that broke the body off.
    pub(crate) fn client_failed(&self) -> bool {
        self.0.lock().source_failed
    }

    /// The size of the whole body, if the client said it.
    pub(crate) fn exact(&self) -> Option<u64> {
        self.0.lock().exact
    }

    pub(crate) fn progress(&self) -> Progress {
        let state = self.0.lock();
        Progress {
            given: state.given,
            starving: state.starving,
            ended: state.ended,
            gated: state.gated,
        }
    }

    /// Completes at the next change of [`Progress::ended`] or [`Progress::gated`] after this call.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.changed.notified()
    }

    /// The body itself, if it is a `B` of which nothing was ever read.
    pub(crate) fn reclaim<B: 'static>(&self) -> Option<B> {
        let mut state = self.0.lock();
        state.supersede();
        let lazy = (state.source.as_mut() as &mut dyn Any).downcast_mut::<Lazy<B>>()?;
        match std::mem::replace(lazy, Lazy::Gone) {
            Lazy::Untouched(body) => Some(body),
            touched => {
                *lazy = touched;
                None
            }
        }
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Replay").field(&self.progress()).finish()
    }
}

/// Opens the gate of one attempt, and of no later one: its `100 Continue` may come late.
pub(crate) struct Gate {
    shared: Arc<Shared>,
    epoch: u64,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.shared.open_gate(Some(self.epoch));
    }
}

impl AttemptBody {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.shared.lock();
        if state.epoch != self.epoch {
            return Poll::Ready(Some(Err(TakenOver.into())));
        }
        if state.gated {
            state.register(cx);
            return Poll::Pending;
        }
        let polled = match state.recorded() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => state.pull(cx),
        };
        state.settle();
        let ended = state.ended.is_some();
        drop(state);
        if ended {
            self.shared.changed.notify_waiters();
        }
        polled
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        let state = self.shared.lock();
        state.epoch == self.epoch && state.source_ended && state.caught_up()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let state = self.shared.lock();
        state.exact.map_or_else(SizeHint::default, |exact| {
            SizeHint::with_exact(exact.saturating_sub(state.given))
        })
    }
}

impl fmt::Debug for AttemptBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptBody")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A body that panicked in its poll leaves no half-made state of ours behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_gate(&self, epoch: Option<u64>) {
        let mut state = self.lock();
        if epoch.is_none_or(|epoch| epoch == state.epoch) && std::mem::take(&mut state.gated) {
            state.wake();
            drop(state);
            self.changed.notify_waiters();
        }
    }
}

impl State {
    fn can_be_given_again(&self) -> bool {
        !self.source_failed && (self.pulled == 0 || matches!(self.recording, Recording::On { .. }))
    }

    fn caught_up(&self) -> bool {
        match &self.recording {
            Recording::On { pieces, .. } => self.cursor >= pieces.len(),
            Recording::Off => true,
        }
    }

    fn recorded(&mut self) -> Option<Bytes> {
        let Recording::On { pieces, .. } = &self.recording else {
            return None;
        };
        let piece = pieces.get(self.cursor)?.clone();
        self.cursor += 1;
        self.given += piece.len() as u64;
        Some(piece)
    }

    fn supersede(&mut self) {
        self.epoch += 1;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn register(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// Reads the next piece from the client, recording it where that is still wanted.
    fn pull(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if self.source_ended {
                return Poll::Ready(None);
            }
            let frame = match self.source.poll_frame(cx) {
                Poll::Pending => {
                    self.starving = true;
                    self.register(cx);
                    return Poll::Pending;
                }
                Poll::Ready(None) => {
                    self.source_ended = true;
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.source_failed = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            self.starving = false;
            self.source_ended = self.source.is_end_stream();
            match frame.into_data() {
                Ok(piece) => {
                    self.pulled += piece.len() as u64;
                    self.given += piece.len() as u64;
                    self.record(&piece);
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                // A trailer can say who someone is, after every check has passed.
                Err(frame) if self.forward_trailers => {
                    return Poll::Ready(Some(Ok(without_claims(frame))));
                }
                Err(_) => {}
            }
        }
    }

    /// Keeps the first piece as it is, for most bodies have no other. Later ones are copied: each may be one byte
    /// that holds on to all of the buffer it was read into, and a client can send very many of them.
    fn record(&mut self, piece: &Bytes) {
        let Recording::On {
            pieces,
            copied,
            share,
            cap,
        } = &mut self.recording
        else {
            return;
        };
        if piece.is_empty() {
            // Nothing to keep, and there may be any number of them.
        } else if share.bytes() + piece.len() > *cap || !share.grow(piece.len()) {
            self.recording = Recording::Off;
        } else if share.bytes() == piece.len() {
            pieces.push(piece.clone());
            self.cursor = pieces.len();
        } else {
            copied.extend_from_slice(piece);
        }
    }

    /// Makes the copied bytes a piece, for the next attempt to read.
    fn seal(&mut self) {
        if let Recording::On { pieces, copied, .. } = &mut self.recording
            && !copied.is_empty()
        {
            pieces.push(std::mem::take(copied).into());
        }
    }

    /// Notes the end of the upload, and drops a recording that nobody will ask for.
    fn settle(&mut self) {
        if !self.caught_up() {
            return;
        }
        if matches!(self.recording, Recording::On { cap: 0, .. }) {
            self.recording = Recording::Off;
        }
        // A sender that counts bytes may never ask for the end behind the last one.
        if self.ended.is_none() && (self.source_ended || self.exact == Some(self.given)) {
            self.ended = Some(Instant::now());
        }
    }
}

/// Trailers without what belongs into a head, or to one hop, or says who someone is; data as it is.
//= src/docs/protocol.md#header-client-never
pub(super) fn without_claims(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            hop_by_hop::prepare_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(data) => data,
    }
}

/// A body of any type, pinned only when it is first read: untouched, it can be had back.
enum Lazy<B> {
    Untouched(B),
    Reading(Pin<Box<B>>),
    Gone,
}

trait Source: Any + Send {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>;
    fn is_end_stream(&self) -> bool;
}

impl<B> Source for Lazy<B>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if matches!(self, Lazy::Untouched(_))
            && let Lazy::Untouched(body) = std::mem::replace(self, Lazy::Gone)
        {
            *self = Lazy::Reading(Box::pin(body));
        }
        match self {
            Lazy::Reading(body) => body.as_mut().poll_frame(cx).map(|frame| {
                frame.map(|frame| {
                    frame
                        .map(|frame| {
                            frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
                        })
                        .map_err(Into::into)
                })
            }),
            Lazy::Untouched(_) | Lazy::Gone => Poll::Ready(Some(Err(TakenOver.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Lazy::Untouched(body) => body.is_end_stream(),
            Lazy::Reading(body) => body.is_end_stream(),
            Lazy::Gone => true,
        }
    }
}

/// What an attempt reads once another one has the body.
#[derive(Debug)]
struct TakenOver;

impl fmt::Display for TakenOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body was taken over by another attempt")
    }
}

impl std::error::Error for TakenOver {}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Weak};

    use http_body_util::BodyExt;

    use super::*;

    /// Pieces of one byte, each of which holds on to a buffer of its own.
    struct Dribbled {
        pieces: VecDeque<Bytes>,
    }

    struct Buffer(Arc<Vec<u8>>);

    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Body for Dribbled {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    fn dribbled(bytes: &[u8]) -> (Dribbled, Vec<Weak<Vec<u8>>>) {
        let mut buffers = Vec::new();
        let piece = |&byte: &u8| {
            let buffer = Arc::new(vec![byte; 8192]);
            buffers.push(Arc::downgrade(&buffer));
            Bytes::from_owner(Buffer(buffer)).slice(..1)
        };
        let pieces = bytes.iter().map(piece).collect();
        (Dribbled { pieces }, buffers)
    }

    #[tokio::test]
    async fn what_is_recorded_holds_on_to_no_buffer_but_the_first() {
        let bytes: Vec<u8> = (0..1000_u32).map(|place| place as u8).collect();
        let (body, buffers) = dribbled(&bytes);
        let budget = ReplayBudget::new(10_000);
        let replay = Replay::new(body, &budget, 10_000, false);
        let (mut first, _) = replay.attempt(false).unwrap();
        for byte in &bytes[..600] {
            let piece = first.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(piece, [*byte][..]);
        }
        let held = buffers[..600]
            .iter()
            .filter(|buffer| buffer.strong_count() > 0);
        assert_eq!(held.count(), 1);
        assert_eq!(budget.used(), 600);

        // And it is all there, for as many as ask: in the midst of it, or at its end.
        let (mut second, _) = replay.attempt(false).unwrap();
        for _ in 0..2 {
            second.frame().await.unwrap().unwrap();
        }
        for _ in 0..2 {
            let (last, _) = replay.attempt(false).unwrap();
            assert_eq!(last.collect().await.unwrap().to_bytes(), bytes);
        }
        assert!(first.frame().await.unwrap().is_err() && second.frame().await.unwrap().is_err());
        assert_eq!(budget.used(), 1000);
        drop((first, second, replay));
        assert_eq!(budget.used(), 0);
    }

    //= src/docs/protocol.md#header-client-never
    #[tokio::test]
    async fn trailers_that_are_let_through_say_nothing_of_anyone() {
        let trailers: http::HeaderMap = [
            ("x-owa-proxysid", "S-1-5-18"),
            ("X_OWA_ExplicitLogonUser", "bob@contoso.com"),
            ("msExchLogonMailbox", "S-1-5-18"),
            ("cookie", "X-BEResource=evil"),
            ("authorization", "Basic Ym9i"),
            ("host", "evil"),
            ("signature", "cas=::"),
            ("transfer-encoding", "chunked"),
            ("content-length", "0"),
            ("checksum", "1"),
        ]
        .into_iter()
        .map(|(name, value)| {
            (
                name.parse::<http::HeaderName>().unwrap(),
                value.parse().unwrap(),
            )
        })
        .collect();
        for (forward, expected) in [(true, vec!["checksum"]), (false, vec![])] {
            let body = http_body_util::Full::new(Bytes::from_static(b"a"))
                .with_trailers(std::future::ready(Some(Ok(trailers.clone()))));
            let replay = Replay::new(body, &ReplayBudget::new(10), 10, forward);
            let (attempt, _) = replay.attempt(false).unwrap();
            let sent = attempt.collect().await.unwrap();
            let names = sent
                .trailers()
                .map(|left| left.keys().map(|name| name.as_str()).collect());
            assert_eq!(names.unwrap_or(vec![]), expected);
        }
    }

    #[tokio::test]
    async fn empty_pieces_are_not_recorded() {
        let (mut body, _) = dribbled(b"ab");
        body.pieces.insert(1, Bytes::new());
        body.pieces.insert(0, Bytes::new());
        let replay = Replay::new(body, &ReplayBudget::new(10), 10, false);
        let (first, _) = replay.attempt(false).unwrap();
        assert_eq!(first.collect().await.unwrap().to_bytes(), "ab");
        let (second, _) = replay.attempt(false).unwrap();
        assert_eq!(second.collect().await.unwrap().to_bytes(), "ab");
        let Recording::On { pieces, .. } = &replay.0.lock().recording else {
            panic!("within its bounds")
        };
        assert!(pieces.iter().all(|piece| !piece.is_empty()));
    }
}
