//! What is this request? Looked at once before anyone is verified, classified once after.
//!
//! The order is the point: nothing that depends on what we keep or serve is looked at for a caller not verified, so
//! that no answer tells such a caller anything.

use http::{HeaderMap, Method, Uri, request::Parts};

use super::{
    Answered, NotVerified, NotVerifiedKind, VerifiedCaller, answer::Answer, layer::Config, log,
};
use crate::wire::{
    hop_by_hop::{self, BadRequest},
    limits::HeadTooLarge,
    mark::PassedFirstCas,
    names::{X_OWA_PROXY_SID, X_OWA_PROXY_URI, X_OWA_PROXY_VERSION},
    original_uri,
    owa_path::{self, Kind},
    proxy_headers::ProxyHeaders,
    survey::Survey,
};

/// A request, classified.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A verified CAS asks whether we are there.
    Ping,
    /// A verified CAS brings a user's context in the body.
    ProxyLogin(VerifiedCaller, ProxyHeaders),
    /// A verified CAS sends a user's request.
    Proxied(VerifiedCaller, ProxyHeaders),
    /// Anybody's request that has nothing to do with us.
    Direct,
}

/// What can be said of a request before anyone is verified.
#[derive(Debug)]
pub(super) enum FirstLook {
    /// Nothing a CAS alone may ask.
    Direct,
    /// Only a CAS may ask this.
    ForCas(Door),
    /// No need to ask who it is.
    Answered(Answer),
}

/// What a CAS asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    Ping,
    ProxyLogin,
    /// A path of ours, for a user.
    Mailbox,
    /// A path not ours.
    Elsewhere,
    /// A path that hides something.
    Malformed,
}

/// Looks at path and headers, at nothing we keep.
pub(super) fn look(config: &Config, request: &Parts) -> FirstLook {
    if request.extensions.get::<PassedFirstCas>().is_some() {
        log::misplaced();
        return FirstLook::Answered(Answered::Misplaced.into());
    }
    let uri = original_uri(request);
    if let Err(too_large) = config.limits.check(uri, &request.headers) {
        return FirstLook::Answered(too_large_answer(too_large).into());
    }
    let door = door(config, uri);
    //= src/docs/protocol.md#identity-order
    if matches!(door, Door::Ping | Door::ProxyLogin) || speaks_for_a_user(&request.headers) {
        return FirstLook::ForCas(door);
    }
    //= src/docs/protocol.md#path-normal
    if door == Door::Malformed {
        return FirstLook::Answered(Answered::PathMalformed.into());
    }
    match check(door, request) {
        Ok(()) => FirstLook::Direct,
        Err(answered) => FirstLook::Answered(answered.into()),
    }
}

/// Classifies what only a CAS may ask, by whether it was one that asked.
//= src/docs/protocol.md#identity-order
pub(super) fn classify(
    config: &Config,
    door: Door,
    verdict: Result<VerifiedCaller, NotVerified>,
    request: &Parts,
) -> Result<Incoming, Answer> {
    //= src/docs/protocol.md#login-caller
    let caller = verdict.map_err(|why| refuse(config, why))?;
    check(door, request)?;
    let headers = ProxyHeaders::read(&request.headers).map_err(|why| {
        log::malformed(&caller, why);
        Answer::from(Answered::HeadersMalformed)
    })?;
    match (door, headers) {
        //= src/docs/protocol.md#ping-request
        (Door::Ping, _) if request.method != Method::GET => Err(Answer::allow("GET")),
        (Door::Ping, _) => Ok(Incoming::Ping),
        //= src/docs/protocol.md#login-request
        (Door::ProxyLogin, _) if request.method != Method::POST => Err(Answer::allow("POST")),
        (Door::ProxyLogin, Some(headers)) => Ok(Incoming::ProxyLogin(caller, headers)),
        (Door::ProxyLogin, None) => {
            log::malformed(&caller, "a proxy login without the headers of one");
            Err(Answered::HeadersMalformed.into())
        }
        (Door::Malformed, _) => Err(Answered::PathMalformed.into()),
        (Door::Mailbox, Some(headers)) => Ok(Incoming::Proxied(caller, headers)),
        //= src/docs/protocol.md#scope
        (Door::Mailbox, None) | (Door::Elsewhere, _) => Ok(Incoming::Direct),
    }
}

/// Whether every reader makes the same of it: where it ends, whom it is for, who sends it. hyper lets more pass.
//= src/docs/protocol.md#copy-request
fn check(door: Door, request: &Parts) -> Result<(), Answered> {
    let checked = match door {
        Door::Elsewhere => hop_by_hop::check_passing(request, &Survey::of(&request.headers)),
        _ => {
            let uri = original_uri(request);
            hop_by_hop::check_request(&request.method, uri, request.version, &request.headers)
        }
    };
    checked.map_err(|bad| match bad {
        BadRequest::Method => Answered::MethodNotImplemented,
        _ => Answered::RequestMalformed,
    })
}

fn too_large_answer(what: HeadTooLarge) -> Answered {
    match what {
        HeadTooLarge::Target => Answered::TargetTooLong,
        _ => Answered::HeadTooLarge,
    }
}

/// The same answer whatever was wrong, whoever is asked for, and whatever we keep.
fn refuse(config: &Config, why: NotVerified) -> Answer {
    config.caller_log.not_verified(&why);
    match why.kind() {
        NotVerifiedKind::Unavailable => Answered::VerifierUnavailable.into(),
        NotVerifiedKind::NoCredentials | NotVerifiedKind::Refused | NotVerifiedKind::Challenge => {
            refusal(why)
        }
    }
}

fn refusal(why: NotVerified) -> Answer {
    let kind = why.kind();
    let challenges = why.into_challenges();
    if challenges.is_empty() && kind != NotVerifiedKind::Challenge {
        return Answered::CallerNotVerified.into();
    }
    Answer::challenge(challenges)
}

fn door(config: &Config, uri: &Uri) -> Door {
    match owa_path::classify(&config.scope, uri).map(|path| path.kind()) {
        Ok(Kind::Ping) => Door::Ping,
        Ok(Kind::ProxyLogon) => Door::ProxyLogin,
        Ok(Kind::OutOfScope) => Door::Elsewhere,
        Ok(_) => Door::Mailbox,
        Err(_) => Door::Malformed,
    }
}

/// Whether any of the three headers is there that make a request a proxied one. Other names of the family, and other
/// spellings of these, are not read by anyone and get stripped.
fn speaks_for_a_user(headers: &HeaderMap) -> bool {
    [X_OWA_PROXY_URI, X_OWA_PROXY_VERSION, X_OWA_PROXY_SID]
        .iter()
        .any(|name| headers.contains_key(name))
}
