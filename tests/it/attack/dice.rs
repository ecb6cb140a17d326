//! Made-up requests, from a seed that a failing test prints.

use crate::support::dice::{Dice, how_many};

/// How many made-up requests a test sends: what `CAS_PROXY_ATTACKS` says, or a few.
pub fn attacks(few: usize) -> usize {
    how_many("CAS_PROXY_ATTACKS", few)
}

/// The bytes of one connection: one request, or two.
pub fn connection(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = request(dice);
    if dice.one_in(4) {
        bytes.extend(request(dice));
    }
    if dice.one_in(5) {
        for _ in 0..=dice.below(3) {
            if bytes.is_empty() {
                break;
            }
            let at = dice.below(bytes.len());
            match dice.below(4) {
                0 => bytes[at] ^= 1 << dice.below(8),
                1 => bytes.insert(
                    at,
                    dice.pick(b"\r\n\t \0:;/\\%@#?.,_-\"<>[]{}|^`~\x7f\x80\xff"),
                ),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at + 1),
            }
        }
    }
    bytes
}

fn request(dice: &mut Dice) -> Vec<u8> {
    let mut bytes = Vec::new();
    let method = if dice.one_in(4) {
        dice.pick(METHODS)
    } else {
        "GET"
    };
    bytes.extend(method.bytes());
    bytes.push(b' ');
    bytes.extend(target(dice));
    let version = if dice.one_in(8) {
        dice.pick(VERSIONS)
    } else {
        " HTTP/1.1"
    };
    bytes.extend(version.bytes());
    bytes.extend(b"\r\n");
    for _ in 0..if dice.one_in(12) { dice.below(3) } else { 1 } {
        bytes.extend(format!("{}: {}\r\n", spelled(dice, "Host"), dice.pick(HOSTS)).bytes());
    }
    for _ in 0..if dice.one_in(8) { dice.below(3) } else { 1 } {
        bytes.extend(
            format!(
                "authorization: user {}\r\n",
                dice.pick(&[1, 2, 2, 2, 2, 3, 4])
            )
            .bytes(),
        );
    }
    for _ in 0..dice.pick(&[0, 1, 1, 1, 2, 4]) {
        let (name, values) = dice.pick(FIELDS);
        let name = spelled(dice, name);
        let value = dice.pick(values);
        bytes.extend(format!("{name}:{}{value}\r\n", dice.pick(&["", " ", "\t", "  "])).bytes());
    }
    if dice.one_in(3) {
        let (lines, body) = dice.pick(BODIES);
        bytes.extend(format!("{lines}\r\n{body}").bytes());
    } else {
        bytes.extend(b"\r\n");
    }
    bytes
}

fn target(dice: &mut Dice) -> Vec<u8> {
    let mut target = Vec::new();
    if dice.one_in(8) {
        target.extend(dice.pick(ORIGINS).bytes());
    }
    let root = if dice.one_in(3) {
        dice.pick(ROOTS)
    } else {
        "/owa"
    };
    target.extend(root.bytes());
    let pieces = dice.pick(&[0, 1, 1, 1, 1, 2, 3, 6]);
    for _ in 0..pieces {
        target.extend(dice.pick(PIECES).bytes());
    }
    if dice.one_in(3) {
        target.extend(dice.pick(QUERIES).bytes());
    }
    if target.is_empty() {
        return target;
    }
    for _ in 0..if dice.one_in(3) { dice.below(3) + 1 } else { 0 } {
        let at = dice.below(target.len());
        let byte = target[at];
        if byte != b'/' || dice.one_in(2) {
            let escaped = match dice.below(3) {
                0 => format!("%{byte:02X}"),
                1 => format!("%{byte:02x}"),
                _ => format!("%25{byte:02x}"),
            };
            target.splice(at..=at, escaped.bytes());
        }
    }
    if dice.one_in(3) {
        let start = dice.below(target.len());
        target[start..].make_ascii_uppercase();
    }
    target
}

/// A name in one of its spellings.
fn spelled(dice: &mut Dice, name: &str) -> String {
    match dice.below(6) {
        0 => name.to_ascii_uppercase(),
        1 => name.to_ascii_lowercase(),
        2 => name.replace('-', "_"),
        3 if name.contains('-') => name.replacen('-', dice.pick(&["_", ".", "~", "|", "'"]), 1),
        _ => name.to_owned(),
    }
}

