//! From the candidates of a site to an answer: each is tried once at most.

use std::sync::Arc;

use http::Response;
use http_body::Body;

use super::{
    attempt::{Attempt, Tried},
    config::Config,
    failure::Refused,
    trip::Trip,
    visit::Asked,
};
use crate::{
    decision::Candidates,
    directory::ServerName,
    outbound::{BoxError, UpstreamBody, choose},
    telemetry::{self, Outcome},
};

/// What came of proxying.
pub(super) enum Proxied {
    Answer(Box<Response<UpstreamBody>>, Outcome),
    /// 442: the browser is to choose a language.
    NeedLanguage(Outcome),
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
        candidates: Candidates<'_>,
    ) -> Proxied {
        if !asked.user.user().is_domain_account() {
            return Proxied::Refused(Refused::foreign_sid());
        }
        //= src/docs/protocol.md#header-via
        if config.via.is_in(&self.parts().headers) {
            return Proxied::Refused(Refused::looped("the request has been here before"));
        }
        let user = asked.user.user();
        let mut tried: Vec<ServerName> = Vec::new();
        let mut last = Proxied::Refused(Refused::no_candidate_left());
        while let Some((server, turn)) =
            choose(|| candidates.iter(), user, &tried, &config.state.health)
        {
            tried.push(server.name().clone());
            let attempt = match Attempt::new(config, asked, server, turn, self) {
                Ok(attempt) => attempt,
                Err(refused) => return Proxied::Refused(refused),
            };
            let (refused, answer) = match attempt.run(candidates.len()).await {
                Tried::Done(proxied) => return proxied,
                Tried::Next(refused, answer) => (refused, answer),
            };
            //= src/docs/protocol.md#failover-when
            if tried.len() < candidates.len() {
                telemetry::failed_over(server.name(), server.site(), refused.failure());
            }
            // An answer is better than none, and a later one better than an earlier.
            last = match (answer, last) {
                (Some((answer, outcome)), _) => Proxied::Answer(answer, outcome),
                (None, last @ Proxied::Answer(..)) => last,
                (None, _) => Proxied::Refused(refused),
            };
        }
        if matches!(last, Proxied::Answer(..)) {
            telemetry::all_failed(tried.len());
        }
        last
    }
}
