//! The head of a request to another server: what goes on of the client's, and what this server says itself.

use std::sync::LazyLock;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version,
    header::{CONTENT_LENGTH, COOKIE, FORWARDED, HOST, TE, VIA},
};

use super::{
    connection::{Nominations, names_in},
    forwarded::{Account, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO},
    framing::Framing,
    hop_by_hop::{BadRequest, Client, Prepared, Via, check_method},
    names::{X_OWA_PROXY_SID, X_OWA_PROXY_URI, X_OWA_PROXY_VERSION},
    proxy_headers::{self, ProxyLines},
    rewrite::LogOnCookies,
    survey::{Class, Survey},
};

/// What this server says on a request to another.
pub(crate) struct Ours<'o> {
    pub(crate) via: &'o Via,
    pub(crate) client: &'o Client,
    /// Whom the client asked for.
    pub(crate) host: HeaderValue,
    /// Which cookies stay here.
    pub(crate) log_on_cookies: &'o LogOnCookies,
    /// Its `Host` and who the user is, if the other server is a second CAS.
    pub(crate) second_cas: Option<(&'o HeaderValue, ProxyLines<'o>)>,
}

/// What [`onward`] makes.
pub(crate) struct Onward {
    pub(crate) headers: HeaderMap,
    pub(crate) prepared: Prepared,
    /// Whether there is a `Destination`.
    pub(crate) destination: bool,
}

/// The headers that [`prepare_request`](super::hop_by_hop::prepare_request) makes of a client's, with room for those of
/// the next hop. What stays here is never copied, which is cheaper than taking it out of a copy.
pub(crate) fn onward(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    ours: Ours<'_>,
) -> Result<Onward, BadRequest> {
    // An answer to TRACE would show the client the headers we are about to add.
    check_method(method)?;
    let template = Template::fitting(&ours);
    let mut account = Account::of(ours.client, ours.host);
    let mut onward = match (template, &ours.second_cas) {
        (Some(template), Some((host, lines))) => template.filled(|line| match line {
            Line::Host => Some((*host).clone()),
            Line::Via => Some(ours.via.line(version).clone()),
            Line::Forwarded => account.forwarded.take(),
            Line::ForwardedFor => account.address.take(),
            Line::ForwardedProto => Some(account.proto.clone()),
            Line::ForwardedHost => Some(account.host.clone()),
            Line::ProxyUri => Some(lines.uri.clone()),
            Line::ProxyVersion => Some(lines.version.clone()),
            Line::ProxySid => Some(proxy_headers::sensitive(lines.sid)),
        }),
        _ => HeaderMap::with_capacity(headers.len() + ROOM_FOR_OURS),
    };
    let mut survey = Survey::default();
    let mut logged_on = false;
    for (name, value) in headers {
        //= src/docs/protocol.md#copy-request
        match survey.note(name, value) {
            Class::Host
            | Class::Authorization
            | Class::Connection
            | Class::ContentLength
            | Class::TransferEncoding
            | Class::Te
            | Class::Upgrade
            | Class::OfHop
            | Class::Identity => continue,
            Class::Account if !ours.client.trusted => continue,
            Class::Cookie => logged_on |= ours.log_on_cookies.are_in(value),
            Class::Account | Class::Destination | Class::Via | Class::OfMessage => {}
        }
        onward.append(name, value.clone());
    }
    let framing = survey.check(version, headers)?;
    let nominated = survey.connection.then(|| Nominations::read(headers));
    if nominated.as_ref().is_some_and(|names| names.protected) {
        return Err(BadRequest::Connection);
    }
    let upgrade = match &nominated {
        Some(nominated) if survey.upgrade => nominated.upgrade(version, headers),
        _ => None,
    };
    if let Framing::Length(length) = framing {
        // The line as it came, unless there are several.
        let line = survey.length.filter(|_| survey.lengths == 1);
        onward.insert(
            CONTENT_LENGTH,
            line.map_or_else(|| length.into(), HeaderValue::clone),
        );
    }
    if let Some(nominated) = nominated {
        Nominations::remove(&nominated.lines(headers), &mut onward, |_| true);
    }
    if survey.te && accepts_trailers(headers) {
        onward.insert(TE, HeaderValue::from_static("trailers"));
    }
    if survey.cookies > 1 {
        join_cookies(&mut onward);
    }
    if logged_on {
        ours.log_on_cookies.strip(&mut onward);
    }
    if template.is_none() {
        ours.via.append(&mut onward, version);
        account.write(&mut onward, ours.client.trusted);
    } else if survey.via {
        // Ours has its place behind those of all who had the request before.
        onward.remove(VIA);
        for line in headers.get_all(VIA) {
            onward.append(VIA, line.clone());
        }
        ours.via.append(&mut onward, version);
    }
    match (&ours.second_cas, template) {
        (Some((_, lines)), Some(_)) => lines.write_rare(&mut onward),
        (Some((host, lines)), None) => {
            onward.insert(HOST, (*host).clone());
            lines.write(&mut onward);
        }
        (None, _) => {}
    }
    Ok(Onward {
        headers: onward,
        prepared: Prepared { framing, upgrade },
        destination: survey.destination,
    })
}

/// Lines that nearly every request to a second CAS has. To copy a map of them and fill it in costs half of what it costs
/// to put them into a map one by one.
struct Template {
    headers: HeaderMap,
    /// In the order in which the map gives its lines.
    lines: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Host,
    Via,
    Forwarded,
    ForwardedProto,
    ForwardedHost,
    ProxyUri,
    ProxyVersion,
    ProxySid,
    ForwardedFor,
}

