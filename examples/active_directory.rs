//! A gateway with Active Directory behind it: whose mailbox is where, and what that comes to.
//!
//! ```sh
//! cargo run --example active_directory -- explain anna@fourthcoffee.test      # what would be done, and why
//! cargo run --example active_directory -- --config FILE explain 'CONTOSO\anna'
//! cargo run --example active_directory -- serve                               # be that gateway
//! ```
//!
//! Without `--config` it is `examples/active_directory.toml`, for the domain controller that
//! `tests/real/active_directory/samba.sh up` starts. The file is one for the example `gateway`, with the table
//! `[directory]` in it.

#[allow(
    dead_code,
    reason = "the program, of which this one is a part too, has an entry of its own"
)]
#[path = "gateway/main.rs"]
mod gateway;

use std::{env, error::Error, path::PathBuf, process::ExitCode};

use cas_proxy::{
    decision::{Here, Question, explain},
    directory::{Mailbox, MailboxKey, TopologySource as _},
    lookup::{
        Answer, MailboxLookup as _,
        active_directory::{ActiveDirectory, AuthenticatedName, Identity},
    },
};

use gateway::config::Config;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    let mut file = PathBuf::from("examples/active_directory.toml");
    if arguments.len() > 2 && arguments.first().is_some_and(|first| first == "--config") {
        file = arguments.drain(..2).next_back().unwrap_or_default().into();
    }
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["explain", name] => tell(&file, name).await,
        ["serve"] => serve(&file).await,
        _ => {
            eprintln!(
                "usage: active_directory [--config FILE] (explain USER@DOMAIN | explain DOMAIN\\USER | serve)"
            );
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("failed to {error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprint!(": {error}");
                source = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

async fn serve(file: &std::path::Path) -> Result<(), BoxError> {
    let config = Config::load(file).map_err(|problem| format!("configure: {problem}"))?;
    gateway::run(config, false).await
}

/// Prints the lookup, the topology and the decision.
async fn tell(file: &std::path::Path, name: &str) -> Result<(), BoxError> {
    let mut config = Config::load(file).map_err(|problem| format!("configure: {problem}"))?;
    let directory = config
        .directory
        .take()
        .ok_or("find a [directory] in the file")?;
    let directory = directory.connect().await?;

    println!("user      {name}");
    let mailbox = find(&directory, name).await?;
    match &mailbox {
        Some(mailbox) => {
            let site = mailbox.site().map_or("no site", |site| site.as_str());
            println!(
                "mailbox   on {} in {site}, version {}",
                mailbox.server(),
                mailbox.version()
            );
        }
        None => println!("mailbox   none"),
    }

    let topology = directory.topology();
    println!("topology  read {:?} ago", directory.topology_age().age);
    for cas in topology.client_access_servers() {
        println!(
            "  CAS {} in {}, version {}",
            cas.name(),
            cas.site(),
            cas.version()
        );
        if let Some(url) = cas.owa().proxy_target() {
            println!(
                "    InternalURL {url} {:?}",
                cas.owa().internal_authentication
            );
        }
        if let Some(url) = cas.owa().redirect_target() {
            println!("    ExternalURL {}", url.as_str());
        }
    }
    for back_end in topology.back_ends() {
        println!(
            "  back-end {} at {}",
            back_end.name(),
            back_end.url().origin()
        );
    }

    let server = &config.server;
    let here = Here::new(server.name.clone(), server.site.clone(), server.version);
    let mut question = Question::about(mailbox.as_deref());
    question.owa_path = true;
    let policy = gateway::policy(&config);
    let (_, explanation) = explain(&here, &policy, &topology, &question);
    println!("decision  of {} in {}", here.name, here.site);
    for line in explanation.to_string().lines() {
        println!("  {line}");
    }
    Ok(())
}

/// By the name a user signs in with, and by address if nobody does.
async fn find(
    directory: &ActiveDirectory,
    name: &str,
) -> Result<Option<std::sync::Arc<Mailbox>>, BoxError> {
    let key = match directory
        .identify(&AuthenticatedName::new("explain", name)?)
        .await?
    {
        Identity::Known(user) => {
            println!(
                "          is {}, in {} groups",
                user.user(),
                user.groups().len()
            );
            MailboxKey::Sid(*user.user())
        }
        Identity::Unknown => {
            println!("          is nobody who signs in, so taken for an address");
            MailboxKey::Address(
                name.parse()
                    .map_err(|error| format!("look for it: {error}"))?,
            )
        }
        Identity::Ambiguous => return Err("tell who it is: it is more than one user".into()),
    };
    match directory.locate(key).await? {
        Answer::Found(mailbox) => Ok(Some(mailbox)),
        Answer::NotFound => Ok(None),
        Answer::Ambiguous => Err("tell whose mailbox it is: more than one has the address".into()),
    }
}
