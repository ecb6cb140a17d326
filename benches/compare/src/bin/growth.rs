//! What one more user, group, candidate or second CAS costs: the layer alone, its network a function.
//!
//! `growth SERIES SIZE` prints nanoseconds of CPU time for each request, as JSON. Under callgrind, instructions are counted
//! within [`measured`] alone.

use std::{
    collections::HashSet,
    env,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use cas_proxy::{
    CasProxyLayer, ClientAccessServer, ClientSecurityContext, Here, Mailbox, MailboxKey, Topology,
    csc::{GroupAttributes, Sid},
    directory::SiteName,
    first_cas::{CasProxy, Limits, Timeouts},
    lookup::{Answer, Cached, MailboxLookup},
    outbound::{OutboundBody, OutboundService},
};
use cas_proxy_compare::{BoxError, runtime};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    runtime::Runtime,
    task::{JoinSet, yield_now},
};
use tower::{Layer, Service};

fn main() -> Result<(), BoxError> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [series, size] = &*words else {
        return Err("needs a series and a size".into());
    };
    let company = Company::of(series, size.parse()?)?;
    let runtime = runtime(1)?;
    let users = company.users()?;
    let (service, requests) = runtime.block_on(company.open(&users))?;
    let before = clock();
    let served = if company.strangers {
        measured(&runtime, all_at_once(&service, requests))
    } else {
        measured(&runtime, one_by_one(&service, requests))
    };
    let spent = clock() - before;
    served?;
    let each = spent.as_nanos() / u128::from(company.requests);
    println!(
        "{{\"nanoseconds\": {each}, \"requests\": {}}}",
        company.requests
    );
    Ok(())
}

/// Instructions are counted in here.
#[inline(never)]
fn measured<T>(runtime: &Runtime, work: impl Future<Output = T>) -> T {
    runtime.block_on(work)
}

/// So many of each, all but one as they come.
struct Company {
    users: u32,
    sites: u32,
    candidates: u32,
    groups: u32,
    requests: u32,
    /// Whether the second CAS knows nobody yet, and all come at once.
    strangers: bool,
}

impl Company {
    fn of(series: &str, size: u32) -> Result<Self, BoxError> {
        let mut company = Self {
            users: 1000,
            sites: 1,
            candidates: 1,
            groups: 20,
            requests: 2000,
            strangers: false,
        };
        match series {
            "users" => company.users = size,
            "second-cas" => company.sites = size,
            "candidates" => company.candidates = size,
            "groups" => {
                company.groups = size;
                company.users = 20;
            }
            "groups-login" => {
                company.groups = size;
                company.users = 20;
                company.strangers = true;
            }
            "logins" => {
                company.users = size;
                company.strangers = true;
            }
            other => return Err(format!("no such series: {other}").into()),
        }
        if company.strangers {
            company.requests = company.users;
        }
        Ok(company)
    }

    /// The first CAS, warm unless strangers come, and the requests that it is to serve.
    async fn open(
        &self,
        users: &[ClientSecurityContext],
    ) -> Result<(FirstCas, Vec<Request<Empty<Bytes>>>), BoxError> {
        let service = self.first_cas().await?;
        // As a log-on would: one context for all requests of a user.
        let mut users = users.iter().cycle();
        let mut requests = |number| {
            let users = users.by_ref().take(number as usize);
            users.map(request).collect::<Result<Vec<_>, _>>()
        };
        if !self.strangers {
            one_by_one(&service, requests(self.sites.max(50))?).await?;
        }
        Ok((service, requests(self.requests)?))
    }

    /// Those who will come; far apart, so that no request warms the memory for the next.
    fn users(&self) -> Result<Vec<ClientSecurityContext>, BoxError> {
        (0..self.users.min(self.requests))
            .map(|number| {
                let user = u64::from(number) * 7919 % u64::from(self.users);
                let mut context =
                    ClientSecurityContext::builder(sid(u32::try_from(user)?)?, "Basic", "somebody");
                for group in 0..self.groups {
                    let group = sid(5_000_000 + group)?;
                    context = context.group(group, GroupAttributes::ENABLED_GROUP);
                }
                Ok(context.build()?)
            })
            .collect()
    }

