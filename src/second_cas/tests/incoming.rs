//! What becomes of a request, by who sent it and what it asks for.

use std::time::Duration;

use http::header::{ALLOW, AUTHORIZATION, COOKIE, RETRY_AFTER, WWW_AUTHENTICATE};
use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::{
    csc::ClientSecurityContext,
    wire::{mark::FromCas, names::is_identity_name},
};

/// Sends a request the inner service must not see, and of which no body byte may be read.
async fn refused(
    server: &Server,
    request: Request<TestBody>,
    status: u16,
    why: Answered,
) -> Answer {
    let answer = server.send(request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.answered),
        (status, Some(why))
    );
    assert!(server.taken().is_none());
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer
}

#[tokio::test]
//= src/docs/protocol.md#identity-order
//= src/docs/protocol.md#header-client-never
async fn an_ordinary_request_passes_without_the_names_of_the_family() {
    let server = server(&layer());
    for peer in [Peer::Client, Peer::Chicago, Peer::Impostor] {
        let mut request = get(peer, "/owa/?ae=Folder&t=IPF.Note");
        for name in [
            "X-OWA-ProxyWebPart",
            "X-OWA-ExplicitLogonUser",
            "X_OWA_PROXYSID",
            "msExchLogonMailbox",
        ] {
            request = with(request, name, "x");
        }
        let request = with(
            with(request, "cookie", "a=1; X-BEResource=evil"),
            "authorization",
            "Basic x",
        );
        let answer = server.send(request).await;
        assert_eq!(
            (answer.body.as_ref(), answer.answered),
            (b"mail".as_slice(), None)
        );
        let taken = server.taken().unwrap();
        assert_eq!(taken.uri, "/owa/?ae=Folder&t=IPF.Note");
        assert_eq!(taken.headers.len(), 3);
        assert_eq!(
            (&taken.headers[COOKIE], &taken.headers[AUTHORIZATION]),
            (&"a=1".parse().unwrap(), &"Basic x".parse().unwrap())
        );
        assert!(taken.extensions.get::<ClientSecurityContext>().is_none());
        assert!(taken.extensions.get::<FromCas>().is_none());
    }
}

