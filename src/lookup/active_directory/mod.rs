//! Answers from Active Directory: where a mailbox lives, which servers there are, and what groups a user is in.
//!
//! ```no_run
//! use cas_proxy::{
//!     decision::Here,
//!     directory::{ServerName, SiteName},
//!     first_cas::CasProxyLayer,
//!     lookup::{Cached, active_directory::ActiveDirectory},
//! };
//!
//! # async fn run(password: String) -> Result<(), Box<dyn std::error::Error>> {
//! let here = ServerName::new("SEA-CAS-01")?;
//! let directory = ActiveDirectory::builder(["ldaps://dc1.contoso.com", "ldaps://dc2.contoso.com"])?
//!     .bind("svc-cas-proxy@contoso.com", password)
//!     .here(here.clone())
//!     .connect()
//!     .await?;
//!
//! let here = Here::new(here, SiteName::new("Seattle")?, "8.1.240.5".parse()?);
//! # #[cfg(feature = "client")]
//! let layer = CasProxyLayer::new(here, directory.clone(), Cached::new(directory));
//! # Ok(())
//! # }
//! ```
//!
//! # What is asked
//!
//! | question | search | attributes |
//! |---|---|---|
//! | Where is this user's mailbox? | the users' base, by `objectSid`, and else by `msExchMasterAccountSid` | `homeMDB`, `msExchHomeServerName` |
//! | Where is the mailbox of this address? | the users' base, by `proxyAddresses` | the same |
//! | Is this the user's password? ([`sign_in`](ActiveDirectory::sign_in)) | a bind as the user | |
//! | Who is this? ([`identify`](ActiveDirectory::identify)) | by `userPrincipalName` or `sAMAccountName`; then the user's entry | `objectSid`, `userAccountControl`, `tokenGroups` |
//! | Which servers are there? | the configuration of the forest, for classes `msExchExchangeServer`, `msExchOWAVirtualDirectory`, `msExchProtocolCfgHTTPVirtualDirectory`, `crossRef` | names, sites, roles, versions, URLs, authentication methods |
//!
//! The servers are read as one snapshot, in pages, every few minutes and whenever a mailbox is on a server that is not
//! in it. If it is not in the new one either, that mailbox could not be asked about; it is not said to be missing. A snapshot that cannot be read leaves the last one in place; [`topology_age`](ActiveDirectory::topology_age)
//! tells since when. What is odd in it ([`Topology::check`]) is logged once, and once more when it is mended.
//!
//! # Rights of the bind account
//!
//! An ordinary member of Domain Users, with nothing added, has what it takes:
//!
//! - *Read all properties* of users: the attributes above. Authenticated Users have it through the group
//!   Pre-Windows 2000 Compatible Access, or by the property sets *Public Information* and *General Information*, of
//!   which Exchange's attributes are part.
//! - *Read property* `tokenGroups` of users, which is not among these where Pre-Windows 2000 Compatible Access was
//!   emptied: there, the account belongs into *Windows Authorization Access Group*. Only `identify` needs it.
//! - *List contents* and *Read all properties* below `CN=Microsoft Exchange,CN=Services` of the configuration
//!   naming context, and of `CN=Partitions`. Authenticated Users have it, unless somebody took it away. An account
//!   that sees no Exchange server is an error, never an empty topology.
//!
//! The computer account of this server is such an account: with the feature `negotiate`,
//! `ActiveDirectoryBuilder::bind_as_own_account` signs in as it by Kerberos, and no password has to be kept.
//!
//! It needs no right to write, no mailbox, no membership in a group of Exchange, and no interactive logon.
//!
//! # Connections
//!
//! Domain controllers are asked in the order given: the next one when one fails, which is then left alone for a second,
//! doubling to ten. One that stays silent has failed when the time limit is over. Certificates are verified against the
//! system's roots or [those given](ActiveDirectoryBuilder::trust_roots); `ldap://` means StartTLS before anything is
//! said. Referrals are not followed: a search that ends in one could not be asked, and continuations of a
//! subtree search into other domains are left alone. A forest of several domains is served by its global catalogue,
//! `ldaps://dc1.contoso.com:3269`, with the forest's root as [base](ActiveDirectoryBuilder::base).
//!
//! # Limits
//!
//! Mailboxes are found on servers that hold their databases below themselves, which is so for Exchange 2007; for later
//! versions `msExchHomeServerName` decides. An Exchange 2003 back-end is reached by `http`, as its front-ends did.

mod builder;
mod connection;
mod controller;
pub mod danger;
mod distinguished_name;
mod entry;
mod error;
mod filter;
mod identify;
mod locate;
mod log;
mod logon_name;
#[cfg(feature = "negotiate")]
mod message;
#[cfg(feature = "negotiate")]
mod own_account;
mod pool;
mod refresh;
mod snapshot;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;

