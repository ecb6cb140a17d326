//! Which headers belong to one hop and which to the message: what is taken from a request or an answer before it goes on.
//!
//! Check the [limits](super::limits) first; then nothing here can overflow a [`HeaderMap`].

use std::fmt;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TE, TRANSFER_ENCODING,
        UPGRADE,
    },
    request::Parts,
};

pub(crate) use super::connection::upgrade_named;
use super::{
    connection::{Nominations, is_protected, names_in},
    forwarded::{self, is_account},
    framing::{self, BadFraming, agreed_host},
    names::{names_identity, strip_identity_trailers},
};
pub use super::{
    forwarded::Client,
    framing::{Framing, client_host},
    via::{InvalidPseudonym, Via},
};

/// Makes a client's headers those of a request to the second CAS, all but the ones that hop sets itself: `Host`, the
/// identity headers, credentials.
///
/// ```
/// use cas_proxy::wire::hop_by_hop::{self, Client, Framing, Via};
/// use http::Request;
///
/// let via = Via::new("cas-seattle")?;
/// let peer = Some("192.0.2.1:4711".parse()?);
/// let client = Client { peer, https: true, trusted: false };
///
/// let (mut parts, ()) = Request::get("/owa/")
///     .header("host", "mail.contoso.com")
///     .header("connection", "keep-alive, x-hop")
///     .header("x-hop", "1")
///     .header("x-forwarded-for", "198.51.100.7")
///     .header("accept", "*/*")
///     .body(())?
///     .into_parts();
/// let prepared = hop_by_hop::prepare_request(
///     &parts.method, &parts.uri, parts.version, &mut parts.headers, &via, &client,
/// )?;
///
/// assert_eq!(prepared.framing, Framing::Undeclared);
/// assert_eq!(parts.headers["via"], "1.1 cas-seattle");
/// assert_eq!(parts.headers["x-forwarded-for"], "192.0.2.1");
/// for gone in ["host", "connection", "x-hop"] {
///     assert!(!parts.headers.contains_key(gone));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Identity headers are not looked for; [`strip_identity`](super::names::strip_identity) has been there before.
///
/// # Errors
/// If the request could mean different things to the servers behind us. The headers are then half done.
pub fn prepare_request(
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &mut HeaderMap,
    via: &Via,
    client: &Client,
) -> Result<Prepared, BadRequest> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        // An answer to TRACE would show the client the headers we are about to add.
        return Err(BadRequest::Method);
    }
    let mut survey = Survey::of(headers, client.trusted);
    let host = survey.take_host(version, uri).ok_or(BadRequest::Host)?;
    //= src/docs/protocol.md#copy-request
    if survey.authorizations > 1 {
        return Err(BadRequest::Authorization);
    }
    let framing = match survey.is_framed {
        true => framing::settle(version, headers)?,
        false => Framing::Undeclared,
    };
    let wants_trailers = survey.te && accepts_trailers(headers);
    let upgrade = match survey.connection {
        true => remove_connection(version, headers, &survey)?,
        false => None,
    };
    let hop = [
        (survey.hosts > 0, HOST),
        (survey.authorizations > 0, AUTHORIZATION),
        (survey.expect, EXPECT),
        (survey.te, TE),
        (survey.upgrade, UPGRADE),
    ];
    for name in hop
        .into_iter()
        .filter_map(|(seen, name)| seen.then_some(name))
        .chain(survey.others)
    {
        headers.remove(name);
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if survey.cookies > 1 {
        join_cookies(headers);
    }
    via.append(headers, version);
    forwarded::write(headers, client, &host);
    Ok(Prepared { framing, upgrade })
}

/// Checks what [`prepare_request`] checks, short of `Connection`, and changes nothing: for a request that stays here.
///
/// # Errors
/// If the request could mean different things to different readers.
pub fn check_request(
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
) -> Result<(), BadRequest> {
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(BadRequest::Method);
    }
    if client_host(version, uri, headers).is_none() {
        return Err(BadRequest::Host);
    }
    if headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
        return Err(BadRequest::Authorization);
    }
    framing::read(version, headers)?;
    Ok(())
}

/// Checks what concerns even those who ask for nothing of ours: that it is certain where the body ends, and that
/// nobody takes us for a forward proxy.
pub(crate) fn check_passing(request: &Parts) -> Result<(), BadRequest> {
    // Extended CONNECT (RFC 8441) has a path, and is the inner service's to answer.
    if request.method == Method::CONNECT && request.uri.path().is_empty() {
        return Err(BadRequest::Method);
    }
    framing::read(request.version, &request.headers)?;
    Ok(())
}

