//! The proxy login: the user's security context, sent to the second CAS as XML.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header, request::Parts};
use tokio::time::{Instant, timeout_at};

use super::{answer, config::Config, failure::Refused, logins::LoginOutcome, visit::Asked};
use crate::{
    clock::later,
    csc::xml,
    directory::{ClientAccessServer, InternalUrl, MailboxKey, Origin},
    outbound::{
        CredentialsError, OutboundBody, SendErrorKind, Turn, absolute,
        credentials::{AnswerCheck, Authentication, LaterProof, Unauthenticated},
    },
    telemetry::{self, LoginResult, Phase},
    wire::{names, owa_path, proxy_headers},
};

/// A login ready to be sent, by a task that outlives the request that needed it.
pub(super) struct Login {
    config: Arc<Config>,
    server: Arc<ClientAccessServer>,
    origin: Origin,
    request: Request<()>,
    body: Bytes,
}

impl Login {
    pub(super) fn new(
        config: &Arc<Config>,
        server: &Arc<ClientAccessServer>,
        internal: &InternalUrl,
        asked: &Asked,
    ) -> Result<Self, Refused> {
        //= src/docs/protocol.md#login-limit
        let body = xml::write(&asked.user).map_err(Refused::too_many_sids)?;
        //= src/docs/protocol.md#login-request
        let path = owa_path::login_path(internal, asked.explicit_segment.as_deref())
            .map_err(Refused::internal)?;
        let uri = absolute(internal.origin(), path).map_err(Refused::internal)?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::HOST, internal.origin().host_header().clone());
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/xml; charset=utf-8"),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        config.via.append(headers, http::Version::HTTP_11);
        let explicit = match &asked.key {
            MailboxKey::Address(address) => Some(address.to_header_value()),
            _ => None,
        };
        proxy_headers::write(
            headers,
            asked.name_used(config).proxy_uri(),
            &config.version,
            asked.user.user_header(),
            false,
            explicit.as_ref(),
        );
        Ok(Self {
            config: Arc::clone(config),
            server: Arc::clone(server),
            origin: internal.origin().clone(),
            request,
            body,
        })
    }

    /// Sends it and reads the verdict. Never longer than the login time-out.
    pub(super) async fn run(self) -> LoginOutcome {
        let (config, server) = (Arc::clone(&self.config), Arc::clone(&self.server));
        let deadline = later(Instant::now(), config.timeouts.login);
        let state = config.state.health.of(server.name());
        let timed_out = || LoginOutcome::Refused(Refused::login_timed_out(server.name()));
        let outcome = match timeout_at(deadline, state.login_turn()).await {
            Err(_) => timed_out(),
            Ok(_turn) => {
                // The server's health hears of it here: many may wait for this one login.
                let health = state.turn_anyway();
                match timeout_at(deadline, self.send(&health)).await {
                    Ok(outcome) => outcome,
                    Err(_) => {
                        health.failed();
                        timed_out()
                    }
                }
            }
        };
        let result = match &outcome {
            LoginOutcome::Accepted(_) => LoginResult::Accepted,
            LoginOutcome::NeedLanguage | LoginOutcome::Refused(_) => LoginResult::Refused,
            LoginOutcome::Unreachable(_) => LoginResult::Failed,
        };
        telemetry::logged_in(server.name(), server.site(), result);
        outcome
    }

    async fn send(self, health: &Turn) -> LoginOutcome {
        let name = self.server.name();
        let (mut head, ()) = self.request.into_parts();
        let authenticated =
            match authenticate(&self.config, &self.origin, &mut head, Some(&self.body)) {
                Ok(None) => Ok((head, AnswerCheck::default())),
                Ok(Some(proof)) => show(&self.config, head, proof).await,
                Err(error) => Err(error),
            };
        let (head, check) = match authenticated {
            Ok(authenticated) => authenticated,
            Err(error) => return LoginOutcome::Refused(Refused::authentication(name, error)),
        };
        let request = Request::from_parts(head, OutboundBody::full(self.body));
        let answer = match self.config.outbound.send(&self.origin, request).await {
            Ok(answer) => answer,
            Err(error) => {
                let next = matches!(
                    error.kind(),
                    SendErrorKind::Unreachable | SendErrorKind::Closed
                );
                let refused = Refused::no_answer(name, Phase::Login, error);
                return if next {
                    health.failed();
                    LoginOutcome::Unreachable(refused)
                } else {
                    LoginOutcome::Refused(refused)
                };
            }
        };
        health.answered();
        if let Err(error) = check.check(&answer) {
            return LoginOutcome::Refused(Refused::authentication(name, error));
        }
        //= src/docs/protocol.md#login-answers
        match answer.status() {
            //= src/docs/protocol.md#status-241
            status if status == names::LOGIN_ACCEPTED => {
                LoginOutcome::Accepted(answer::session_cookies(&answer))
            }
            status if status == names::NEED_LANGUAGE => LoginOutcome::NeedLanguage,
            StatusCode::UNAUTHORIZED => LoginOutcome::Refused(Refused::authentication(
                name,
                answer::authentication_offered(&answer),
            )),
            StatusCode::FORBIDDEN => LoginOutcome::Refused(Refused::forbidden(name)),
            status if answer::is_unavailable(status) => {
                LoginOutcome::Unreachable(Refused::unavailable(name, status))
            }
            status => LoginOutcome::Refused(Refused::unexpected(name, Phase::Login, status)),
        }
    }
}

/// Puts this CAS's credentials on a request, afresh for every attempt; gives the proof that is still to be had.
pub(super) fn authenticate(
    config: &Config,
    origin: &Origin,
    head: &mut Parts,
    body: Option<&[u8]>,
) -> Result<Option<LaterProof>, CredentialsError> {
    let authentication = config.credentials.authenticate(&mut Unauthenticated {
        origin,
        method: &head.method,
        uri: &head.uri,
        headers: &mut head.headers,
        body,
    });
    match authentication {
        Authentication::Now(done) => done.map(|()| None),
        Authentication::Later(proof) => Ok(Some(proof)),
    }
}

/// Waits for a proof and shows it. Tells what to ask of the answer.
pub(super) async fn show(
    config: &Config,
    mut head: Parts,
    proof: LaterProof,
) -> Result<(Parts, AnswerCheck), CredentialsError> {
    let proof = tokio::time::timeout(config.timeouts.login, proof).await;
    let late = |_| CredentialsError::new("they did not come within the login time-out");
    let check = proof.map_err(late)??.show(&mut head.headers);
    Ok((head, check))
}
