use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer,
};

use crate::directory::ServerName;
#[cfg(feature = "negotiate")]
use crate::kerberos::Tickets;

#[cfg(feature = "negotiate")]
use super::own_account::OwnAccount;

use super::{
    ActiveDirectory, DirectoryError, DirectoryErrorKind, InvalidControllerUrl, Shared,
    controller::Controller,
    pool::Pool,
    refresh::{Refreshed, Task},
};

/// Settings of an [`ActiveDirectory`]. Each has a default and a bound, but for the bind account.
#[must_use = "nothing is asked before `connect`"]
pub struct ActiveDirectoryBuilder {
    controllers: Vec<Controller>,
    here: Option<ServerName>,
    trust: Trust,
    settings: Settings,
}

enum Trust {
    System,
    Given(Arc<ClientConfig>),
    Nobody,
}

/// Who signs in.
pub(super) enum Bind {
    Password(String, Secret),
    #[cfg(feature = "negotiate")]
    OwnAccount(OwnAccount),
}

pub(super) struct Settings {
    pub(super) bind: Bind,
    pub(super) base: Option<String>,
    /// `None`: in clear.
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) refresh: Duration,
    pub(super) page_size: i32,
    pub(super) max_servers: usize,
    pub(super) max_connections: usize,
    pub(super) connect_time_limit: Duration,
    pub(super) search_time_limit: Duration,
    pub(super) refresh_time_limit: Duration,
}

