//! Which headers belong to one hop and which to the message: what is taken from a request or an answer before it goes on.
//!
//! Check the [limits](super::limits) first; then nothing here can overflow a [`HeaderMap`].

use std::fmt;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};

pub(crate) use super::connection::{is_http, upgrade_named};
use super::{
    connection::{Nominations, is_protected},
    framing::{self, BadFraming},
    names::{names_identity, strip_identity_trailers},
    onward::{Ours, onward},
    rewrite::LogOnCookies,
    survey::Survey,
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
/// Identity headers go; of cookies that speak of identity [`strip_identity`](super::names::strip_identity) has been
/// there before.
///
/// # Errors
/// If the request could mean different things to the servers behind us. The headers are then as they were.
pub fn prepare_request(
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &mut HeaderMap,
    via: &Via,
    client: &Client,
) -> Result<Prepared, BadRequest> {
    check_method(method)?;
    let host = Survey::of(headers).host_value(version, uri);
    let ours = Ours {
        via,
        client,
        host: host.ok_or(BadRequest::Host)?,
        log_on_cookies: &LogOnCookies::none(),
        second_cas: None,
    };
    let onward = onward(method, version, headers, ours)?;
    *headers = onward.headers;
    Ok(onward.prepared)
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
    check_surveyed(method, uri, version, headers, &Survey::of(headers)).map(drop)
}

/// The same, after a look over all headers has been taken. Gives the host that the client asks for, which is ASCII.
pub(crate) fn check_surveyed<'h>(
    method: &Method,
    uri: &'h Uri,
    version: Version,
    headers: &HeaderMap,
    survey: &Survey<'h>,
) -> Result<&'h [u8], BadRequest> {
    check_method(method)?;
    let host = survey.host(version, uri).ok_or(BadRequest::Host)?;
    survey.check(version, headers)?;
    Ok(host)
}

pub(super) fn check_method(method: &Method) -> Result<(), BadRequest> {
    match *method {
        Method::CONNECT | Method::TRACE => Err(BadRequest::Method),
        _ => Ok(()),
    }
}

/// Checks what concerns even those who ask for nothing of ours: that it is certain where the body ends, and that
/// nobody takes us for a forward proxy.
pub(crate) fn check_passing(request: &Parts, survey: &Survey<'_>) -> Result<(), BadRequest> {
    // Extended CONNECT (RFC 8441) has a path, and is the inner service's to answer.
    if request.method == Method::CONNECT && request.uri.path().is_empty() {
        return Err(BadRequest::Method);
    }
    survey.framing(request.version, &request.headers).map(drop)
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
    let (mut connection, mut transfer_encoding) = (false, false);
    let (mut lengths, mut length) = (0, None);
    let (mut unwanted, mut more_unwanted) = (None, false);
    for (name, value) in headers.iter() {
        match OfAnswer::of(name.as_str().as_bytes()) {
            OfAnswer::Message => {}
            OfAnswer::Connection => connection = true,
            OfAnswer::ContentLength => {
                lengths += 1;
                length = Some(framing::read_length(value));
            }
            OfAnswer::TransferEncoding => transfer_encoding = true,
            OfAnswer::Unwanted if unwanted.is_none() => unwanted = Some(name.clone()),
            OfAnswer::Unwanted => more_unwanted = true,
        }
    }
    let is_empty = status.is_informational() || status == StatusCode::NO_CONTENT;
    if is_empty && lengths > 0 {
        headers.remove(CONTENT_LENGTH);
        (lengths, length) = (0, None);
    }
    let framing = match (transfer_encoding, lengths, length) {
        (false, 0, _) => Ok(Framing::Undeclared),
        (false, 1, Some(length)) => length.map(Framing::Length),
        _ => framing::settle(version, headers),
    };
    let mut framing = framing.map_err(|_| BadResponse::Framing)?;
    if is_empty || *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        // A length that is told describes a body that does not come.
        framing = Framing::Undeclared;
    }
    let mut upgrade = None;
    if connection {
        let nominated = Nominations::read(headers);
        upgrade = nominated.upgrade(version, headers);
        let lines = nominated.lines(headers);
        Nominations::remove(&lines, headers, |name| {
            !name.eq_ignore_ascii_case("content-length")
        });
        headers.remove(CONNECTION);
    }
    // Most answers have one or two of them, for which a list costs more than another look.
    let is_unwanted =
        |name: &&HeaderName| OfAnswer::of(name.as_str().as_bytes()) == OfAnswer::Unwanted;
    while let Some(name) = unwanted {
        headers.remove(name);
        unwanted = match more_unwanted {
            true => headers.keys().find(is_unwanted).cloned(),
            false => None,
        };
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

impl Survey<'_> {
    /// What makes a request uncertain, wherever it goes.
    pub(super) fn check(
        &self,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<Framing, BadRequest> {
        //= src/docs/protocol.md#copy-request
        if self.authorizations > 1 {
            return Err(BadRequest::Authorization);
        }
        self.framing(version, headers)
    }

    fn framing(&self, version: Version, headers: &HeaderMap) -> Result<Framing, BadRequest> {
        match (self.transfer_encoding, self.lengths, self.length) {
            (false, 0, _) => Ok(Framing::Undeclared),
            (false, 1, Some(line)) => Ok(Framing::Length(framing::read_length(line)?)),
            _ => Ok(framing::read(version, headers)?),
        }
    }
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

/// What a header of an answer is to whoever sends the answer on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OfAnswer {
    Connection,
    ContentLength,
    TransferEncoding,
    /// Kept from clients.
    Unwanted,
    Message,
}

impl OfAnswer {
    /// Of a name in lower case, as a [`HeaderMap`] keeps it.
    fn of(name: &[u8]) -> Self {
        //= src/docs/protocol.md#copy-response
        let unwanted = match name {
            b"connection" => return Self::Connection,
            b"content-length" => return Self::ContentLength,
            b"transfer-encoding" => return Self::TransferEncoding,
            [b'c' | b'd' | b'e' | b'l', ..] => false,
            // Of a log-on between servers, in which the client has no part.
            b"www-authenticate" | b"authentication-info" => true,
            // Of the second CAS, and not of the origin that the client asked.
            b"server"
            | b"x-powered-by"
            | b"x-aspnet-version"
            | b"x-aspnetmvc-version"
            | b"alt-svc" => true,
            other => is_of_hop(other) || names_identity(other),
        };
        match unwanted {
            true => Self::Unwanted,
            false => Self::Message,
        }
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
