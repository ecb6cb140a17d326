//! Straight to an Exchange 2003 back-end: no proxy login, no second chance.

use std::pin::pin;

use http::{StatusCode, header::AUTHORIZATION};
use http_body::Body;

use super::{
    answer,
    config::Config,
    exchange::{Failed, race, waits},
    failure::Refused,
    second_hop::Given,
    trip::Trip,
    visit::Asked,
};
use crate::{
    directory::BackEnd,
    outbound::{BoxError, OutboundBody, Replay, no_answer, watch},
    telemetry::{Outcome, Phase},
    wire::{names, owa_path},
};

impl<B> Trip<B>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Sends the request to the mailbox's own server, as the user.
    //= src/docs/protocol.md#back-end-identity
    pub(super) async fn pass_to(
        &mut self,
        config: &Config,
        asked: &Asked,
        back_end: &BackEnd,
    ) -> Result<Given, Refused> {
        let name = back_end.name();
        let refuse = |refused: Refused| Err(refused.of_back_end());
        if asked.has_via && config.via.is_in(&self.parts().headers) {
            return refuse(Refused::looped("the request has been here before"));
        }
        let authorization =
            config
                .back_end_credentials
                .authorization(back_end, &asked.user, self.parts());
        let Some(authorization) = authorization else {
            return refuse(Refused::no_back_end_credentials(name));
        };
        let origin = back_end.url().origin();
        let target = match owa_path::to_back_end_path(&self.target()) {
            Ok(target) => target,
            Err(error) => return refuse(Refused::internal(error)),
        };
        let state = config.state.health.of(name);
        let Some(place) = state.enter() else {
            return refuse(Refused::too_many_in_flight(name));
        };
        let body = self.share_body(config);
        let outbound = match body.as_ref().map(|body| body.attempt(false)) {
            None => OutboundBody::empty(),
            Some(Some((outbound, _))) => outbound,
            Some(None) => return refuse(Refused::cannot_be_given_again(name)),
        };
        // There is no 441 here, so nothing is kept for a second giving.
        if let Some(body) = &body {
            body.forget();
        }
        let mut request = match self.request_to_back_end(config, asked, origin, target, outbound) {
            Ok(request) => request,
            Err(refused) => return refuse(refused),
        };
        request.headers_mut().insert(AUTHORIZATION, authorization);
        let send = config.outbound.send(origin, request);
        let timeouts = &config.timeouts;
        let sent = match &body {
            None => race(send, pin!(no_answer(timeouts.response_head))).await,
            Some(body) => race(send, pin!(watch(body, waits(timeouts), || {}))).await,
        };
        let mut answer = match sent {
            Err(Failed::Stalled(stalled)) => {
                return refuse(Refused::stalled(name, Phase::Answer, stalled));
            }
            Err(Failed::Send(_)) if body.as_ref().is_some_and(Replay::client_failed) => {
                return refuse(Refused::client_body(name));
            }
            Err(Failed::Send(error)) => {
                return refuse(Refused::no_answer(name, Phase::Send, error));
            }
            Ok(answer) => answer,
        };
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let cause = answer::authentication_offered(&answer);
                refuse(Refused::authentication(name, cause))
            }
            //= src/docs/protocol.md#status-private
            status
                if names::is_private_status(status)
                    || status.is_informational()
                    || status == StatusCode::MISDIRECTED_REQUEST =>
            {
                refuse(Refused::unexpected(name, Phase::Answer, status))
            }
            _ => {
                answer::prepare(config, asked, name, origin, &mut answer, self.method(), &[])
                    .map_err(Refused::of_back_end)?;
                answer.body_mut().hold(place);
                self.finish_upload(config, &mut answer, body);
                let outcome = Outcome::BackEnd {
                    server: name.clone(),
                };
                Ok(Given { answer, outcome })
            }
        }
    }
}
