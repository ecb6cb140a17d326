//! What users get from a first CAS, outcome by outcome, the second hop answering by a script.

use cas_proxy::{
    decision::{CrossSiteRedirect, Policy},
    directory::MailboxKey,
    first_cas::{CasProxyLayer, forward_basic},
    lookup::{Answer, CouldNotAsk},
    pages::{NOT_CONFIGURED, NOT_RESPONDING},
    telemetry::{Culprit, Event, Outcome, Phase},
};
use http::Method;

use crate::support::*;

fn text(answer: &http::Response<bytes::Bytes>) -> String {
    String::from_utf8(answer.body().to_vec()).unwrap()
}

//= src/docs/protocol.md#decide-legacy
//= src/docs/protocol.md#back-end-identity
#[tokio::test]
async fn a_legacy_user_goes_straight_to_the_back_end_as_himself() {
    let peer = Peer::answering([answer(200, "mail of 2003")]);
    // There is a 2007 CAS in the same site; it doesn't matter.
    let layer = first_cas(&peer, &["dallas"]).back_end_credentials(forward_basic);
    let request = by(3, Method::GET, "/OWA/Inbox/a%20b?Cmd=x")
        .header("authorization", "Basic YW5uYTpzZWNyZXQ=")
        .body(Default::default())
        .unwrap();
    let answer = through(&layer, request).await;
    assert_eq!(
        (answer.status().as_u16(), text(&answer)),
        (200, "mail of 2003".into())
    );
    assert!(matches!(
        answer.extensions().get(),
        Some(Outcome::BackEnd { .. })
    ));
    let [seen] = peer.seen().try_into().unwrap();
    assert_eq!(seen.uri, "https://legacy1.corp/exchange/Inbox/a%20b?Cmd=x");
    assert_eq!(seen.headers["authorization"], "Basic YW5uYTpzZWNyZXQ=");
    assert!(
        !seen
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("x-owa-"))
    );
}

//= src/docs/protocol.md#back-end-identity
//= src/docs/protocol.md#status-private
#[tokio::test]
async fn a_back_ends_own_441_is_a_502() {
    for status_code in [241, 242, 421, 441, 442] {
        let peer = Peer::answering([status(status_code)]);
        let layer = first_cas(&peer, &[]).back_end_credentials(forward_basic);
        let request = by(3, Method::GET, "/exchange/")
            .header("authorization", "Basic YW5uYTpzZWNyZXQ=")
            .body(Default::default())
            .unwrap();
        assert_status(&through(&layer, request).await, 502);
        assert_eq!(peer.seen().len(), 1);
    }
}

//= src/docs/protocol.md#decide-redirect
#[tokio::test]
async fn a_site_with_an_external_url_is_linked_to_or_redirected_to() {
    let manual = through(&first_cas(&Peer::default(), &[]), get(4, "/owa/")).await;
    assert_status(&manual, 200);
    assert!(
        text(&manual).contains("href=\"https://denver.contoso.com/owa\""),
        "{}",
        text(&manual)
    );

    let mut policy = Policy::default();
    policy.redirect = CrossSiteRedirect::Silent;
    let layer = first_cas(&Peer::default(), &[]).policy(policy);
    let silent = through(&layer, get(4, "/owa/")).await;
    assert_status(&silent, 302);
    assert_eq!(
        silent.headers()["location"],
        "https://denver.contoso.com/owa"
    );
    assert_status(&through(&layer, post(4, "/owa/", "x")).await, 307);

    policy.redirect = CrossSiteRedirect::Never;
    let peer = Peer::answering([answer(200, "mail of Denver")]);
    let never = through(&first_cas(&peer, &[]).policy(policy), get(4, "/owa/")).await;
    assert_eq!(text(&never), "mail of Denver");
}

//= src/docs/protocol.md#status-442
//= src/docs/protocol.md#login-answers
#[tokio::test]
async fn a_mailbox_without_a_language_sends_the_browser_to_choose_one() {
    for script in [vec![status(442)], vec![status(441), status(442)]] {
        let answer = through(
            &first_cas(&Peer::answering(script), &["dallas"]),
            get(2, "/owa/"),
        )
        .await;
        assert_status(&answer, 302);
        assert_eq!(answer.headers()["location"], "/owa/languageselection.aspx");
    }
    // The page is served here, to anyone, so it can't loop.
    let page = through(
        &first_cas(&Peer::default(), &["dallas"]),
        get(2, "/owa/languageselection.aspx"),
    )
    .await;
    assert_eq!(text(&page), "served here");
}

