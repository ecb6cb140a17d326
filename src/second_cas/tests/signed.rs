//! Signatures and the layer together: what a first CAS sends, and what an attacker makes of it.

use super::*;
use crate::wire::signature::{SharedKey, Target, content_digest};

const HOST: &str = "dallas.fourthcoffee.com";
const NOW: u64 = 1_700_000_000;

fn key() -> SharedKey {
    SharedKey::new("chicago", &[1; 32]).unwrap()
}

fn signed_layer() -> SecondCasLayer {
    SecondCasLayer::new(
        SharedKeys::for_authorities([HOST])
            .unwrap()
            .accept(key())
            .clock(|| NOW),
    )
}

fn signed(mut request: Request<TestBody>, nonce: u8) -> Request<TestBody> {
    request.headers_mut().insert("host", HOST.parse().unwrap());
    let target = Target::new(request.method(), HOST, request.uri());
    let signed = key()
        .sign(&target, request.headers(), NOW, [nonce; 16])
        .unwrap();
    signed.insert_into(request.headers_mut());
    request
}

fn with_digest(mut request: Request<TestBody>, body: &str) -> Request<TestBody> {
    request
        .headers_mut()
        .insert("content-digest", content_digest::of(body.as_bytes()));
    request
}

#[tokio::test]
//= src/docs/protocol.md#login-caller
async fn login_and_request_go_through_and_leave_no_signature() {
    let server = server(&signed_layer());
    let body = context(ANNA, "anna");
    let answer = server
        .send(signed(
            with_digest(login(Peer::Client, ANNA, &body), &body),
            1,
        ))
        .await;
    assert_eq!(answer.answered, Some(Answered::LoginAccepted));
    let answer = server
        .send(signed(for_user(get(Peer::Client, "/owa/"), ANNA), 2))
        .await;
    assert_eq!(answer.body, "mail");
    let taken = server.taken().unwrap();
    assert_eq!(taken.headers.keys().collect::<Vec<_>>(), ["host"]);
    assert_eq!(
        taken.extensions.get::<Proxied>().unwrap().caller(),
        "chicago"
    );
}

#[tokio::test]
async fn a_login_whose_body_is_not_the_signed_one_is_refused() {
    let layer = signed_layer();
    let server = server(&layer);
    let (anna, other) = (context(ANNA, "anna"), context(ANNA, "administrator"));
    let requests = [
        signed(with_digest(login(Peer::Client, ANNA, &other), &anna), 1),
        // Without a digest any body would do; with one that was not signed, too.
        signed(login(Peer::Client, ANNA, &anna), 2),
        with_digest(signed(login(Peer::Client, ANNA, &anna), 3), &anna),
    ];
    for request in requests {
        let answer = server.send(request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.answered),
            (403, Some(Answered::LoginRefused))
        );
    }
    assert_eq!(layer.contexts_kept(), 0);
}

#[tokio::test]
//= src/docs/protocol.md#login-caller
async fn a_request_repeated_turned_or_unsigned_is_403() {
    let server = server(&signed_layer());
    let body = context(ANNA, "anna");
    server
        .send(signed(
            with_digest(login(Peer::Client, ANNA, &body), &body),
            1,
        ))
        .await;

    let request = || signed(for_user(get(Peer::Client, "/owa/"), ANNA), 2);
    assert_eq!(server.send(request()).await.status, 200);
    let mut elsewhere = signed(for_user(get(Peer::Client, "/owa/"), ANNA), 3);
    *elsewhere.uri_mut() = "/owa/?cmd=delete".parse().unwrap();
    let mut for_bert = signed(for_user(get(Peer::Client, "/owa/"), ANNA), 4);
    for_bert
        .headers_mut()
        .insert("x-owa-proxysid", BERT.parse().unwrap());
    let unsigned = for_user(get(Peer::Client, "/owa/"), ANNA);
    let added = with(
        signed(get(Peer::Client, "/owa/ping.owa"), 5),
        "x-owa-proxysid",
        ANNA,
    );
    for request in [request(), elsewhere, for_bert, unsigned, added] {
        let answer = server.send(request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.answered),
            (403, Some(Answered::CallerNotVerified))
        );
    }
}

#[tokio::test]
async fn clones_of_a_layer_share_nonces_and_contexts() {
    let layer = signed_layer();
    let (one, other) = (server(&layer), server(&layer.clone()));
    let body = context(ANNA, "anna");
    one.send(signed(
        with_digest(login(Peer::Client, ANNA, &body), &body),
        1,
    ))
    .await;
    let request = || signed(for_user(get(Peer::Client, "/owa/"), ANNA), 2);
    assert_eq!(other.send(request()).await.status, 200);
    assert_eq!(one.send(request()).await.status, 403);
}