    async fn first_cas(&self) -> Result<FirstCas, BoxError> {
        let mut topology = Topology::builder();
        for site in 0..self.sites {
            for number in 0..self.candidates {
                let name = format!("cas-{site}-{number}");
                let url = format!("https://{name}.contoso.com/owa");
                let server =
                    ClientAccessServer::new(name.parse()?, site_name(site)?, VERSION.parse()?);
                topology = topology.client_access_server(
                    server
                        .with_internal_url(&url)
                        .with_integrated_windows_authentication(),
                );
            }
        }
        let homes = (0..self.sites)
            .map(|site| {
                let mailbox = Mailbox::new(format!("mbx-{site}").parse()?, VERSION.parse()?);
                Ok(Arc::new(mailbox.with_site(site_name(site)?)))
            })
            .collect::<Result<Vec<_>, BoxError>>()?;
        // The directory of so many users would cost more than the memory of them.
        let directory = move |key: MailboxKey| {
            let number = match &key {
                MailboxKey::Sid(sid) => sid.sub_authorities().last().copied(),
                _ => None,
            };
            let home = number.and_then(|number| homes.get(number as usize % homes.len()));
            let answer = home.map_or(Answer::NotFound, |home| Answer::Found(Arc::clone(home)));
            async { Ok(answer) }
        };
        let users = self.users as usize;
        let cached = Cached::builder(directory)
            .capacity(users * 2)
            .time_to_live(DAY)
            .build();
        for user in 0..self.users {
            cached.locate(MailboxKey::Sid(sid(user)?)).await?;
        }
        let here = Here::new("seattle".parse()?, "Seattle".parse()?, VERSION.parse()?);
        let network = OutboundService::new(SecondCas {
            known: self.strangers.then(Arc::default),
        });
        let mut timeouts = Timeouts::default();
        // Callgrind is slow, and that is no finding.
        timeouts.login = DAY;
        timeouts.response_head = DAY;
        let mut limits = Limits::default();
        limits.in_flight_per_server = users.max(limits.in_flight_per_server);
        Ok(
            CasProxyLayer::with_outbound(here, Arc::new(topology.build()?), cached, network)
                .timeouts(timeouts)
                .limits(limits)
                .layer(Nobody),
        )
    }
}

type FirstCas = CasProxy<Nobody>;

async fn one_by_one(
    service: &FirstCas,
    requests: Vec<Request<Empty<Bytes>>>,
) -> Result<(), BoxError> {
    for request in requests {
        serve(service.clone(), request).await?;
    }
    Ok(())
}

async fn all_at_once(
    service: &FirstCas,
    requests: Vec<Request<Empty<Bytes>>>,
) -> Result<(), BoxError> {
    let mut tasks = JoinSet::new();
    for request in requests {
        tasks.spawn(serve(service.clone(), request));
    }
    while let Some(served) = tasks.join_next().await {
        served??;
    }
    Ok(())
}

async fn serve(mut service: FirstCas, request: Request<Empty<Bytes>>) -> Result<(), BoxError> {
    let answer = service.call(request).await?;
    if answer.status() != StatusCode::OK {
        return Err(format!("answered {}", answer.status()).into());
    }
    let body = answer.into_body().collect().await?.to_bytes();
    if body.len() == 128 {
        Ok(())
    } else {
        Err("not what the second CAS said".into())
    }
}

/// A second CAS that costs next to nothing; it knows everybody, or those who have been logged in.
#[derive(Clone)]
struct SecondCas {
    known: Option<Arc<Mutex<HashSet<HeaderValue>>>>,
}

impl SecondCas {
    fn answer(&self, request: &Request<OutboundBody>) -> u16 {
        let Some(known) = &self.known else {
            return 200;
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        match request.headers().get("x-owa-proxysid") {
            Some(sid) if request.method() == Method::POST => {
                known.insert(sid.clone());
                241
            }
            Some(sid) if known.contains(sid) => 200,
            _ => 441,
        }
    }
}

impl Service<Request<OutboundBody>> for SecondCas {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<OutboundBody>) -> Self::Future {
        let second_cas = self.clone();
        Box::pin(async move {
            // Whoever else is there gets a turn, so that all are under way at once.
            yield_now().await;
            let status = second_cas.answer(&request);
            let body = if status == 200 { &[b'x'; 128][..] } else { &[] };
            let answer = Response::builder().status(status);
            Ok(answer.body(Full::new(Bytes::from_static(body)))?)
        })
    }
}

/// There are no mailboxes here.
#[derive(Clone)]
struct Nobody;

impl Service<Request<Empty<Bytes>>> for Nobody {
    type Response = Response<Empty<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        ready(Err("nobody is here".into()))
    }
}

fn request(user: &ClientSecurityContext) -> Result<Request<Empty<Bytes>>, BoxError> {
    Ok(Request::get("/owa/?ae=Folder&t=IPF.Note")
        .header("host", "mail.contoso.com")
        .header("accept", "text/html")
        .header("accept-language", "en-us")
        .header("cookie", "UserContext=0123456789abcdef")
        .header("user-agent", "Mozilla/4.0")
        .extension(user.clone())
        .body(Empty::new())?)
}

fn sid(number: u32) -> Result<Sid, BoxError> {
    let domain = [21, 1_004_336_348, 1_177_238_915, 682_003_330];
    let [a, b, c, d] = domain;
    Ok(Sid::from_parts(5, &[a, b, c, d, 1000 + number])?)
}

fn site_name(number: u32) -> Result<SiteName, BoxError> {
    Ok(SiteName::new(format!("Site-{number}"))?)
}

/// CPU time of this thread, the only one.
fn clock() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

const VERSION: &str = "8.3.83.6";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
