//! At the door, without waiting: what is not ours or is refused ends here, and so does a local request whose
//! mailbox is known.

use http::{HeaderValue, request::Parts};

use super::{config::Config, failure::Refused, visit::Asked};
use crate::{
    decision::is_local,
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
pub(super) enum Admitted {
    /// The inner service's.
    Inner,
    /// An error page's.
    Refused(Refused),
    /// Somebody has to be asked, or it goes elsewhere.
    InScope {
        asked: Asked,
        /// The lookup's answer, where it was at hand.
        known: Option<Answer>,
        /// Whom the client asked for.
        host: HeaderValue,
    },
}

/// Judges a request, and takes from it what no client may say.
pub(super) fn admit(config: &Config, parts: &mut Parts) -> Admitted {
    //= src/docs/protocol.md#header-client-never
    let mut survey = Survey::of(&parts.headers);
    if names::speak_of_identity(&parts.headers, &survey) {
        names::strip_identity(&mut parts.headers);
        survey = Survey::of(&parts.headers);
    }
    let asked = match ask(config, parts, &survey) {
        Ok(Some(asked)) => asked,
        Ok(None) => return Admitted::Inner,
        Err(refused) => return Admitted::Refused(refused),
    };
    let known = config.lookup.peek(&asked.key);
    if matches!(&known, Some(Answer::Found(mailbox)) if is_local(&config.here, mailbox)) {
        return Admitted::Inner;
    }
    match survey.host_value(parts.version, original_uri(parts)) {
        Some(host) => Admitted::InScope { asked, known, host },
        None => Admitted::Refused(bad_request(hop_by_hop::BadRequest::Host)),
    }
}

/// Marks a request for the inner service, in case a `SecondCasLayer` was put there.
pub(super) fn mark_passed(parts: &mut Parts) {
    parts.extensions.insert(mark::PassedFirstCas);
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
            return match hop_by_hop::check_passing(parts, survey) {
                Ok(()) => Ok(None),
                Err(error) => Err(bad_request(error)),
            };
        }
        //= src/docs/protocol.md#login-caller
        Kind::ProxyLogon | Kind::Ping => {
            let cause = "an internal path was asked for by no CAS";
            return Err(Refused::at_the_door(Page::RefusedCaller, cause));
        }
        Kind::StaticLocal | Kind::Mailbox => {}
    }
    let (method, version, headers) = (&parts.method, parts.version, &parts.headers);
    let host = hop_by_hop::check_surveyed(method, uri, version, headers, survey);
    let host = host.map_err(bad_request)?;
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
        has_via: survey.via,
        has_upgrade: survey.upgrade,
        name_used: config.names.used(host),
    }))
}

fn bad_request(error: hop_by_hop::BadRequest) -> Refused {
    let page = match error {
        hop_by_hop::BadRequest::Method => Page::UnsupportedMethod,
        _ => Page::BadRequest,
    };
    Refused::at_the_door(page, error)
}
