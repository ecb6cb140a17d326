//! The proxy login.

use std::time::Duration;

use super::*;
use crate::csc::{ClientSecurityContext, xml};

async fn check(
    layer: &SecondCasLayer,
    request: Request<TestBody>,
    status: u16,
    why: Answered,
) -> Answer {
    let server = server(layer);
    let answer = server.send(request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.answered),
        (status, Some(why))
    );
    assert!(server.taken().is_none());
    let kept = usize::from(why == Answered::LoginAccepted);
    assert_eq!(layer.contexts_kept(), kept);
    answer
}

fn login_with(body: TestBody) -> Request<TestBody> {
    for_user(
        request(Peer::Chicago, Method::POST, "/owa/proxyLogon.owa", body),
        ANNA,
    )
}

#[tokio::test]
//= src/docs/protocol.md#status-241
//= src/docs/protocol.md#login-request
async fn a_login_is_accepted_in_one_piece_and_in_many() {
    let answer = check(
        &layer(),
        login(Peer::Chicago, ANNA, &context(ANNA, "anna")),
        241,
        Answered::LoginAccepted,
    )
    .await;
    assert!(answer.body.is_empty());
    check(
        &layer(),
        login(Peer::SlowChicago, ANNA, &context(ANNA, "anna")),
        241,
        Answered::LoginAccepted,
    )
    .await;
    let body = context(ANNA, "anna");
    let bytes: Vec<_> = body.chars().map(String::from).collect();
    let mut chunked = TestBody::of(bytes.iter().map(String::as_str));
    chunked.steps.push_back(Step::Trailers);
    let request = for_user(
        request(
            Peer::Chicago,
            Method::POST,
            "/owa/bert@contoso.com/proxyLogon.owa",
            chunked,
        ),
        ANNA,
    );
    check(&layer(), request, 241, Answered::LoginAccepted).await;
}

#[tokio::test]
//= src/docs/protocol.md#login-request
async fn only_a_post_with_all_three_headers_is_a_login() {
    let got = for_user(get(Peer::Chicago, "/owa/proxyLogon.owa"), ANNA);
    let answer = check(&layer(), got, 405, Answered::MethodNotAllowed).await;
    assert_eq!(answer.headers["allow"], "POST");
    let request = request(
        Peer::Chicago,
        Method::POST,
        "/owa/proxyLogon.owa",
        TestBody::untouchable(),
    );
    check(&layer(), request, 400, Answered::HeadersMalformed).await;
}

#[tokio::test]
//= src/docs/protocol.md#login-reader
async fn a_body_that_is_no_context_is_400() {
    let good = context(ANNA, "anna");
    for body in [
        "",
        "<r/>",
        &format!(" {good}"),
        &format!("{good}\n"),
        &good.replace("<s>", "<s t=\"0\">"),
        &good[1..],
    ] {
        check(
            &layer(),
            login(Peer::Chicago, ANNA, body),
            400,
            Answered::LoginMalformed,
        )
        .await;
    }
    let mut broken = TestBody::of([good.as_str()]);
    broken.steps.push_back(Step::Error);
    let request = login_with(broken);
    check(&layer(), request, 400, Answered::LoginMalformed).await;
}

#[tokio::test]
//= src/docs/protocol.md#login-same-sid
async fn the_body_speaks_of_the_user_in_the_header_or_of_nobody() {
    // The rule must not be asked about a context that is not the announced user's.
    let layer = layer().refuse_context(|_, _| panic!("used before it was checked"));
    check(
        &layer,
        login(Peer::Chicago, ANNA, &context(BERT, "bert")),
        400,
        Answered::LoginMalformed,
    )
    .await;
}

#[tokio::test]
//= src/docs/protocol.md#login-same-sid
async fn only_accounts_of_a_domain_are_taken() {
    for sid in [
        "S-1-5-18",
        "S-1-5-32-544",
        "S-1-1-0",
        "S-1-5-21-1-2-3",
        "S-1-5-21-1-2-3-4-5",
        "S-1-5-80-1-2-3-4",
    ] {
        check(
            &layer(),
            login(Peer::Chicago, sid, &context(sid, "x")),
            403,
            Answered::LoginRefused,
        )
        .await;
    }
}

