//! The contender: a first CAS that proxies one user to Dallas, one to Reno, and serves one itself.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use cas_proxy::{
    CasProxyLayer, ClientAccessServer, ClientSecurityContext, Here, InMemory, Mailbox, MailboxKey,
    Topology,
    csc::{GroupAttributes, Sid},
    decision::Policy,
    lookup::{Cached, MailboxLookup},
    outbound::credentials::danger::BasicCredentials,
    wire::{hop_by_hop::Client, signature::SharedKey},
};
use cas_proxy_compare::{Arguments, BoxError, mailbox, runtime, serve};
use http::{HeaderValue, Request};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use tower::{Layer, Service};

fn main() -> Result<(), BoxError> {
    let arguments = Arguments::read(0)?;
    metrics::set_global_recorder(Sums::default()).map_err(|_| "a recorder is there")?;
    runtime(arguments.get_or("--threads", 1)?)?.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> Result<(), BoxError> {
    let mut topology = Topology::builder();
    for (site, option) in [("Dallas", "--dallas"), ("Reno", "--reno")] {
        let address: SocketAddr = arguments.get(option)?;
        let server = ClientAccessServer::new(site.parse()?, site.parse()?, VERSION.parse()?);
        topology = topology.client_access_server(
            server
                .with_internal_url(&format!("http://{address}/owa"))
                .with_integrated_windows_authentication(),
        );
    }
    let mut users = HashMap::new();
    let mut lookup = InMemory::new();
    let named = ["anna", "bert", "carl"].into_iter().map(str::to_owned);
    let others = (0..1000).map(|number| format!("user{number}"));
    let mut keys = Vec::new();
    for (number, name) in (1105..).zip(named.chain(others)) {
        let site = match &*name {
            "bert" => "Reno",
            "carl" => "Seattle",
            _ => "Dallas",
        };
        let user = context(&name, number)?;
        let key = MailboxKey::Sid(*user.user());
        let home = Mailbox::new("mailbox1".parse()?, VERSION.parse()?).with_site(site.parse()?);
        lookup = lookup.insert(key.clone(), home);
        keys.push(key);
        users.insert(HeaderValue::try_from(name)?, user);
    }
    let lookup = Arc::new(Cached::builder(lookup).time_to_live(DAY).build());
    for key in keys {
        lookup.locate(key).await?;
    }

    let here = Here::new("seattle".parse()?, "Seattle".parse()?, VERSION.parse()?);
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = true;
    let listen: SocketAddr = arguments.get("--listen")?;
    let layer = CasProxyLayer::new(here, Arc::new(topology.build()?), lookup)
        .policy(policy)
        .listener(listen);
    let layer = match &*arguments.get::<String>("--credentials")? {
        "lab" => layer.credentials(BasicCredentials::new("seattle:secret")?),
        "shared-key" => layer.credentials(SharedKey::new("seattle-to-dallas", &[7; 32])?),
        other => return Err(format!("no such credentials: {other}").into()),
    };
    let users = Arc::new(users);
    let first_cas = layer.layer(mailbox());
    serve(listen, |peer| LogOn {
        client: Client {
            peer: Some(peer),
            ..Client::default()
        },
        users: Arc::clone(&users),
        inner: first_cas.clone(),
    })
    .await
}

/// A user with 20 groups.
fn context(name: &str, number: u32) -> Result<ClientSecurityContext, BoxError> {
    let domain = [21, 1_004_336_348, 1_177_238_915, 682_003_330];
    let sid = |rid| {
        let [a, b, c, d] = domain;
        Sid::from_parts(5, &[a, b, c, d, rid])
    };
    let mut user = ClientSecurityContext::builder(sid(number)?, "Basic", name);
    for group in 0..20 {
        user = user.group(sid(5000 + group)?, GroupAttributes::ENABLED_GROUP);
    }
    Ok(user.build()?)
}

/// Stands for the log-on: whoever the header names is signed in.
#[derive(Clone)]
struct LogOn<S> {
    client: Client,
    users: Arc<HashMap<HeaderValue, ClientSecurityContext>>,
    inner: S,
}

impl<S, B> Service<Request<B>> for LogOn<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let name = request.headers().get("x-user");
        let user = name.and_then(|name| self.users.get(name)).cloned();
        let extensions = request.extensions_mut();
        extensions.insert(self.client);
        if let Some(user) = user {
            extensions.insert(user);
        }
        self.inner.call(request)
    }
}

/// The cheapest recorder that still records: one sum for all.
#[derive(Default)]
struct Sums(Arc<Sum>);

#[derive(Default)]
struct Sum(AtomicU64);

impl CounterFn for Sum {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl HistogramFn for Sum {
    fn record(&self, _value: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Recorder for Sums {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::clone(&self.0))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::clone(&self.0))
    }
}

const VERSION: &str = "8.3.83.6";
const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