/// What was taken out of a message's headers and still matters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prepared {
    /// How long the body is.
    pub framing: Framing,
    /// The one protocol the sender offers to go on with (of an answer: goes on with), if `Connection` nominated
    /// `Upgrade`. Nothing else of the offer is left in the headers.
    pub upgrade: Option<HeaderValue>,
}

impl Prepared {
    /// Puts back what an HTTP/1.1 hop needs: `Transfer-Encoding`, the upgrade, and `Connection` for these and for `TE`.
    /// Does nothing for other versions, which have their own ways.
    pub fn frame(&self, headers: &mut HeaderMap, next_hop: Version) {
        if next_hop != Version::HTTP_11 {
            return;
        }
        if self.framing == Framing::Chunked {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let connection = match (&self.upgrade, headers.contains_key(TE)) {
            (None, false) => return,
            (None, true) => "te",
            (Some(_), false) => "upgrade",
            (Some(_), true) => "te, upgrade",
        };
        headers.insert(CONNECTION, HeaderValue::from_static(connection));
        if let Some(upgrade) = &self.upgrade {
            headers.insert(UPGRADE, upgrade.clone());
        }
    }
}

/// Makes the headers of a second CAS's answer those of an answer to the client. `method` is that of the request,
/// `version` the one the answer came with.
///
/// # Errors
/// If it is not certain how long the body is.
pub fn prepare_response(
    method: &Method,
    status: StatusCode,
    version: Version,
    headers: &mut HeaderMap,
    via: &Via,
) -> Result<Prepared, BadResponse> {
    //= src/docs/protocol.md#copy-response
    let (mut connection, mut is_framed) = (false, false);
    let mut unwanted = Vec::new();
    for name in headers.keys() {
        match name.as_str().as_bytes() {
            b"connection" => connection = true,
            b"content-length" | b"transfer-encoding" => is_framed = true,
            other if is_kept_from_clients(other) => unwanted.push(name.clone()),
            _ => {}
        }
    }
    let is_empty = status.is_informational() || status == StatusCode::NO_CONTENT;
    if is_empty {
        headers.remove(CONTENT_LENGTH);
    }
    let mut framing = match is_framed {
        true => framing::settle(version, headers).map_err(|_| BadResponse::Framing)?,
        false => Framing::Undeclared,
    };
    if is_empty || *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        // A length that is told describes a body that does not come.
        framing = Framing::Undeclared;
    }
    let mut upgrade = None;
    if connection {
        let nominated = Nominations::read(headers);
        upgrade = nominated.upgrade(version, headers);
        nominated.remove(headers, |name| !name.eq_ignore_ascii_case("content-length"));
    }
    for name in unwanted {
        headers.remove(name);
    }
    via.append(headers, version);
    Ok(Prepared { framing, upgrade })
}

/// Takes from trailers all that would change who a message is from, whom it is for or where it ends, if a reader merged
/// them into the headers (RFC 9110 section 6.5.1).
pub fn prepare_trailers(trailers: &mut HeaderMap) {
    //= src/docs/protocol.md#header-client-never
    strip_identity_trailers(trailers);
    let unwanted = |name: &&HeaderName| {
        let name = name.as_str().as_bytes();
        is_protected(name) || is_of_hop(name) || CONTROLS.contains(&name)
    };
    let unwanted: Vec<HeaderName> = trailers.keys().filter(unwanted).cloned().collect();
    for name in unwanted {
        trailers.remove(name);
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadRequest {
    /// CONNECT or TRACE.
    Method,
    /// No host, two, or one that is malformed.
    Host,
    /// Two `Authorization` lines.
    Authorization,
    /// A malformed `Content-Length`, or two that differ.
    ContentLength,
    /// A transfer coding other than one `chunked`.
    TransferEncoding,
    /// `Connection` names a header that belongs to the message.
    Connection,
}

impl BadRequest {
    /// 501 for a method that is not to be had, else 400.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "method that is never sent on",
            Self::Host => "missing, repeated or malformed host",
            Self::Authorization => "repeated header authorization",
            Self::ContentLength => "malformed or contradictory header content-length",
            Self::TransferEncoding => "transfer coding other than chunked",
            Self::Connection => "header connection that names a protected header",
        })
    }
}

impl std::error::Error for BadRequest {}

