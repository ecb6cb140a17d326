//! The signature base: the bytes that signer and verifier have to agree on (RFC 9421 §2.5).

use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{GetAll, HOST},
    request::Parts,
};

use super::{
    error::{InvalidAuthority, SignatureError},
    fields::Components,
};
use crate::wire::original_uri;

/// What a request asks for and of whom, as a signature covers it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    method: &'a Method,
    authority: &'a str,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// The target of a request about to be sent: `authority` as in the `Host` header it will carry, the port left
    /// out where it is the scheme's default; path and query are taken from `uri` as they are.
    #[must_use]
    pub fn new(method: &'a Method, authority: &'a str, uri: &'a Uri) -> Self {
        Self {
            method,
            authority,
            path: uri.path(),
            query: uri.query(),
        }
    }

    /// The target of a request received by a server that goes by the names `own`.
    ///
    /// # Errors
    /// [`SignatureError::WrongAuthority`]: the request names no authority, one that is not in `own`, or two
    /// different ones (`Host` against an absolute request target).
    pub fn received(request: &'a Parts, own: &'a [OwnAuthority]) -> Result<Self, SignatureError> {
        let uri = original_uri(request);
        let authority =
            received_authority(uri, &request.headers).ok_or(SignatureError::WrongAuthority)?;
        let own = own
            .iter()
            .find(|own| own.is(authority))
            .ok_or(SignatureError::WrongAuthority)?;
        Ok(Self::new(&request.method, &own.0, uri))
    }
}

/// A name this server is addressed by: `host`, or `host:port` where the port is not the scheme's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAuthority(Box<str>);

impl OwnAuthority {
    /// Takes the authority of an `InternalURL`, as it appears in `Host`. Case does not matter.
    ///
    /// # Errors
    /// The text is empty, has user information, or is no authority at all.
    pub fn new(authority: &str) -> Result<Self, InvalidAuthority> {
        let invalid = || InvalidAuthority(authority.to_owned());
        let parsed: http::uri::Authority = authority.parse().map_err(|_| invalid())?;
        // A port that is none would be compared with what comes, and never fit.
        let port_is_none =
            parsed.host().len() < authority.len() && !matches!(parsed.port_u16(), Some(1..));
        if parsed.host().is_empty() || authority.contains('@') || port_is_none {
            return Err(invalid());
        }
        Ok(Self(authority.to_ascii_lowercase().into()))
    }

    /// The authority, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }
}

/// Hands the signature base to `put`, piece by piece, without building it anywhere.
///
/// `components` are names in the order of the signature; `params` is the value of `@signature-params`. Derived
/// components other than the four of [`MANDATORY`] are not ours to give a value for.
pub(super) fn write(
    target: &Target<'_>,
    headers: &HeaderMap,
    components: &Components<'_>,
    params: &[u8],
    mut put: impl FnMut(&[u8]),
) -> Result<(), SignatureError> {
    for component in components.iter() {
        put(b"\"");
        put(component.name.as_bytes());
        put(b"\": ");
        match component.name {
            METHOD => put(target.method.as_str().as_bytes()),
            AUTHORITY => put_lower_case(target.authority, &mut put),
            PATH => put(target.path.as_bytes()),
            QUERY => {
                put(b"?");
                put(target.query.unwrap_or_default().as_bytes());
            }
            field => {
                let lines = match component.header {
                    Some(header) => headers.get_all(header),
                    None => headers.get_all(field),
                };
                put_field(&lines, &mut put)?;
            }
        }
        put(b"\n");
    }
    put(b"\"@signature-params\": ");
    put(params);
    Ok(())
}

/// RFC 9421 §2.1: the lines of the field, each trimmed, joined with a comma and a space.
fn put_field(
    lines: &GetAll<'_, HeaderValue>,
    put: &mut impl FnMut(&[u8]),
) -> Result<(), SignatureError> {
    let mut lines = lines.iter();
    let first = lines.next().ok_or(SignatureError::CoveredHeaderMissing)?;
    put(trim(first.as_bytes()));
    for line in lines {
        put(b", ");
        put(trim(line.as_bytes()));
    }
    Ok(())
}

fn put_lower_case(text: &str, put: &mut impl FnMut(&[u8])) {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        put(text.to_ascii_lowercase().as_bytes());
    } else {
        put(text.as_bytes());
    }
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn received_authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => Some(host.to_str().ok()?),
        (Some(_), Some(_)) => return None,
    };
    match (host, uri.authority()) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority.as_str()) => None,
        (Some(host), _) => Some(host),
        (None, authority) => authority.map(http::uri::Authority::as_str),
    }
}

