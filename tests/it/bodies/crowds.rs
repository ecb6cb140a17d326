//! Many at once: how often somebody logs in, and for whom others wait.

use std::{collections::HashSet, future::pending, io, sync::atomic::AtomicBool, time::Duration};

use cas_proxy::{
    lookup::{Answer, MailboxLookup},
    outbound::{Outbound, OutboundBody, OutboundService},
};
use http::{Request, Response, StatusCode};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tower::service_fn;

use super::*;
use crate::support::{EXCHANGE_2007, get, mailbox, status, through};

/// Second CASs that keep contexts, and count.
#[derive(Default)]
struct Seconds {
    contexts: Mutex<HashSet<(String, String)>>,
    logins: AtomicUsize,
    refusals: AtomicUsize,
    logging_in: Gauge,
    visiting: Gauge,
    /// So many logins to come are answered by 500.
    failing: AtomicUsize,
    /// Logins wait for this, if somebody says so.
    hold_logins: AtomicBool,
    logins_may_end: Notify,
    /// So many 441s to come are held back.
    late: AtomicUsize,
    late_may_come: Notify,
}

/// How many there are, and were at most.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

struct Counted<'g>(&'g Gauge);

impl Gauge {
    fn enter(&self) -> Counted<'_> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Counted(self)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Seconds {
    fn outbound(self: &Arc<Self>) -> impl Outbound + use<> {
        let seconds = Arc::clone(self);
        OutboundService::new(service_fn(move |request: Request<OutboundBody>| {
            let seconds = Arc::clone(&seconds);
            async move { Ok::<_, io::Error>(status(seconds.answer(&request).await)) }
        }))
    }

    async fn answer(&self, request: &Request<OutboundBody>) -> u16 {
        let host = request.uri().host().unwrap().to_owned();
        let user = request.headers()["x-owa-proxysid"]
            .to_str()
            .unwrap()
            .to_owned();
        let context = (host, user);
        if request.uri().path() == "/owa/proxyLogon.owa" {
            return self.log_in(context).await;
        }
        let _visiting = self.visiting.enter();
        if self.contexts.lock().unwrap().contains(&context) {
            return 200;
        }
        self.refusals.fetch_add(1, Ordering::SeqCst);
        if take_one(&self.late) {
            self.late_may_come.notified().await;
        }
        441
    }

    async fn log_in(&self, context: (String, String)) -> u16 {
        let _logging_in = self.logging_in.enter();
        self.logins.fetch_add(1, Ordering::SeqCst);
        if context.1.ends_with("-666") {
            return pending().await;
        }
        if self.hold_logins.load(Ordering::SeqCst) {
            self.logins_may_end.notified().await;
        }
        sleep(LOGIN).await;
        if take_one(&self.failing) {
            return 500;
        }
        self.contexts.lock().unwrap().insert(context);
        241
    }

    fn logins(&self) -> usize {
        self.logins.load(Ordering::SeqCst)
    }

    async fn refused(&self, requests: usize) {
        while self.refusals.load(Ordering::SeqCst) < requests {
            tokio::task::yield_now().await;
        }
    }
}

fn take_one(left: &AtomicUsize) -> bool {
    let one_less = |left: usize| left.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
        .is_ok()
}

/// Everybody is in Dallas, but for those whose number ends in 9: they are in Reno.
fn everybody() -> impl MailboxLookup {
    |key: cas_proxy::directory::MailboxKey| async move {
        let site = match &key {
            cas_proxy::directory::MailboxKey::Sid(sid)
                if sid.sub_authorities().last().unwrap() % 10 == 9 =>
            {
                "Reno"
            }
            _ => "Dallas",
        };
        Ok(Answer::Found(Arc::new(mailbox("mbx", site, EXCHANGE_2007))))
    }
}

fn crowd() -> (Arc<Seconds>, CasProxyLayer) {
    let seconds = Arc::<Seconds>::default();
    let topology = cas_proxy::directory::Topology::builder()
        .client_access_server(crate::support::cas("dallas", "Dallas"))
        .client_access_server(crate::support::cas("reno", "Reno"));
    let topology: Arc<_> = topology.build().unwrap().into();
    let outbound = seconds.outbound();
    let layer = CasProxyLayer::with_outbound(here(), topology, everybody(), outbound);
    (seconds, layer)
}

type Visit = tokio::task::JoinHandle<Response<bytes::Bytes>>;

fn visit(layer: &CasProxyLayer, rid: u32) -> Visit {
    let layer = layer.clone();
    tokio::spawn(async move { through(&layer, get(rid, "/owa/")).await })
}

fn visits(layer: &CasProxyLayer, number: usize) -> Vec<Visit> {
    (0..number).map(|_| visit(layer, 2)).collect()
}

async fn all_are(visits: Vec<Visit>, status: u16) {
    for visit in visits {
        assert_eq!(visit.await.unwrap().status(), status);
    }
}

const LOGIN: Duration = Duration::from_millis(100);