impl From<BadFraming> for BadRequest {
    fn from(bad: BadFraming) -> Self {
        match bad {
            BadFraming::ContentLength => Self::ContentLength,
            BadFraming::TransferEncoding => Self::TransferEncoding,
        }
    }
}

/// Why an answer is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BadResponse {
    /// `Content-Length` or `Transfer-Encoding` do not tell how long the body is.
    Framing,
}

impl fmt::Display for BadResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("answer of uncertain length")
    }
}

impl std::error::Error for BadResponse {}

/// What one look over all lines of a request finds.
#[derive(Debug, Default)]
struct Survey {
    hosts: usize,
    host: Option<HeaderValue>,
    authorizations: usize,
    cookies: usize,
    connection: bool,
    is_framed: bool,
    expect: bool,
    te: bool,
    upgrade: bool,
    /// Names that few requests have.
    others: Vec<HeaderName>,
}

impl Survey {
    fn of(headers: &HeaderMap, trusted: bool) -> Self {
        let mut survey = Self::default();
        for (name, value) in headers {
            match name.as_str().as_bytes() {
                b"host" => {
                    survey.hosts += 1;
                    survey.host = Some(value.clone());
                }
                b"authorization" => survey.authorizations += 1,
                b"cookie" => survey.cookies += 1,
                b"connection" => survey.connection = true,
                b"content-length" | b"transfer-encoding" => survey.is_framed = true,
                b"expect" => survey.expect = true,
                b"te" => survey.te = true,
                b"upgrade" => survey.upgrade = true,
                b"keep-alive"
                | b"proxy-connection"
                | b"proxy-authorization"
                | b"proxy-authenticate"
                | b"proxy-authentication-info"
                | b"http2-settings" => survey.others.push(name.clone()),
                other if !trusted && is_account(other) => survey.others.push(name.clone()),
                _ => {}
            }
        }
        survey
    }

    /// The one host of the request.
    fn take_host(&mut self, version: Version, uri: &Uri) -> Option<HeaderValue> {
        if self.hosts > 1 {
            return None;
        }
        let line = self.host.take();
        let host = agreed_host(version, uri, line.as_ref())?;
        match line {
            Some(_) => line,
            None => HeaderValue::from_str(host).ok(),
        }
    }
}

fn remove_connection(
    version: Version,
    headers: &mut HeaderMap,
    survey: &Survey,
) -> Result<Option<HeaderValue>, BadRequest> {
    let nominated = Nominations::read(headers);
    if nominated.protected {
        return Err(BadRequest::Connection);
    }
    let upgrade = if survey.upgrade {
        nominated.upgrade(version, headers)
    } else {
        None
    };
    nominated.remove(headers, |_| true);
    Ok(upgrade)
}

fn is_of_hop(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"keep-alive"
            | b"proxy-connection"
            | b"proxy-authenticate"
            | b"proxy-authentication-info"
            | b"proxy-authorization"
            | b"te"
            | b"transfer-encoding"
            | b"upgrade"
    )
}

fn is_kept_from_clients(name: &[u8]) -> bool {
    //= src/docs/protocol.md#copy-response
    match name {
        // Of a log-on between servers, in which the client has no part.
        b"www-authenticate" | b"authentication-info" => true,
        // Of the second CAS, and not of the origin that the client asked.
        b"server" | b"x-powered-by" | b"x-aspnet-version" | b"x-aspnetmvc-version" | b"alt-svc" => {
            true
        }
        other => is_of_hop(other) || names_identity(other),
    }
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TE).iter().flat_map(names_in);
    codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// HTTP/2 clients send each cookie in a line of its own, to compress them better; HTTP/1 has one line for all.
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let is_sensitive = headers
        .get_all(COOKIE)
        .iter()
        .any(HeaderValue::is_sensitive);
    // Made of valid values, so valid; were it not, the lines would stay as they are.
    if let Ok(mut joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        joined.set_sensitive(is_sensitive);
        headers.insert(COOKIE, joined);
    }
}

/// Control, routing and authentication data, which RFC 9110 section 6.5.1 keeps out of trailers.
const CONTROLS: [&[u8]; 15] = [
    b"age",
    b"authentication-info",
    b"cache-control",
    b"clear-site-data",
    b"date",
    b"expect",
    b"expires",
    b"location",
    b"max-forwards",
    b"pragma",
    b"refresh",
    b"retry-after",
    b"vary",
    b"warning",
    b"www-authenticate",
];

#[cfg(test)]
mod tests;
