//! `proxyLogon.owa` and `ping.owa` are for CASs. Whoever else asks is refused, however the name is spelled and wherever
//! it stands.

use std::collections::BTreeSet;

use super::{
    chain::{Chain, by, run, status_of},
    oracle::judge,
};

/// Ways to write one of the names that some server would undo: ASCII case, escapes of one letter or all, once to four
/// times over, what IIS takes for the end of a name, and what Windows loses from it.
fn spellings(name: &str) -> BTreeSet<String> {
    let escaped = |letters: &str, layers: usize| {
        let percent = "%25".repeat(layers).replacen("%25", "%", 1);
        let percent = percent.replace("%25", "25");
        letters
            .bytes()
            .map(|byte| format!("{percent}{byte:02x}"))
            .collect::<String>()
    };
    let mut bases = BTreeSet::from([
        name.to_owned(),
        name.to_ascii_uppercase(),
        name.to_ascii_lowercase(),
        name.replace('.', "%2E"),
        name.replace('.', "%252e"),
    ]);
    for layers in 1..=4 {
        bases.insert(escaped(name, layers));
        for at in [0, name.len() / 2, name.len() - 1] {
            let (before, rest) = name.split_at(at);
            let (letter, after) = rest.split_at(1);
            bases.insert([before, &escaped(letter, layers), after].concat());
        }
    }
    let mut all = BTreeSet::new();
    for base in bases {
        for end in [
            "",
            "/",
            "//",
            "/x",
            "/x/y.gif",
            ";",
            ";x",
            ";jsessionid=1",
            "%3b",
            "%253bx",
            ".",
            "..",
            "%2e",
            "%20",
            "%20.",
            "::$DATA",
            ":x",
            "%3a$i30:$INDEX_ALLOCATION",
            "/;x",
            "/%20x",
            "?",
            "?x",
            "?/../x",
            "%3fx",
            "%23x",
            "%2f",
            "%2fx",
        ] {
            all.insert([&base, end].concat());
        }
    }
    all
}

const PREFIXES: [&str; 14] = [
    "/owa/",
    "//owa//",
    "/OWA/",
    "/exchange/",
    "/exchweb/",
    "/public/",
    "/owa/bob@contoso.com/",
    "/owa/bob%40contoso.com/",
    "/owa/x/",
    "/owa/auth/",
    "/owa/8.3.83.6/",
    "/owa/;/",
    "/owa/x;y/",
    "/owa/x%2f",
];

/// What it answers to one request by a signed-in user; nobody behind the layers saw it.
async fn refusal(chain: &Chain, rid: u32, method: &str, target: &str) -> Option<u16> {
    let head = by(rid, &format!("{method} {target}"));
    let answer = chain.send(format!("{head}\r\n").as_bytes()).await;
    let seen = chain.seen();
    assert!(
        seen.here.is_empty() && seen.sent.is_empty(),
        "{method} {target}: {seen:?}"
    );
    judge(&seen, &[rid]);
    status_of(&answer)
}

//= src/docs/protocol.md#login-caller
//= src/docs/protocol.md#path-normal
#[test]
fn internal_paths_are_403_in_every_spelling() {
    run(async {
        let (mut forbidden, mut malformed) = (0, 0);
        for chain in Chain::of_every_make() {
            for name in ["proxyLogon.owa", "ping.owa"] {
                for (at, spelling) in spellings(name).iter().enumerate() {
                    // Each spelling behind two of them; every one has its turn.
                    for prefix in [PREFIXES[0], PREFIXES[at % PREFIXES.len()]] {
                        let target = [prefix, spelling].concat();
                        match refusal(&chain, 2, "GET", &target).await {
                            Some(403) => forbidden += 1,
                            // Not only internal: there are two ways to read it.
                            Some(400) => malformed += 1,
                            other => panic!("{target}: {other:?}"),
                        }
                    }
                }
            }
        }
        println!("{forbidden} forbidden, {malformed} malformed");
        assert!(forbidden > 4 * malformed, "{forbidden} {malformed}");
    });
}

//= src/docs/protocol.md#login-caller
#[test]
fn internal_paths_are_403_for_every_method_and_every_user() {
    run(async {
        for chain in Chain::of_every_make() {
            for method in [
                "GET", "HEAD", "POST", "PUT", "OPTIONS", "PROPFIND", "LOCK", "X-Y",
            ] {
                for rid in [1, 2, 3, 4, 9] {
                    for path in ["/owa/ping.owa", "/owa/proxyLogon.owa", "/OWA/%70ing.owa"] {
                        let status = refusal(&chain, rid, method, path).await;
                        assert_eq!(status, Some(403), "{method} {path} by {rid}");
                    }
                }
            }
        }
    });
}

/// As a way into our paths, or with a backslash, or in an absolute target: never through to anybody.
//= src/docs/protocol.md#path-normal
#[test]
fn no_detour_leads_to_an_internal_path() {
    run(async {
        for chain in Chain::of_every_make() {
            for target in [
                "/x/../owa/ping.owa",
                "/x/%2e%2e/owa/proxyLogon.owa",
                "/x%2f..%2fowa/ping.owa",
                "/%2e/owa/ping.owa",
                "/owa\\ping.owa",
                "/owa/x\\..\\ping.owa",
                "/owa%5cping.owa",
                "/owa%255cping.owa",
                "\\owa\\ping.owa",
                "/owa/..;/owa/ping.owa",
                "/owa/./ping.owa",
                "/%6fwa/ping.owa",
                "/o%77a/proxyLogon.owa",
                "/owa%2fping.owa",
                "/owa;x/ping.owa",
                "/owa./ping.owa",
                "/owa%20/ping.owa",
                "/owa/%u0070ing.owa",
                "/owa/ping%u002eowa",
                "/owa/ping%c0%aeowa",
                "/owa/ping%00.owa",
                "/owa/ping.owa%00.gif",
                "/owa/%0d%0aping.owa",
                "http://mail.contoso.com/owa/ping.owa",
                "https://mail.contoso.com:443//owa/ping.owa",
            ] {
                for rid in [1, 2] {
                    let head = by(rid, &format!("GET {target}"));
                    let host = if target.starts_with("https:") {
                        head.replace("mail.contoso.com\r", "mail.contoso.com:443\r")
                    } else {
                        head
                    };
                    let answer = chain.send(format!("{host}\r\n").as_bytes()).await;
                    let status = status_of(&answer);
                    assert!(
                        matches!(status, Some(400 | 403)),
                        "{target} by {rid}: {status:?}"
                    );
                    let seen = chain.seen();
                    assert!(
                        seen.here.is_empty() && seen.sent.is_empty(),
                        "{target}: {seen:?}"
                    );
                }
            }
        }
    });
}

/// A name that only looks like one of them is a mailbox's own business.
#[test]
fn other_names_are_no_internal_paths() {
    run(async {
        for chain in Chain::of_every_make() {
            for path in [
                "/owa/ping.owax",
                "/owa/xping.owa",
                "/owa/ping",
                "/owa/proxyLogon.owa.txt",
                "/owa/ping_owa",
                "/owa/?x=ping.owa",
                "/elsewhere/ping.owa",
            ] {
                for rid in [1, 2] {
                    let head = by(rid, &format!("GET {path}"));
                    let answer = chain.send(format!("{head}\r\n").as_bytes()).await;
                    assert_eq!(status_of(&answer), Some(200), "{path} by {rid}");
                    judge(&chain.seen(), &[rid]);
                }
            }
        }
    });
}
