//! The body behind its lock: who may read it, how far it has been read, what is kept.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::Instant;

use super::{
    super::{BoxError, budget::ReplayBudget},
    Progress,
    recording::Recording,
    source::{self, Lazy, Source},
};
use crate::wire::trailers;

pub(super) struct State {
    /// Nothing once the body is closed.
    source: Option<Box<dyn Source>>,
    exact: Option<u64>,
    epoch: u64,
    gated: bool,
    waker: Option<Waker>,
    /// Given up over a cap, or when it is no longer wanted.
    recording: Option<Recording>,
    forward_trailers: bool,
    pulled: u64,
    given: u64,
    starving: bool,
    source_ended: bool,
    source_failed: bool,
    ended: Option<Instant>,
    /// The last attempt that was given everything.
    sent_whole: Option<u64>,
    when_sent: Option<Then>,
}

pub(super) type Then = Box<dyn FnOnce() + Send>;

/// What is to be done without the lock, for it may run anybody's code.
#[derive(Default)]
#[must_use]
pub(super) struct Aftermath {
    waker: Option<Waker>,
    then: Option<Then>,
    _dropped: (Option<Then>, Option<Box<dyn Source>>),
}

impl Aftermath {
    pub(super) fn follow(self) {
        if let Some(waker) = self.waker {
            waker.wake();
        }
        if let Some(then) = self.then {
            then();
        }
    }
}

