//! The natural path of a request in scope: locate, decide, act.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use http::Request;
use http_body::Body;

use super::{
    admit::mark_passed, config::Config, failure::Refused, report::Answered, second_hop::Proxied,
    visit::Visit,
};
use crate::{
    decision::{Decision, Refusal, decide},
    directory::MailboxKey,
    lookup::{Answer, CouldNotAsk, Located},
    outbound::BoxError,
};

/// What the pipeline comes to.
pub(super) enum Verdict<B> {
    /// The inner service's, after all.
    Serve(Request<B>),
    /// Answered.
    Answer(Answered),
}

/// Whatever is rare is boxed: what a request needs while it waits is allocated for each.
pub(super) async fn pipeline<B>(config: Arc<Config>, mut visit: Box<Visit<B>>) -> Verdict<B>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut sent_away, mut sends_away) = (false, false);
    let refused = loop {
        let located = match visit.known.take() {
            Some(answer) => Ok(answer),
            None => Box::pin(locate(&config, visit.asked.key.clone())).await,
        };
        let mailbox = match located {
            Ok(Answer::Found(mailbox)) => Some(mailbox),
            Ok(Answer::NotFound) => None,
            Ok(Answer::Ambiguous) => break Refused::ambiguous(),
            Err(error) => break Refused::could_not_ask(error),
        };
        let topology = config.topology.topology();
        let question = visit.asked.question(&config, mailbox.as_deref());
        match decide(&config.here, &config.policy, &topology, &question) {
            Decision::ServeLocally => match visit.trip.take_body() {
                Some(body) => {
                    let mut parts = visit.trip.into_parts();
                    mark_passed(&mut parts);
                    return Verdict::Serve(Request::from_parts(parts, body));
                }
                None => break Refused::cannot_be_given_again(&config.here.name),
            },
            Decision::Redirect { url, silent } => {
                return Verdict::Answer(visit.report.redirect(url, silent, visit.trip.audience()));
            }
            //= src/docs/protocol.md#decide-one-hop
            Decision::Refuse(Refusal::WrongSite) if !sends_away => {
                // The other CAS may know of a move here that is younger than what we remember.
                sends_away = true;
                config.lookup.invalidate(&visit.asked.key);
            }
            Decision::Refuse(refusal) => {
                break Refused::decided(refusal, &visit.asked.user, &visit.asked.key);
            }
            Decision::ProxyToBackEnd(back_end) => {
                match Box::pin(visit.trip.pass_to(&config, &visit.asked, back_end)).await {
                    Ok(given) => {
                        let spare = visit.trip.take_extensions();
                        return Verdict::Answer(visit.report.proxied(given, spare));
                    }
                    Err(refused) => break refused,
                }
            }
            Decision::Proxy(candidates) => {
                match visit.trip.proxy(&config, &visit.asked, &candidates).await {
                    Proxied::Answer(given) => {
                        let spare = visit.trip.take_extensions();
                        return Verdict::Answer(visit.report.proxied(*given, spare));
                    }
                    Proxied::NeedLanguage(outcome) => {
                        return Verdict::Answer(
                            visit
                                .report
                                .language(visit.asked.explicit_segment.as_deref(), *outcome),
                        );
                    }
                    Proxied::Refused(refused) => break refused,
                    //= src/docs/protocol.md#decide-one-hop
                    Proxied::WrongSite if sent_away => {
                        break Refused::looped(
                            "two second CASs in turn say the mailbox is elsewhere",
                        );
                    }
                    Proxied::WrongSite => {
                        sent_away = true;
                        config.lookup.invalidate(&visit.asked.key);
                    }
                }
            }
        }
    };
    Verdict::Answer(visit.report.refuse(refused, visit.trip.audience()))
}

/// Asks the lookup, whatever it may do: take too long, or panic.
async fn locate(config: &Config, key: MailboxKey) -> Located {
    let asking = AssertUnwindSafe(async { config.lookup.locate(key).await }).catch_unwind();
    match tokio::time::timeout(config.timeouts.locate, asking).await {
        Ok(Ok(located)) => located,
        Ok(Err(_panic)) => Err(CouldNotAsk::from_source("the lookup panicked")),
        Err(_) => Err(CouldNotAsk::timed_out()),
    }
}
