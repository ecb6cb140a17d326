//! One request to one candidate, up to the head of its answer.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::{Either, select};
use http::{HeaderValue, Request, Response, header::EXPECT};
use http_body::Body;

use super::{answer, attempt::Attempt, failure::Refused, login, settings::Timeouts};
use crate::outbound::{
    BoxError, OnContinue, OutboundBody, SendError, SendFuture, Stalled, UpstreamBody, Waits,
    credentials::AnswerCheck, no_answer, watch,
};

/// Why there is no answer to look at.
pub(super) enum Failed {
    Send(SendError),
    Stalled(Stalled),
}

/// A request on its way.
pub(super) enum Begun<'a> {
    Sent(SendFuture),
    /// For the proof of who sends it. Boxed, so that requests that need not wait are the smaller for it.
    Waits(Pin<Box<dyn Future<Output = Proven> + Send + 'a>>),
}

type Proven = Result<(SendFuture, AnswerCheck), Refused>;

impl<'a, B> Attempt<'a, B>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Sends the request.
    pub(super) fn begin(&mut self, gated: bool) -> Result<Begun<'a>, Refused> {
        let (config, origin) = (self.config, self.internal.origin());
        let (mut head, body) = self.request(gated)?.into_parts();
        let name = self.server.name();
        let unauthenticated = |error| Refused::authentication(name, error);
        let proof =
            login::authenticate(config, origin, &mut head, None).map_err(unauthenticated)?;
        let Some(proof) = proof else {
            let request = Request::from_parts(head, body);
            return Ok(Begun::Sent(config.outbound.send(origin, request)));
        };
        Ok(Begun::Waits(Box::pin(async move {
            let shown = login::show(config, head, proof).await;
            let (head, check) = shown.map_err(unauthenticated)?;
            let request = Request::from_parts(head, body);
            Ok((config.outbound.send(origin, request), check))
        })))
    }

    /// The request as this candidate gets it, but for credentials.
    fn request(&mut self, gated: bool) -> Result<Request<OutboundBody>, Refused> {
        let (outbound, gate) = match &self.body {
            None => (OutboundBody::empty(), None),
            Some(body) => match body.attempt(gated) {
                Some((outbound, gate)) => (outbound, Some(gate)),
                None => return Err(Refused::cannot_be_given_again(self.server.name())),
            },
        };
        let origin = self.internal.origin();
        let mut request = self
            .trip
            .request(self.config, self.asked, origin, outbound)?;
        answer::give_cookies(request.headers_mut(), self.login.as_ref());
        self.trip.upgrade.put_on(request.headers_mut());
        if let Some(gate) = gate.filter(|_| gated) {
            let continues = HeaderValue::from_static("100-continue");
            request.headers_mut().insert(EXPECT, continues);
            let on_continue = OnContinue::new(gate, Arc::clone(&self.state));
            request.extensions_mut().insert(on_continue);
        }
        Ok(request)
    }

    pub(super) async fn exchange(
        &mut self,
        send: SendFuture,
        gated: bool,
    ) -> Result<Response<UpstreamBody>, Failed> {
        let timeouts = &self.config.timeouts;
        let Some(body) = &self.body else {
            return race(send, pin!(no_answer(timeouts.response_head))).await;
        };
        let passed = AtomicBool::new(false);
        // Boxed, so that requests without a body are the smaller for it.
        let stalled = Box::pin(watch(body, waits(timeouts), || {
            passed.store(true, Ordering::Relaxed)
        }));
        let sent = race(send, stalled).await;
        if gated && passed.load(Ordering::Relaxed) {
            self.state.passed_without_continue();
        }
        sent
    }
}

pub(super) fn waits(timeouts: &Timeouts) -> Waits {
    Waits {
        gate: timeouts.wait_for_continue,
        response_head: timeouts.response_head,
        idle: timeouts.idle,
        min_bytes: timeouts.min_upload,
    }
}

/// The answer, if it is there before `stalled` ends.
pub(super) async fn race(
    send: SendFuture,
    stalled: impl Future<Output = Stalled> + Unpin,
) -> Result<Response<UpstreamBody>, Failed> {
    match select(send, stalled).await {
        Either::Left((answer, _)) => answer.map_err(Failed::Send),
        Either::Right((stalled, _)) => Err(Failed::Stalled(stalled)),
    }
}
