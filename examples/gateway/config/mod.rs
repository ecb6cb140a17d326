//! The configuration file: its shape, read by serde, and the checks that take more than one key.
//!
//! Whatever is wrong is told before the server starts, in one line: file, line, key, what was expected.

mod active_directory;
mod fields;
mod files;
mod problem;
mod sections;

use std::{
    collections::HashSet,
    fs,
    hash::Hash,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use cas_proxy::{
    lookup::active_directory::ActiveDirectoryBuilder, outbound, wire::signature::SharedKey,
};
use serde::Deserialize;
use tokio_rustls::rustls::ServerConfig;

pub(crate) use self::{
    fields::{Host, Secret},
    problem::Problem,
    sections::{BackEnd, Cas, Directory, Policy, Redirect, Server, Timeouts, User},
};
use self::{files::Files, problem::Source};

/// Everything the gateway is told, with all files read.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) server: Server,
    pub(crate) tls: Tls,
    pub(crate) policy: Policy,
    pub(crate) timeouts: Timeouts,
    /// Who knows the servers, and where mailboxes are; `None`: the lists below.
    pub(crate) directory: Option<ActiveDirectoryBuilder>,
    pub(crate) cas: Vec<Cas>,
    pub(crate) back_end: Vec<BackEnd>,
    pub(crate) user: Vec<User>,
    /// How this server speaks for itself to second CASs; `None`: it has no way to.
    pub(crate) first_cas: Option<Trust<SharedKey>>,
    /// Whom this server trusts as second CAS; `None`: it plays none.
    pub(crate) second_cas: Option<Trust<Vec<SharedKey>>>,
}

/// One of two ways to know a CAS.
#[derive(Debug)]
pub(crate) enum Trust<K> {
    Shared(K),
    /// `user:password`, the same with every request: for labs.
    DangerBasic(Secret),
}

/// What `[tls]` comes to.
#[derive(Debug, Default)]
pub(crate) struct Tls {
    /// For the listener; `None`: plain HTTP.
    pub(crate) server: Option<Arc<ServerConfig>>,
    /// For the second hop; `None`: the system's.
    pub(crate) trust_roots: Option<outbound::Tls>,
}

