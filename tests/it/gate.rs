//! A body and its 441, over real sockets, the second CAS driven by hand.

use std::sync::atomic::Ordering;

use cas_proxy::{decision::Policy, first_cas::CasProxyLayer};
use http::Method;
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    body::Counted,
    by, here, lookup,
    wire::{ACCEPTED, CONTINUE, Listener, NEED_IDENTITY, OK},
};

fn layer(listener: &Listener) -> CasProxyLayer {
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = true;
    CasProxyLayer::new(here(), listener.topology(), lookup()).policy(policy)
}

/// Posts `body` as a user of Dallas; status and text of the answer.
async fn post(layer: CasProxyLayer, body: Counted) -> (u16, String) {
    let never = service_fn(|_: http::Request<Counted>| async {
        Err::<http::Response<String>, _>(std::io::Error::other("not served here"))
    });
    let request = by(2, Method::POST, "/owa/upload").body(body).unwrap();
    let answer = layer.layer(never).oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test]
async fn a_441_before_100_continue_costs_not_one_byte() {
    for sized in [true, false] {
        let total = 20 * 1024 * 1024;
        let listener = Listener::new().await;
        let (body, pulled) = Counted::new(total, sized);
        let client = tokio::spawn(post(layer(&listener), body));

        let mut first = listener.accept().await;
        let head = first.head().await;
        assert!(head.contains("expect: 100-continue"), "{head}");
        first.answer(NEED_IDENTITY).await;

        let mut login = listener.accept().await;
        assert!(login.head().await.starts_with("POST /owa/proxyLogon.owa "));
        assert_eq!(pulled.load(Ordering::SeqCst), 0, "bytes pulled at the 441");
        login.answer(ACCEPTED).await;

        // On the connection that the login has left free.
        let mut replay = login;
        let head = replay.head().await;
        assert!(head.contains("expect: 100-continue"), "{head}");
        assert_eq!(pulled.load(Ordering::SeqCst), 0, "bytes pulled before 100");
        replay.answer(CONTINUE).await;
        let arrived = match sized {
            true => replay.exactly(total as usize).await,
            false => replay.chunked().await,
        };
        assert_eq!(arrived.len() as u64, total);
        assert!(Counted::begins(&arrived), "the body arrives whole");
        replay.answer(OK).await;
        assert_eq!(client.await.unwrap(), (200, "ok".to_owned()));
        assert_eq!(
            first.closed().await,
            0,
            "nothing came to the refused connection"
        );
    }
}
