//! Nine ways to fail: each gives the page, event 71, and a line with server, cause and remedy.

use cas_proxy::outbound::credentials::Integrated;

use crate::{
    company::{first_cas, first_user, visit},
    surroundings::{SEATTLE, Surroundings},
};

/// One visit to a second CAS at `internal_url`, by a first CAS in these surroundings.
#[track_caller]
fn check(
    test: &str,
    surroundings: Surroundings,
    internal_url: &'static str,
    expected: &'static [&'static str],
) {
    surroundings.run(&format!("diagnosis::{test}"), || async move {
        let layer = first_cas(&[internal_url], Integrated::new());
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

const APACHE: &str = "http://localhost:18090/owa";

//= src/docs/protocol.md#hop-kerberos
#[test]
#[ignore = "needs a Kerberos realm"]
fn only_ntlm() {
    check(
        "only_ntlm",
        SEATTLE,
        "http://localhost:18091/owa",
        &["only NTLM", "set its virtual directory to Negotiate"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn only_basic() {
    check(
        "only_basic",
        SEATTLE,
        "http://localhost:18092/owa",
        &["only Basic", "lacks Integrated Windows"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn no_challenge() {
    check(
        "no_challenge",
        SEATTLE,
        "http://localhost:18093/owa",
        &["no way to authenticate", "enable Integrated"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn unknown_service() {
    let url = "http://nowhere.fourthcoffee.test/owa";
    check(
        "unknown_service",
        SEATTLE,
        url,
        &["HTTP/nowhere.fourthcoffee.test", "setspn -S"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn ip_address() {
    check(
        "ip_address",
        SEATTLE,
        "http://127.0.0.1:18090/owa",
        &["IP address (127.0.0.1)", "DNS name"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn clock_skew() {
    let strict = SEATTLE.config("strict-clock.conf").clock("+1h");
    check("clock_skew", strict, APACHE, &["clocks", "set them right"]);
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn keytab_missing() {
    check(
        "keytab_missing",
        SEATTLE.client_keytab("none.keytab"),
        APACHE,
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
        APACHE,
        &["own account", "current key"],
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn dead_kdc() {
    check(
        "dead_kdc",
        SEATTLE.config("dead-kdc.conf"),
        APACHE,
        &["KDC can't be reached", "krb5.conf"],
    );
}