impl ActiveDirectoryBuilder {
    pub(super) fn new<'u>(
        controllers: impl IntoIterator<Item = &'u str>,
    ) -> Result<Self, InvalidControllerUrl> {
        let controllers = controllers.into_iter().map(Controller::new);
        Ok(Self {
            controllers: controllers.collect::<Result<_, _>>()?,
            here: None,
            trust: Trust::System,
            settings: Settings::default(),
        })
    }

    /// The account to sign in with: `svc@contoso.com`, `CONTOSO\svc` or a distinguished name, and its password.
    ///
    /// [What it may do](super#rights-of-the-bind-account) need not be much.
    pub fn bind(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.settings.bind = Bind::Password(name.into(), Secret::new(password));
        self
    }

    /// Signs in as the account of this server, by Kerberos (SASL GSSAPI): as the account that comes first in the client
    /// keytab, or whose tickets are in the cache.
    ///
    /// The service asked for is `ldap/<host>`, with the host as the domain controller's URL has it: name domain
    /// controllers as they are registered, by DNS. The environment is that of
    /// [`Integrated`](crate::outbound::credentials::Integrated#the-environment), and the library is called in the same
    /// way: on blocking threads, four calls at a time at most, each as long as [connecting](Self::connect_time_limit)
    /// may take. TLS is as with a password; the bind is tied to it (`tls-server-end-point`), and has no layer of its own.
    #[cfg(feature = "negotiate")]
    pub fn bind_as_own_account(self) -> Self {
        self.bind_by_kerberos(None)
    }

    /// The same as [another account](Self::bind_as_own_account) of the client keytab, such as
    /// `SEA-CAS-01$@CONTOSO.COM`.
    #[cfg(feature = "negotiate")]
    pub fn bind_as_account(self, principal: impl Into<Arc<str>>) -> Self {
        self.bind_by_kerberos(Some(principal.into()))
    }

    #[cfg(feature = "negotiate")]
    fn bind_by_kerberos(mut self, principal: Option<Arc<str>>) -> Self {
        self.settings.bind = Bind::OwnAccount(OwnAccount {
            principal,
            tickets: Tickets::new(),
        });
        self
    }

    /// The part of the tree that users are searched in: the domain of the domain controller.
    pub fn base(mut self, base: impl Into<String>) -> Self {
        self.settings.base = Some(base.into());
        self
    }

    /// The first CAS, whose view the topology is [checked](crate::directory::Topology::check) from. Without it, only
    /// entries that make no server are reported.
    pub fn here(mut self, name: ServerName) -> Self {
        self.here = Some(name);
        self
    }

    /// Trusts domain controllers with a certificate issued under `roots`, and no others. By default, those the system trusts.
    ///
    /// # Errors
    /// If none is given, or one is no trust anchor.
    pub fn trust_roots(
        mut self,
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, rustls::Error> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root)?;
        }
        if store.is_empty() {
            return Err(rustls::Error::General(
                "no trust anchor is given".to_owned(),
            ));
        }
        self.trust = Trust::Given(trusting(store)?);
        Ok(self)
    }

    /// How often the topology is read, give or take 10 %: 5 minutes, and never more than once a second.
    pub fn refresh(mut self, interval: Duration) -> Self {
        self.settings.refresh = interval.max(Duration::from_secs(1));
        self
    }

    /// How many entries of the topology are asked for at a time: 500. Between 1 and 1,000, which is as many as a domain
    /// controller gives at once.
    pub fn page_size(mut self, entries: u16) -> Self {
        self.settings.page_size = i32::from(entries.clamp(1, 1000));
        self
    }

    /// How many servers, and how many virtual directories, the topology may have: 20,000. More is an error.
    pub fn max_servers(mut self, servers: usize) -> Self {
        self.settings.max_servers = servers.max(1);
        self
    }

    /// How many connections there may be at once: 8. Others wait, as long as a search may take.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.settings.max_connections = connections.clamp(1, MOST_CONNECTIONS);
        self
    }

    /// How long it may take to connect and sign in to one domain controller: 2 seconds.
    pub fn connect_time_limit(mut self, span: Duration) -> Self {
        self.settings.connect_time_limit = span;
        self
    }

    /// How long one search for a user may take at one domain controller: 2 seconds.
    pub fn search_time_limit(mut self, span: Duration) -> Self {
        self.settings.search_time_limit = span;
        self
    }

    /// How long each of the three searches for the topology may take: 30 seconds.
    pub fn refresh_time_limit(mut self, span: Duration) -> Self {
        self.settings.refresh_time_limit = span;
        self
    }

    pub(super) fn in_clear(mut self) -> Self {
        self.trust = Trust::Nobody;
        self
    }

    /// Signs in and reads the topology. Must be called on a tokio runtime, on which it refreshes from then on.
    ///
    /// # Errors
    /// If the topology cannot be read from any of the domain controllers, or the bind account has no password: Active
    /// Directory would take such a bind for an anonymous one. If a bind by Kerberos is to be made in clear.
    pub async fn connect(mut self) -> Result<ActiveDirectory, DirectoryError> {
        let refused =
            |why: &str| DirectoryError::general(DirectoryErrorKind::BindRefused).because(why);
        match (&self.settings.bind, &self.trust) {
            (Bind::Password(name, Secret(password)), _)
                if name.is_empty() || password.is_empty() =>
            {
                return Err(refused("the bind account needs a name and a password"));
            }
            #[cfg(feature = "negotiate")]
            (Bind::OwnAccount(_), Trust::Nobody) => {
                return Err(refused("a bind by Kerberos is made within TLS alone"));
            }
            _ => {}
        }
        self.settings.tls = match self.trust {
            Trust::Given(tls) => Some(tls),
            Trust::Nobody => None,
            Trust::System => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                let unreachable = DirectoryError::general(DirectoryErrorKind::Unreachable);
                Some(trusting(roots).map_err(|error| unreachable.because(error))?)
            }
        };
        let shared = Arc::new(Shared {
            pool: Pool::new(self.controllers, self.settings),
            here: self.here,
            snapshot: Default::default(),
            refreshed: Mutex::new(Refreshed::never()),
            turn: Default::default(),
        });
        shared.refresh().await?;
        let task = Arc::new(Task::start(&shared));
        Ok(ActiveDirectory {
            shared,
            _task: task,
        })
    }
}

impl fmt::Debug for ActiveDirectoryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls = self.controllers.iter().map(|controller| &controller.url);
        f.debug_struct("ActiveDirectoryBuilder")
            .field("controllers", &urls.collect::<Vec<_>>())
            .field("here", &self.here)
            .finish_non_exhaustive()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: Bind::Password(String::new(), Secret(String::new())),
            base: None,
            tls: None,
            refresh: Duration::from_secs(5 * 60),
            page_size: 500,
            max_servers: 20_000,
            max_connections: 8,
            connect_time_limit: Duration::from_secs(2),
            search_time_limit: Duration::from_secs(2),
            refresh_time_limit: Duration::from_secs(30),
        }
    }
}

/// A password, which nothing shows.
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

fn trusting(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A domain controller allows an account 5,000, and has others to serve.
const MOST_CONNECTIONS: usize = 256;
