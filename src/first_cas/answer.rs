//! The second hop's answer, made one of ours.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};

use super::{config::Config, failure::Refused, logins::Cookies, visit::Asked};
use crate::{
    directory::{Origin, ServerName},
    outbound::UpstreamBody,
    wire::{hop_by_hop, negotiate, rewrite},
};

/// Hygiene, rewriting and session cookies; the body gets its idle time-out.
pub(super) fn prepare(
    config: &Config,
    asked: &Asked,
    server: &ServerName,
    origin: &Origin,
    answer: &mut Response<UpstreamBody>,
    method: &Method,
    cookies: &[HeaderValue],
) -> Result<(), Refused> {
    let (status, version) = (answer.status(), answer.version());
    let headers = answer.headers_mut();
    hop_by_hop::prepare_response(method, status, version, headers, &config.via)
        .map_err(|error| Refused::bad_answer(server, error))?;
    //= src/docs/protocol.md#cookies
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    rewrite::response(headers, origin, asked.name_used(config).origin());
    *answer.version_mut() = Version::HTTP_11;
    answer.extensions_mut().clear();
    answer.body_mut().set_idle_timeout(config.timeouts.idle);
    Ok(())
}

/// Whether a server says that it cannot answer now, and another might.
//= src/docs/protocol.md#failover-when
pub(super) fn is_unavailable(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// The cookies a proxy login's answer sets.
//= src/docs/protocol.md#cookies
pub(super) fn session_cookies<B>(answer: &Response<B>) -> Cookies {
    answer
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .take(MAX_SESSION_COOKIES)
        .filter_map(|cookie| copied(cookie).ok())
        .collect()
}

/// A value in memory of its own: as hyper makes it, it holds on to all that was read with it.
fn copied(value: &HeaderValue) -> Result<HeaderValue, header::InvalidHeaderValue> {
    let mut copy = HeaderValue::from_bytes(value.as_bytes())?;
    copy.set_sensitive(true);
    Ok(copy)
}

/// Adds the login's cookies to the request that is sent again.
pub(super) fn give_cookies(headers: &mut HeaderMap, cookies: Option<&Cookies>) {
    let Some(cookies) = cookies.filter(|cookies| !cookies.is_empty()) else {
        return;
    };
    let mut line: Vec<u8> = Vec::new();
    let pairs = cookies
        .iter()
        .filter_map(|cookie| cookie.as_bytes().split(|&byte| byte == b';').next());
    let sent = headers.get_all(header::COOKIE);
    for piece in sent.iter().map(HeaderValue::as_bytes).chain(pairs) {
        if !line.is_empty() {
            line.extend_from_slice(b"; ");
        }
        line.extend_from_slice(piece);
    }
    if let Ok(mut line) = HeaderValue::from_bytes(&line) {
        line.set_sensitive(true);
        headers.insert(header::COOKIE, line);
    }
}

/// Which ways of authentication a 401 offered, worded for the log.
pub(super) fn authentication_offered<B>(answer: &Response<B>) -> String {
    let schemes = negotiate::schemes(answer.headers());
    let offers = |wanted: &str| {
        schemes
            .iter()
            .any(|scheme| scheme.eq_ignore_ascii_case(wanted))
    };
    let offered = schemes.join(", ");
    let status = answer.status().as_u16();
    if schemes.is_empty() {
        format!(
            "it answered {status} and offers no way to authenticate: enable Integrated Windows authentication on its \
             virtual directory"
        )
    } else if offers("Negotiate") {
        format!(
            "it answered {status}: it did not accept this server's credentials; see there whether this server's \
             account is trusted, the key of its own account is current, and its clock is right"
        )
    } else if offers("NTLM") {
        format!(
            "it answered {status} and offers only {offered}: set its virtual directory to Negotiate, for Kerberos \
             (on IIS, NTAuthenticationProviders)"
        )
    } else {
        format!(
            "it answered {status} and offers only {offered}: its virtual directory lacks Integrated Windows \
             authentication, enable it there"
        )
    }
}

const MAX_SESSION_COOKIES: usize = 16;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_remembered_cookie_holds_on_to_its_own_bytes_alone() {
        let read = Bytes::from(vec![b'a'; 8192]);
        let mut answer = Response::new(());
        let cookie = HeaderValue::from_maybe_shared(read.slice(..3)).unwrap();
        answer.headers_mut().append(header::SET_COOKIE, cookie);
        let kept = session_cookies(&answer);
        drop(answer);
        assert_eq!(&*kept, ["aaa"]);
        assert!(read.is_unique(), "nothing else holds what was read");
    }
}