impl State {
    pub(super) fn new<B>(body: B, budget: &ReplayBudget, cap: usize, forward_trailers: bool) -> Self
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self {
            exact: body.size_hint().exact(),
            source: Some(Box::new(Lazy::Untouched(body))),
            epoch: 0,
            gated: false,
            waker: None,
            recording: Some(Recording::new(budget.share(), cap)),
            forward_trailers,
            pulled: 0,
            given: 0,
            starving: false,
            source_ended: false,
            source_failed: false,
            ended: None,
            sent_whole: None,
            when_sent: None,
        }
    }

    /// Begins a new attempt, whose number is returned.
    pub(super) fn begin(&mut self, gated: bool) -> (u64, Aftermath) {
        let superseded = self.supersede();
        self.gated = gated;
        self.given = 0;
        self.starving = false;
        self.ended = None;
        if let Some(recording) = &mut self.recording {
            recording.rewind();
        }
        (self.epoch, superseded)
    }

    /// Ends the current attempt.
    pub(super) fn supersede(&mut self) -> Aftermath {
        self.epoch += 1;
        Aftermath {
            waker: self.waker.take(),
            then: None,
            _dropped: (self.when_sent.take(), None),
        }
    }

    pub(super) fn close(&mut self) -> Aftermath {
        let mut superseded = self.supersede();
        superseded._dropped.1 = self.source.take();
        self.recording = None;
        superseded
    }

    pub(super) fn forget(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.stop();
        }
        self.drop_recording();
    }

    pub(super) fn open_gate(&mut self, epoch: Option<u64>) -> Option<Waker> {
        if epoch.is_none_or(|epoch| epoch == self.epoch) && std::mem::take(&mut self.gated) {
            return self.waker.take();
        }
        None
    }

    pub(super) fn reclaim<B: 'static>(&mut self) -> Option<B> {
        source::reclaim(self.source.as_deref_mut()?)
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.gated {
            self.register(cx);
            return Poll::Pending;
        }
        if let Some(piece) = self.recording.as_mut().and_then(Recording::next) {
            let frame = Frame::from(piece);
            self.given += frame.data_ref().map_or(0, Bytes::len) as u64;
            return Poll::Ready(Some(Ok(frame)));
        }
        self.pull(cx)
    }

    /// Notes the end of the upload, if it has just come, and drops a recording that nobody will ask for.
    pub(super) fn settle(&mut self) -> Option<Aftermath> {
        self.drop_recording();
        if self.ended.is_some() || !self.is_at_end() {
            return None;
        }
        self.end(true);
        Some(Aftermath {
            then: self.when_sent.take(),
            ..Aftermath::default()
        })
    }

    /// An attempt's body has been dropped.
    pub(super) fn let_go(&mut self, epoch: u64) -> Option<Aftermath> {
        if !self.is_current(epoch) || self.ended.is_some() {
            return None;
        }
        let whole = self.is_caught_up() && (self.source_ended || self.exact == Some(self.given));
        self.end(whole);
        let then = self.when_sent.take();
        let (then, never) = if whole { (then, None) } else { (None, then) };
        Some(Aftermath {
            then,
            _dropped: (never, None),
            ..Aftermath::default()
        })
    }

    /// Keeps `then` for when the attempt has sent all; hands it back if it has. Dropped if it never will.
    #[cfg(feature = "client")]
    pub(super) fn when_sent(&mut self, epoch: u64, then: Then) -> Option<Then> {
        if self.sent_whole == Some(epoch) {
            return Some(then);
        }
        if self.is_current(epoch) && self.ended.is_none() {
            self.when_sent = Some(then);
        }
        None
    }

    pub(super) fn is_current(&self, epoch: u64) -> bool {
        self.epoch == epoch
    }

    pub(super) fn can_be_given_again(&self) -> bool {
        self.source.is_some()
            && !self.source_failed
            && (self.pulled == 0 || self.recording.is_some())
    }

    /// Whether the current attempt has been given everything.
    pub(super) fn is_at_end(&self) -> bool {
        // A sender that counts bytes may never ask for the end behind the last one.
        let counted = || self.exact == Some(self.given) && !self.forward_trailers;
        self.is_caught_up() && (self.source_ended || counted())
    }

    /// Bytes the current attempt still has to be given, if that is known.
    pub(super) fn left(&self) -> Option<u64> {
        if self.is_at_end() {
            return Some(0);
        }
        self.exact.map(|exact| exact.saturating_sub(self.given))
    }

    pub(super) fn pulled(&self) -> u64 {
        self.pulled
    }

    /// The size of the whole body: what the client said, or what there was of it.
    pub(super) fn exact(&self) -> Option<u64> {
        self.exact.or(self.source_ended.then_some(self.pulled))
    }

    pub(super) fn client_failed(&self) -> bool {
        self.source_failed
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            given: self.given,
            starving: self.starving,
            ended: self.ended,
            gated: self.gated,
        }
    }

    /// Reads the next piece from the client, recording it where that is still wanted.
    fn pull(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let Some(source) = self.source.as_mut().filter(|_| !self.source_ended) else {
                return Poll::Ready(None);
            };
            let frame = match source.poll_frame(cx) {
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
            self.source_ended = source.is_end_stream();
            match frame.into_data() {
                Ok(piece) => {
                    self.pulled += piece.len() as u64;
                    self.given += piece.len() as u64;
                    self.record(|recording| recording.keep(&piece));
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                // A trailer can say who someone is, after every check has passed.
                Err(frame) if self.forward_trailers => {
                    let frame = trailers::clean(frame);
                    if let Some(trailers) = frame.trailers_ref() {
                        self.record(|recording| recording.keep_trailers(trailers));
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Err(_) => {}
            }
        }
    }

    fn record(&mut self, keep: impl FnOnce(&mut Recording) -> bool) {
        if let Some(recording) = &mut self.recording
            && !keep(recording)
        {
            self.recording = None;
        }
    }

    fn drop_recording(&mut self) {
        // The current attempt may still be in the recorded part; it must get the rest of it first.
        let is_over =
            |recording: &mut Recording| recording.is_stopped() && recording.is_caught_up();
        self.recording.take_if(is_over);
    }

    fn is_caught_up(&self) -> bool {
        self.recording.as_ref().is_none_or(Recording::is_caught_up)
    }

    /// The upload is over: all was given, or the attempt let go of the rest.
    fn end(&mut self, whole: bool) {
        self.ended = Some(Instant::now());
        if whole {
            self.sent_whole = Some(self.epoch);
        }
    }

    fn register(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}