#[tokio::test]
//= src/docs/protocol.md#identity-order
//= src/docs/protocol.md#login-caller
async fn whoever_is_not_verified_gets_the_same_403_whatever_is_asked_and_kept() {
    let layer = layer();
    let server = server(&layer);
    server.log_in(Peer::Chicago, ANNA).await;
    let mut answers = Vec::new();
    for peer in [Peer::Client, Peer::Impostor] {
        for uri in [
            "/owa/",
            "/owa/auth/logon.aspx",
            "/ews/exchange.asmx",
            "/owa/%2e%2e/x",
            "/owa/ping.owa",
            "/owa/proxyLogon.owa",
        ] {
            let requests = [
                for_user(get(peer, uri), ANNA),
                for_user(get(peer, uri), BERT),
                for_user(get(peer, uri), "not a sid"),
                with(get(peer, uri), "x-owa-proxysid", ANNA),
                with(get(peer, uri), "X-OWA-ProxyUri", ""),
                with(get(peer, uri), "X-OWA-ProxyVersion", "8"),
                for_user(for_user(get(peer, uri), ANNA), ANNA),
            ];
            for request in requests {
                answers.push(refused(&server, request, 403, Answered::CallerNotVerified).await);
            }
        }
        for uri in [
            "/owa/ping.owa",
            "/OWA/PING.OWA",
            "/owa/p%69ng.owa",
            "/owa/anna@contoso.com/proxyLogon.owa",
            "/owa/proxylogon.owa",
        ] {
            for method in [Method::GET, Method::POST, Method::OPTIONS] {
                let request = request(peer, method, uri, TestBody::untouchable());
                answers.push(refused(&server, request, 403, Answered::CallerNotVerified).await);
            }
        }
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(layer.contexts_kept(), 1);
}

#[tokio::test]
async fn who_cannot_be_judged_now_is_told_to_come_again() {
    let server = server(&layer());
    let answer = refused(
        &server,
        for_user(get(Peer::Unlucky, "/owa/"), ANNA),
        503,
        Answered::VerifierUnavailable,
    )
    .await;
    assert_eq!(answer.headers[RETRY_AFTER], "1");
}

#[tokio::test]
async fn who_has_to_authenticate_is_told_how() {
    let server = server(&layer());
    let request = for_user(get(Peer::Unauthenticated, "/owa/"), ANNA);
    let answer = refused(&server, request, 401, Answered::CallerChallenged).await;
    assert_eq!(
        answer
            .headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .collect::<Vec<_>>(),
        ["Negotiate", "NTLM"]
    );
}

#[tokio::test]
//= src/docs/protocol.md#identity-order
//= src/docs/protocol.md#header-all-or-none
async fn a_verified_cas_with_bad_headers_or_path_gets_400() {
    let server = server(&layer());
    server.log_in(Peer::Chicago, ANNA).await;
    let get = |uri| get(Peer::Chicago, uri);
    let requests = [
        with(get("/owa/"), "X-OWA-ProxySid", ANNA),
        with(
            with(get("/owa/"), "X-OWA-ProxyUri", "https://m/owa"),
            "X-OWA-ProxyVersion",
            "8.1.240.5",
        ),
        with(for_user(get("/owa/"), ANNA), "X-OWA-ProxySid", ANNA),
        with(for_user(get("/owa/"), ANNA), "X-OWA-ProxyWebPart", "yes"),
        for_user(get("/owa/"), "s-1-5-21-1-2-3-1105"),
        for_user(get("/owa/ping.owa"), ""),
    ];
    for request in requests {
        refused(&server, request, 400, Answered::HeadersMalformed).await;
    }
    refused(
        &server,
        for_user(get("/owa/%2e%2e/x"), ANNA),
        400,
        Answered::PathMalformed,
    )
    .await;
}

#[tokio::test]
//= src/docs/protocol.md#path-normal
async fn a_path_that_hides_something_is_400_for_anyone() {
    let server = server(&layer());
    for peer in [Peer::Client, Peer::Chicago] {
        refused(
            &server,
            get(peer, "/owa/%2e%2e/x"),
            400,
            Answered::PathMalformed,
        )
        .await;
        refused(
            &server,
            get(peer, "/owa/%252e%252e/x"),
            400,
            Answered::PathMalformed,
        )
        .await;
    }
}

#[tokio::test]
//= src/docs/protocol.md#copy-request
async fn requests_of_two_minds_are_400_for_anyone_who_may_ask() {
    let server = server(&layer());
    server.log_in(Peer::Chicago, ANNA).await;
    let nameless = |mut request: Request<TestBody>| {
        request.headers_mut().remove("host");
        request
    };
    let spoilt = |request: Request<TestBody>, kind| match kind {
        0 => nameless(request),
        1 => with(request, "host", "dallas.corp"),
        2 => with(request, "transfer-encoding", "gzip, chunked"),
        3 => with(request, "content-length", "5, 6"),
        _ => with(
            with(request, "authorization", "Basic x"),
            "authorization",
            "Basic y",
        ),
    };
    for kind in 0..5 {
        for request in [
            get(Peer::Client, "/owa/"),
            get(Peer::Chicago, "/owa/"),
            for_user(get(Peer::Chicago, "/owa/"), ANNA),
            get(Peer::Chicago, "/owa/ping.owa"),
        ] {
            refused(
                &server,
                spoilt(request, kind),
                400,
                Answered::RequestMalformed,
            )
            .await;
        }
        // Who asks is still the first question.
        for request in [
            for_user(get(Peer::Client, "/owa/"), ANNA),
            get(Peer::Client, "/owa/ping.owa"),
        ] {
            refused(
                &server,
                spoilt(request, kind),
                403,
                Answered::CallerNotVerified,
            )
            .await;
        }
        // Whose it is not asks for no host.
        server
            .send(spoilt(get(Peer::Client, "/elsewhere"), kind))
            .await;
        assert_eq!(server.taken().is_some(), matches!(kind, 0 | 1 | 4));
    }
    for method in [Method::CONNECT, Method::TRACE] {
        let request = request(Peer::Client, method, "/owa/", TestBody::untouchable());
        refused(&server, request, 501, Answered::MethodNotImplemented).await;
    }
}

#[tokio::test]
//= src/docs/protocol.md#scope
async fn out_of_scope_a_verified_cas_has_no_user() {
    let server = server(&layer());
    server.log_in(Peer::Chicago, ANNA).await;
    server
        .send(for_user(get(Peer::Chicago, "/ews/"), ANNA))
        .await;
    let taken = server.taken().unwrap();
    assert_eq!(taken.headers.keys().collect::<Vec<_>>(), ["host"]);
    assert!(
        taken.extensions.get::<ClientSecurityContext>().is_none()
            && taken.extensions.get::<FromCas>().is_none()
    );
}

#[tokio::test]
//= src/docs/protocol.md#ping-request
//= src/docs/protocol.md#ping-answer
//= src/docs/protocol.md#status-242
async fn a_ping_is_answered_with_the_version() {
    let server = server(&layer());
    for uri in ["/owa/ping.owa", "/owa/anna@contoso.com/ping.owa"] {
        let answer = refused(
            &server,
            get(Peer::Chicago, uri),
            242,
            Answered::PingSucceeded,
        )
        .await;
        assert_eq!(
            (
                answer.headers["x-owa-version"].to_str().unwrap(),
                answer.body.len()
            ),
            ("8.1.240.5", 0)
        );
    }
    let request = request(
        Peer::Chicago,
        Method::POST,
        "/owa/ping.owa",
        TestBody::untouchable(),
    );
    let answer = refused(&server, request, 405, Answered::MethodNotAllowed).await;
    assert_eq!(answer.headers[ALLOW], "GET");
}

#[tokio::test]
async fn a_ping_without_a_version_to_tell_is_no_success() {
    let server = server(&SecondCasLayer::new(verify));
    let answer = refused(
        &server,
        get(Peer::Chicago, "/owa/ping.owa"),
        501,
        Answered::PingWithoutVersion,
    )
    .await;
    assert!(!answer.headers.contains_key("x-owa-version"));
}

#[tokio::test]
//= src/docs/protocol.md#status-441
async fn a_user_not_known_is_441_with_the_body_unread() {
    let server = server(&layer());
    let request = for_user(
        request(
            Peer::Chicago,
            Method::POST,
            "/owa/ev.owa?oeh=1",
            TestBody::untouchable(),
        ),
        ANNA,
    );
    let answer = refused(&server, request, 441, Answered::NeedIdentity).await;
    assert!(answer.body.is_empty());
}

#[tokio::test]
//= src/docs/protocol.md#decide-one-hop
async fn a_known_user_reaches_the_inner_service_with_a_context_and_no_header() {
    let server = server(&layer());
    server.log_in(Peer::Chicago, ANNA).await;
    for peer in [Peer::Chicago, Peer::SlowChicago] {
        let request = for_user(
            request(
                peer,
                Method::POST,
                "/owa/bert@contoso.com/ev.owa",
                TestBody::untouchable(),
            ),
            ANNA,
        );
        let request = with(
            with(request, "X-OWA-ProxyWebPart", "1"),
            "X-OWA-ExplicitLogonUser",
            "bert@contoso.com",
        );
        let request = with(with(request, "authorization", "Basic x"), "signature", "x");
        let request = with(with(request, "X-LogonType", "0"), "accept", "*/*");
        assert_eq!(server.send(request).await.body, "mail");
        let taken = server.taken().unwrap();
        assert_eq!(taken.headers.keys().collect::<Vec<_>>(), ["host", "accept"]);
        assert_eq!(taken.uri, "/owa/bert@contoso.com/ev.owa");
        let user = taken.extensions.get::<ClientSecurityContext>().unwrap();
        assert_eq!(
            (user.user().to_string(), user.logon_name()),
            (ANNA.into(), "anna")
        );
        let proxied = taken.extensions.get::<Proxied>().unwrap();
        assert_eq!((proxied.caller(), proxied.is_web_part()), ("chicago", true));
        assert_eq!(proxied.uri(), "https://mail.contoso.com/owa");
        assert_eq!(proxied.version().to_string(), "8.1.240.5");
        assert_eq!(
            proxied.explicit_logon().unwrap().as_str(),
            "bert@contoso.com"
        );
        assert!(taken.extensions.get::<FromCas>().is_some());
    }
}

#[tokio::test]
//= src/docs/protocol.md#login-stored
async fn a_context_serves_only_the_cas_that_brought_it() {
    let server = server(&layer());
    server.log_in(Peer::Chicago, ANNA).await;
    refused(
        &server,
        for_user(get(Peer::Boston, "/owa/"), ANNA),
        441,
        Answered::NeedIdentity,
    )
    .await;
    refused(
        &server,
        for_user(get(Peer::Chicago, "/owa/"), BERT),
        441,
        Answered::NeedIdentity,
    )
    .await;
}

#[tokio::test(start_paused = true)]
//= src/docs/protocol.md#login-stored
async fn a_context_is_kept_an_hour_after_its_last_use() {
    let layer = layer();
    let server = server(&layer);
    server.log_in(Peer::Chicago, ANNA).await;
    for _ in 0..3 {
        advance(Duration::from_secs(3599)).await;
        server
            .send(for_user(get(Peer::Chicago, "/owa/"), ANNA))
            .await;
        assert!(server.taken().is_some());
    }
    advance(Duration::from_secs(3600)).await;
    refused(
        &server,
        for_user(get(Peer::Chicago, "/owa/"), ANNA),
        441,
        Answered::NeedIdentity,
    )
    .await;
    assert_eq!(layer.contexts_kept(), 0);
}

#[tokio::test(start_paused = true)]
//= src/docs/protocol.md#login-stored
async fn contexts_of_users_gone_home_are_cleared_away_by_later_logins() {
    let layer = layer().context_lifetime(Duration::from_secs(60));
    let server = server(&layer);
    for user in 0..100 {
        server
            .log_in(Peer::Chicago, &format!("S-1-5-21-1-2-3-{user}"))
            .await;
    }
    assert_eq!(layer.contexts_kept(), 100);
    advance(Duration::from_secs(60)).await;
    server.log_in(Peer::Chicago, ANNA).await;
    assert_eq!(layer.contexts_kept(), 1);
}

#[tokio::test]
//= src/docs/protocol.md#login-stored
async fn contexts_are_bounded_and_the_newest_is_among_those_kept() {
    let by_number = layer().max_contexts(20);
    let by_bytes = layer().max_context_bytes(20_000);
    for (layer, most) in [(by_number, 20), (by_bytes, 40)] {
        let server = server(&layer);
        for user in 0..500 {
            let sid = format!("S-1-5-21-1-2-3-{user}");
            server.log_in(Peer::Chicago, &sid).await;
            server
                .send(for_user(get(Peer::Chicago, "/owa/"), &sid))
                .await;
            assert!(server.taken().is_some(), "{user} was not kept for a moment");
            assert!(layer.contexts_kept() <= most);
        }
        assert!(
            layer.contexts_kept() > most / 4,
            "{}",
            layer.contexts_kept()
        );
    }
}

#[tokio::test]
async fn a_head_too_large_is_refused_for_anyone_before_anything_else() {
    let server = server(&layer());
    for peer in [Peer::Client, Peer::Chicago] {
        let long = format!("/owa/?{}", "x".repeat(8 * 1024));
        refused(&server, get(peer, &long), 414, Answered::TargetTooLong).await;
        let many = (0..101).fold(get(peer, "/owa/"), |request, n| {
            with(request, &format!("h{n}"), "")
        });
        refused(&server, many, 431, Answered::HeadTooLarge).await;
        let large = with(get(peer, "/owa/"), "h", &"x".repeat(32 * 1024));
        refused(&server, large, 431, Answered::HeadTooLarge).await;
    }
}

proptest! {
    /// Whatever is sent: no panic, no context without a verified CAS, no name of the family on the inside.
    #[test]
    fn no_request_gets_in_with_an_identity_of_its_own_making(
        verified: bool,
        kept: bool,
        path in "/(owa|OWA|o%77a|exchange|ews)(/(ping\\.owa|proxylogon\\.owa|auth|a@b\\.c|%2e%2e|%2f|x|\\.\\.)){0,3}/?(\\?[a-z=%/]{0,8})?",
        names in prop::collection::vec(prop::sample::select(NAMES.as_slice()), 0..6),
        values in prop::collection::vec("(https://m/owa|8\\.1\\.240\\.5|S-1-5-21-1-2-3-1105|1|a@b\\.c|[ -~]{0,12})", 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let server = server(&layer());
            if kept {
                server.log_in(Peer::Chicago, ANNA).await;
            }
            let peer = if verified { Peer::Chicago } else { Peer::Client };
            let mut request = request(peer, Method::GET, &path, TestBody::untouchable());
            for (name, value) in names.iter().zip(&values) {
                request = with(request, name, value);
            }
            let speaks = ["x-owa-proxyuri", "x-owa-proxyversion", "x-owa-proxysid"].iter().any(|name| request.headers().contains_key(*name));
            let answer = server.send(request).await;
            let taken = server.taken();
            prop_assert_eq!(taken.is_some(), answer.answered.is_none());
            if let Some(taken) = taken {
                prop_assert!(!taken.headers.keys().any(is_identity_name));
                prop_assert!(verified || !speaks);
                let has_user = taken.extensions.get::<ClientSecurityContext>().is_some();
                prop_assert_eq!(has_user, taken.extensions.get::<FromCas>().is_some());
                prop_assert!(!has_user || (verified && kept && speaks));
            } else if !verified && speaks {
                prop_assert_eq!(answer.status, 403);
            }
            Ok(())
        })?;
    }
}

const NAMES: [&str; 9] = [
    "X-OWA-ProxyUri",
    "x-owa-proxyversion",
    "X-Owa-ProxySid",
    "X-OWA-ProxyWebPart",
    "X-OWA-ExplicitLogonUser",
    "X_OWA_ProxySid",
    "msExchTargetBE",
    "cookie",
    "accept",
];
