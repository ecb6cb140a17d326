//! The company: who works there, which servers it has, and what its directory says of both.

use std::{net::SocketAddr, sync::Arc};

use cas_proxy::{
    csc::{ClientSecurityContext, GroupAttributes, Sid},
    directory::{
        BackEnd, ClientAccessServer, Mailbox, MailboxKey, ServerName, SiteName, SmtpAddress,
        Topology,
    },
    lookup::{Answer, CouldNotAsk, InMemory, Located, MailboxLookup},
    wire::owa_path::{self, Scope},
};

use super::BoxError;

/// Somebody with an account. Everyone has the same [`PASSWORD`].
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    /// The last part of the SID.
    id: u32,
    mailbox: Option<Place>,
}

#[derive(Debug)]
struct Place {
    server: &'static str,
    version: &'static str,
    /// Exchange 2003 has none.
    site: Option<&'static str>,
}

pub(crate) const USERS: [User; 9] = [
    User::new("anna", 1001, in_site("Seattle")),
    User::new("bert", 1002, in_site("Dallas")),
    User::new("carla", 1003, EXCHANGE_2003),
    User::new("dora", 1004, in_site("Denver")),
    User::new("emil", 1005, in_site("Reno")),
    User::new("fred", 1006, None),
    User::new("gina", 1007, in_site("Boise")),
    User::new("hugo", 1008, in_site("Tulsa")),
    User::new(OF_WHOM_THE_DIRECTORY_IS_SILENT, 1009, None),
];

pub(crate) const PASSWORD: &str = "secret";

pub(crate) const EXCHANGE_2007: &str = "8.3.83.6";

impl User {
    const fn new(name: &'static str, id: u32, mailbox: Option<Place>) -> Self {
        Self { name, id, mailbox }
    }

    /// What a log-on layer knows of the user.
    pub(crate) fn context(&self) -> Result<ClientSecurityContext, BoxError> {
        let everyone = Sid::from_parts(5, &[21, 1_004_336_348, 1_177_238_915, 682_003_330, 513])?;
        let context = ClientSecurityContext::builder(self.sid()?, "Basic", self.name)
            .group(everyone, GroupAttributes::ENABLED_GROUP);
        Ok(context.build()?)
    }

    fn sid(&self) -> Result<Sid, BoxError> {
        Ok(Sid::from_parts(
            5,
            &[21, 1_004_336_348, 1_177_238_915, 682_003_330, self.id],
        )?)
    }

    fn address(&self) -> Result<SmtpAddress, BoxError> {
        Ok(format!("{}@fourthcoffee.com", self.name).parse()?)
    }
}

/// Where each server listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) seattle: SocketAddr,
    pub(crate) dallas: SocketAddr,
    pub(crate) denver: SocketAddr,
    pub(crate) legacy1: SocketAddr,
    pub(crate) reno: SocketAddr,
    /// Nobody listens there.
    pub(crate) tulsa: SocketAddr,
}

/// What its directory knows.
#[derive(Clone, Debug)]
pub(crate) struct Company {
    pub(crate) at: Addresses,
    pub(crate) topology: Arc<Topology>,
    mailboxes: Arc<InMemory>,
    silent: [MailboxKey; 2],
}

impl Company {
    pub(crate) fn new(at: Addresses) -> Result<Self, BoxError> {
        let mut mailboxes = InMemory::new();
        let mut silent = Vec::new();
        for user in &USERS {
            let keys = [
                MailboxKey::Sid(user.sid()?),
                MailboxKey::Address(user.address()?),
            ];
            if user.name == OF_WHOM_THE_DIRECTORY_IS_SILENT {
                silent.extend(keys);
                continue;
            }
            let Some(place) = &user.mailbox else { continue };
            let mut mailbox = Mailbox::new(place.server.parse()?, place.version.parse()?)
                .with_address(user.address()?);
            if let Some(site) = place.site {
                mailbox = mailbox.with_site(site.parse()?);
            }
            for key in keys {
                mailboxes = mailboxes.insert(key, mailbox.clone());
            }
        }
        Ok(Self {
            at,
            topology: Arc::new(topology(&at)?),
            mailboxes: Arc::new(mailboxes),
            silent: silent
                .try_into()
                .map_err(|_| "find the user of whom the directory is silent")?,
        })
    }

    /// Asks the directory.
    pub(crate) async fn locate(&self, key: MailboxKey) -> Located {
        if self.silent.contains(&key) {
            return Err(CouldNotAsk::from_source(
                "the domain controller does not answer",
            ));
        }
        self.mailboxes.locate(key).await
    }

    /// Where the directory says the mailbox is that this user asks for by this path.
    pub(crate) async fn whereabouts(&self, user: &User, path: &str) -> Result<String, BoxError> {
        let (scope, path) = (Scope::default(), path.parse()?);
        let key = match owa_path::classify(&scope, &path)?.explicit_logon() {
            Some(address) => MailboxKey::Address(address.clone()),
            None => MailboxKey::Sid(user.sid()?),
        };
        Ok(match self.locate(key).await {
            Ok(Answer::Found(mailbox)) => {
                let site = mailbox.site().map(SiteName::as_str);
                let place = site.unwrap_or(mailbox.server().as_str());
                format!("{place} ({})", mailbox.version())
            }
            Ok(Answer::NotFound) => "none".to_owned(),
            Ok(Answer::Ambiguous) => "more than one".to_owned(),
            Err(_) => "directory is silent".to_owned(),
        })
    }
}

fn topology(at: &Addresses) -> Result<Topology, BoxError> {
    let cas = |name: &str, site: &str| -> Result<_, BoxError> {
        let name: ServerName = name.parse()?;
        Ok(ClientAccessServer::new(
            name,
            site.parse()?,
            EXCHANGE_2007.parse()?,
        ))
    };
    // What makes others send their users' requests there.
    let reached_at = |server: ClientAccessServer, at: SocketAddr| {
        server
            .with_internal_url(&owa(at))
            .with_integrated_windows_authentication()
    };
    let legacy1 = BackEnd::new(
        "legacy1".parse()?,
        format!("http://{}", at.legacy1).parse()?,
    )
    .with_integrated_windows_authentication();
    let topology = Topology::builder()
        .client_access_server(cas("seattle", "Seattle")?.with_external_url(&owa(at.seattle)))
        .client_access_server(reached_at(cas("dallas", "Dallas")?, at.dallas))
        .client_access_server(cas("denver", "Denver")?.with_external_url(&owa(at.denver)))
        .client_access_server(reached_at(cas("reno", "Reno")?, at.reno))
        .client_access_server(reached_at(cas("tulsa", "Tulsa")?, at.tulsa))
        // Its virtual directory was never set up.
        .client_access_server(cas("boise", "Boise")?)
        .back_end(legacy1);
    Ok(topology.build()?)
}

/// The URL of the virtual directory of a server that listens there.
pub(crate) fn owa(at: SocketAddr) -> String {
    format!("http://{at}/owa")
}

const fn in_site(site: &'static str) -> Option<Place> {
    Some(Place {
        server: "mailbox-server",
        version: EXCHANGE_2007,
        site: Some(site),
    })
}

const EXCHANGE_2003: Option<Place> = Some(Place {
    server: "legacy1",
    version: "6.5.7638",
    site: None,
});

const OF_WHOM_THE_DIRECTORY_IS_SILENT: &str = "ivan";
