//! One request to one candidate, up to the head of its answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{HeaderValue, Request, Response, header::EXPECT};
use http_body::Body;

use super::{answer, attempt::Attempt, failure::Refused, settings::Timeouts};
use crate::outbound::{
    BoxError, OnContinue, OutboundBody, SendError, Stalled, UpstreamBody, Waits, watch,
};

/// Why there is no answer to look at.
pub(super) enum Failed {
    Send(SendError),
    Stalled(Stalled),
}

impl<B> Attempt<'_, B>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// The request as this candidate gets it, but for credentials. `None` if its body can't be given again.
    pub(super) fn request(
        &mut self,
        gated: bool,
    ) -> Result<Option<Request<OutboundBody>>, Refused> {
        let (outbound, gate) = match &self.body {
            None => (OutboundBody::empty(), None),
            Some(body) => match body.attempt(gated) {
                Some((outbound, gate)) => (outbound, Some(gate)),
                None => return Ok(None),
            },
        };
        let (origin, target) = (self.internal.origin(), self.trip.target());
        let mut request = self
            .trip
            .request(self.config, self.asked, origin, target, outbound)?;
        self.trip.identify(self.config, self.asked, &mut request);
        answer::give_cookies(request.headers_mut(), self.login.as_ref());
        self.trip.upgrade.put_on(request.headers_mut());
        if let Some(gate) = gate.filter(|_| gated) {
            let continues = HeaderValue::from_static("100-continue");
            request.headers_mut().insert(EXPECT, continues);
            let on_continue = OnContinue::new(gate, Arc::clone(&self.state));
            request.extensions_mut().insert(on_continue);
        }
        Ok(Some(request))
    }

    pub(super) async fn exchange(
        &mut self,
        request: Request<OutboundBody>,
        gated: bool,
    ) -> Result<Response<UpstreamBody>, Failed> {
        let passed = AtomicBool::new(false);
        let send = self.config.outbound.send(self.internal.origin(), request);
        let stalled = watch(self.body.as_ref(), waits(&self.config.timeouts), || {
            passed.store(true, Ordering::Relaxed);
        });
        let sent = race(send, stalled).await;
        if gated && passed.load(Ordering::Relaxed) {
            self.state.passed_without_continue();
        }
        match sent {
            Ok(answer) => answer.map_err(Failed::Send),
            Err(stalled) => Err(Failed::Stalled(stalled)),
        }
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

/// The first of the two to end; the answer, if both do.
pub(super) async fn race<A, S>(
    answer: impl Future<Output = A>,
    stalled: impl Future<Output = S>,
) -> Result<A, S> {
    use futures_util::future::{Either, select};
    let (answer, stalled) = (std::pin::pin!(answer), std::pin::pin!(stalled));
    match select(answer, stalled).await {
        Either::Left((answer, _)) => Ok(answer),
        Either::Right((stalled, _)) => Err(stalled),
    }
}
