//! `[directory]`: the Active Directory that knows mailboxes, servers and sites.

use std::{path::PathBuf, time::Duration};

use cas_proxy::{
    directory::ServerName,
    lookup::active_directory::{ActiveDirectory, ActiveDirectoryBuilder},
};
use serde::Deserialize;

use super::{fields, files::Files, problem::Problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Directory {
    /// Domain controllers, the preferred one first.
    urls: Vec<String>,
    bind: Bind,
    /// Where the users are; the whole domain, if left out.
    base: Option<String>,
    #[serde(default = "five_minutes", deserialize_with = "fields::seconds")]
    refresh: Duration,
    /// Who vouches for the domain controllers; whoever the system trusts, if left out.
    trust_roots: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bind {
    name: String,
    password_file: PathBuf,
}

impl Directory {
    pub(super) fn read_files(
        self,
        here: &ServerName,
        files: &Files<'_>,
    ) -> Result<ActiveDirectoryBuilder, Problem> {
        let wrong = |key, what: &dyn std::fmt::Display| {
            let what = format_args!("expected {what}");
            Err(files.source.value(&["directory", key], what))
        };
        if self.urls.is_empty() {
            return wrong("urls", &"at least one domain controller");
        }
        let directory = ActiveDirectory::builder(self.urls.iter().map(String::as_str));
        let mut directory = match directory {
            Ok(directory) => directory.here(here.clone()).refresh(self.refresh),
            Err(error) => return wrong("urls", &format_args!("domain controllers: {error}")),
        };
        let at = ["directory", "bind", "password_file"];
        directory = match String::from_utf8(files.secret(&self.bind.password_file, &at)?) {
            Ok(password) if !password.is_empty() => directory.bind(self.bind.name, password),
            _ => return wrong("bind", &"a file with a password in UTF-8"),
        };
        if let Some(base) = self.base {
            directory = directory.base(base);
        }
        if let Some(file) = &self.trust_roots {
            let roots = files.certificates(file, &["directory", "trust_roots"])?;
            directory = match directory.trust_roots(roots) {
                Ok(directory) => directory,
                Err(error) => {
                    let what = format_args!("certificates of authorities: {error}");
                    return wrong("trust_roots", &what);
                }
            };
        }
        Ok(directory)
    }
}

fn five_minutes() -> Duration {
    Duration::from_secs(5 * 60)
}
