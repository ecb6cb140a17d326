//! First visits all at once, over real HTTP connections without sockets.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use cas_proxy::{decision::Policy, first_cas::CasProxyLayer, outbound::Client};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{io::duplex, sync::Barrier};

use crate::support::{get, here, lookup, pipes::Pipes, through};

/// A second CAS that holds every 441 until as many have come as it waits for.
struct Dallas {
    all_here: Barrier,
    logged_in: AtomicBool,
    logins: AtomicUsize,
    refused: AtomicUsize,
}

impl Dallas {
    async fn answer(&self, request: Request<Incoming>) -> Response<String> {
        let status = if request.uri().path().ends_with("/proxyLogon.owa") {
            self.logins.fetch_add(1, Ordering::SeqCst);
            self.logged_in.store(true, Ordering::SeqCst);
            241
        } else if self.logged_in.load(Ordering::SeqCst) {
            200
        } else {
            self.all_here.wait().await;
            self.refused.fetch_add(1, Ordering::SeqCst);
            441
        };
        let answer = Response::builder().status(status);
        answer.body(String::new()).unwrap()
    }
}

//= src/docs/protocol.md#login-twice
#[tokio::test]
async fn a_thousand_first_requests_that_are_all_refused_make_one_login() {
    const VISITS: usize = 1000;
    let dallas = Arc::new(Dallas {
        all_here: Barrier::new(VISITS),
        logged_in: AtomicBool::new(false),
        logins: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
    });
    let served = Arc::clone(&dallas);
    let client = Client::builder()
        .dial(move |_: &_| {
            let (near, far) = duplex(4096);
            let dallas = Arc::clone(&served);
            let answer = service_fn(move |request| {
                let dallas = Arc::clone(&dallas);
                async move { Ok::<_, Infallible>(dallas.answer(request).await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(far), answer));
            std::future::ready(Ok::<_, io::Error>(near))
        })
        .build();
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = true;
    let layer =
        CasProxyLayer::with_outbound(here(), Pipes::topology(&["dallas"]), lookup(), client)
            .policy(policy);
    let visits: Vec<_> = (0..VISITS)
        .map(|_| {
            let layer = layer.clone();
            tokio::spawn(async move { through(&layer, get(2, "/owa/")).await.status() })
        })
        .collect();
    for visit in visits {
        assert_eq!(visit.await.unwrap(), 200);
    }
    assert_eq!(dallas.refused.load(Ordering::SeqCst), VISITS);
    assert_eq!(dallas.logins.load(Ordering::SeqCst), 1);
}
