//! Two sites, and one request for everything that can become of a request, in one process over real sockets.
//!
//! ```sh
//! cargo run --example two_sites              # play every outcome, check it, print it
//! cargo run --example two_sites -- --serve   # stay up, to be tried in a browser
//! ```
//!
//! Seattle is the CAS that users reach. Dallas stands in front of other mailboxes and knows Seattle by a shared key.
//! There are also an Exchange 2003 back-end that wants the user's own password, a site that users are sent to by a
//! link, and sites where something is wrong.
//!
//! [`company`] holds the users and servers, [`servers`] the layers as they are stacked, [`script`] what is asked and
//! what has to come of it.

mod client;
mod company;
#[allow(dead_code, reason = "only the whole gateway signs in by the directory")]
#[path = "../gateway/domain_users.rs"]
mod domain_users;
mod mailbox;
mod recorder;
mod report;
mod script;
#[path = "../gateway/server.rs"]
mod server;
mod servers;
#[allow(dead_code, reason = "only the whole gateway signs in by the directory")]
#[path = "../gateway/sign_in.rs"]
mod sign_in;

use std::{
    env,
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

use tokio::{signal, sync::mpsc};

use company::{Company, PASSWORD, USERS};
use recorder::Exchange;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let ended = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => play().await,
        ["--serve"] => serve().await.map(|()| true),
        _ => {
            eprintln!("usage: two_sites [--serve]");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("two_sites failed to {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the script; true if all of it came out as it should.
async fn play() -> Result<bool, BoxError> {
    let (company, mut exchanges) = open().await?;
    let played = script::play(&company, &mut exchanges).await?;
    io::stdout().write_all(report::write(&played).as_bytes())?;
    Ok(played.iter().all(|visit| visit.wrong().is_empty()))
}

/// Stays up until it is told to stop, and says what the servers see.
async fn serve() -> Result<(), BoxError> {
    let (company, mut exchanges) = open().await?;
    let mut out = io::stdout();
    writeln!(out, "Users reach http://{}/owa/", company.at.seattle)?;
    writeln!(
        out,
        "They sign in by HTTP Basic, all with the password {PASSWORD:?}; a private window for each:"
    )?;
    for user in &USERS {
        let mailbox = company.whereabouts(user, "/owa/").await?;
        writeln!(out, "  {:6} {mailbox}", user.name)?;
    }
    writeln!(
        out,
        "As anna, open bert's mailbox: http://{}/owa/bert@fourthcoffee.com/",
        company.at.seattle
    )?;
    writeln!(
        out,
        "Denver has a door of its own: http://{}/owa/",
        company.at.denver
    )?;
    writeln!(out, "What the servers see from now on; Ctrl-C ends it.")?;
    loop {
        tokio::select! {
            stopped = signal::ctrl_c() => return Ok(stopped?),
            Some(exchange) = exchanges.recv() => writeln!(out, "  {exchange}")?,
        }
    }
}

async fn open() -> Result<(Company, mpsc::UnboundedReceiver<Exchange>), BoxError> {
    let (log, exchanges) = mpsc::unbounded_channel();
    Ok((servers::open(log).await?, exchanges))
}