//= src/docs/protocol.md#login-answers
//= src/docs/protocol.md#hop-kerberos
#[tokio::test]
async fn a_login_that_is_not_accepted_ends_in_a_page_and_its_body_is_not_shown() {
    for (login, code, event) in [
        (401, 502, Some(Event::AuthenticationFailed)),
        (403, 502, Some(Event::TlsRequired)),
        (200, 502, None),
        (302, 502, None),
        (400, 502, None),
        (500, 502, None),
        (503, 503, Some(Event::AllAttemptsFailed)),
    ] {
        let peer = Peer::answering([status(441), answer(login, "not for browsers")]);
        let answer = through(&first_cas(&peer, &["dallas"]), get(2, "/owa/")).await;
        assert_status(&answer, code);
        assert!(!text(&answer).contains("not for browsers"));
        let Some(Outcome::Refused(failure)) = answer.extensions().get() else {
            panic!("no reason given for {login}");
        };
        assert_eq!(
            (failure.phase(), failure.event()),
            (Phase::Login, event),
            "{login}"
        );
        assert_eq!(peer.seen().len(), 2, "{login}");
    }
}

//= src/docs/protocol.md#hop-kerberos
#[tokio::test]
async fn a_second_cas_that_offers_only_ntlm_is_named_with_the_cause() {
    let ntlm = http::Response::builder()
        .status(401)
        .header("www-authenticate", "NTLM")
        .body("go away".to_owned())
        .unwrap();
    let answer = through(
        &first_cas(&Peer::answering([ntlm]), &["dallas"]),
        get(2, "/owa/"),
    )
    .await;
    assert_status(&answer, 502);
    assert!(!answer.headers().contains_key("www-authenticate"));
    let Some(Outcome::Refused(failure)) = answer.extensions().get() else {
        panic!("no reason given");
    };
    assert_eq!(failure.event(), Some(Event::AuthenticationFailed));
    assert_eq!(failure.culprit(), Culprit::SecondCas);
    let said = failure.to_string();
    assert!(
        said.contains("dallas") && said.contains("only NTLM"),
        "{said}"
    );
}

//= src/docs/protocol.md#decide-explicit-logon
//= src/docs/protocol.md#header-explicit
//= src/docs/protocol.md#header-webpart
#[tokio::test]
async fn an_explicit_logon_opens_the_other_mailbox_as_the_same_user() {
    let peer = Peer::answering([status(441), status(241), answer(200, "shared mail")]);
    let other = MailboxKey::Address("Team@contoso.com".parse().unwrap());
    let lookup = lookup().insert(other, mailbox("mbx-dal", "Dallas", EXCHANGE_2007));
    let layer =
        CasProxyLayer::with_outbound(here(), topology(&["dallas"]), lookup, peer.outbound());
    // User 1's own mailbox is here.
    let path = "/owa/team%40contoso.com/?cmd=contents";
    assert_eq!(text(&through(&layer, get(1, path)).await), "shared mail");
    let seen = peer.seen();
    assert_eq!(seen[0].uri.path(), "/owa/team%40contoso.com/");
    assert_eq!(
        seen[0].headers["x-owa-proxysid"],
        user(1).user().to_string()
    );
    assert_eq!(
        seen[0].headers["x-owa-explicitlogonuser"],
        "team@contoso.com"
    );
    assert_eq!(seen[0].headers["x-owa-proxywebpart"], "1");
    assert_eq!(seen[1].uri.path(), "/owa/team%40contoso.com/proxyLogon.owa");
}

//= src/docs/protocol.md#error-status
#[tokio::test]
async fn a_directory_that_does_not_answer_or_gives_two_answers_is_no_missing_mailbox() {
    let layer = |located: Result<Answer, CouldNotAsk>| {
        let lookup = move |_: MailboxKey| std::future::ready(located.clone());
        CasProxyLayer::with_outbound(here(), topology(&[]), lookup, Peer::default().outbound())
    };
    let refused = || CouldNotAsk::from_source("connection refused");
    assert_status(&through(&layer(Err(refused())), get(2, "/owa/")).await, 503);
    assert_status(
        &through(&layer(Ok(Answer::Ambiguous)), get(2, "/owa/")).await,
        500,
    );
    let missing = through(&layer(Ok(Answer::NotFound)), get(2, "/owa/")).await;
    assert_status(&missing, 404);
    assert!(text(&missing).contains("could not find a mailbox for CONTOSO\\user2."));
}