use crate::directory::{MailboxKey, ServerName, Topology, TopologySource};

use super::{LocateFuture, Located, MailboxLookup};

pub use builder::ActiveDirectoryBuilder;
pub use controller::InvalidControllerUrl;
pub use error::{DirectoryError, DirectoryErrorKind};
pub use identify::Identity;
pub use logon_name::{AuthenticatedName, InvalidLogonName};

use pool::Pool;
use refresh::{Refreshed, Task};
use snapshot::Snapshot;

/// An Active Directory that is asked over LDAP; the example is [the module's](self).
///
/// A [`MailboxLookup`], which remembers nothing: put it into a [`Cached`](super::Cached). And a [`TopologySource`].
/// Clones are cheap and share connections and topology. With the last one, the refreshing ends.
#[derive(Clone)]
pub struct ActiveDirectory {
    shared: Arc<Shared>,
    _task: Arc<Task>,
}

struct Shared {
    pool: Pool,
    here: Option<ServerName>,
    snapshot: ArcSwap<Snapshot>,
    refreshed: Mutex<Refreshed>,
    /// Held by whoever reads the topology.
    turn: tokio::sync::Mutex<()>,
}

impl ActiveDirectory {
    /// Begins with the domain controllers, the preferred one first.
    ///
    /// # Errors
    /// If one is not `ldaps://host`, or `ldap://host` for StartTLS, each with a port if need be.
    pub fn builder<'u>(
        controllers: impl IntoIterator<Item = &'u str>,
    ) -> Result<ActiveDirectoryBuilder, InvalidControllerUrl> {
        ActiveDirectoryBuilder::new(controllers)
    }

    /// Finds the mailbox of a user of that name.
    ///
    /// # Errors
    /// If the directory could not be asked.
    pub async fn locate_by_name(&self, name: &AuthenticatedName) -> Located {
        self.shared.locate_by_name(name).await
    }

    /// Who a user is, with all groups, when nothing but the name is known.
    ///
    /// For layers that sign users in and learn no more than a name. What comes of it is worth keeping as long as the user's
    /// session lasts: it takes two searches, and is not remembered here.
    ///
    /// The groups are the user's `tokenGroups`, that is with all groups these are in, and what every user of a network
    /// is in: Everyone, Network, Authenticated Users, This Organization. A list that is not whole is an error.
    ///
    /// # Errors
    /// If the directory could not be asked.
    pub async fn identify(&self, name: &AuthenticatedName) -> Result<Identity, DirectoryError> {
        self.shared.identify(name).await
    }

    /// Signs a user in by name and password: `user@domain` or `DOMAIN\user`, as they come with HTTP Basic.
    ///
    /// The password is checked by an LDAP bind as that user, on a connection of its own within the same TLS and the same
    /// [bound](ActiveDirectoryBuilder::max_connections) as all others, of which signing in takes half at most. So policies
    /// of the domain hold: locked, expired and restricted accounts are refused, and wrong passwords counted. Then the user
    /// is [identified](Self::identify), with all groups, as signed in by `Basic`.
    ///
    /// [`Identity::Unknown`] is said of a wrong password and of a name that nobody has, after the same time; and at once,
    /// for nobody is asked, of an empty password, of one above 1,024 bytes or with a zero in it, and of a name that is none.
    /// Nothing of it is logged, and nothing remembered: clients of HTTP Basic send
    /// their password with every request, so keep what comes of it with the session, or for some minutes.
    ///
    /// # Errors
    /// If the directory could not be asked: nothing is known of the password.
    pub async fn sign_in(&self, name: &str, password: &str) -> Result<Identity, DirectoryError> {
        self.shared.sign_in(name, password).await
    }

    /// Reads the topology now. Those who ask while it is being read share the next reading.
    ///
    /// # Errors
    /// If it could not be read; the last one holds.
    pub async fn refresh(&self) -> Result<(), DirectoryError> {
        self.shared.refresh().await
    }

    /// How old the topology is.
    #[must_use]
    pub fn topology_age(&self) -> TopologyAge {
        self.shared.topology_age()
    }
}

/// How old a topology is, and whether that is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopologyAge {
    /// Since it was read.
    pub age: Duration,
    /// Since reading it first failed; `None` if the last attempt succeeded.
    pub failing_for: Option<Duration>,
}

impl MailboxLookup for ActiveDirectory {
    fn locate(&self, key: MailboxKey) -> LocateFuture {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.locate(key).await })
    }
}

impl TopologySource for ActiveDirectory {
    fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.shared.snapshot.load().topology)
    }
}

impl fmt::Debug for ActiveDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveDirectory")
            .field("topology_age", &self.topology_age())
            .finish_non_exhaustive()
    }
}