const METHODS: &[&str] = &[
    "GET", "GET", "GET", "POST", "PUT", "HEAD", "OPTIONS", "PROPFIND", "SEARCH", "MOVE", "CONNECT",
    "TRACE", "get", "X-Y",
];
const VERSIONS: &[&str] = &[
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.1",
    " HTTP/1.0",
    " HTTP/1.2",
    "",
];
const ORIGINS: &[&str] = &[
    "http://mail.contoso.com",
    "https://mail.contoso.com",
    "http://evil.example",
    "http://evil.example:80",
    "http://dallas.corp@evil.example",
    "http://evil.example@dallas.corp",
    "https://127.0.0.1",
    "http://[::1]",
    "http://[fe80::1%25eth0]",
    "http://xn--mnchen-3ya.example",
    "evil.example:443",
    "ftp://evil.example",
    "//evil.example",
    "http://",
];
const ROOTS: &[&str] = &[
    "/owa",
    "/owa",
    "/owa",
    "/OWA",
    "/exchange",
    "/public",
    "/exchweb",
    "//owa",
    "/",
    "/x",
    "/ecp",
    "/owa;x",
    "/./owa",
    "/x/../owa",
    "\\owa",
    "*",
    "owa",
    "/owax",
    "",
];
const PIECES: &[&str] = &[
    "/",
    "/",
    "//",
    "/.",
    "/..",
    "/...",
    "/..;",
    "\\",
    ";",
    ";jsessionid=1",
    ":",
    "::$DATA",
    ".",
    " ",
    "@",
    "@evil.example",
    "/anna@contoso.com",
    "/bob@contoso.com",
    "/anna@contoso.com@evil.example",
    "/proxyLogon.owa",
    "/proxyLogon.ecp",
    "/ping.owa",
    "ping.owa",
    "/auth",
    "/auth/logon.aspx",
    "/languageselection.aspx",
    "/8.3.83.6",
    "/8.3",
    "/lang.owa",
    "/ev.owa",
    "%2f",
    "%2F",
    "%5c",
    "%2e%2e",
    "%2e",
    "%252e%252e%252f",
    "%00",
    "%0d%0a",
    "%0d%0aX-OWA-ProxySid:%20S-1-5-18",
    "%c0%af",
    "%c0%ae",
    "%e0%80%af",
    "%u002e%u002e",
    "%u2215",
    "%EF%BC%8F",
    "%EF%BC%8E",
    "%ff",
    "%",
    "%2",
    "%zz",
    "/\u{e4}",
    "/x",
    "/Inbox",
    "/[::1]",
    "/{x}",
    "/a,b",
    "/autodiscover/autodiscover.json",
];
const QUERIES: &[&str] = &[
    "?",
    "?ae=Folder",
    "?cmd=contents",
    "?X-Rps-CAT=VgEA",
    "?@evil.example",
    "?Email=autodiscover/autodiscover.json",
    "?a=%0d%0a",
    "?/../../proxyLogon.owa",
    "??",
    "#",
    "#@evil.example/",
    "?\u{e4}",
    "?a=\\",
    "?http://evil.example/",
];
const HOSTS: &[&str] = &[
    "mail.contoso.com",
    "mail.contoso.com",
    "mail.contoso.com",
    "mail.contoso.com",
    "mail.contoso.com",
    "mail.contoso.com",
    "mail.contoso.com",
    "mail.contoso.com",
    "mail.contoso.com",
    "mail.contoso.com",
    "MAIL.contoso.com:443",
    "evil.example",
    "dallas.corp",
    "evil@mail.contoso.com",
    "mail.contoso.com, evil.example",
    "mail.contoso.com/owa",
    "[::1]",
    "[fe80::1%25eth0]",
    "127.0.0.1:25",
    "xn--mnchen-3ya",
    "m\u{fc}nchen",
    "",
    "a b",
    "mail.contoso.com:99999",
];
const FIELDS: &[(&str, &[&str])] = &[
    (
        "X-OWA-ProxySid",
        &["S-1-5-18", "S-1-5-21-1004336348-1177238915-682003330-1", ""],
    ),
    (
        "X-OWA-ProxyUri",
        &["https://evil.example/owa", "https://mail.contoso.com/owa"],
    ),
    ("X-OWA-ProxyVersion", &["8.3.83.6", "x"]),
    ("X-OWA-ProxyWebPart", &["1"]),
    ("X-OWA-ExplicitLogonUser", &["bob@contoso.com", "evil"]),
    ("X-LogonType", &["1"]),
    ("msExchLogonMailbox", &["S-1-5-18"]),
    ("X-CommonAccessToken", &["VgEA"]),
    ("X-BEResource", &["evil~1", "localhost~1942062522"]),
    ("X-AnonResource-Backend", &["evil"]),
    (
        "Cookie",
        &[
            "X-BEResource=evil~1",
            "a=1; X-AnonResource=true; X-AnonResource-Backend=evil; b=2",
            "Email=x@y",
            "cadata=1; a=2",
            "x-beresource",
            "\"X-BEResource\"=1",
            "a=\"1; msExchLogonMailbox=2\"",
            "X%2DBEResource=1",
            ";;;",
            "=",
            "SecurityToken=x",
        ],
    ),
    (
        "Connection",
        &[
            "close",
            "keep-alive",
            "host",
            "cookie",
            "x-owa-proxysid",
            "close, x-a",
            "upgrade",
            "te",
            "authorization",
            "x-forwarded-for",
            "keep-alive, X-OWA-ProxyUri",
            ",,",
            "content-length",
            "transfer-encoding",
        ],
    ),
    ("Upgrade", &["websocket", "h2c", "TLS/1.0"]),
    ("HTTP2-Settings", &["AAMAAABkAAQAoAAAAAIAAAAA"]),
    ("TE", &["trailers", "chunked", "gzip"]),
    ("Expect", &["100-continue", "x"]),
    ("Via", &["1.1 evil", "1.1 seattle", "1.0 a (b"]),
    ("X-Forwarded-For", &["127.0.0.1", "evil"]),
    ("X-Forwarded-Host", &["evil.example"]),
    ("Forwarded", &["for=127.0.0.1;host=evil.example"]),
    ("X-Original-URL", &["/owa/proxyLogon.owa"]),
    ("X-HTTP-Method-Override", &["POST"]),
    (
        "Destination",
        &[
            "https://evil.example/owa/",
            "https://mail.contoso.com/owa/proxyLogon.owa",
            "/owa/../x",
        ],
    ),
    (
        "Signature",
        &["cas=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:", "x"],
    ),
    (
        "Signature-Input",
        &[
            "cas=(\"@method\");created=1;expires=2;nonce=\"a\";keyid=\"seattle\"",
            "x",
        ],
    ),
    ("Content-Digest", &["sha-256=:AAAA:"]),
    ("Proxy-Authorization", &["user 2"]),
    ("Proxy-Connection", &["keep-alive"]),
    ("Keep-Alive", &["timeout=5"]),
    ("Range", &["bytes=0-1"]),
    ("Trailer", &["X-OWA-ProxySid"]),
    ("Accept", &["text/html", "*/*", "application/json"]),
    ("X", &["y", "caf\u{e9}", "a\tb", ""]),
];
const BODIES: &[(&str, &str)] = &[
    ("content-length: 3\r\n", "abc"),
    ("Content-Length: 3\r\ncontent-length: 3\r\n", "abc"),
    ("content-length: 3\r\ncontent-length: 4\r\n", "abcd"),
    ("content-length: 300\r\n", "abc"),
    ("content-length: +3\r\n", "abc"),
    ("content-length: 3, 3\r\n", "abc"),
    ("transfer-encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
    (
        "transfer-encoding: chunked\r\ntrailer: X-OWA-ProxySid\r\n",
        "3\r\nabc\r\n0\r\nX-OWA-ProxySid: S-1-5-18\r\n\r\n",
    ),
    (
        "transfer-encoding: chunked\r\n",
        "3;a=b\r\nabc\r\n0\r\nhost: evil.example\r\nmsExchLogonMailbox: x\r\n\r\n",
    ),
    (
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
        "3\r\nabc\r\n0\r\n\r\nGET /owa/x HTTP/1.1\r\nhost: a\r\n\r\n",
    ),
    (
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "0\r\n\r\nGET /owa/x HTTP/1.1\r\nhost: a\r\n\r\n",
    ),
    ("transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"),
    ("transfer-encoding: chunked, chunked\r\n", "0\r\n\r\n"),
    (
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "0\r\n\r\n",
    ),
    ("transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
    ("transfer-encoding:\u{b}chunked\r\n", "0\r\n\r\n"),
    ("transfer-encoding: chunked\r\n", "3\r\nabcd\r\n0\r\n\r\n"),
    ("transfer-encoding: chunked\r\n", "3\r\nab"),
    ("x: y\r\n folded\r\n", ""),
];
