//! From the candidates of a site to an answer: each is tried once at most.

use std::{sync::Arc, time::Duration};

use http::Response;
use http_body::Body;
use http_body_util::{BodyExt, Limited};

use super::{
    answer,
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
    Answer(Box<Given>),
    /// 442: the browser is to choose a language.
    NeedLanguage(Box<Outcome>),
    /// 421: the mailbox is not there.
    WrongSite,
    Refused(Refused),
}

/// An answer of another server, and what the log says of it.
pub(super) struct Given {
    pub(super) answer: Response<UpstreamBody>,
    pub(super) outcome: Outcome,
}

impl Given {
    /// Whether it is a candidate's own 502 or 503.
    fn is_unavailable(&self) -> bool {
        answer::is_unavailable(self.answer.status())
    }
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
        if asked.has_via && config.via.is_in(&self.parts().headers) {
            return Proxied::Refused(Refused::looped("the request has been here before"));
        }
        if let Err(refused) = self.offer_upgrade(config, asked.user.user()) {
            return Proxied::Refused(refused);
        }
        let user = asked.user.user();
        let is_first = self.tried.is_empty();
        let mut last = None;
        while let Some((server, turn)) = choose(
            || candidates.iter(),
            user,
            &self.tried,
            &config.state.health,
        ) {
            let mut attempt = match Attempt::new(config, asked, server, turn, self) {
                Ok(attempt) => attempt,
                Err(refused) => return Proxied::Refused(refused),
            };
            let tried = attempt.run().await;
            drop(attempt);
            // After most answers nobody asks any more who was tried.
            if !matches!(&tried, Tried::Done(Proxied::Answer(given)) if !given.is_unavailable()) {
                self.tried.push(server.name().clone());
            }
            let (refused, given) = match tried {
                Tried::Done(Proxied::Answer(given)) => {
                    if given.is_unavailable() {
                        telemetry::all_failed(self.tried.len());
                    }
                    return Proxied::Answer(given);
                }
                Tried::Done(proxied) => return proxied,
                Tried::Next(refused, given) => (refused, given),
            };
            let is_left = |server: &Arc<ClientAccessServer>| !self.tried.contains(server.name());
            let others = candidates.iter().any(is_left);
            //= src/docs/protocol.md#failover-when
            if others {
                telemetry::failed_over(server.name(), server.site(), refused.failure());
            }
            let body = self.share_body(config);
            let given = match given {
                Some(mut given) if !others => {
                    self.finish_upload(config, &mut given.answer, body);
                    Some(given)
                }
                // The next attempt takes the body over, which ends the connection that this answer comes by.
                Some(given) if body.is_some() => Box::pin(read_whole(given)).await,
                given => given,
            };
            // An answer is better than none, and a later one better than an earlier.
            last = Some(match (given, last) {
                (Some(given), _) => Proxied::Answer(given),
                (None, Some(last @ Proxied::Answer(_))) => last,
                (None, _) => Proxied::Refused(refused),
            });
        }
        let mut last = last.unwrap_or_else(|| {
            Proxied::Refused(match is_first {
                true => Refused::no_candidate_left(),
                false => Refused::looped(
                    "the second CAS says the mailbox is elsewhere, the directory that it is there",
                ),
            })
        });
        if let Proxied::Answer(given) = &mut last {
            telemetry::all_failed(self.tried.len());
            // Others may have been tried behind the one that gave it.
            if let Outcome::Proxied { candidates, .. } = &mut given.outcome {
                *candidates = self.tried.len();
            }
        }
        last
    }
}

/// Reads a page to its end, if it has the size of one and is there soon.
async fn read_whole(given: Box<Given>) -> Option<Box<Given>> {
    let Given { answer, outcome } = *given;
    let (parts, body) = answer.into_parts();
    let read = Limited::new(body, LONGEST_PAGE).collect();
    let read = tokio::time::timeout(PAGE_TIMEOUT, read).await.ok()?.ok()?;
    let answer = Response::from_parts(parts, UpstreamBody::new(read));
    Some(Box::new(Given { answer, outcome }))
}

const LONGEST_PAGE: usize = 64 * 1024;
const PAGE_TIMEOUT: Duration = Duration::from_secs(1);
