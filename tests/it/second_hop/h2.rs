//! HTTP/2 on the second hop: one connection for many, and what a body does without `100 Continue`.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cas_proxy::first_cas::{CasProxyLayer, Timeouts};
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{Barrier, Notify};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    assert_status,
    body::Counted,
    by, get,
    site::{Authority, Setup, Site, before, code, text},
    through,
};

fn layer(authority: &Authority, site: &Site) -> CasProxyLayer {
    before([site.as_cas("dallas")]).outbound(authority.client().build())
}

fn setup(authority: &Authority) -> Setup {
    Setup::tls(&authority.certificate(), &["h2"])
}

/// Sends `requests` at once, none of which is answered before all have arrived.
async fn at_once(layer: &CasProxyLayer, requests: usize) {
    let clients = (0..requests).map(|_| {
        let layer = layer.clone();
        tokio::spawn(async move { through(&layer, get(2, "/owa/")).await })
    });
    for client in clients.collect::<Vec<_>>() {
        assert_status(&client.await.unwrap(), 200);
    }
}

/// A site that answers when `requests` are in, and each time again.
async fn meeting(setup: Setup, requests: usize) -> Site {
    let all = Arc::new(Barrier::new(requests));
    setup
        .serve(move |_| {
            let all = Arc::clone(&all);
            async move {
                all.wait().await;
                text("together")
            }
        })
        .await
}

#[tokio::test]
async fn all_share_one_connection_the_first_ones_too() {
    let authority = Authority::new();
    let site = meeting(setup(&authority), 100).await;
    let layer = layer(&authority, &site);
    at_once(&layer, 100).await;
    at_once(&layer, 100).await;
    assert_eq!(site.connections(), 1);
}

#[tokio::test]
async fn nobody_waits_for_a_place_that_others_keep() {
    let authority = Authority::new();
    let site = meeting(setup(&authority).max_streams(10), 25).await;
    let layer = layer(&authority, &site);
    at_once(&layer, 25).await;
    let connections = site.connections();
    assert!((3..=4).contains(&connections), "{connections}");
    at_once(&layer, 25).await;
    assert_eq!(site.connections(), connections);
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let authority = Authority::new();
    let arrived = Arc::new(Notify::new());
    let told = Arc::clone(&arrived);
    let site = setup(&authority).max_streams(1).serve(move |_| {
        told.notify_one();
        std::future::pending::<http::Response<crate::support::site::Answer>>()
    });
    let site = site.await;
    let layer = layer(&authority, &site);
    for _ in 0..5 {
        let layer = layer.clone();
        let client = tokio::spawn(async move { through(&layer, get(2, "/owa/")).await });
        arrived.notified().await;
        client.abort();
        assert!(client.await.is_err());
    }
    assert_eq!(site.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_idles_too_long_is_closed() {
    let authority = Authority::new();
    let site = setup(&authority).serve(|_| async { text("") }).await;
    let client = authority.client().idle_timeout(Duration::ZERO).build();
    let layer = before([site.as_cas("dallas")]).outbound(client);
    for connections in 1..=3 {
        assert_status(&through(&layer, get(2, "/owa/")).await, 200);
        assert_eq!(site.connections(), connections);
        site.all_closed().await;
    }
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_replaced() {
    let authority = Authority::new();
    let site = setup(&authority).serve(|_| async { text("") }).await;
    let layer = layer(&authority, &site);
    for connections in 1..=3 {
        assert_status(&through(&layer, get(2, "/owa/")).await, 200);
        assert_eq!(site.connections(), connections);
        site.hang_up();
        site.all_closed().await;
    }
}

/// Keeps what it was asked, and wants a login first.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> http::Response<crate::support::site::Answer> {
        let (parts, body) = request.into_parts();
        assert!(!parts.headers.contains_key("expect"));
        let log_in = parts.uri.path() == "/owa/proxyLogon.owa";
        let body = body.collect().await.unwrap().to_bytes();
        let whole = (0..)
            .zip(&body)
            .all(|(at, byte)| *byte == Counted::byte(at));
        self.0.lock().unwrap().push(match log_in {
            true => "login".to_owned(),
            false => format!(
                "{} bytes {}",
                body.len(),
                if whole { "whole" } else { "torn" }
            ),
        });
        if log_in { code(241) } else { text("stored") }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

async fn upload(layer: &CasProxyLayer, body: Counted) -> http::StatusCode {
    let never = service_fn(|_: Request<Counted>| async {
        Err::<http::Response<String>, _>(std::io::Error::other("not served here"))
    });
    let request = by(2, Method::POST, "/owa/upload").body(body).unwrap();
    layer.layer(never).oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn a_large_body_goes_after_the_login_and_no_continue_is_waited_for() {
    let (authority, asked) = (Authority::new(), Asked::default());
    let (handler, pulled) = (
        asked.clone(),
        Arc::<Mutex<Option<Arc<AtomicU64>>>>::default(),
    );
    let watched = Arc::clone(&pulled);
    let site = setup(&authority).serve(move |request| {
        if request.uri().path().ends_with("proxyLogon.owa") {
            let pulled = watched.lock().unwrap();
            let pulled = pulled.as_ref().unwrap().load(Ordering::SeqCst);
            assert_eq!(pulled, 0, "bytes pulled before the login");
        }
        handler.clone().answer(request)
    });
    let site = site.await;
    for sized in [true, false] {
        let mut timeouts = Timeouts::default();
        // Were it waited for, this test would not end.
        timeouts.wait_for_continue = Duration::from_secs(3600);
        let layer = layer(&authority, &site).timeouts(timeouts);
        let total = 1_000_000;
        let (body, counter) = Counted::new(total, sized);
        *pulled.lock().unwrap() = Some(counter);
        assert_eq!(upload(&layer, body).await, 200);
        assert_eq!(asked.take(), ["login", "1000000 bytes whole"]);
        // The login is known now.
        assert_eq!(upload(&layer, Counted::new(total, sized).0).await, 200);
        assert_eq!(asked.take(), ["1000000 bytes whole"]);
    }
}

#[tokio::test]
async fn a_441_to_a_large_body_is_answered_from_the_recording_or_refused() {
    for (total, status) in [(200_000, 200), (1_000_000, 503)] {
        let (authority, asked) = (Authority::new(), Asked::default());
        let handler = asked.clone();
        // The context is lost before the user's second request.
        let answers = Arc::new(Mutex::new([241, 200, 441, 241, 200].iter()));
        let site = setup(&authority).serve(move |request| {
            let (handler, answers) = (handler.clone(), Arc::clone(&answers));
            async move {
                handler.answer(request).await;
                let status = *answers.lock().unwrap().next().unwrap();
                code(status)
            }
        });
        let site = site.await;
        let layer = layer(&authority, &site);
        let first = Counted::new(100_000, true).0;
        assert_eq!(upload(&layer, first).await, 200);
        assert_eq!(asked.take(), ["login", "100000 bytes whole"]);
        let (body, _) = Counted::new(total, true);
        assert_eq!(upload(&layer, body).await, status);
        let whole = format!("{total} bytes whole");
        match status {
            200 => assert_eq!(asked.take(), [&whole, "login", &whole]),
            _ => assert_eq!(asked.take(), [&whole, "login"]),
        }
    }
}
