//! One candidate: send, log in where it asks for that, send again.

use std::{pin::Pin, sync::Arc};

use http::{Method, Response, StatusCode};
use http_body::Body;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    answer,
    config::Config,
    exchange::{Begun, Failed},
    failure::Refused,
    login::Login,
    logins::{Cookies, Generation, LoginOutcome},
    second_hop::{Given, Proxied},
    trip::Trip,
    visit::Asked,
};
use crate::{
    directory::{ClientAccessServer, InternalUrl},
    outbound::{
        BoxError, Replay, SendErrorKind, ServerState, Stalled, Turn, UpstreamBody,
        credentials::AnswerCheck,
    },
    telemetry::{self, Outcome, Phase},
    wire::names,
};

/// What came of one candidate.
pub(super) enum Tried {
    Done(Proxied),
    /// The next candidate may have the request; an answer of this one is kept in case there is none.
    Next(Refused, Option<Box<Given>>),
}

/// What an answer asks for.
enum Heard {
    Final(Tried),
    /// 441, for the first time.
    NeedIdentity,
    /// 417 to `Expect: 100-continue`.
    NeverContinue,
}

type LoggingIn<'a> = Pin<Box<dyn Future<Output = Result<(), LoginOutcome>> + Send + 'a>>;

/// One candidate's turn.
pub(super) struct Attempt<'a, B> {
    pub(super) config: &'a Arc<Config>,
    pub(super) asked: &'a Asked,
    pub(super) server: &'a Arc<ClientAccessServer>,
    pub(super) internal: &'a InternalUrl,
    pub(super) trip: &'a mut Trip<B>,
    pub(super) body: Option<Replay>,
    pub(super) state: Arc<ServerState>,
    turn: Turn,
    /// A place among the requests in flight, until the answer has been read.
    place: Option<OwnedSemaphorePermit>,
    /// The session of the one login that this request may cause.
    pub(super) login: Option<Cookies>,
    replayed: bool,
}

