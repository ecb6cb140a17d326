//! The names two Client Access servers use between themselves: headers, statuses, and the family of names that speak
//! of identity.

use http::{HeaderMap, HeaderName, StatusCode, header::COOKIE};

use super::{cookies, percent::Decoded, survey::Survey};

/// `X-OWA-ProxyUri`: where browsers reach the first CAS, such as `https://mail.contoso.com/owa`.
pub const X_OWA_PROXY_URI: HeaderName = HeaderName::from_static("x-owa-proxyuri");
/// `X-OWA-ProxyVersion`: the version of the first CAS, such as `8.1.240.5`.
pub const X_OWA_PROXY_VERSION: HeaderName = HeaderName::from_static("x-owa-proxyversion");
/// `X-OWA-ProxySid`: the user's SID.
pub const X_OWA_PROXY_SID: HeaderName = HeaderName::from_static("x-owa-proxysid");
/// `X-OWA-ProxyWebPart`: `1` on a request for a web part.
pub const X_OWA_PROXY_WEB_PART: HeaderName = HeaderName::from_static("x-owa-proxywebpart");
/// `X-OWA-ExplicitLogonUser`: SMTP address of a mailbox opened by its address.
pub const X_OWA_EXPLICIT_LOGON_USER: HeaderName =
    HeaderName::from_static("x-owa-explicitlogonuser");
/// `X-OWA-Version`: the version of the second CAS, in its answer to a ping.
pub const X_OWA_VERSION: HeaderName = HeaderName::from_static("x-owa-version");

/// 241, the proxy login is accepted: send the original request again.
//= src/docs/protocol.md#status-241
pub const LOGIN_ACCEPTED: StatusCode = status(241);
/// 242, the answer to a ping.
//= src/docs/protocol.md#status-242
pub const PING_SUCCEEDED: StatusCode = status(242);
/// 441, the second CAS holds no context for this user.
//= src/docs/protocol.md#status-441
pub const NEED_IDENTITY: StatusCode = status(441);
/// 442, the mailbox has no language or time zone yet.
//= src/docs/protocol.md#status-442
pub const NEED_LANGUAGE: StatusCode = status(442);

/// Whether this is one of the four statuses two CASs keep between themselves. No browser may see one.
#[must_use]
pub fn is_private_status(status: StatusCode) -> bool {
    //= src/docs/protocol.md#status-private
    [LOGIN_ACCEPTED, PING_SUCCEEDED, NEED_IDENTITY, NEED_LANGUAGE].contains(&status)
}

/// Whether a header of this name speaks of who someone is, or where a request is to go, and so may never come from a
/// client: `X-OWA-Proxy*`, `X-OWA-ExplicitLogonUser`, and what later versions of the product believed from a header.
///
/// Any sign may stand for a `-`: gateway interfaces fold `_`, `.` and others into one.
///
/// ```
/// use cas_proxy::wire::names::is_identity_name;
/// use http::HeaderName;
///
/// assert!(is_identity_name(&HeaderName::from_static("x-owa-proxysid")));
/// assert!(is_identity_name(&HeaderName::from_static("x_owa_proxysid")));
/// assert!(!is_identity_name(&HeaderName::from_static("x-owa-version")));
/// ```
#[must_use]
pub fn is_identity_name(name: &HeaderName) -> bool {
    //= src/docs/protocol.md#header-client-never
    names_identity(name.as_str().as_bytes())
}

/// Removes every header and every cookie whose name [speaks of identity](is_identity_name). Other cookies keep their
/// bytes. Allocates only if there is something to remove.
///
/// ```
/// use cas_proxy::wire::names::strip_identity;
/// use http::{HeaderMap, HeaderValue, header::COOKIE};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-owa-proxysid", HeaderValue::from_static("S-1-5-18"));
/// headers.insert(COOKIE, HeaderValue::from_static("a=1; X-BEResource=evil~1; b=2"));
/// strip_identity(&mut headers);
///
/// assert_eq!(headers.len(), 1);
/// assert_eq!(headers[COOKIE], "a=1; b=2");
/// ```
pub fn strip_identity(headers: &mut HeaderMap) {
    //= src/docs/protocol.md#header-client-never
    let survey = Survey::of(headers);
    let (identity, cookies) = (survey.identity, survey.cookies > 0);
    if identity {
        let of_family = |name: &&HeaderName| is_identity_name(name);
        let unwanted: Vec<HeaderName> = headers.keys().filter(of_family).cloned().collect();
        for name in unwanted {
            headers.remove(name);
        }
    }
    if cookies {
        cookies::remove(headers, may_begin_identity, is_identity_cookie);
    }
}