#[tokio::test]
async fn the_rule_has_the_last_word() {
    let no_administrators = |caller: &VerifiedCaller, context: &ClientSecurityContext| {
        assert_eq!(caller.name(), "chicago");
        context.user().sub_authorities().last() == Some(&500)
    };
    let administrator = "S-1-5-21-1-2-3-500";
    let layer = layer().refuse_context(no_administrators);
    check(
        &layer,
        login(Peer::Chicago, administrator, &context(administrator, "a")),
        403,
        Answered::LoginRefused,
    )
    .await;
    check(
        &layer,
        login(Peer::Chicago, ANNA, &context(ANNA, "anna")),
        241,
        Answered::LoginAccepted,
    )
    .await;
}

#[tokio::test]
//= src/docs/protocol.md#login-limit
async fn too_many_sids_or_bytes_are_413() {
    let with_groups = |groups| {
        context(ANNA, "anna").replace(
            "</r>",
            &format!("{}</r>", r#"<s a="7" t="1">S-1-1-0</s>"#.repeat(groups)),
        )
    };
    check(
        &layer(),
        login(Peer::Chicago, ANNA, &with_groups(xml::MAX_SIDS - 2)),
        241,
        Answered::LoginAccepted,
    )
    .await;
    check(
        &layer(),
        login(Peer::Chicago, ANNA, &with_groups(xml::MAX_SIDS - 1)),
        413,
        Answered::LoginTooLarge,
    )
    .await;

    let small = layer().login_body_limit(10);
    check(
        &small,
        login(Peer::Chicago, ANNA, "12345678901"),
        413,
        Answered::LoginTooLarge,
    )
    .await;
    check(
        &small,
        login(Peer::Chicago, ANNA, "1234567890"),
        400,
        Answered::LoginMalformed,
    )
    .await;
    // More than the reader takes cannot be allowed.
    let large = " ".repeat(xml::MAX_BYTES + 1);
    check(
        &layer().login_body_limit(usize::MAX),
        login(Peer::Chicago, ANNA, &large),
        413,
        Answered::LoginTooLarge,
    )
    .await;
}

#[tokio::test]
//= src/docs/protocol.md#login-limit
async fn a_body_announced_too_large_is_refused_unread() {
    let mut announced = TestBody::untouchable();
    announced.hint = SizeHint::with_exact(xml::MAX_BYTES as u64 + 1);
    let request = login_with(announced);
    check(&layer(), request, 413, Answered::LoginTooLarge).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up_after_ten_seconds() {
    let start = tokio::time::Instant::now();
    let silent = TestBody::new([Step::Data(Bytes::from_static(b"<r ")), Step::Silence]);
    let request = login_with(silent);
    check(&layer(), request, 408, Answered::LoginTimedOut).await;
    assert_eq!(start.elapsed().as_secs(), 10);

    let silent = TestBody::new([Step::Silence]);
    let request = login_with(silent);
    check(
        &layer().login_timeout(Duration::from_secs(1)),
        request,
        408,
        Answered::LoginTimedOut,
    )
    .await;
    assert_eq!(start.elapsed().as_secs(), 11);
}

#[tokio::test]
//= src/docs/protocol.md#login-stored
async fn a_new_login_replaces_the_one_before() {
    let layer = layer();
    let server = server(&layer);
    for name in ["anna", "anna-maria"] {
        assert_eq!(
            server
                .send(login(Peer::Chicago, ANNA, &context(ANNA, name)))
                .await
                .status,
            241
        );
        server
            .send(for_user(get(Peer::Chicago, "/owa/"), ANNA))
            .await;
        assert_eq!(
            server
                .taken()
                .unwrap()
                .extensions
                .get::<ClientSecurityContext>()
                .unwrap()
                .logon_name(),
            name
        );
    }
    assert_eq!(layer.contexts_kept(), 1);
}

#[tokio::test]
async fn a_context_larger_than_the_store_is_not_said_to_be_kept() {
    let layer = layer().max_context_bytes(100);
    let answer = check(
        &layer,
        login(Peer::Chicago, ANNA, &context(ANNA, "anna")),
        503,
        Answered::LoginNotKept,
    )
    .await;
    assert!(answer.headers.contains_key("retry-after"));
}
