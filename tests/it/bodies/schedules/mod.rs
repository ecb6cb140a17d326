//! What chance can do to requests on their way: a first CAS with its own client, second CASs that do as the dice say,
//! clients that hesitate, break off and leave, and a witness of every exchange. Time is paused, so that a schedule of
//! half an hour takes a millisecond.
//!
//! A million of them by hand, and one that has failed once more:
//!
//! ```sh
//! CAS_PROXY_SCHEDULES=1000000 cargo test --release --test it schedules -- --nocapture
//! CAS_PROXY_SEED=4711 CAS_PROXY_SCHEDULES=1 cargo test --test it schedules
//! ```

use std::{sync::Arc, time::Duration};

use cas_proxy::{
    decision::Policy,
    directory::Topology,
    first_cas::{CasProxyLayer, Limits},
    outbound::Tls,
};
use rcgen::SanType;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};
use tokio_rustls::TlsAcceptor;

use self::{client::visit, second::Seconds, witness::Witness};
use crate::support::{
    EXCHANGE_2007,
    dice::{Dice, how_many},
    here, name, site,
    site::{Authority, Setup},
};

mod client;
mod lookup;
mod plan;
mod reaction;
mod second;
mod second_http2;
mod tally;
mod wire;
mod witness;

use plan::Plan;

/// What all schedules have in common.
pub(super) struct Company {
    tls: Tls,
    acceptor: TlsAcceptor,
}

impl Company {
    fn new() -> Self {
        let authority = Authority::new();
        let certificate = authority.issue("dallas1.corp", |params| {
            let others = ["dallas2.corp", "dallas3.corp", "reno1.corp"];
            let others = others.map(|name| SanType::DnsName(name.try_into().unwrap()));
            params.subject_alt_names.extend(others);
        });
        Self {
            tls: authority.tls(),
            acceptor: Setup::tls(&certificate, &["h2"]).acceptor().unwrap(),
        }
    }
}

/// Plays what `seed` says, from the first request to the last thing left behind.
async fn play(seed: u64, company: &Company) -> Arc<Witness> {
    let mut dice = Dice::new(seed);
    let plan = Arc::new(Plan::draw(&mut dice));
    let witness = Arc::<Witness>::default();
    let seconds = Seconds::new(&plan, &mut dice, &witness);
    let layer = first_cas(&plan, &seconds, &witness, company);

    let clients: Vec<_> = (0..plan.visits.len())
        .map(|id| {
            tokio::spawn(visit(
                layer.clone(),
                Arc::clone(&plan),
                id,
                Arc::clone(&witness),
            ))
        })
        .collect();
    for client in clients {
        match tokio::time::timeout(LONGEST, client).await {
            Ok(ended) => ended.unwrap(),
            Err(_) => panic!("a request does not end: {}", witness.so_far(&plan)),
        }
    }
    // Uploads go on that an answer has overtaken, and connections idle.
    let started = Instant::now();
    while witness.bodies() + seconds.open() > 0 && started.elapsed() < LONGEST {
        sleep(Duration::from_secs(5)).await;
    }
    // So do the rests of servers.
    sleep(Duration::from_secs(33)).await;
    seconds.hang_up().await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(seconds.open(), 0, "connections");
    assert_eq!(witness.bodies(), 0, "bodies of clients");
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "tasks");

    witness.judge(&plan);
    witness.budget_is_whole(&layer, &seconds).await;
    drop(layer);
    sleep(Duration::from_secs(33)).await;
    witness
}

fn first_cas(
    plan: &Arc<Plan>,
    seconds: &Arc<Seconds>,
    witness: &Arc<Witness>,
    company: &Company,
) -> CasProxyLayer {
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = true;
    // All kinds of sizes, and none of them large: what counts is on which side of a limit they are.
    let mut limits = Limits::default();
    limits.sent_without_asking = SMALL;
    limits.recorded_per_request = RECORDED;
    limits.recorded = BUDGET;
    let topology = plan
        .servers
        .iter()
        .fold(Topology::builder(), |all, server| {
            let scheme = if server.http2 { "https" } else { "http" };
            let cas = cas_proxy::directory::ClientAccessServer::new(
                name(server.name),
                site(server.site),
                EXCHANGE_2007.parse().unwrap(),
            );
            all.client_access_server(
                cas.with_internal_url(&format!("{scheme}://{}.corp/owa", server.name))
                    .with_integrated_windows_authentication(),
            )
        });
    let topology: Arc<Topology> = topology.build().unwrap().into();
    let lookup = lookup::Moving::new(plan, witness);
    let client = seconds.client(company);
    CasProxyLayer::with_outbound(here(), topology, lookup, client)
        .policy(policy)
        .limits(limits)
}

const SMALL: u64 = 3000;
const RECORDED: usize = 4000;
const BUDGET: usize = 2 * SMALL as usize;
/// No request may take longer than this, whatever others do to it: three candidates, each with an upload at its slowest.
const LONGEST: Duration = Duration::from_secs(3600);

/// Plays one in `of` of all schedules, from the `part`-th on.
fn play_part(part: usize, of: usize) {
    let first = how_many("CAS_PROXY_SEED", 20_070_910) as u64;
    let schedules = how_many("CAS_PROXY_SCHEDULES", 10_000);
    let company = Company::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let mut seen = tally::Tally::default();
    for number in (part..schedules).step_by(of) {
        let seed = Seed(first + number as u64);
        let witness = runtime.block_on(play(seed.0, &company));
        seen.add(&witness);
    }
    println!("part {part} of {of}: {seen}");
    // Otherwise chance has left out what it is there for.
    if schedules >= 1000 {
        seen.has_everything();
    }
}

/// Printed if the test ends in the midst.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("CAS_PROXY_SEED={} CAS_PROXY_SCHEDULES=1", self.0);
        }
    }
}

//= src/docs/protocol.md#failover-when
//= src/docs/protocol.md#login-twice
//= src/docs/protocol.md#status-private
#[test]
fn random_schedules_lose_nothing_and_do_nothing_twice() {
    play_part(0, 2);
}

//= src/docs/protocol.md#failover-when
//= src/docs/protocol.md#login-twice
//= src/docs/protocol.md#status-private
#[test]
fn other_random_schedules_lose_nothing_and_do_nothing_twice() {
    play_part(1, 2);
}