/// Whether [`strip_identity`] would remove anything, after a look over all headers has been taken.
pub(crate) fn speak_of_identity(headers: &HeaderMap, survey: &Survey<'_>) -> bool {
    let speaks = |line| cookies::any(line, may_begin_identity, is_identity_cookie);
    survey.identity
        || match survey.cookies {
            0 => false,
            1 => survey.cookie.is_some_and(speaks),
            _ => headers.get_all(COOKIE).iter().any(speaks),
        }
}

/// Removes from trailers every field whose name [speaks of identity](is_identity_name), and `Cookie` as a whole: a
/// cookie has no business in a trailer, and a reader that merges trailers into headers would believe it.
pub fn strip_identity_trailers(trailers: &mut HeaderMap) {
    //= src/docs/protocol.md#header-client-never
    trailers.remove(COOKIE);
    strip_identity(trailers);
}

/// As [`is_identity_name`], of bytes that may be a name, in any case.
pub(super) fn names_identity(name: &[u8]) -> bool {
    match name {
        [b'x' | b'X', sign, rest @ ..] if !sign.is_ascii_alphanumeric() => {
            X_FAMILIES.iter().any(|family| begins_with(rest, family))
        }
        [b'm' | b'M', ..] => begins_with(name, b"msexch"),
        _ => false,
    }
}

/// Whether `name` begins with `family`, in any case, and with any sign for a `-`.
pub(super) fn begins_with(name: &[u8], family: &[u8]) -> bool {
    let fits = |(byte, expected): (&u8, &u8)| match expected {
        b'-' => !byte.is_ascii_alphanumeric(),
        _ => byte.eq_ignore_ascii_case(expected),
    };
    name.len() >= family.len() && name.iter().zip(family).all(fits)
}

/// A cookie's name is compared in any case, and after one percent-decoding, since some servers undo that; what stands
/// before its first letter or digit is passed over.
fn is_identity_cookie(name: &[u8]) -> bool {
    if !name.first().is_some_and(|&byte| may_begin_identity(byte)) {
        return false;
    }
    let mut beginning = [0; LONGEST_FAMILY];
    let decoded = Decoded(name.iter().copied()).skip_while(|byte| !byte.is_ascii_alphanumeric());
    let slots = beginning.iter_mut().zip(decoded);
    let length = slots.map(|(slot, byte)| *slot = byte).count();
    names_identity(beginning.get(..length).unwrap_or_default())
}

/// Whether [`is_identity_cookie`] could hold for a name that begins so.
fn may_begin_identity(byte: u8) -> bool {
    matches!(byte, b'x' | b'X' | b'm' | b'M') || !byte.is_ascii_alphanumeric()
}

