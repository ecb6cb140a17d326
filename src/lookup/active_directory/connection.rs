//! One connection to one domain controller, signed in.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, Scope, SearchOptions,
    adapters::{Adapter, EntriesOnly, PagedResults},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{
    builder::{Bind, Settings},
    controller::Controller,
    entry::Entry,
    error::{DirectoryError, DirectoryErrorKind},
    filter::Filter,
};

/// What to search, and for what.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) base: Base,
    pub(super) filter: Filter,
    pub(super) attributes: &'static [&'static str],
    pub(super) limit: Limit,
}

#[derive(Debug, Clone)]
pub(super) enum Base {
    /// All users: the configured base, or else the domain of the domain controller.
    Users,
    /// All of this part of the tree.
    Below(Arc<str>),
    /// The servers and sites of the forest.
    Configuration,
    /// This entry alone.
    Only(String),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    /// No more than these are wanted, nor asked for.
    Some(usize),
    /// All, in pages. More than these is an error.
    All(usize),
}

pub(super) struct Connection {
    ldap: Ldap,
    driver: Driver,
    controller: Arc<str>,
    users: String,
    configuration: String,
    page_size: i32,
    pub(super) opened: Instant,
}

impl Connection {
    /// Connects, signs in, and asks what the directory is called.
    pub(super) async fn open(
        controller: &Controller,
        settings: &Settings,
    ) -> Result<Self, DirectoryError> {
        let opening = Self::open_patiently(controller, settings);
        bounded(opening, settings.connect_time_limit, &controller.url).await
    }

    async fn open_patiently(
        controller: &Controller,
        settings: &Settings,
    ) -> Result<Self, DirectoryError> {
        let url = &controller.url;
        let (ldap, driver) = match (&settings.bind, &settings.tls) {
            (Bind::Password(name, password), _) => {
                let (mut ldap, driver) = connect(controller, settings).await?;
                bind(&mut ldap, controller, name, password.expose()).await?;
                (ldap, driver)
            }
            #[cfg(feature = "negotiate")]
            (Bind::OwnAccount(account), Some(tls)) => {
                let time_limit = settings.connect_time_limit;
                account.connect(controller, tls, time_limit).await?
            }
            // Refused before anybody is asked.
            #[cfg(feature = "negotiate")]
            (Bind::OwnAccount(_), None) => {
                return Err(DirectoryError::new(DirectoryErrorKind::BindRefused, url));
            }
        };
        let mut opened = Self {
            ldap,
            driver,
            controller: Arc::clone(url),
            users: String::new(),
            configuration: String::new(),
            page_size: settings.page_size,
            opened: Instant::now(),
        };
        opened.learn_names(settings).await?;
        Ok(opened)
    }

    async fn learn_names(&mut self, settings: &Settings) -> Result<(), DirectoryError> {
        let search = Search {
            base: Base::Only(String::new()),
            filter: Filter::present("objectClass"),
            attributes: &[DEFAULT_CONTEXT, CONFIGURATION_CONTEXT],
            limit: Limit::Some(1),
        };
        let root = self.search(&search).await?.pop().unwrap_or_default();
        let context = |name| root.text(name).map(str::to_owned);
        let malformed = || DirectoryError::new(DirectoryErrorKind::Malformed, &self.controller);
        self.configuration = context(CONFIGURATION_CONTEXT).ok_or_else(malformed)?;
        self.users = match &settings.base {
            Some(base) => base.clone(),
            None => context(DEFAULT_CONTEXT).ok_or_else(malformed)?,
        };
        Ok(())
    }

    /// Whether it is worth trying to use it once more.
    pub(super) fn is_open(&self) -> bool {
        !self.driver.0.is_finished()
    }

    pub(super) async fn search_all(
        &mut self,
        searches: &[Search],
        time_limit: Duration,
    ) -> Result<Vec<Vec<Entry>>, DirectoryError> {
        let controller = Arc::clone(&self.controller);
        let mut all = Vec::with_capacity(searches.len());
        for search in searches {
            all.push(bounded(self.search(search), time_limit, &controller).await?);
        }
        Ok(all)
    }

