//! A Client Access server in front of a service of yours, set up by one TOML file.
//!
//! ```sh
//! cargo run --example gateway -- --config gateway.toml           # serve
//! cargo run --example gateway -- --config gateway.toml --check   # only say what is wrong with the file
//! ```
//!
//! `examples/gateway/gateway.toml` shows every key there is.
//!
//! This folder is meant to be copied. Most gateways will replace [`sign_in`] by their own log-on and [`mailbox`] by their
//! service, name their Active Directory in `[directory]`, and keep [`server`] and the stack below.

pub(crate) mod config;
mod directory;
mod domain_users;
mod mailbox;
mod patience;
mod server;
mod sign_in;
mod stop;

use std::{
    env,
    error::Error,
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use cas_proxy::{
    csc::{ClientSecurityContext, InvalidContext},
    decision::{CrossSiteRedirect, Here, Policy},
    directory::{BackEnd, Finding, Topology, TopologySource},
    first_cas::{CasProxyLayer, Timeouts, forward_basic},
    lookup::{Cached, MailboxLookup, active_directory::ActiveDirectoryBuilder},
    outbound::{Client, Tls, credentials::danger::BasicCredentials},
    second_cas::{SecondCasLayer, SharedKeys, danger::StaticCredential, unless_proxied},
    wire::trailers::CleanTrailers,
};
use http::{HeaderValue, Request, request::Parts};
use hyper::body::Incoming;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tower::{Layer as _, ServiceBuilder};
use tracing_subscriber::EnvFilter;

use config::{Config, Redirect, Trust, User};
use domain_users::DomainUsers;
use mailbox::Mailbox;
use patience::Patient;
use sign_in::SignIn;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_env_filter(filter)
        .init();

    let Some((file, check)) = arguments(env::args().skip(1)) else {
        eprintln!("usage: gateway --config FILE [--check]");
        return ExitCode::from(2);
    };
    let config = match Config::load(&file) {
        Ok(config) => config,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    match run(config, check).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gateway failed to {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Option<(PathBuf, bool)> {
    let (mut file, mut check) = (None, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--config" => file = Some(arguments.next()?.into()),
            "--check" => check = true,
            _ => return None,
        }
    }
    Some((file?, check))
}

pub(crate) async fn run(mut config: Config, check: bool) -> Result<(), BoxError> {
    let (topology, lookup, sign_in) = match config.directory.take() {
        // Not asked: the file can be checked where no domain controller is near.
        Some(_) if check => return Ok(()),
        Some(active_directory) => connect(active_directory).await?,
        None => {
            let (topology, lookup) = configured(&config)?;
            (topology, lookup, sign_in(&config.user)?)
        }
    };
    if check {
        return Ok(());
    }

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("listen on {}: {error}", config.listen))?;
    let address = listener.local_addr()?;

    // From the inside out: the mailboxes, the decision where to serve whom, the log-on.
    let mailboxes = Mailbox::new(&config.server.name, &config.server.site);
    // Of what the mailboxes read, the layers have seen the heads alone.
    let idle = config.timeouts.idle;
    let mailboxes = ServiceBuilder::new()
        .map_request(move |request: Request<Incoming>| {
            request.map(|body| CleanTrailers::new(Patient::new(body, idle)))
        })
        .service(mailboxes);
    let layer = first_cas(&config, topology, lookup, address)?;
    let first_cas = layer.layer(mailboxes);
    let second_cas = second_cas(&config, address)?;

    let tls = config.tls.server;
    let scheme = if tls.is_some() { "https" } else { "http" };
    // Whoever started us may be waiting for this line. If nobody reads it, that is no reason to stop.
    let _ = writeln!(io::stdout(), "listening on {scheme}://{address}");
    let request_head = config.timeouts.request_head;
    let serve = async |told: oneshot::Receiver<()>| {
        let told = async { drop(told.await) };
        match second_cas {
            None => {
                let stack = sign_in.layer(first_cas);
                server::serve(listener, tls, request_head, stack, told).await;
            }
            // Outermost, as it must see a request before anything else does. The users of a verified CAS are signed in
            // already, so the log-on stands aside for them.
            Some(second_cas) => {
                let stack = second_cas.layer(unless_proxied(sign_in).layer(first_cas));
                server::serve(listener, tls, request_head, stack, told).await;
            }
        }
    };
    let cut = stop::drained(&layer, server::DRAIN, stop, serve).await;
    if cut > 0 {
        tracing::warn!("{cut} tasks in the background were cut off");
    }
    Ok(())
}

/// Who may sign in.
fn sign_in(users: &[User]) -> Result<SignIn, InvalidContext> {
    let mut accounts = Vec::with_capacity(users.len());
    for user in users {
        accounts.push((user.name.as_str(), user.password.expose(), user.context()?));
    }
    Ok(SignIn::new(accounts))
}

/// Gives the topology of the moment.
type Topologies = Box<dyn Fn() -> Arc<Topology> + Send + Sync>;

/// All answers from Active Directory, which is asked once for each mailbox and then no more for a while.
async fn connect(
    active_directory: ActiveDirectoryBuilder,
) -> Result<(Topologies, Arc<dyn MailboxLookup>, SignIn), BoxError> {
    let directory = active_directory.connect().await?;
    let lookup = Arc::new(Cached::new(directory.clone()));
    let sign_in = SignIn::of_the_domain(DomainUsers::of(directory.clone())?);
    Ok((Box::new(move || directory.topology()), lookup, sign_in))
}

/// The servers and mailboxes that the file lists.
fn configured(config: &Config) -> Result<(Topologies, Arc<dyn MailboxLookup>), BoxError> {
    let topology = Arc::new(directory::topology(config)?);
    // What will not work is better read here than by a user.
    for finding in topology.check(&config.server.name) {
        if matters(&finding, config) {
            tracing::warn!(event_id = finding.event(), "{finding}");
        }
    }
    let lookup = Arc::new(directory::Lookup::new(config));
    Ok((Box::new(move || Arc::clone(&topology)), lookup))
}

/// Whether something in the directory's data will keep a user of *this* gateway from mail.
fn matters(finding: &Finding, config: &Config) -> bool {
    match finding {
        Finding::PlainHttpInternalUrl(_) => !config.policy.allow_proxying_without_ssl,
        // Only Kerberos asks for one, and this gateway shows a shared key.
        Finding::NoServicePrincipalName(_) => false,
        _ => true,
    }
}

/// How users of other sites are served.
fn first_cas(
    config: &Config,
    topology: impl TopologySource,
    lookup: impl MailboxLookup,
    address: SocketAddr,
) -> Result<CasProxyLayer, BoxError> {
    let server = &config.server;
    let here = Here::new(server.name.clone(), server.site.clone(), server.version);
    let client = Client::builder()
        .tls(config.tls.trust_roots.clone().unwrap_or_else(Tls::system))
        .connect_timeout(config.timeouts.connect)
        .build();

    let mut layer = CasProxyLayer::with_outbound(here, topology, lookup, client)
        .policy(policy(config))
        .timeouts(timeouts(config))
        .listener(address)
        .back_end_credentials(back_end_credentials(config));
    if let Some(url) = &server.external_url {
        layer = layer.external_url(url);
    }
    // Clients see https even where something in front of us ends it.
    let https = server
        .external_url
        .as_ref()
        .map_or(config.tls.server.is_some(), |url| url.origin().is_https());
    layer = layer.own_hosts(https, server.hosts.iter().map(config::Host::as_str))?;
    Ok(match &config.first_cas {
        None => layer,
        Some(Trust::Shared(key)) => layer.credentials(key.clone()),
        Some(Trust::DangerBasic(basic)) => {
            layer.credentials(BasicCredentials::new(basic.expose())?)
        }
    })
}

/// Whose users are served here as they come, signed in elsewhere.
fn second_cas(config: &Config, address: SocketAddr) -> Result<Option<SecondCasLayer>, BoxError> {
    let layer = match &config.second_cas {
        None => return Ok(None),
        Some(Trust::Shared(keys)) => {
            // What callers sign for. A request signed for another server is not for us.
            let trusted = match &config.server.internal_url {
                Some(url) => SharedKeys::for_internal_urls([url])?,
                None => SharedKeys::for_authorities([address.to_string()])?,
            };
            SecondCasLayer::new(keys.iter().cloned().fold(trusted, SharedKeys::accept))
        }
        Some(Trust::DangerBasic(basic)) => {
            let (user, password) = basic.expose().split_once(':').unwrap_or_default();
            SecondCasLayer::new(StaticCredential::basic(user, password))
        }
    };
    Ok(Some(layer.version(config.server.version)))
}

pub(crate) fn policy(config: &Config) -> Policy {
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = config.policy.allow_proxying_without_ssl;
    policy.redirect = match config.policy.redirect {
        Redirect::Manual => CrossSiteRedirect::Manual,
        Redirect::Silent => CrossSiteRedirect::Silent,
        Redirect::Never => CrossSiteRedirect::Never,
    };
    policy
}

fn timeouts(config: &Config) -> Timeouts {
    let mut timeouts = Timeouts::default();
    timeouts.locate = config.timeouts.locate;
    timeouts.login = config.timeouts.login;
    timeouts.response_head = config.timeouts.response_head;
    timeouts.idle = config.timeouts.idle;
    timeouts
}

/// The user's own password goes to those back-ends alone that are configured to be told it.
fn back_end_credentials(
    config: &Config,
) -> impl Fn(&BackEnd, &ClientSecurityContext, &Parts) -> Option<HeaderValue> + Send + Sync + 'static
{
    let told: Vec<_> = config
        .back_end
        .iter()
        .filter(|back_end| back_end.forward_basic)
        .map(|back_end| back_end.name.clone())
        .collect();
    move |back_end, user, request| {
        if told.contains(back_end.name()) {
            forward_basic(back_end, user, request)
        } else {
            None
        }
    }
}