const fn status(code: u16) -> StatusCode {
    match StatusCode::from_u16(code) {
        Ok(status) => status,
        // Not reached: the four are in range, as the tests say.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Beginnings of names, in lower case, behind `x-`; a `-` stands for any sign.
const X_FAMILIES: [&[u8]; 13] = [
    b"owa-proxy",
    b"owa-explicitlogonuser",
    b"logontype",
    b"eas-",
    b"commonaccesstoken",
    b"rps-cat",
    b"beresource",
    b"beserver",
    b"backendcookie",
    b"backendheader",
    b"anonresource",
    b"isfromcafe",
    b"sourcecafeserver",
];
const LONGEST_FAMILY: usize = "x-owa-explicitlogonuser".len();

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::{prelude::*, sample::select};

    use super::*;

    fn header(name: &str) -> HeaderName {
        name.parse().unwrap()
    }

    #[test]
    //= src/docs/protocol.md#header-client-never
    fn knows_the_family() {
        for name in [
            "X-OWA-ProxyUri",
            "X-OWA-ProxyVersion",
            "X-OWA-ProxySid",
            "X-OWA-ProxyWebPart",
            "X-OWA-ProxyAnything",
            "X-OWA-Proxy",
            "X-OWA-ExplicitLogonUser",
            "X-LogonType",
            "msExchLogonMailbox",
            "msExchTargetServer",
            "MSEXCH",
            "X-EAS-Proxy",
            "X-CommonAccessToken",
            "X-Rps-CAT",
            "X-BEResource",
            "X-BEServerException",
            "X-BackEndCookie",
            "X-BackEndHeader-X-CommonAccessToken",
            "X-AnonResource",
            "X-AnonResource-Backend",
            "X-IsFromCafe",
            "X-SourceCafeServer",
        ] {
            assert!(is_identity_name(&header(name)), "{name}");
            assert!(is_identity_name(&header(&name.replace('-', "_"))), "{name}");
            assert!(
                is_identity_name(&header(&name.replacen('-', ".", 1))),
                "{name}"
            );
            assert!(is_identity_cookie(name.as_bytes()), "{name}");
        }
        for name in [
            "Host",
            "X-OWA-Version",
            "X-OWA-Canary",
            "X-OWA",
            "X-Forwarded-For",
            "X-Requested-With",
            "Max-Forwards",
            "X-BE",
            "Xowaproxysid",
            "XX-OWA-ProxySid",
            "ms-exch",
            "proxy-authorization",
        ] {
            assert!(!is_identity_name(&header(name)), "{name}");
            assert!(!is_identity_cookie(name.as_bytes()), "{name}");
        }
    }

    #[test]
    //= src/docs/protocol.md#header-client-never
    fn strips_repeated_headers_and_cookies_however_spelled() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_static("S-1-5-18");
        for name in ["X-OWA-ProxySid", "x_owa-proxysid", "msExchLogonAccount"] {
            headers.append(header(name), value.clone());
            headers.append(header(name), value.clone());
        }
        headers.append("accept", HeaderValue::from_static("*/*"));
        for line in [
            "a=\"1\"; x-anonresource=true;  b=2",
            "X%2DBEResource=x; c=3; X_BERESOURCE=y",
            "\"X-AnonResource-Backend\"=evil",
        ] {
            headers.append(COOKIE, line.parse().unwrap());
        }
        strip_identity(&mut headers);
        let cookies: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=\"1\";  b=2", "c=3"]);
        assert_eq!(headers.remove("accept").unwrap(), "*/*");
        headers.remove(COOKIE);
        assert!(headers.is_empty(), "{headers:?}");
    }

    #[test]
    //= src/docs/protocol.md#header-client-never
    fn strips_trailers() {
        let mut trailers = HeaderMap::new();
        for name in [
            "x-owa-proxysid",
            "X_LogonType",
            "cookie",
            "cookie",
            "checksum",
        ] {
            trailers.append(header(name), HeaderValue::from_static("1"));
        }
        strip_identity_trailers(&mut trailers);
        assert_eq!(trailers.len(), 1);
        assert!(trailers.contains_key("checksum"));
    }

    #[test]
    //= src/docs/protocol.md#status-241
    //= src/docs/protocol.md#status-242
    //= src/docs/protocol.md#status-441
    //= src/docs/protocol.md#status-442
    //= src/docs/protocol.md#status-private
    fn four_statuses_are_private() {
        let private =
            (100..=999).filter(|&code| is_private_status(StatusCode::from_u16(code).unwrap()));
        assert_eq!(private.collect::<Vec<_>>(), [241, 242, 441, 442]);
        assert_eq!(LOGIN_ACCEPTED.as_u16(), 241);
        assert_eq!(PING_SUCCEEDED.as_u16(), 242);
        assert_eq!(NEED_IDENTITY.as_u16(), 441);
        assert_eq!(NEED_LANGUAGE.as_u16(), 442);
    }

    /// A name of the family with random case, and `_` for some of its `-`.
    fn disguised_name() -> impl Strategy<Value = String> {
        let names = select(vec![
            "x-owa-proxysid",
            "x-owa-explicitlogonuser",
            "msexchlogonmailbox",
            "x-eas-x",
        ]);
        (names, any::<u64>()).prop_map(|(name, dice)| {
            let disguise = |(at, letter): (usize, char)| match dice >> at & 1 {
                0 => letter,
                _ if letter == '-' => '_',
                _ => letter.to_ascii_uppercase(),
            };
            name.chars().enumerate().map(disguise).collect()
        })
    }

    proptest! {
        #[test]
        //= src/docs/protocol.md#header-client-never
        fn nothing_of_the_family_gets_through(
            others in proptest::collection::vec("[a-z-]{1,12}", 0..8),
            names in proptest::collection::vec(disguised_name(), 1..8),
        ) {
            let value = HeaderValue::from_static("v");
            let mut headers = HeaderMap::new();
            for name in &others {
                headers.append(header(name), value.clone());
            }
            let before = headers.clone();
            for name in &names {
                headers.append(header(name), value.clone());
            }
            strip_identity(&mut headers);
            prop_assert_eq!(headers, before);
        }

        #[test]
        //= src/docs/protocol.md#header-client-never
        fn no_cookie_of_the_family_gets_through(name in disguised_name(), before in "[ -~]{0,20}", after in "[ -~]{0,20}") {
            let mut headers = HeaderMap::new();
            let line = format!("{before}; {name}=1;{after}");
            headers.append(COOKIE, line.parse().unwrap());
            strip_identity(&mut headers);
            let left = headers.get(COOKIE).map_or("", |line| line.to_str().unwrap());
            prop_assert!(!left.contains(&format!("{name}=1")), "{}", left);
        }
    }
}
