use super::*;
use crate::telemetry::{Phase, collected::Logs};

/// Everything written while `work` runs.
fn log_of(work: impl FnOnce()) -> String {
    let logs = Logs::default();
    let guard = logs.collect_from(tracing::Level::TRACE);
    work();
    drop(guard);
    logs.text()
}

fn dallas() -> (ServerName, SiteName) {
    (
        ServerName::new("dallas").unwrap(),
        SiteName::new("Dallas").unwrap(),
    )
}

fn refused_line(failure: Failure, status: StatusCode) -> String {
    let reference = Reference::next();
    let line = log_of(|| {
        answered(
            &Outcome::Refused(failure),
            status,
            reference,
            Duration::ZERO,
        )
    });
    assert!(line.contains(&format!("reference={reference}")), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

//= src/docs/protocol.md#failover-when
#[test]
fn a_failover_is_event_39_and_says_why() {
    let (server, site) = dallas();
    let failure = Failure::new(Culprit::SecondCas, Phase::Connect)
        .at(&server)
        .because("connection refused");
    let line = log_of(|| failed_over(&server, &site, &failure));
    assert!(line.trim_start().starts_with("WARN cas_proxy: "), "{line}");
    assert!(
        line.contains("failed to reach dallas: connection refused"),
        "{line}"
    );
    assert!(
        line.contains("event_id=39")
            && line.contains("server=dallas")
            && line.contains("site=Dallas"),
        "{line}"
    );
}

//= src/docs/protocol.md#hop-kerberos
#[test]
fn a_refused_login_names_server_cause_and_number() {
    let (server, _) = dallas();
    let failure = Failure::new(Culprit::SecondCas, Phase::Login)
        .at(&server)
        .with_event(Event::AuthenticationFailed)
        .after_sending()
        .because("it offers only NTLM");
    let line = refused_line(failure, StatusCode::BAD_GATEWAY);
    assert!(line.contains("WARN"), "{line}");
    assert!(
        line.contains("failed to log the user in at dallas: it offers only NTLM"),
        "{line}"
    );
    assert!(
        line.contains("event_id=71") && line.contains("status=502") && line.contains("sent=true"),
        "{line}"
    );
}

#[test]
fn levels_follow_whose_fault_it_is() {
    let client = Failure::new(Culprit::Client, Phase::Accept);
    assert!(refused_line(client, StatusCode::BAD_REQUEST).contains("INFO"));
    let caller =
        Failure::new(Culprit::Client, Phase::VerifyCaller).with_event(Event::CallerNotVerified);
    assert!(refused_line(caller, StatusCode::FORBIDDEN).contains("WARN"));
    let here = Failure::new(Culprit::Here, Phase::Decide).with_event(Event::NoneConfigured);
    assert!(refused_line(here, StatusCode::INTERNAL_SERVER_ERROR).contains("ERROR"));
}

#[test]
fn nobody_writes_lines_of_their_own() {
    let hostile = "x\r\n2026-01-01 INFO all is well\u{1b}[31m\u{202e}\u{85}\u{2028}\u{0}\\n";
    let failure = Failure::new(Culprit::Client, Phase::Accept).because(hostile);
    let line = refused_line(failure, StatusCode::BAD_REQUEST);
    assert!(
        !line.trim_end_matches('\n').contains(char::is_control),
        "{line:?}"
    );
    assert!(
        line.contains(
            "x\\r\\n2026-01-01 INFO all is well\\u{1b}[31m\\u{202e}\\u{85}\\u{2028}\\u{0}\\\\n"
        ),
        "{line}"
    );
}

#[test]
fn a_text_without_end_is_cut() {
    let failure = Failure::new(Culprit::Client, Phase::Accept).because("é".repeat(1_000_000));
    let line = refused_line(failure, StatusCode::BAD_REQUEST);
    assert!(line.chars().count() < LONGEST + 300, "{}", line.len());
    assert_eq!(line.matches('…').count(), 1);
}

#[test]
fn every_answer_of_ours_is_one_line() {
    let (server, site) = dallas();
    let url = "https://dallas.fourthcoffee.com/owa".parse().unwrap();
    for (outcome, expected) in [
        (
            Outcome::Proxied {
                server: server.clone(),
                site: site.clone(),
                candidates: 2,
                logged_in: true,
                replayed: true,
            },
            "candidates=2 logged_in=true replayed=true",
        ),
        (
            Outcome::BackEnd {
                server: server.clone(),
            },
            "sent to the back-end",
        ),
        (Outcome::Language { server, site }, "asked for a language"),
        (
            Outcome::Redirected { url, silent: false },
            "url=https://dallas.fourthcoffee.com/owa",
        ),
        (Outcome::LoginAccepted, "outcome=\"login_accepted\""),
        (Outcome::IdentityNeeded, "outcome=\"identity_needed\""),
        (Outcome::Pinged, "outcome=\"pinged\""),
    ] {
        let line = log_of(|| {
            answered(
                &outcome,
                StatusCode::OK,
                Reference::next(),
                Duration::from_millis(1),
            )
        });
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(
            line.contains("DEBUG cas_proxy: ") && line.contains(expected),
            "{line}"
        );
    }
}

#[test]
fn logins_and_replays_are_told() {
    let (server, site) = dallas();
    for (result, word) in [
        (LoginResult::Accepted, "accepted"),
        (LoginResult::Refused, "refused"),
        (LoginResult::Failed, "failed"),
    ] {
        let line = log_of(|| logged_in(&server, &site, result));
        assert!(
            line.contains("INFO") && line.contains(&format!("result=\"{word}\"")),
            "{line}"
        );
    }
    assert!(log_of(|| replayed(&server)).contains("server=dallas"));
}

#[cfg(feature = "metrics")]
mod metrics {
    use ::metrics::with_local_recorder;

    use super::*;
    use crate::telemetry::{OpenTunnel, TunnelEnd, counted::Counts};

    #[test]
    fn what_happens_is_counted_under_the_documented_names() {
        let (server, site) = dallas();
        let counts = Counts::default();
        with_local_recorder(&counts, || {
            crate::telemetry::describe();
            served_locally(Duration::ZERO);
            served_locally(Duration::ZERO);
            let failure = Failure::new(Culprit::SecondCas, Phase::Connect);
            failed_over(&server, &site, &failure);
            answered(
                &Outcome::Refused(failure),
                StatusCode::BAD_GATEWAY,
                Reference::next(),
                Duration::ZERO,
            );
            logged_in(&server, &site, LoginResult::Accepted);
            replayed(&server);
            answered_as_second_cas(&Outcome::IdentityNeeded, Duration::ZERO);
            OpenTunnel::new().ended(TunnelEnd::Closed);
            drop(OpenTunnel::new());
            let left_open = OpenTunnel::new();
            let open = ("cas_proxy_tunnels_open".to_owned(), 1.0);
            assert_eq!(counts.gauges(), [open]);
            std::mem::forget(left_open);
        });
        let expected = [
            ("cas_proxy_failovers_total server=dallas", 1),
            ("cas_proxy_logins_total server=dallas result=accepted", 1),
            ("cas_proxy_replays_total server=dallas", 1),
            (
                "cas_proxy_requests_total outcome=identity_needed phase=none",
                1,
            ),
            ("cas_proxy_requests_total outcome=local phase=none", 2),
            ("cas_proxy_requests_total outcome=refused phase=connect", 1),
            ("cas_proxy_tunnels_ended_total reason=closed", 1),
            ("cas_proxy_tunnels_ended_total reason=cut_off", 1),
            ("cas_proxy_tunnels_opened_total", 3),
        ];
        assert_eq!(
            counts.counters(),
            expected.map(|(key, count)| (key.to_owned(), count))
        );
        // Each has a description, and a line in the documentation.
        let documented = include_str!("../mod.rs");
        let gauges = counts.gauges().into_iter().map(|(key, _)| key);
        for key in counts
            .counters()
            .into_iter()
            .map(|(key, _)| key)
            .chain(gauges)
        {
            let name = key.split(' ').next().unwrap_or_default();
            assert!(
                counts.described().iter().any(|known| known == name),
                "{name}"
            );
            assert!(documented.contains(&format!("//! | `{name}` |")), "{name}");
        }
    }
}