//= src/docs/protocol.md#login-twice
#[tokio::test(start_paused = true)]
async fn if_the_one_who_logs_in_leaves_the_other_999_are_served_by_that_login() {
    let (seconds, layer) = crowd();
    seconds.hold_logins.store(true, Ordering::SeqCst);
    let leader = visit(&layer, 2);
    seconds.refused(1).await;
    let others = visits(&layer, 999);
    seconds.refused(1000).await;
    sleep(Duration::from_millis(1)).await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    seconds.logins_may_end.notify_waiters();
    all_are(others, 200).await;
    assert_eq!(seconds.logins(), 1);
}

//= src/docs/protocol.md#login-answers
#[tokio::test(start_paused = true)]
async fn a_login_that_fails_is_tried_anew_by_one_and_not_by_all_who_waited() {
    let (seconds, layer) = crowd();
    seconds.failing.store(1, Ordering::SeqCst);
    // Half of them learn only after the failure that they need a login.
    seconds.late.store(500, Ordering::SeqCst);
    let late = visits(&layer, 500);
    seconds.refused(500).await;
    all_are(visits(&layer, 500), 502).await;
    assert_eq!(seconds.logins(), 1);
    seconds.late_may_come.notify_waiters();
    all_are(late, 200).await;
    assert_eq!(seconds.logins(), 2);
    all_are(visits(&layer, 500), 200).await;
    assert_eq!(seconds.logins(), 2);
}

//= src/docs/protocol.md#login-twice
#[tokio::test(start_paused = true)]
async fn a_441_that_comes_later_than_a_login_causes_no_other() {
    let (seconds, layer) = crowd();
    seconds.late.store(1, Ordering::SeqCst);
    let late = visit(&layer, 2);
    seconds.refused(1).await;
    all_are(visits(&layer, 1), 200).await;
    assert_eq!(seconds.logins(), 1);
    seconds.late_may_come.notify_waiters();
    all_are(vec![late], 200).await;
    assert_eq!(seconds.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_hangs_keeps_nobody_else_waiting() {
    let (seconds, layer) = crowd();
    let started = Instant::now();
    let hung = visit(&layer, 666);
    seconds.refused(1).await;
    let others: Vec<_> = (100..200).map(|rid| visit(&layer, rid)).collect();
    all_are(others, 200).await;
    assert_eq!(started.elapsed().as_millis() / 100, 2, "64 at a time");
    assert_eq!(hung.await.unwrap().status(), 504);
    assert_eq!(started.elapsed().as_secs(), 10);
    // As much as can hang at one server hangs there: its neighbour does not notice.
    let (seconds, layer) = crowd();
    let hung: Vec<_> = (0..64)
        .map(|number| visit(&layer, 1000 * number + 666))
        .collect();
    seconds.refused(64).await;
    let started = Instant::now();
    all_are(vec![visit(&layer, 9)], 200).await;
    assert_eq!(started.elapsed().as_millis() / 100, 1);
    drop(hung);
}

/// Comes again when it is told to.
async fn insists(layer: CasProxyLayer, rid: u32) -> usize {
    for attempt in 0.. {
        let answer = through(&layer, get(rid, "/owa/")).await;
        if answer.status() == StatusCode::OK {
            return attempt;
        }
        assert_eq!(answer.status(), 503);
        let after = answer.headers()["retry-after"].to_str().unwrap();
        sleep(Duration::from_secs(after.parse().unwrap())).await;
    }
    unreachable!()
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_users_at_once_are_all_served_a_thousand_and_sixty_four_logins_at_a_time() {
    const USERS: usize = 10_000;
    let (seconds, layer) = crowd();
    let users = (0..USERS as u32).map(|number| {
        // All of them in Dallas.
        let rid = 10_000 + 10 * number;
        tokio::spawn(insists(layer.clone(), rid))
    });
    let users: Vec<_> = users.collect();
    let mut refused = 0;
    for user in users {
        refused += user.await.unwrap();
    }
    assert!(refused > 0, "more than 1,024 at once");
    assert_eq!(seconds.logins(), USERS, "one each");
    assert_eq!(seconds.logging_in.most.load(Ordering::SeqCst), 64);
    assert!(seconds.visiting.most.load(Ordering::SeqCst) <= 1024);
    assert!(seconds.contexts.lock().unwrap().len() == USERS);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_users_that_are_let_in_at_once_queue_for_their_logins() {
    const USERS: usize = 10_000;
    let (seconds, layer) = crowd();
    let mut limits = cas_proxy::first_cas::Limits::default();
    limits.in_flight_per_server = USERS;
    let mut timeouts = cas_proxy::first_cas::Timeouts::default();
    // As many turns as it takes: 10,000 users, 64 at a time.
    timeouts.login = LOGIN * (USERS as u32).div_ceil(64) + LOGIN;
    let layer = layer.limits(limits).timeouts(timeouts);
    let rids = (0..USERS as u32).map(|number| 10_000 + 10 * number);
    let visits = rids.map(|rid| visit(&layer, rid)).collect();
    all_are(visits, 200).await;
    assert_eq!(seconds.logins(), USERS);
    assert_eq!(seconds.logging_in.most.load(Ordering::SeqCst), 64);
}
