//! The sections of the file that need no other file to be read.

use std::time::Duration;

use cas_proxy::{
    csc::{ClientSecurityContext, GroupAttributes, InvalidContext, Sid},
    directory::{
        BackEndUrl, ExchangeVersion, ExternalUrl, InternalUrl, ServerName, SiteName, SmtpAddress,
    },
};
use serde::Deserialize;

use super::fields::{self, Host, Secret, UserName};

/// `[server]`: this CAS.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    #[serde(deserialize_with = "fields::one")]
    pub(crate) name: ServerName,
    #[serde(deserialize_with = "fields::one")]
    pub(crate) site: SiteName,
    #[serde(deserialize_with = "fields::one")]
    pub(crate) version: ExchangeVersion,
    #[serde(default, deserialize_with = "fields::maybe")]
    pub(crate) external_url: Option<ExternalUrl>,
    #[serde(default, deserialize_with = "fields::maybe")]
    pub(crate) internal_url: Option<InternalUrl>,
    /// Hosts by which clients know this server, besides the one of the ExternalURL.
    #[serde(default, deserialize_with = "fields::list")]
    pub(crate) hosts: Vec<Host>,
}

/// `[policy]`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Policy {
    pub(crate) allow_proxying_without_ssl: bool,
    pub(crate) redirect: Redirect,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Redirect {
    #[default]
    Manual,
    Silent,
    Never,
}

/// `[timeouts]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Timeouts {
    #[serde(deserialize_with = "fields::seconds")]
    pub(crate) request_head: Duration,
    #[serde(deserialize_with = "fields::seconds")]
    pub(crate) locate: Duration,
    #[serde(deserialize_with = "fields::seconds")]
    pub(crate) connect: Duration,
    #[serde(deserialize_with = "fields::seconds")]
    pub(crate) login: Duration,
    #[serde(deserialize_with = "fields::seconds")]
    pub(crate) response_head: Duration,
    #[serde(deserialize_with = "fields::seconds")]
    pub(crate) idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request_head: Duration::from_secs(10),
            locate: Duration::from_secs(5),
            connect: Duration::from_secs(2),
            login: Duration::from_secs(10),
            response_head: Duration::from_secs(30),
            idle: Duration::from_secs(60),
        }
    }
}

/// `[[cas]]`: another Client Access server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cas {
    #[serde(deserialize_with = "fields::one")]
    pub(crate) name: ServerName,
    /// That of this server, if left out; so with the version.
    #[serde(default, deserialize_with = "fields::maybe")]
    pub(crate) site: Option<SiteName>,
    #[serde(default, deserialize_with = "fields::maybe")]
    pub(crate) version: Option<ExchangeVersion>,
    #[serde(default, deserialize_with = "fields::maybe")]
    pub(crate) internal_url: Option<InternalUrl>,
    #[serde(default, deserialize_with = "fields::maybe")]
    pub(crate) external_url: Option<ExternalUrl>,
    #[serde(default)]
    pub(crate) integrated_windows_authentication: bool,
}

/// `[[back_end]]`: an Exchange 2003 mailbox server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackEnd {
    #[serde(deserialize_with = "fields::one")]
    pub(crate) name: ServerName,
    #[serde(default, deserialize_with = "fields::maybe")]
    pub(crate) url: Option<BackEndUrl>,
    #[serde(default)]
    pub(crate) integrated_windows_authentication: bool,
    /// Pass the user's own Basic credentials on to it.
    #[serde(default)]
    pub(crate) forward_basic: bool,
}

/// `[[user]]`: who may sign in here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    #[serde(deserialize_with = "fields::one")]
    pub(crate) name: UserName,
    pub(crate) password: Secret,
    #[serde(deserialize_with = "fields::one")]
    pub(crate) sid: Sid,
    #[serde(default, deserialize_with = "fields::list")]
    pub(crate) groups: Vec<Sid>,
    #[serde(default, deserialize_with = "fields::maybe")]
    pub(crate) address: Option<SmtpAddress>,
    pub(crate) mailbox: Option<Mailbox>,
    /// `"down"`: the directory does not answer for this user.
    pub(crate) directory: Option<Directory>,
}

impl User {
    /// What this user is, once signed in.
    pub(crate) fn context(&self) -> Result<ClientSecurityContext, InvalidContext> {
        self.groups
            .iter()
            .fold(
                ClientSecurityContext::builder(self.sid, "Basic", self.name.as_str()),
                |context, group| context.group(*group, GroupAttributes::ENABLED_GROUP),
            )
            .build()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mailbox {
    #[serde(deserialize_with = "fields::one")]
    pub(crate) server: ServerName,
    /// A mailbox on Exchange 2003 needs none.
    #[serde(default, deserialize_with = "fields::maybe")]
    pub(crate) site: Option<SiteName>,
    /// That of this server, if left out.
    #[serde(default, deserialize_with = "fields::maybe")]
    pub(crate) version: Option<ExchangeVersion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Directory {
    Down,
}