impl<'a, B> Attempt<'a, B>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(
        config: &'a Arc<Config>,
        asked: &'a Asked,
        server: &'a Arc<ClientAccessServer>,
        turn: Turn,
        trip: &'a mut Trip<B>,
    ) -> Result<Self, Refused> {
        let Some(Ok(internal)) = &server.owa().internal_url else {
            return Err(Refused::internal("a candidate has no InternalURL"));
        };
        let state = turn.state();
        let Some(place) = state.enter() else {
            return Err(Refused::too_many_in_flight(server.name()));
        };
        Ok(Self {
            body: trip.share_body(config),
            config,
            asked,
            server,
            internal,
            trip,
            state,
            turn,
            place: Some(place),
            login: None,
            replayed: false,
        })
    }

    pub(super) async fn run(&mut self) -> Tried {
        let mut may_ask = true;
        loop {
            let sent = self.config.state.logins.now();
            let large = self.is_large();
            let gated = large && may_ask && self.state.may_say_continue();
            // Where a 441 would cost the body, the login comes first.
            if large
                && !gated
                && self.login.is_none()
                && !self.is_known()
                && let Err(outcome) = self.log_in(sent).await
            {
                return self.after_failed_login(outcome);
            }
            let begun = match self.begin(gated) {
                Ok(Begun::Sent(send)) => Ok((send, AnswerCheck::default())),
                Ok(Begun::Waits(proof)) => proof.await,
                Err(refused) => Err(refused),
            };
            let (send, check) = match begun {
                Ok(begun) => begun,
                Err(refused) => return refuse(refused),
            };
            let answer = match self.exchange(send, gated).await {
                Ok(answer) => answer,
                Err(Failed::Send(error)) if error.kind() == SendErrorKind::NoContinue => {
                    self.state.never_says_continue();
                    may_ask = false;
                    continue;
                }
                Err(failed) => return self.no_answer(failed),
            };
            match self.hear(answer, check, gated) {
                Heard::Final(tried) => return tried,
                Heard::NeedIdentity => {
                    if let Err(outcome) = self.log_in(sent).await {
                        return self.after_failed_login(outcome);
                    }
                    self.replayed = true;
                    telemetry::replayed(self.server.name());
                }
                Heard::NeverContinue => {
                    self.state.never_says_continue();
                    may_ask = false;
                }
            }
        }
    }

    /// What is to be done about an answer.
    fn hear(&mut self, answer: Response<UpstreamBody>, check: AnswerCheck, gated: bool) -> Heard {
        self.turn.answered();
        if let Err(error) = check.check(&answer) {
            return Heard::Final(refuse(Refused::authentication(self.server.name(), error)));
        }
        match answer.status() {
            //= src/docs/protocol.md#status-441
            status if status == names::NEED_IDENTITY => {
                drop(answer);
                self.halt();
                //= src/docs/protocol.md#login-twice
                match self.login {
                    None => Heard::NeedIdentity,
                    Some(_) => {
                        Heard::Final(refuse(Refused::identity_needed_again(self.server.name())))
                    }
                }
            }
            StatusCode::EXPECTATION_FAILED if gated => {
                self.halt();
                Heard::NeverContinue
            }
            _ => Heard::Final(self.judge(answer)),
        }
    }

    /// What a final answer means.
    fn judge(&mut self, mut answer: Response<UpstreamBody>) -> Tried {
        let (name, status) = (self.server.name(), answer.status());
        let tunnel = match self.trip.switched(self.config, &mut answer) {
            Ok(tunnel) => tunnel,
            Err(cause) => return refuse(Refused::bad_answer(name, cause)),
        };
        match status {
            StatusCode::SWITCHING_PROTOCOLS => {}
            //= src/docs/protocol.md#status-442
            _ if status == names::NEED_LANGUAGE => return self.need_language(),
            //= src/docs/protocol.md#decide-one-hop
            StatusCode::MISDIRECTED_REQUEST => {
                self.halt();
                return Tried::Done(Proxied::WrongSite);
            }
            //= src/docs/protocol.md#hop-kerberos
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let cause = answer::authentication_offered(&answer);
                return refuse(Refused::authentication(name, cause));
            }
            //= src/docs/protocol.md#status-private
            _ if names::is_private_status(status) || status.is_informational() => {
                return refuse(Refused::unexpected(name, Phase::Answer, status));
            }
            StatusCode::FORBIDDEN => telemetry::forbidden(name),
            _ => {}
        }
        let goes_on = answer::is_unavailable(status) && self.is_repeatable();
        let no_cookies = [];
        let prepared = answer::prepare(
            self.config,
            self.asked,
            name,
            self.internal.origin(),
            &mut answer,
            self.trip.method(),
            self.login.as_deref().unwrap_or(&no_cookies),
        );
        if let Err(refused) = prepared {
            return refuse(refused);
        }
        if let Some(place) = self.place.take() {
            answer.body_mut().hold(place);
        }
        if let Some(tunnel) = tunnel {
            tunnel.begin(self.config, &mut answer);
        } else if !goes_on {
            let body = self.body.take();
            self.trip.finish_upload(self.config, &mut answer, body);
        }
        let outcome = Outcome::Proxied {
            server: name.clone(),
            site: self.server.site().clone(),
            // This one is noted when its turn is over.
            candidates: self.trip.tried.len() + 1,
            logged_in: self.login.is_some(),
            replayed: self.replayed,
        };
        let given = Box::new(Given { answer, outcome });
        match goes_on {
            true => Tried::Next(Refused::unavailable(name, status), Some(given)),
            false => Tried::Done(Proxied::Answer(given)),
        }
    }

    /// What a failure to get an answer means for this candidate and the next.
    //= src/docs/protocol.md#failover-when
    fn no_answer(&self, failed: Failed) -> Tried {
        let name = self.server.name();
        let error = match failed {
            Failed::Stalled(stalled) => {
                if stalled != Stalled::Client {
                    self.turn.failed();
                }
                return refuse(Refused::stalled(name, Phase::Answer, stalled));
            }
            Failed::Send(_) if self.body.as_ref().is_some_and(Replay::client_failed) => {
                return refuse(Refused::client_body(name));
            }
            Failed::Send(error) => error,
        };
        let goes_on = match error.kind() {
            // Nothing was sent, and nothing is wrong with the server.
            SendErrorKind::NoUpgrade => self.is_whole(),
            SendErrorKind::Unreachable => {
                self.turn.failed();
                self.is_whole()
            }
            // It was not the client who broke its body off: the connection went with the body half sent.
            SendErrorKind::Closed | SendErrorKind::Body => {
                self.turn.failed();
                self.is_repeatable()
            }
            _ => false,
        };
        let refused = Refused::no_answer(name, Phase::Send, error);
        if goes_on {
            Tried::Next(refused, None)
        } else {
            refuse(refused)
        }
    }

    fn after_failed_login(&self, outcome: LoginOutcome) -> Tried {
        match outcome {
            LoginOutcome::NeedLanguage => self.need_language(),
            LoginOutcome::Unreachable(refused) => {
                // A 441 promises that nothing was done: any method may go on, if its body can.
                if self.is_whole() {
                    Tried::Next(refused, None)
                } else {
                    refuse(refused)
                }
            }
            LoginOutcome::Refused(refused) => refuse(refused),
            LoginOutcome::Accepted(_) => refuse(Refused::internal("an accepted login failed")),
        }
    }

    /// Has the user logged in here, as the one login of this request. Not `async`: a body that is not `Sync`
    /// must not be borrowed while waiting. Boxed, so that requests that need none are the smaller for it.
    fn log_in(&mut self, sent: Generation) -> LoggingIn<'_> {
        let job = Login::new(self.config, self.server, self.internal, self.asked);
        let (server, user) = (self.server.name(), self.asked.user.user());
        let (logins, login) = (&self.config.state.logins, &mut self.login);
        Box::pin(async move {
            let job = job.map_err(LoginOutcome::Refused)?;
            match logins.after(sent, server, user, || job.run()).await {
                LoginOutcome::Accepted(cookies) => {
                    *login = Some(cookies);
                    Ok(())
                }
                failed => Err(failed),
            }
        })
    }

    fn need_language(&self) -> Tried {
        Tried::Done(Proxied::NeedLanguage(Box::new(Outcome::Language {
            server: self.server.name().clone(),
            site: self.server.site().clone(),
        })))
    }

    /// Gives the refused attempt no more of the body.
    fn halt(&self) {
        if let Some(body) = &self.body {
            body.halt();
        }
    }

    fn is_large(&self) -> bool {
        let limit = self.config.limits.sent_without_asking;
        self.body
            .as_ref()
            .is_some_and(|body| body.exact().is_none_or(|length| length > limit))
    }

    fn is_known(&self) -> bool {
        self.config.state.logins.is_known(
            self.server.name(),
            self.asked.user.user(),
            self.config.timeouts.login_lifetime / 2,
        )
    }

    /// Whether the request can be sent once more from its first byte.
    fn is_whole(&self) -> bool {
        self.body.as_ref().is_none_or(Replay::can_be_given_again)
    }

    /// Whether a request whose fate is unknown may be sent to somebody else: nothing of it can have been done,
    /// or doing it twice is no harm. The product sends a POST again blindly.
    //= src/docs/protocol.md#failover-when
    fn is_repeatable(&self) -> bool {
        let method = self.trip.method();
        let harmless = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
            || matches!(method.as_str(), "PROPFIND" | "SEARCH");
        let never_left = |body: &Replay| body.progress().gated && body.pulled() == 0;
        self.is_whole() && (harmless || self.body.as_ref().is_some_and(never_left))
    }
}

fn refuse(refused: Refused) -> Tried {
    Tried::Done(Proxied::Refused(refused))
}
