//! Where is the mailbox? Answered from the lists of the configuration, if it names no Active Directory.

use std::{collections::HashSet, future::ready};

use cas_proxy::{
    csc::Sid,
    directory::{
        BackEnd, ClientAccessServer, ExternalUrl, InternalUrl, Mailbox, MailboxKey, SmtpAddress,
        Topology, TopologyError,
    },
    lookup::{Answer, CouldNotAsk, InMemory, LocateFuture, MailboxLookup},
};

use super::config::{Config, Directory, User};

/// All servers, this one included.
pub(crate) fn topology(config: &Config) -> Result<Topology, TopologyError> {
    let here = &config.server;
    let mut topology = Topology::builder();
    if config.cas.iter().all(|cas| cas.name != here.name) {
        let server = ClientAccessServer::new(here.name.clone(), here.site.clone(), here.version);
        topology = topology.client_access_server(with_urls(
            server,
            here.internal_url.as_ref(),
            here.external_url.as_ref(),
        ));
    }
    for cas in &config.cas {
        let site = cas.site.as_ref().unwrap_or(&here.site);
        let server = ClientAccessServer::new(
            cas.name.clone(),
            site.clone(),
            cas.version.unwrap_or(here.version),
        );
        let mut server = with_urls(server, cas.internal_url.as_ref(), cas.external_url.as_ref());
        if cas.integrated_windows_authentication {
            server = server.with_integrated_windows_authentication();
        }
        topology = topology.client_access_server(server);
    }
    for back_end in &config.back_end {
        // Without a URL it is as good as not configured, and the user is told so.
        let Some(url) = &back_end.url else { continue };
        let mut server = BackEnd::new(back_end.name.clone(), url.clone());
        if back_end.integrated_windows_authentication {
            server = server.with_integrated_windows_authentication();
        }
        topology = topology.back_end(server);
    }
    topology.build()
}

fn with_urls(
    mut server: ClientAccessServer,
    internal: Option<&InternalUrl>,
    external: Option<&ExternalUrl>,
) -> ClientAccessServer {
    if let Some(url) = internal {
        server = server.with_internal_url(&url.to_string());
    }
    if let Some(url) = external {
        server = server.with_external_url(url.as_str());
    }
    server
}

/// Finds mailboxes by SID, and by address for those who open another's.
pub(crate) struct Lookup {
    mailboxes: InMemory,
    /// Users of whom the directory is said not to answer.
    down: HashSet<MailboxKey>,
}

impl Lookup {
    pub(crate) fn new(config: &Config) -> Self {
        let mut mailboxes = InMemory::new();
        let mut down = HashSet::new();
        for user in &config.user {
            for key in keys(&user.sid, user.address.as_ref()) {
                if user.directory == Some(Directory::Down) {
                    down.insert(key);
                } else if let Some(mailbox) = mailbox(config, user) {
                    mailboxes = mailboxes.insert(key, mailbox);
                }
            }
        }
        Self { mailboxes, down }
    }
}

impl MailboxLookup for Lookup {
    fn peek(&self, key: &MailboxKey) -> Option<Answer> {
        if self.down.contains(key) {
            None
        } else {
            self.mailboxes.peek(key)
        }
    }

    fn locate(&self, key: MailboxKey) -> LocateFuture {
        if self.down.contains(&key) {
            return Box::pin(ready(Err(CouldNotAsk::from_source(
                "the configuration says it is down",
            ))));
        }
        self.mailboxes.locate(key)
    }
}

fn keys(sid: &Sid, address: Option<&SmtpAddress>) -> impl Iterator<Item = MailboxKey> {
    [
        Some(MailboxKey::Sid(*sid)),
        address.cloned().map(MailboxKey::Address),
    ]
    .into_iter()
    .flatten()
}

fn mailbox(config: &Config, user: &User) -> Option<Mailbox> {
    let place = user.mailbox.as_ref()?;
    let version = place.version.unwrap_or(config.server.version);
    let mut mailbox = Mailbox::new(place.server.clone(), version);
    if let Some(site) = &place.site {
        mailbox = mailbox.with_site(site.clone());
    }
    if let Some(address) = &user.address {
        mailbox = mailbox.with_address(address.clone());
    }
    Some(mailbox)
}
