//! The scheme `Negotiate` with Kerberos inside, and nothing else inside (RFC 4559, RFC 4178).
//!
//! A Kerberos library makes and judges the tokens; what is here packs them. So NTLM is not merely unwanted: no NTLM
//! token can be written by this module, and none that is read gets past it.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};

use self::der::Reader;

#[cfg(feature = "negotiate")]
mod channel_binding;
mod der;

#[cfg(feature = "negotiate")]
pub use self::channel_binding::tls_server_end_point;

/// What a server says that wants this scheme.
pub const CHALLENGE: HeaderValue = HeaderValue::from_static("Negotiate");

/// The value of `Authorization` that shows a Kerberos token (an AP-REQ as GSS-API frames it).
#[must_use]
pub fn authorization(kerberos: &[u8]) -> HeaderValue {
    let mechanisms = der::wrap(0xa0, &der::wrap(0x30, &der::wrap(OID, KERBEROS)));
    let token = der::wrap(0xa2, &der::wrap(OCTETS, kerberos));
    let init = der::wrap(0xa0, &der::wrap(0x30, &[mechanisms, token].concat()));
    value(&der::wrap(0x60, &[der::wrap(OID, SPNEGO), init].concat()))
}

/// A Kerberos token that a client shows, unpacked.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    mechanism: &'static [u8],
    token: Vec<u8>,
}

impl Offer {
    /// Reads the value of an `Authorization` field.
    ///
    /// # Errors
    /// If it is another scheme, no well formed token, or shows something else than Kerberos: NTLM above all.
    pub fn read(authorization: &HeaderValue) -> Result<Self, NotKerberos> {
        let sent = token68(authorization).ok_or(NotKerberos::OtherScheme)?;
        let sent = STANDARD.decode(sent).map_err(|_| NotKerberos::Malformed)?;
        if sent.starts_with(b"NTLMSSP\0") {
            return Err(NotKerberos::Ntlm);
        }
        read_init(&sent).ok_or(NotKerberos::Malformed)?
    }

    /// The Kerberos token.
    #[must_use]
    pub fn token(&self) -> &[u8] {
        &self.token
    }

    /// The value of `WWW-Authenticate` that goes with the answer, once the token has been accepted; `reply` is the
    /// library's token for the client, by which the client knows the server.
    #[must_use]
    pub fn accepted(&self, reply: Option<&[u8]>) -> HeaderValue {
        let completed = vec![0xa0, 3, 0x0a, 1, 0];
        let mechanism = der::wrap(0xa1, &der::wrap(OID, self.mechanism));
        let reply = reply.map_or_else(Vec::new, |reply| der::wrap(0xa2, &der::wrap(OCTETS, reply)));
        value(&der::wrap(
            0xa1,
            &der::wrap(0x30, &[completed, mechanism, reply].concat()),
        ))
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Offer(..)")
    }
}

/// The Kerberos token by which a server shows that it is the one it was taken for, if the answer has one.
///
/// # Errors
/// If what stands there is no such token, or says that the server is not content.
pub fn reply(headers: &HeaderMap) -> Result<Option<Vec<u8>>, NotKerberos> {
    let mut tokens = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(token68);
    let Some(sent) = tokens.find(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let sent = STANDARD.decode(sent).map_err(|_| NotKerberos::Malformed)?;
    read_reply(&sent).ok_or(NotKerberos::Malformed)?
}

/// The schemes that an answer offers, as it spells them, each once.
#[must_use]
pub fn schemes(headers: &HeaderMap) -> Vec<&str> {
    let mut schemes: Vec<&str> = Vec::new();
    let lines = headers.get_all(WWW_AUTHENTICATE).iter();
    for line in lines.filter_map(|line| line.to_str().ok()) {
        // Between commas stand challenges and parameters; a parameter's name ends in `=`, not in a space.
        for piece in outside_quotes(line) {
            let scheme = piece.trim().split(' ').next().unwrap_or_default();
            let is_new = || {
                !schemes
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(scheme))
            };
            if !scheme.is_empty() && !scheme.contains(['=', '"']) && is_new() {
                schemes.push(scheme);
            }
        }
    }
    schemes
}

/// Why something is no Kerberos token under `Negotiate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotKerberos {
    /// Another scheme.
    OtherScheme,
    /// NTLM, bare or first among the mechanisms.
    Ntlm,
    /// Another mechanism comes first.
    OtherMechanism,
    /// The server wants another round, which Kerberos has no use for, or refuses.
    NotCompleted,
    /// No such token at all.
    Malformed,
}