pub(super) const METHOD: &str = "@method";
pub(super) const AUTHORITY: &str = "@authority";
pub(super) const PATH: &str = "@path";
pub(super) const QUERY: &str = "@query";

/// The components without which a signature says too little to be of use.
pub(super) const MANDATORY: [&str; 4] = [METHOD, AUTHORITY, PATH, QUERY];

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn base(
        target: &Target<'_>,
        headers: &HeaderMap,
        components: &[&str],
    ) -> Result<String, SignatureError> {
        let mut bytes = Vec::new();
        let mut list = Components::default();
        assert!(components.iter().all(|name| list.push(name)));
        write(target, headers, &list, b"()", |piece| {
            bytes.extend_from_slice(piece)
        })?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn components_are_written_as_the_rfc_asks() {
        let mut headers = HeaderMap::new();
        for line in ["  one ", "two", "\t"] {
            headers.append("x-lines", line.parse().unwrap());
        }
        let uri: Uri = "/owa/a%20b?x=%2F&y".parse().unwrap();
        let target = Target::new(&Method::GET, "Dallas.Example:8443", &uri);
        assert_eq!(
            base(
                &target,
                &headers,
                &["@query", "@path", "@authority", "@method", "x-lines"]
            )
            .unwrap(),
            "\"@query\": ?x=%2F&y\n\"@path\": /owa/a%20b\n\"@authority\": dallas.example:8443\n\"@method\": GET\n\
             \"x-lines\": one, two, \n\"@signature-params\": ()"
        );
        assert_eq!(
            base(&target, &headers, &["x-gone"]),
            Err(SignatureError::CoveredHeaderMissing)
        );
        assert_eq!(
            base(&target, &headers, &["@status"]),
            Err(SignatureError::CoveredHeaderMissing)
        );
    }

    #[test]
    fn an_absent_query_and_an_empty_path_have_values_too() {
        let uri: Uri = "https://dallas.example".parse().unwrap();
        let target = Target::new(&Method::GET, "dallas.example", &uri);
        assert_eq!(
            base(&target, &HeaderMap::new(), &["@path", "@query"]).unwrap(),
            "\"@path\": /\n\"@query\": ?\n\"@signature-params\": ()"
        );
    }

    #[test]
    fn the_request_has_to_name_one_authority_of_ours() {
        let own = [
            OwnAuthority::new("Dallas.Example").unwrap(),
            OwnAuthority::new("[::1]:8443").unwrap(),
        ];
        let check = |uri: &str, hosts: &[&str], expected: Option<&str>| {
            let mut request = Request::get(uri);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let target = Target::received(&parts, &own);
            assert_eq!(
                target.ok().map(|target| target.authority),
                expected,
                "{uri} {hosts:?}"
            );
        };
        check("/owa", &["dallas.example"], Some("dallas.example"));
        check("/owa", &["DALLAS.example"], Some("dallas.example"));
        check("/owa", &["[::1]:8443"], Some("[::1]:8443"));
        check("https://dallas.example/owa", &[], Some("dallas.example"));
        check(
            "https://dallas.example/owa",
            &["Dallas.Example"],
            Some("dallas.example"),
        );
        check("https://dallas.example/owa", &["[::1]:8443"], None);
        check("https://evil.example/owa", &["dallas.example"], None);
        check("/owa", &["dallas.example", "dallas.example"], None);
        check("/owa", &["dallas.example:443"], None);
        check("/owa", &["dallas.example."], None);
        check("/owa", &["evil.example"], None);
        check("/owa", &[""], None);
        check("/owa", &[], None);
    }

    #[test]
    fn own_authorities_are_checked_when_configured() {
        for text in [
            "",
            "u@h",
            "u:p@h",
            "h:",
            "h:x",
            "h:0",
            "h:65536",
            "[::1]:",
            ":80",
            "h/owa",
            "https://h",
            "h h",
            "h\n",
        ] {
            assert!(OwnAuthority::new(text).is_err(), "{text:?}");
        }
        for text in ["HOST:444", "host", "192.0.2.1:8080", "[::1]", "[::1]:8443"] {
            let own = OwnAuthority::new(text).unwrap();
            assert_eq!(own.as_str(), text.to_ascii_lowercase());
        }
    }
}
