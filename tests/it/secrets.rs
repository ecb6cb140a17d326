//! Nothing that could be used against anyone is in a log or in `Debug`: no full SID, no token, key, cookie, password or
//! context, whatever happens and however much is logged.

use std::{fmt::Debug, process::Command};

/// What the tests' people, keys and passwords look like; all of it is made up for these tests.
const SECRETS: [&str; 12] = [
    // Users of `support::user`, and of other tests.
    "S-1-5-21-1004336348-1177238915-682003330",
    "S-1-5-21-1-2-3-1105",
    // Beginnings of the context as XML, and of a signature.
    "<r at=",
    "<s>S-",
    "cas=:",
    // Basic and Negotiate credentials, passwords.
    "Basic YW5uYT",
    "YW5uYTpzZWNyZXQ=",
    "correct horse",
    // Keys.
    "seattle to dallas, and no others",
    "0123456789abcdef0123456789abcdef",
    // Cookies.
    "cadata=",
    "UserContext=",
];

/// Runs the tests of this binary that play whole exchanges once more, in a process of their own that logs all there is,
/// this crate's events and those of h2 below it, and searches what was logged. hyper has none unless it is built for that.
#[test]
fn nothing_secret_is_logged_at_trace_by_all_that_the_tests_do() {
    let tests = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--test-threads=2", "--skip", "secrets::"])
        .args(SKIPPED.iter().flat_map(|name| ["--skip", name]))
        .env(crate::support::logs::ALL, "1")
        .env("RUST_BACKTRACE", "0")
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&tests.stdout);
    let logged = String::from_utf8_lossy(&tests.stderr);
    assert!(tests.status.success(), "{}", last_lines(&printed));
    // Otherwise nothing was searched.
    for wanted in [
        "TRACE",
        "cas_proxy",
        "proxy login accepted",
        "failed to verify the calling CAS",
        "event_id=40",
    ] {
        assert!(logged.contains(wanted), "nothing of {wanted:?} was logged");
    }
    let found: Vec<_> = logged
        .lines()
        .filter(|line| SECRETS.iter().any(|secret| line.contains(secret)))
        .take(20)
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().rev().take(40).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// Too long to be run twice, or with loggers of their own.
const SKIPPED: [&str; 3] = ["attack::random", "attack::internal", "cached_lookup"];

#[test]
fn what_is_searched_for_would_be_found() {
    let context = cas_proxy::csc::xml::write(&crate::support::user(2)).unwrap();
    let context = std::str::from_utf8(&context).unwrap();
    assert!(SECRETS.iter().any(|secret| context.contains(secret)));
}

#[track_caller]
fn tells_nothing(shown: &dyn Debug, secrets: &[&str]) {
    for text in [format!("{shown:?}"), format!("{shown:#?}")] {
        for secret in SECRETS.iter().chain(secrets) {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// `Debug` of everything that holds a secret.
#[tokio::test]
async fn nothing_secret_is_in_debug() {
    use base64::Engine as _;
    use cas_proxy::{
        csc::xml,
        directory::MailboxKey,
        outbound::credentials::danger::BasicCredentials,
        second_cas::{SecondCasLayer, SharedKeys, VerifiedCaller, danger::StaticCredential},
        wire::{
            proxy_headers::{self, ProxyHeaders},
            signature::{Presented, SharedKey, Target},
        },
    };
    use http::{HeaderMap, HeaderValue, Method, Uri};

    use crate::support::{Peer, answer, first_cas, get, here, lookup, through, topology, user};

    let user = user(2);
    let name = user.logon_name().to_owned();
    let secret = b"seattle to dallas, and no others";
    let key = SharedKey::new("seattle", secret).unwrap();
    let base64 = base64::engine::general_purpose::STANDARD.encode(secret);
    tells_nothing(&user, &[&name]);
    tells_nothing(user.user(), &[]);
    tells_nothing(user.user_header(), &[]);
    tells_nothing(&user.groups(), &[]);
    tells_nothing(&key, &[&base64]);
    tells_nothing(&MailboxKey::Sid(*user.user()), &[]);
    let trusted = SharedKeys::for_authorities(["dallas.corp"]).unwrap();
    let trusted = trusted.accept(key.clone());
    tells_nothing(&trusted, &[&base64]);
    let second = SecondCasLayer::new(trusted);
    tells_nothing(&second, &[]);
    tells_nothing(&VerifiedCaller::vouched_for("chicago"), &[]);
    let password = StaticCredential::basic("anna", "correct horse battery");
    tells_nothing(&password, &[]);
    tells_nothing(&BasicCredentials::new("anna:correct horse").unwrap(), &[]);

    let [uri, version] =
        ["https://mail.contoso.com/owa", "8.1.240.5"].map(HeaderValue::from_static);
    let mut headers = HeaderMap::new();
    proxy_headers::write(
        &mut headers,
        &uri,
        &version,
        user.user_header(),
        false,
        None,
    );
    tells_nothing(&headers, &[]);
    tells_nothing(&ProxyHeaders::read(&headers).unwrap(), &[]);
    let target = Uri::from_static("/owa/");
    let signed = key.sign(
        &Target::new(&Method::GET, "dallas.corp", &target),
        &headers,
        1,
        [7; 16],
    );
    let signed = signed.unwrap();
    tells_nothing(&signed, &[]);
    signed.insert_into(&mut headers);
    tells_nothing(&headers, &[]);
    tells_nothing(&Presented::read(&headers).unwrap(), &[]);
    tells_nothing(
        &xml::read(b"<r at=\"x\" ln=\"S-1-5-21-1-2-3-1105\"><s>x</s></r>"),
        &[],
    );

    let peer = Peer::answering([answer(200, "mail")]);
    let layer = first_cas(&peer, &["dallas"]).credentials(key);
    tells_nothing(&layer, &[&base64]);
    tells_nothing(&here(), &[]);
    tells_nothing(&topology(&["dallas"]), &[]);
    tells_nothing(&lookup(), &[]);
    let answer = through(&layer, get(2, "/owa/")).await;
    tells_nothing(
        &answer.extensions().get::<cas_proxy::telemetry::Outcome>(),
        &[],
    );
    let refused = through(&layer, get(9, "/owa/")).await;
    tells_nothing(
        &refused.extensions().get::<cas_proxy::telemetry::Outcome>(),
        &[],
    );
    // A request as the second hop gets it.
    let sent = &peer.seen()[0];
    let of_us = |name: &str| sent.headers.get(name).cloned();
    for name in ["x-owa-proxysid", "signature", "signature-input"] {
        tells_nothing(&of_us(name), &[]);
    }
}