impl Config {
    /// Reads the file and all it names. Errors are one line each, and the first one ends it.
    pub(crate) fn load(file: &Path) -> Result<Self, Problem> {
        let text = fs::read_to_string(file).map_err(|error| Problem::unreadable(file, &error))?;
        let source = Source { file, text: &text };
        let shape: Shape = toml::from_str(&text).map_err(|error| source.shape(&error))?;
        shape.check(&source)?;
        shape.read_files(&source)
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    #[serde(deserialize_with = "fields::one")]
    listen: SocketAddr,
    server: Server,
    #[serde(default)]
    tls: TlsFiles,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    timeouts: Timeouts,
    directory: Option<active_directory::Directory>,
    #[serde(default)]
    cas: Vec<Cas>,
    #[serde(default)]
    back_end: Vec<BackEnd>,
    #[serde(default)]
    user: Vec<User>,
    first_cas: Option<FirstCas>,
    second_cas: Option<SecondCas>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TlsFiles {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    trust_roots: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstCas {
    shared_key: Option<KeyFile>,
    danger_basic: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecondCas {
    shared_keys: Option<Vec<KeyFile>>,
    danger_basic: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    id: String,
    secret_file: PathBuf,
}

impl Shape {
    /// What no single value can tell.
    fn check(&self, source: &Source<'_>) -> Result<(), Problem> {
        unique(
            source,
            "cas",
            "name",
            self.cas.iter().map(|cas| Some(&cas.name)),
        )?;
        unique(
            source,
            "back_end",
            "name",
            self.back_end.iter().map(|back_end| Some(&back_end.name)),
        )?;
        unique(
            source,
            "user",
            "name",
            self.user.iter().map(|user| Some(&user.name)),
        )?;
        unique(
            source,
            "user",
            "sid",
            self.user.iter().map(|user| Some(&user.sid)),
        )?;
        unique(
            source,
            "user",
            "address",
            self.user.iter().map(|user| user.address.as_ref()),
        )?;
        if self.directory.is_some() {
            let knows_better = "expected nothing: [directory] knows";
            if !self.cas.is_empty() {
                return Err(source.value(&["cas", "0", "name"], knows_better));
            }
            if let Some(index) = self.back_end.iter().position(|server| server.url.is_some()) {
                let path = ["back_end", &index.to_string(), "url"];
                return Err(source.value(&path, knows_better));
            }
            if !self.user.is_empty() {
                return Err(source.value(&["user", "0", "name"], knows_better));
            }
        }
        for (index, user) in self.user.iter().enumerate() {
            user.context().map_err(|error| {
                let what = format_args!("expected a user that can be signed in: {error}");
                source.value(&["user", &index.to_string(), "name"], what)
            })?;
        }
        Ok(())
    }

    fn read_files(self, source: &Source<'_>) -> Result<Config, Problem> {
        let files = Files { source };
        let first_cas =
            self.first_cas.map(
                |first_cas| match (first_cas.shared_key, first_cas.danger_basic) {
                    (Some(file), None) => files
                        .shared_key(&file, &["first_cas", "shared_key"])
                        .map(Trust::Shared),
                    (None, Some(basic)) => {
                        user_and_password(source, "first_cas", basic).map(Trust::DangerBasic)
                    }
                    _ => {
                        Err(source
                            .value(&["first_cas"], "expected either shared_key or danger_basic"))
                    }
                },
            );
        let second_cas = self.second_cas.map(|second_cas| {
            match (second_cas.shared_keys, second_cas.danger_basic) {
                (Some(keys), None) if !keys.is_empty() => {
                    shared_keys(&files, &keys).map(Trust::Shared)
                }
                (None, Some(basic)) => {
                    user_and_password(source, "second_cas", basic).map(Trust::DangerBasic)
                }
                _ => Err(source.value(
                    &["second_cas"],
                    "expected either shared_keys, at least one, or danger_basic",
                )),
            }
        });
        let directory = self
            .directory
            .map(|directory| directory.read_files(&self.server.name, &files));
        Ok(Config {
            directory: directory.transpose()?,
            listen: self.listen,
            server: self.server,
            tls: files.tls(&self.tls)?,
            policy: self.policy,
            timeouts: self.timeouts,
            cas: self.cas,
            back_end: self.back_end,
            user: self.user,
            first_cas: first_cas.transpose()?,
            second_cas: second_cas.transpose()?,
        })
    }
}

fn shared_keys(files: &Files<'_>, keys: &[KeyFile]) -> Result<Vec<SharedKey>, Problem> {
    unique(
        files.source,
        "second_cas.shared_keys",
        "id",
        keys.iter().map(|key| Some(&key.id)),
    )?;
    let read = |(index, key)| {
        files.shared_key(
            key,
            &["second_cas", "shared_keys", &usize::to_string(&index)],
        )
    };
    keys.iter().enumerate().map(read).collect()
}

fn user_and_password(source: &Source<'_>, section: &str, basic: Secret) -> Result<Secret, Problem> {
    match basic.expose().split_once(':') {
        Some((user, _)) if !user.is_empty() && !basic.expose().contains(char::is_control) => {
            Ok(basic)
        }
        _ => Err(source.value(&[section, "danger_basic"], "expected user:password")),
    }
}

/// No two entries of a list share a value: the second would never be used.
fn unique<T: Eq + Hash>(
    source: &Source<'_>,
    list: &str,
    key: &str,
    values: impl Iterator<Item = Option<T>>,
) -> Result<(), Problem> {
    let mut seen = HashSet::new();
    for (index, value) in values.enumerate() {
        if value.is_some_and(|value| !seen.insert(value)) {
            let index = index.to_string();
            let path: Vec<&str> = list.split('.').chain([index.as_str(), key]).collect();
            return Err(source.value(&path, "expected a value that no other entry has"));
        }
    }
    Ok(())
}