#[tokio::test]
async fn a_lookup_that_panics_or_hangs_costs_its_own_request_only() {
    let panics = |_: MailboxKey| async {
        if true {
            panic!("expected by this test");
        }
        Ok(Answer::NotFound)
    };
    let layer =
        CasProxyLayer::with_outbound(here(), topology(&[]), panics, Peer::default().outbound());
    assert_status(&through(&layer, get(2, "/owa/")).await, 503);

    tokio::time::pause();
    let hangs = |_: MailboxKey| std::future::pending();
    let layer =
        CasProxyLayer::with_outbound(here(), topology(&[]), hangs, Peer::default().outbound());
    let answer = through(&layer, get(2, "/owa/")).await;
    assert_status(&answer, 503);
    let Some(Outcome::Refused(failure)) = answer.extensions().get() else {
        panic!("no reason given");
    };
    assert_eq!(failure.event(), Some(Event::DirectoryLookupFailed));
}

//= src/docs/protocol.md#scope
//= src/docs/protocol.md#static-local
#[tokio::test]
async fn what_needs_no_identity_is_served_to_anyone_and_the_rest_is_not() {
    let layer = first_cas(&Peer::default(), &["dallas"]);
    let anyone = |path: &str| {
        http::Request::get(path)
            .header("host", "mail.contoso.com")
            .body(Default::default())
            .unwrap()
    };
    for path in [
        "/",
        "/favicon.ico",
        "/owa/auth/logon.aspx",
        "/owa/8.3.83.6/themes/a.gif",
        "/owax/",
    ] {
        assert_eq!(
            text(&through(&layer, anyone(path)).await),
            "served here",
            "{path}"
        );
    }
    for (path, code) in [
        ("/owa/", 401),
        ("/Exchange/anna", 401),
        ("/owa/proxyLogon.owa", 403),
        ("/owa/%50roxylogon.OWA", 403),
        ("/owa/x/../y", 400),
        ("/owa/%2e%2e/y", 400),
        ("/owa/a%5cb", 400),
    ] {
        assert_status(&through(&layer, anyone(path)).await, code);
    }
}

//= src/docs/protocol.md#decide-none-configured
//= src/docs/protocol.md#error-not-configured
//= src/docs/protocol.md#error-not-responding
#[tokio::test]
async fn the_two_texts_reach_browsers_and_programs_byte_for_byte() {
    let basic_only = cas_proxy::directory::Topology::builder()
        .client_access_server(
            cas_proxy::directory::ClientAccessServer::new(
                name("dallas"),
                site("Dallas"),
                EXCHANGE_2007.parse().unwrap(),
            )
            .with_internal_url("https://dallas.corp/owa"),
        )
        .build()
        .unwrap();
    let not_configured = CasProxyLayer::with_outbound(
        here(),
        std::sync::Arc::new(basic_only),
        lookup(),
        Peer::default().outbound(),
    );
    let not_responding = first_cas(&Peer::default(), &["dallas"]);
    for (layer, code, words) in [
        (not_configured, 500, NOT_CONFIGURED),
        (not_responding, 503, NOT_RESPONDING),
    ] {
        let page = through(&layer, get(2, "/owa/")).await;
        assert_status(&page, code);
        assert!(
            page.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/html")
        );
        assert!(page.headers().contains_key("content-security-policy"));
        assert!(text(&page).contains(words));

        let mut request = get(2, "/owa/");
        request
            .headers_mut()
            .insert("accept", http::HeaderValue::from_static("application/json"));
        let problem = through(&layer, request).await;
        assert_status(&problem, code);
        assert_eq!(
            problem.headers()["content-type"],
            "application/problem+json"
        );
        let problem: serde_json::Value = serde_json::from_slice(problem.body()).unwrap();
        assert_eq!(problem["detail"], words);
    }
}
