//! Servers that fail are left alone for a while, and come back by themselves.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use cas_proxy::{
    first_cas::CasProxyLayer,
    outbound::{OutboundBody, OutboundService},
};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower::service_fn;

use super::failover::in_turn;
use crate::support::{Peer, by, first_cas, get, post, through};

/// What a server does with its requests.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Server {
    Answers(u16),
    HangsUp,
    Hangs,
    /// Answers everything, but is silent when somebody is to be logged in.
    HangsAtLogins,
}

/// A few servers, of which each does as it is told.
#[derive(Clone)]
struct Servers {
    does: Arc<Mutex<HashMap<String, Server>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Servers {
    fn new(does: &[(&str, Server)]) -> Self {
        let named = |(name, does): &(&str, Server)| (format!("{name}.corp"), *does);
        Self {
            does: Arc::new(Mutex::new(does.iter().map(named).collect())),
            asked: Arc::default(),
        }
    }

    fn set(&self, name: &str, does: Server) {
        let mut all = self.does.lock().unwrap();
        all.insert(format!("{name}.corp"), does);
    }

    fn layer(&self) -> CasProxyLayer {
        let names: Vec<String> = self.does.lock().unwrap().keys().cloned().collect();
        let names: Vec<&str> = names
            .iter()
            .map(|name| name.split_once('.').unwrap().0)
            .collect();
        let servers = self.clone();
        first_cas(&Peer::default(), &names).outbound(OutboundService::new(service_fn(
            move |request: Request<OutboundBody>| servers.clone().answer(request),
        )))
    }

    async fn answer(self, request: Request<OutboundBody>) -> io::Result<Response<String>> {
        let host = request.uri().host().unwrap();
        let log_in = request.uri().path().ends_with("proxyLogon.owa");
        let does = self.does.lock().unwrap()[host];
        let (name, _) = host.split_once('.').unwrap();
        self.asked.lock().unwrap().push(name.to_owned());
        // Without asking for it: nobody here says `100 Continue`.
        let _ = request.into_body().collect().await;
        match does {
            Server::Hangs => std::future::pending().await,
            Server::HangsAtLogins if log_in => std::future::pending().await,
            Server::HangsUp => Err(io::ErrorKind::ConnectionReset.into()),
            Server::HangsAtLogins => Ok(answer(200)),
            Server::Answers(_) if log_in => Ok(answer(241)),
            Server::Answers(status) => Ok(answer(status)),
        }
    }

    /// Who was asked since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn answer(status: u16) -> Response<String> {
    Response::builder()
        .status(status)
        .body(String::new())
        .unwrap()
}

/// Sends a request; its status, and the time it took.
async fn timed(layer: &CasProxyLayer, request: Request<Full<Bytes>>) -> (u16, Duration) {
    let started = Instant::now();
    let status = through(layer, request).await.status().as_u16();
    (status, started.elapsed())
}

const GOOD: Server = Server::Answers(200);
const RESPONSE_HEAD: Duration = Duration::from_secs(30);

//= src/docs/protocol.md#failover-when
#[tokio::test(start_paused = true)]
async fn a_hung_server_is_out_within_two_requests_and_back_by_itself() {
    let [first, second] = in_turn(["dallas1", "dallas2"]).await;
    let servers = Servers::new(&[(first, Server::Hangs), (second, GOOD)]);
    let layer = servers.layer();
    for _ in 0..2 {
        let (status, took) = timed(&layer, get(2, "/owa/")).await;
        assert_eq!((status, took), (504, RESPONSE_HEAD));
    }
    assert_eq!(servers.asked(), [first, first]);
    for _ in 0..10 {
        assert_eq!(timed(&layer, get(2, "/owa/")).await, (200, Duration::ZERO));
    }
    assert_eq!(servers.asked(), vec![second; 10]);

    // Still hung after its rest: that costs one request, and others none.
    tokio::time::advance(Duration::from_millis(1101)).await;
    let one = tokio::spawn({
        let layer = layer.clone();
        async move { timed(&layer, get(2, "/owa/")).await }
    });
    tokio::task::yield_now().await;
    for _ in 0..10 {
        assert_eq!(timed(&layer, get(2, "/owa/")).await, (200, Duration::ZERO));
    }
    assert_eq!(one.await.unwrap(), (504, RESPONSE_HEAD));
    assert_eq!(
        servers
            .asked()
            .iter()
            .filter(|name| **name == first)
            .count(),
        1
    );

    // It has come to.
    servers.set(first, GOOD);
    assert_eq!(timed(&layer, get(2, "/owa/")).await, (200, Duration::ZERO));
    assert_eq!(servers.asked(), [second], "it rests for two seconds now");
    tokio::time::advance(Duration::from_millis(2201)).await;
    for _ in 0..3 {
        assert_eq!(timed(&layer, get(2, "/owa/")).await, (200, Duration::ZERO));
    }
    assert_eq!(servers.asked(), [first, first, first]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_at_logins_is_out_as_well_however_many_wait_for_one() {
    let [first, second] = in_turn(["dallas1", "dallas2"]).await;
    let servers = Servers::new(&[(first, Server::HangsAtLogins), (second, GOOD)]);
    let layer = servers.layer();
    let large = || post(2, "/owa/x", vec![0; 100_000]);
    for _ in 0..2 {
        assert_eq!(timed(&layer, large()).await, (200, Duration::from_secs(1)));
    }
    // It does not say `100 Continue`, so from now on the login comes first.
    assert_eq!(servers.asked(), [first, first]);

    // One login, for which many wait, is one failure.
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let (layer, request) = (layer.clone(), large());
            tokio::spawn(async move { timed(&layer, request).await })
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.unwrap(), (504, Duration::from_secs(10)));
    }
    assert_eq!(servers.asked(), [first]);
    assert_eq!(timed(&layer, large()).await, (504, Duration::from_secs(10)));
    assert_eq!(servers.asked(), [first]);
    assert_eq!(timed(&layer, large()).await.0, 200);
    assert!(!servers.asked().contains(&first.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn two_failures_rest_a_server_only_if_nothing_came_between() {
    let [first, second] = in_turn(["dallas1", "dallas2"]).await;
    let servers = Servers::new(&[(first, GOOD), (second, GOOD)]);
    let layer = servers.layer();
    for _ in 0..5 {
        servers.set(first, Server::HangsUp);
        assert_eq!(timed(&layer, get(2, "/owa/")).await.0, 200);
        servers.set(first, Server::Answers(500));
        assert_eq!(timed(&layer, get(2, "/owa/")).await.0, 500);
    }
    assert_eq!(servers.asked(), [first, second, first].repeat(5));
    servers.set(first, Server::HangsUp);
    for _ in 0..4 {
        assert_eq!(timed(&layer, get(2, "/owa/")).await.0, 200);
    }
    assert_eq!(
        servers.asked(),
        [first, second, first, second, second, second]
    );
}

#[tokio::test(start_paused = true)]
async fn a_502_or_503_rests_nobody() {
    let [first, second] = in_turn(["dallas1", "dallas2"]).await;
    for status in [502, 503] {
        let servers = Servers::new(&[(first, Server::Answers(status)), (second, GOOD)]);
        let layer = servers.layer();
        for _ in 0..5 {
            assert_eq!(timed(&layer, get(2, "/owa/")).await.0, 200);
        }
        assert_eq!(servers.asked(), [first, second].repeat(5));
    }
}

#[tokio::test(start_paused = true)]
async fn if_all_rest_the_first_choice_is_tried_at_once() {
    let [first, second] = in_turn(["dallas1", "dallas2"]).await;
    let servers = Servers::new(&[(first, Server::HangsUp), (second, Server::HangsUp)]);
    let layer = servers.layer();
    for _ in 0..2 {
        assert_eq!(timed(&layer, get(2, "/owa/")).await.0, 503);
    }
    servers.set(first, GOOD);
    servers.asked();
    assert_eq!(timed(&layer, get(2, "/owa/")).await, (200, Duration::ZERO));
    assert_eq!(servers.asked(), [first]);
}

#[tokio::test(start_paused = true)]
async fn a_lone_candidate_never_rests() {
    let servers = Servers::new(&[("dallas1", Server::HangsUp)]);
    let layer = servers.layer();
    for _ in 0..5 {
        assert_eq!(timed(&layer, get(2, "/owa/")).await.0, 503);
    }
    assert_eq!(servers.asked(), ["dallas1"; 5]);
    servers.set("dallas1", GOOD);
    assert_eq!(timed(&layer, get(2, "/owa/")).await, (200, Duration::ZERO));
}

/// A client that is too slow, or goes away, says nothing of the server.
#[tokio::test(start_paused = true)]
async fn clients_that_leave_rest_nobody() {
    let [first, second] = in_turn(["dallas1", "dallas2"]).await;
    let servers = Servers::new(&[(first, Server::Hangs), (second, GOOD)]);
    let layer = servers.layer();
    for _ in 0..5 {
        let request = by(2, Method::GET, "/owa/").body(Full::default()).unwrap();
        let gone = tokio::time::timeout(Duration::from_secs(20), through(&layer, request));
        assert!(gone.await.is_err());
    }
    assert_eq!(servers.asked(), vec![first; 5]);
}
