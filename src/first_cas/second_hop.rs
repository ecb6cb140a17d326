//! From the candidates of a site to an answer: each is tried once at most.

use std::{sync::Arc, time::Duration};

use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};

use super::{
    attempt::{Attempt, Tried},
    config::Config,
    failure::Refused,
    trip::Trip,
    visit::Asked,
};
use crate::{
    decision::Candidates,
    directory::ClientAccessServer,
    outbound::{BoxError, UpstreamBody, choose},
    telemetry::{self, Outcome},
};

/// What came of proxying.
pub(super) enum Proxied {
    /// With its outcome among the extensions.
    Answer(Box<Response<UpstreamBody>>),
    /// 442: the browser is to choose a language.
    NeedLanguage(Box<Outcome>),
    /// 421: the mailbox is not there.
    WrongSite,
    Refused(Refused),
}

impl<B> Trip<B>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Sends the request to one of `candidates`, and to the next where that can do no harm.
    //= src/docs/protocol.md#decide-proxy
    pub(super) async fn proxy(
        &mut self,
        config: &Arc<Config>,
        asked: &Asked,
        candidates: &Candidates<'_>,
    ) -> Proxied {
        if !asked.user.user().is_domain_account() {
            return Proxied::Refused(Refused::foreign_sid());
        }
        //= src/docs/protocol.md#header-via
        if config.via.is_in(&self.parts().headers) {
            return Proxied::Refused(Refused::looped("the request has been here before"));
        }
        if let Err(refused) = self.offer_upgrade(config, asked.user.user()) {
            return Proxied::Refused(refused);
        }
        let user = asked.user.user();
        let already_tried = !self.tried.is_empty();
        let mut last = None;
        while let Some((server, turn)) = choose(
            || candidates.iter(),
            user,
            &self.tried,
            &config.state.health,
        ) {
            self.tried.push(server.name().clone());
            let mut attempt = match Attempt::new(config, asked, server, turn, self) {
                Ok(attempt) => attempt,
                Err(refused) => return Proxied::Refused(refused),
            };
            let (refused, answer) = match attempt.run().await {
                Tried::Done(proxied) => {
                    if is_unavailable(&proxied) {
                        telemetry::all_failed(self.tried.len());
                    }
                    return proxied;
                }
                Tried::Next(refused, answer) => (refused, answer),
            };
            let is_left = |server: &Arc<ClientAccessServer>| !self.tried.contains(server.name());
            let others = candidates.iter().any(is_left);
            //= src/docs/protocol.md#failover-when
            if others {
                telemetry::failed_over(server.name(), server.site(), refused.failure());
            }
            let body = self.share_body(config);
            let answer = match answer {
                Some(answer) if !others => {
                    Some(Box::new(self.finish_upload(config, *answer, body)))
                }
                // The next attempt takes the body over, which ends the connection that this answer comes by.
                Some(answer) if body.is_some() => Box::pin(read_whole(*answer)).await.map(Box::new),
                answer => answer,
            };
            // An answer is better than none, and a later one better than an earlier.
            last = match (answer, last) {
                (Some(answer), _) => Some(Proxied::Answer(answer)),
                (None, Some(last @ Proxied::Answer(_))) => Some(last),
                (None, _) => Some(Proxied::Refused(refused)),
            };
        }
        let last = last.unwrap_or_else(|| {
            Proxied::Refused(match already_tried {
                false => Refused::no_candidate_left(),
                true => Refused::looped(
                    "the second CAS says the mailbox is elsewhere, the directory that it is there",
                ),
            })
        });
        if is_unavailable(&last) {
            telemetry::all_failed(self.tried.len());
        }
        last
    }
}

/// Reads a page to its end, if it has the size of one and is there soon.
async fn read_whole(answer: Response<UpstreamBody>) -> Option<Response<UpstreamBody>> {
    let (parts, body) = answer.into_parts();
    let read = Limited::new(body, LONGEST_PAGE).collect();
    let read = tokio::time::timeout(PAGE_TIMEOUT, read).await.ok()?.ok()?;
    Some(Response::from_parts(parts, UpstreamBody::new(read)))
}

/// Whether a candidate's own 502 or 503 is the answer.
fn is_unavailable(proxied: &Proxied) -> bool {
    match proxied {
        Proxied::Answer(answer) => matches!(
            answer.status(),
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE
        ),
        _ => false,
    }
}

const LONGEST_PAGE: usize = 64 * 1024;
const PAGE_TIMEOUT: Duration = Duration::from_secs(1);
