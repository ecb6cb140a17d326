//! With axum: where the layer may stand, and which URI counts.

use axum::{Extension, Router, body::Body, routing::get as route_get};
use bytes::Bytes;
use cas_proxy::{
    second_cas::{SecondCasLayer, SharedKeys},
    wire::signature::{SharedKey, Target},
};
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt};

use crate::support::*;

/// Asks a router as user `rid`.
async fn ask(router: Router, rid: u32, method: &str, path: &str) -> Response<Bytes> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "mail.contoso.com");
    let request = request.body(Body::empty()).unwrap();
    let router = router.layer(Extension(user(rid)));
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

fn mailboxes() -> Router {
    Router::new().route("/owa/", route_get(async || "served here"))
}

#[tokio::test]
async fn a_finished_router_is_wrapped_and_served_as_a_fallback() {
    let peer = Peer::answering([answer(200, "mail of Dallas"), answer(405, "")]);
    let wrapped =
        || Router::new().fallback_service(first_cas(&peer, &["dallas"]).layer(mailboxes()));
    assert_eq!(
        ask(wrapped(), 1, "GET", "/owa/").await.body(),
        "served here"
    );
    // A path that no route has.
    let proxied = ask(wrapped(), 2, "GET", "/owa/?ae=Folder").await;
    assert_eq!(proxied.body(), "mail of Dallas");
    assert_eq!(peer.seen()[0].uri, "https://dallas.corp/owa/?ae=Folder");
    let refused = ask(wrapped(), 2, "DELETE", "/owa/").await;
    assert_status(&refused, 405);
    assert!(!refused.headers().contains_key("allow"), "{refused:?}");
}

#[tokio::test]
async fn below_a_nest_the_uri_of_the_client_counts() {
    let peer = Peer::answering([answer(200, "mail of Dallas")]);
    let inner = Router::new().fallback(async || "served here");
    let nested = || {
        let first_cas = first_cas(&peer, &["dallas"]).layer(inner.clone());
        Router::new().nest_service("/owa", first_cas)
    };
    assert_eq!(
        ask(nested(), 1, "GET", "/owa/x").await.body(),
        "served here"
    );
    assert_eq!(
        ask(nested(), 2, "GET", "/owa/x%2By?a=+b").await.body(),
        "mail of Dallas"
    );
    assert_eq!(peer.seen()[0].uri, "https://dallas.corp/owa/x%2By?a=+b");
}

/// The signature is over the URI of the client, and internal paths are found in it.
#[tokio::test]
//= src/docs/protocol.md#login-caller
async fn below_a_nest_a_second_cas_sees_the_uri_of_the_client() {
    let key = SharedKey::new("chicago", &[1; 32]).unwrap();
    let trusted = SharedKeys::for_authorities(["mail.contoso.com"]).unwrap();
    let trusted = trusted.accept(key.clone()).clock(|| 1_700_000_000);
    let inner = Router::new().fallback(async || "served here");
    let second_cas = SecondCasLayer::new(trusted).version("8.1.240.5".parse().unwrap());
    let nested = Router::new().nest_service("/owa", second_cas.layer(inner));
    for path in ["/owa/ping.owa", "/owa/proxyLogon.owa", "/owa/p%69ng.owa"] {
        assert_status(&ask(nested.clone(), 1, "GET", path).await, 403);
    }
    let ping = Request::get("/owa/ping.owa").header("host", "mail.contoso.com");
    let mut ping = ping.body(Body::empty()).unwrap();
    let target = Target::new(ping.method(), "mail.contoso.com", ping.uri());
    let signed = key.sign(&target, ping.headers(), 1_700_000_000, [1; 16]);
    signed.unwrap().insert_into(ping.headers_mut());
    assert_eq!(nested.oneshot(ping).await.unwrap().status(), 242);
}

/// Why the documentation says not to do it like this.
#[tokio::test]
async fn below_a_router_an_answer_gets_an_allow_of_that_router() {
    let peer = Peer::answering([answer(200, "deleted in Dallas")]);
    let layered = mailboxes().layer(first_cas(&peer, &["dallas"]));
    let proxied = ask(layered, 2, "DELETE", "/owa/").await;
    assert_status(&proxied, 200);
    assert_eq!(proxied.headers()["allow"], "GET,HEAD");
}