impl fmt::Display for NotKerberos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherScheme => "the scheme is not Negotiate",
            Self::Ntlm => "NTLM inside Negotiate is not taken",
            Self::OtherMechanism => "the first mechanism inside Negotiate is not Kerberos",
            Self::NotCompleted => "the handshake is not completed by it",
            Self::Malformed => "the Negotiate token is malformed",
        })
    }
}

impl std::error::Error for NotKerberos {}

/// What follows the word `Negotiate`.
fn token68(line: &HeaderValue) -> Option<&[u8]> {
    let (scheme, rest) = line.as_bytes().split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    match rest.split_first() {
        None => Some(rest),
        Some((b' ', token)) => Some(token.trim_ascii()),
        Some(_) => None,
    }
}

fn value(token: &[u8]) -> HeaderValue {
    // Base64 is always fit for a header.
    let mut value =
        HeaderValue::try_from(format!("Negotiate {}", STANDARD.encode(token))).unwrap_or(CHALLENGE);
    value.set_sensitive(true);
    value
}

/// `NegTokenInit` in its frame; `None` if malformed.
fn read_init(sent: &[u8]) -> Option<Result<Offer, NotKerberos>> {
    let mut framed = Reader::of(sent).only(0x60)?;
    if framed.next(OID)? != SPNEGO {
        return None;
    }
    let mut fields = framed.last(0xa0)?.only(0x30)?;
    let mut mechanisms = Reader::of(fields.next(0xa0)?).only(0x30)?;
    let mechanism = match mechanisms.next(OID)? {
        KERBEROS => KERBEROS,
        MICROSOFT_KERBEROS => MICROSOFT_KERBEROS,
        NTLM => return Some(Err(NotKerberos::Ntlm)),
        _ => return Some(Err(NotKerberos::OtherMechanism)),
    };
    // Flags, which RFC 4178 takes back.
    fields.skip(0xa1)?;
    let token = Reader::of(fields.next(0xa2)?).last_bytes(OCTETS)?;
    fields.skip(0xa3)?;
    fields.end()?;
    // A Kerberos token says so itself; libraries would take other kinds as well.
    let mut kerberos = Reader::of(token).only(0x60)?;
    if kerberos.next(OID)? != KERBEROS {
        return Some(Err(NotKerberos::OtherMechanism));
    }
    Some(Ok(Offer {
        mechanism,
        token: token.to_vec(),
    }))
}

/// `NegTokenResp`; `None` if malformed.
fn read_reply(sent: &[u8]) -> Option<Result<Option<Vec<u8>>, NotKerberos>> {
    let mut fields = Reader::of(sent).only(0xa1)?.only(0x30)?;
    let state = fields.optional(0xa0)?;
    if state.is_some_and(|state| state != [0x0a, 1, 0]) {
        return Some(Err(NotKerberos::NotCompleted));
    }
    if let Some(mechanism) = fields.optional(0xa1)? {
        let mechanism = Reader::of(mechanism).last_bytes(OID)?;
        if mechanism != KERBEROS && mechanism != MICROSOFT_KERBEROS {
            return Some(Err(NotKerberos::OtherMechanism));
        }
    }
    let token = match fields.optional(0xa2)? {
        Some(token) => Some(Reader::of(token).last_bytes(OCTETS)?.to_vec()),
        None => None,
    };
    fields.skip(0xa3)?;
    fields.end()?;
    Some(Ok(token))
}

fn outside_quotes(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.split(move |sign| {
        quoted ^= sign == '"';
        sign == ',' && !quoted
    })
}

const SCHEME: &[u8] = b"Negotiate";
const OID: u8 = 0x06;
const OCTETS: u8 = 0x04;
/// 1.3.6.1.5.5.2
const SPNEGO: &[u8] = b"\x2b\x06\x01\x05\x05\x02";
/// 1.2.840.113554.1.2.2
const KERBEROS: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
/// 1.2.840.48018.1.2.2: the same, one bit off in Windows 2000 and named first by Windows ever since.
const MICROSOFT_KERBEROS: &[u8] = b"\x2a\x86\x48\x82\xf7\x12\x01\x02\x02";
/// 1.3.6.1.4.1.311.2.2.10
const NTLM: &[u8] = b"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";

#[cfg(test)]
mod tests;