    async fn search(&mut self, search: &Search) -> Result<Vec<Entry>, DirectoryError> {
        let (base, scope) = match &search.base {
            Base::Users => (self.users.as_str(), Scope::Subtree),
            Base::Below(name) => (&**name, Scope::Subtree),
            Base::Configuration => (self.configuration.as_str(), Scope::Subtree),
            Base::Only(name) => (name.as_str(), Scope::Base),
        };
        let url = &self.controller;
        let error = |error| DirectoryError::ldap(error, url);
        let mut options = SearchOptions::new().timelimit(SERVER_TIME_LIMIT);
        let mut adapters: Vec<Box<dyn Adapter<'_, _, _>>> = vec![Box::new(EntriesOnly::new())];
        let most = match search.limit {
            Limit::Some(most) => {
                options = options.sizelimit(i32::try_from(most).unwrap_or(i32::MAX));
                most
            }
            Limit::All(most) => {
                adapters.push(Box::new(PagedResults::new(self.page_size)));
                most
            }
        };
        let mut stream = self
            .ldap
            .with_search_options(options)
            .streaming_search_with(
                adapters,
                base,
                scope,
                search.filter.as_str(),
                search.attributes,
            )
            .await
            .map_err(error)?;
        let mut found = Vec::new();
        while let Some(result) = stream.next().await.map_err(error)? {
            if found.len() == most {
                return Err(DirectoryError::new(DirectoryErrorKind::TooMuch, url));
            }
            let malformed = || DirectoryError::new(DirectoryErrorKind::Malformed, url);
            found.push(Entry::read(result.0).ok_or_else(malformed)?);
        }
        let result = stream.finish().await;
        match (result.rc, search.limit, scope) {
            (SUCCESS, _, _) | (SIZE_LIMIT_EXCEEDED, Limit::Some(_), _) => Ok(found),
            (NO_SUCH_OBJECT, _, Scope::Base) => Ok(Vec::new()),
            _ => Err(DirectoryError::result(result, url)),
        }
    }
}

/// Connects, and within TLS unless that is to be in clear.
async fn connect(
    controller: &Controller,
    settings: &Settings,
) -> Result<(Ldap, Driver), DirectoryError> {
    let error = |error| DirectoryError::ldap(error, &controller.url);
    let mut how = LdapConnSettings::new().set_starttls(controller.start_tls);
    match &settings.tls {
        Some(tls) => how = how.set_config(Arc::clone(tls)),
        None => how = how.set_starttls(false),
    }
    let (connection, ldap) = LdapConnAsync::with_settings(how, &controller.url)
        .await
        .map_err(error)?;
    let driver = Driver::start(async {
        // Whoever waits for an answer sees the same error.
        let _ = connection.drive().await;
    });
    Ok((ldap, driver))
}

async fn bind(
    ldap: &mut Ldap,
    controller: &Controller,
    name: &str,
    password: &str,
) -> Result<(), DirectoryError> {
    let error = |error| DirectoryError::ldap(error, &controller.url);
    let bound = ldap.simple_bind(name, password).await;
    bound.and_then(ldap3::LdapResult::success).map_err(error)?;
    Ok(())
}

/// A connection that nobody has signed in to yet.
pub(super) struct Unsigned<'c> {
    ldap: Ldap,
    _driver: Driver,
    controller: &'c Controller,
    /// To sign in.
    time_left: Duration,
}

impl<'c> Unsigned<'c> {
    pub(super) async fn open(
        controller: &'c Controller,
        settings: &Settings,
    ) -> Result<Self, DirectoryError> {
        let begun = Instant::now();
        let time_limit = settings.connect_time_limit;
        let connecting = connect(controller, settings);
        let (ldap, _driver) = bounded(connecting, time_limit, &controller.url).await?;
        Ok(Self {
            ldap,
            _driver,
            controller,
            time_left: time_limit.saturating_sub(begun.elapsed()),
        })
    }

    /// Signs in, and leaves: whether the password is right.
    pub(super) async fn verify(
        mut self,
        name: &str,
        password: &str,
    ) -> Result<bool, DirectoryError> {
        let signing_in = bind(&mut self.ldap, self.controller, name, password);
        match bounded(signing_in, self.time_left, &self.controller.url).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == DirectoryErrorKind::BindRefused => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Ends in time, and without a panic: ldap3 has some for answers that are none.
async fn bounded<T>(
    asking: impl Future<Output = Result<T, DirectoryError>>,
    time_limit: Duration,
    controller: &Arc<str>,
) -> Result<T, DirectoryError> {
    let failed = |kind| DirectoryError::new(kind, controller);
    match timeout(time_limit, AssertUnwindSafe(asking).catch_unwind()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_panic)) => Err(failed(DirectoryErrorKind::Malformed)),
        Err(_elapsed) => Err(failed(DirectoryErrorKind::TimedOut)),
    }
}

/// What carries the messages of a connection; ends when dropped.
pub(super) struct Driver(JoinHandle<()>);

impl Driver {
    pub(super) fn start(driving: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(driving))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It would end by itself with the last handle, unless it is stuck with a silent peer.
        self.0.abort();
    }
}

const DEFAULT_CONTEXT: &str = "defaultNamingContext";
const CONFIGURATION_CONTEXT: &str = "configurationNamingContext";

/// Seconds after which the domain controller itself gives up.
const SERVER_TIME_LIMIT: i32 = 30;

const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const NO_SUCH_OBJECT: u32 = 32;
