//! The parts of the example `gateway`, one by one.

// Clippy knows tests by their attribute, and takes their helpers for ordinary code.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "../../../examples/gateway/config/mod.rs"]
mod config;
#[path = "../../../examples/gateway/directory.rs"]
mod directory;
#[allow(dead_code, reason = "only the whole gateway signs in by the directory")]
#[path = "../../../examples/gateway/domain_users.rs"]
mod domain_users;
#[path = "../../../examples/gateway/mailbox.rs"]
mod mailbox;
#[path = "../../../examples/gateway/patience.rs"]
mod patience;
#[path = "../../../examples/gateway/server.rs"]
pub(crate) mod server;
#[allow(dead_code, reason = "only the whole gateway signs in by the directory")]
#[path = "../../../examples/gateway/sign_in.rs"]
pub(crate) mod sign_in;
#[path = "../../../examples/gateway/stop.rs"]
mod stop;

mod accept_loop;
mod configuration;
mod floods;
mod slow_bodies;
mod stack;
mod stopping;
mod ten_thousand;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use config::Config;

/// A folder of its own for each test, with a secret in it.
fn folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("gateway-{}-{count}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("seattle.key"),
        "0123456789abcdef0123456789abcdef\n",
    )
    .unwrap();
    folder
}

/// Loads a text as `gateway.toml`.
fn load(text: &str) -> Result<Config, String> {
    let folder = folder();
    let file = folder.join("gateway.toml");
    fs::write(&file, text).unwrap();
    let loaded = Config::load(&file).map_err(|problem| problem.to_string());
    fs::remove_dir_all(&folder).unwrap();
    loaded.map_err(|problem| problem.replace(&format!("{}/", folder.display()), ""))
}

/// The shortest configuration there is: five lines.
const LEAST: &str = "listen = \"127.0.0.1:0\"\n[server]\nname = \"seattle\"\nsite = \"Seattle\"\nversion = \"8.3.83.6\"\n";
