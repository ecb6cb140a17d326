//! At the door, without waiting: what is not ours or is refused ends here, and so does a local request whose
//! mailbox is known.

use http::{Request, request::Parts};
use tokio::time::Instant;

use super::{
    config::Config,
    failure::Refused,
    report::{Answered, Report},
    trip::Trip,
    visit::{Asked, Visit},
};
use crate::{
    decision::{Decision, decide},
    directory::MailboxKey,
    lookup::Answer,
    pages::Page,
    wire::{
        hop_by_hop, limits, mark, names, original_uri,
        owa_path::{self, Kind},
        survey::Survey,
    },
};

/// What becomes of a request.
pub(super) enum Admitted<B> {
    /// The inner service's, as it came.
    Inner(Request<B>),
    /// Answered already.
    Refused(Answered),
    /// Somebody has to be asked, or it goes elsewhere.
    InScope(Box<Visit<B>>),
}

pub(super) fn admit<B>(config: &Config, request: Request<B>, started: Instant) -> Admitted<B> {
    let (mut parts, body) = request.into_parts();
    //= src/docs/protocol.md#header-client-never
    let mut survey = Survey::of(&parts.headers);
    if names::speak_of_identity(&parts.headers, &survey) {
        names::strip_identity(&mut parts.headers);
        survey = Survey::of(&parts.headers);
    }
    let asked = match ask(config, &parts, &survey) {
        Ok(Some(asked)) => asked,
        Ok(None) => return Admitted::Inner(to_inner(parts, body)),
        Err(refused) => {
            let report = Report::of(config, &parts, started);
            return Admitted::Refused(report.refuse(refused));
        }
    };
    let known = config.lookup.peek(&asked.key);
    if let Some(Answer::Found(mailbox)) = &known {
        let topology = config.topology.topology();
        let question = asked.question(config, Some(mailbox));
        if decide(&config.here, &config.policy, &topology, &question) == Decision::ServeLocally {
            return Admitted::Inner(to_inner(parts, body));
        }
    }
    Admitted::InScope(Box::new(Visit {
        report: Report::of(config, &parts, started),
        trip: Trip::new(parts, body),
        asked,
        known,
    }))
}

/// Marks a request for the inner service, in case a `SecondCasLayer` was put there.
pub(super) fn to_inner<B>(mut parts: Parts, body: B) -> Request<B> {
    parts.extensions.insert(mark::PassedFirstCas);
    Request::from_parts(parts, body)
}

/// What a request asks for: `None` if that is none of our business.
fn ask<'p>(
    config: &Config,
    parts: &'p Parts,
    survey: &Survey<'p>,
) -> Result<Option<Asked>, Refused> {
    let uri = original_uri(parts);
    let within = config
        .head_limits
        .check_surveyed(uri, &parts.headers, survey);
    if let Err(error) = within {
        let page = match error {
            limits::HeadTooLarge::Target => Page::TargetTooLong,
            _ => Page::HeadTooLarge,
        };
        return Err(Refused::at_the_door(page, error));
    }
    //= src/docs/protocol.md#path-normal
    let path = owa_path::classify(&config.scope, uri)
        .map_err(|error| Refused::at_the_door(Page::BadRequest, error))?;
    match path.kind() {
        //= src/docs/protocol.md#scope
        Kind::OutOfScope => {
            return hop_by_hop::check_passing(parts, survey).map_or_else(refuse, |()| Ok(None));
        }
        //= src/docs/protocol.md#login-caller
        Kind::ProxyLogon | Kind::Ping => {
            let cause = "an internal path was asked for by no CAS";
            return Err(Refused::at_the_door(Page::RefusedCaller, cause));
        }
        Kind::StaticLocal | Kind::Mailbox => {}
    }
    let (method, version, headers) = (&parts.method, parts.version, &parts.headers);
    let host = match hop_by_hop::check_surveyed(method, uri, version, headers, survey) {
        Ok(host) => host,
        Err(error) => return refuse(error),
    };
    //= src/docs/protocol.md#static-local
    if path.kind() == Kind::StaticLocal {
        return Ok(None);
    }
    let from_cas = parts.extensions.get::<mark::FromCas>().is_some();
    let user = if from_cas {
        // Nothing that came along, a cookie say, may name another user than the verified CAS did.
        parts.extensions.get().cloned()
    } else {
        (config.identify)(parts)
    };
    let Some(user) = user else {
        return Err(Refused::identity_missing());
    };
    //= src/docs/protocol.md#decide-explicit-logon
    let key = match path.explicit_logon() {
        Some(address) => MailboxKey::Address(address.clone()),
        None => MailboxKey::Sid(*user.user()),
    };
    Ok(Some(Asked {
        user,
        key,
        owa_path: path.is_owa(),
        explicit_segment: path.explicit_segment().map(Box::from),
        from_cas,
        name_used: config.names.used(Some(host)),
    }))
}

fn refuse(error: hop_by_hop::BadRequest) -> Result<Option<Asked>, Refused> {
    let page = match error {
        hop_by_hop::BadRequest::Method => Page::UnsupportedMethod,
        _ => Page::BadRequest,
    };
    Err(Refused::at_the_door(page, error))
}