impl Template {
    /// None if the client's own account of earlier connections is kept, behind which ours has its place.
    fn fitting(ours: &Ours<'_>) -> Option<&'static Self> {
        static OF_A_KNOWN_CLIENT: LazyLock<Template> = LazyLock::new(|| Template::of(&LINES));
        static OF_AN_UNKNOWN_CLIENT: LazyLock<Template> = LazyLock::new(|| {
            let [lines @ .., _for] = LINES;
            Template::of(&lines)
        });
        if ours.client.trusted || ours.second_cas.is_none() {
            return None;
        }
        Some(match ours.client.peer {
            Some(_) => &OF_A_KNOWN_CLIENT,
            None => &OF_AN_UNKNOWN_CLIENT,
        })
    }

    fn of(lines: &[Line]) -> Self {
        let mut headers = HeaderMap::with_capacity(ROOM_FOR_OURS + lines.len());
        for line in lines {
            headers.insert(line.name(), HeaderValue::from_static(""));
        }
        let line_of = |name: &HeaderName| lines.iter().copied().find(|line| line.name() == *name);
        let lines = headers.keys().filter_map(line_of).collect();
        Self { headers, lines }
    }

    fn filled(&self, mut value: impl FnMut(Line) -> Option<HeaderValue>) -> HeaderMap {
        let mut headers = self.headers.clone();
        for (line, place) in self.lines.iter().zip(headers.values_mut()) {
            if let Some(value) = value(*line) {
                *place = value;
            }
        }
        headers
    }
}

/// What only a known client has comes last.
const LINES: [Line; 9] = [
    Line::Host,
    Line::Via,
    Line::Forwarded,
    Line::ForwardedProto,
    Line::ForwardedHost,
    Line::ProxyUri,
    Line::ProxyVersion,
    Line::ProxySid,
    Line::ForwardedFor,
];

impl Line {
    fn name(self) -> HeaderName {
        match self {
            Self::Host => HOST,
            Self::Via => VIA,
            Self::Forwarded => FORWARDED,
            Self::ForwardedProto => X_FORWARDED_PROTO,
            Self::ForwardedHost => X_FORWARDED_HOST,
            Self::ProxyUri => X_OWA_PROXY_URI,
            Self::ProxyVersion => X_OWA_PROXY_VERSION,
            Self::ProxySid => X_OWA_PROXY_SID,
            Self::ForwardedFor => X_FORWARDED_FOR,
        }
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

/// Headers that we and the credentials add, so that the map need not grow for them.
const ROOM_FOR_OURS: usize = 12;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    /// A line of a request that may be of any kind.
    fn line() -> impl Strategy<Value = (&'static str, &'static str)> {
        select(vec![
            ("accept", "a"),
            ("accept", "b"),
            ("authorization", "Basic eA=="),
            ("connection", "keep-alive, x-hop, te, upgrade"),
            ("connection", "via"),
            ("content-length", "3"),
            ("cookie", "a=1; b=2"),
            ("cookie", "c=3"),
            ("destination", "https://mail/owa/x"),
            ("forwarded", "for=evil"),
            ("host", "mail"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("via", "1.0 fred"),
            ("via", "1.1 barney"),
            ("x-forwarded-for", "198.51.100.7"),
            ("x-hop", "1"),
            ("x-owa-proxysid", "S-1-5-18"),
        ])
    }

    proptest! {
        #[test]
        //= src/docs/protocol.md#copy-request
        //= src/docs/protocol.md#header-via
        fn a_template_makes_the_same_head(
            lines in vec(line(), 0..12),
            peer in select(vec![None, Some("192.0.2.1:4711"), Some("[2001:db8::1]:1")]),
            trusted: bool,
            https: bool,
            web_part: bool,
            explicit in select(vec![None, Some("anna@contoso.com")]),
            version in select(vec![Version::HTTP_10, Version::HTTP_11, Version::HTTP_2]),
        ) {
            let mut headers = HeaderMap::new();
            headers.append(HOST, HeaderValue::from_static("mail"));
            for (name, value) in lines {
                headers.append(name, HeaderValue::from_static(value));
            }
            let via = Via::new("cas").unwrap();
            let peer = peer.map(|peer| peer.parse().unwrap());
            let client = Client { peer, https, trusted };
            let [uri, own_version, sid] =
                ["https://mail.contoso.com/owa", "8.1.240.5", "S-1-5-21-1-2-3-1105"].map(HeaderValue::from_static);
            let proxy_lines = || ProxyLines {
                uri: &uri,
                version: &own_version,
                sid: &sid,
                web_part,
                explicit_logon: explicit.map(HeaderValue::from_static),
            };
            let second = HeaderValue::from_static("dallas");
            let made = |second_cas| {
                let ours = Ours {
                    via: &via,
                    client: &client,
                    host: HeaderValue::from_static("mail"),
                    log_on_cookies: &LogOnCookies::new(["c"]).unwrap(),
                    second_cas,
                };
                onward(&Method::GET, version, &headers, ours)
            };
            let of_template = made(Some((&second, proxy_lines())));
            match made(None) {
                Ok(mut one_by_one) => {
                    one_by_one.headers.insert(HOST, second.clone());
                    proxy_lines().write(&mut one_by_one.headers);
                    let of_template = of_template.ok().unwrap();
                    prop_assert_eq!(of_template.headers, one_by_one.headers);
                    prop_assert_eq!(of_template.prepared, one_by_one.prepared);
                }
                Err(error) => prop_assert_eq!(of_template.err(), Some(error)),
            }
        }
    }
}
