//! Nine ways to fail: each gives the page, event 71, and a line with server, cause and remedy.

use crate::{
    company::{first_cas, first_user, patient, visit},
    surroundings::{SEATTLE, Surroundings, apache},
};

/// One visit to a second CAS at `internal_url`, by a first CAS in these surroundings.
#[track_caller]
fn check(
    test: &str,
    surroundings: Surroundings,
    internal_url: fn() -> String,
    expected: &'static [&'static str],
) {
    surroundings.run(&format!("diagnosis::{test}"), || async move {
        let layer = first_cas(&[&internal_url()], patient());
        let (status, text, failure) = visit(&layer, first_user(0)).await;
        assert_eq!(status, 502, "{text}");
        assert!(text.contains("71"), "{text}");
        let failure = failure.unwrap();
        for words in [&["dallas1"], expected].concat() {
            assert!(failure.contains(words), "{words:?} is not in: {failure}");
        }
        println!("figure: failed to {failure}");
    });
}

fn kerberos() -> String {
    apache("negotiate")
}

//= src/docs/protocol.md#hop-kerberos
#[test]
#[ignore = "needs a Kerberos realm"]
fn only_ntlm() {
    check(
        "only_ntlm",
        SEATTLE,
        || apache("ntlm"),
        &["only NTLM", "set its virtual directory to Negotiate"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn only_basic() {
    check(
        "only_basic",
        SEATTLE,
        || apache("basic"),
        &["only Basic", "lacks Integrated Windows"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn no_challenge() {
    check(
        "no_challenge",
        SEATTLE,
        || apache("mute"),
        &["no way to authenticate", "enable Integrated"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn unknown_service() {
    check(
        "unknown_service",
        SEATTLE,
        || "http://nowhere.fourthcoffee.test/owa".to_owned(),
        &["HTTP/nowhere.fourthcoffee.test", "setspn -S"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn ip_address() {
    check(
        "ip_address",
        SEATTLE,
        || apache("negotiate").replace("localhost", "127.0.0.1"),
        &["IP address (127.0.0.1)", "DNS name"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn clock_skew() {
    let strict = SEATTLE.config("strict-clock.conf").clock("+1h");
    check(
        "clock_skew",
        strict,
        kerberos,
        &["clocks", "set them right"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn keytab_missing() {
    check(
        "keytab_missing",
        SEATTLE.client_keytab("none.keytab"),
        kerberos,
        &["own account", "KRB5_CLIENT_KTNAME"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn keytab_out_of_date() {
    let outdated = SEATTLE.client_keytab("outdated.keytab");
    check(
        "keytab_out_of_date",
        outdated,
        kerberos,
        &["own account", "current key"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn dead_kdc() {
    check(
        "dead_kdc",
        SEATTLE.config("dead-kdc.conf"),
        kerberos,
        &["KDC can't be reached", "krb5.conf"],
    );
}
