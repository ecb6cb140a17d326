//! The servers and sites of the forest, put together from directory entries.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::directory::{
    AuthenticationMethods, BackEnd, ClientAccessServer, ExchangeVersion, Finding, Mailbox,
    OwaVirtualDirectory, ServerName, SiteName, Topology,
};

use super::{
    connection::{Base, Limit, Search},
    distinguished_name::{ancestors, folded, leaf},
    entry::Entry,
    filter::Filter,
};

/// What was read at one time, and belongs together.
#[derive(Default)]
pub(super) struct Snapshot {
    pub(super) topology: Arc<Topology>,
    /// Where the mailboxes of a server are, by the server's distinguished name and by its legacy name. All mailboxes
    /// of a server share one value, which is what lets a cache hold a million of them.
    mailboxes: HashMap<String, Arc<Mailbox>>,
    domains: Vec<Domain>,
    /// What kept a server out.
    oddities: Vec<String>,
}

struct Domain {
    root: Arc<str>,
    netbios: String,
    dns: String,
}

impl Snapshot {
    /// What [`assemble`](Self::assemble) takes, in its order.
    pub(super) fn searches(most: usize) -> [Search; 3] {
        let search = |filter, attributes| Search {
            base: Base::Configuration,
            filter,
            attributes,
            limit: Limit::All(most),
        };
        [
            search(
                Filter::equals("objectClass", "msExchExchangeServer"),
                &[
                    "cn",
                    NETWORK_ADDRESS,
                    SITE,
                    ROLES,
                    VERSION,
                    SERIAL,
                    LEGACY_NAME,
                ],
            ),
            search(
                Filter::any([
                    Filter::equals("objectClass", "msExchOWAVirtualDirectory"),
                    Filter::equals("objectClass", "msExchProtocolCfgHTTPVirtualDirectory"),
                ]),
                &["cn", INTERNAL_URL, EXTERNAL_URL, METHODS, FLAGS],
            ),
            search(
                Filter::all([
                    Filter::equals("objectClass", "crossRef"),
                    Filter::present(NETBIOS_NAME),
                ]),
                &[DOMAIN_ROOT, NETBIOS_NAME, DNS_ROOT],
            ),
        ]
    }

    //= src/docs/protocol.md#decide-lookup
    pub(super) fn assemble(
        servers: &[Entry],
        virtual_directories: &[Entry],
        domains: &[Entry],
    ) -> Self {
        let mut snapshot = Self::default();
        let directories = by_server(virtual_directories);
        // The directory gives them in any order, and whoever compares two snapshots wants one.
        let mut servers: Vec<&Entry> = servers.iter().collect();
        servers.sort_by_key(|entry| folded(&entry.name));
        let mut topology = Topology::builder();
        let mut names = HashSet::new();
        for entry in servers {
            let server = match Server::read(entry) {
                Ok(server) if names.insert(server.name.clone()) => server,
                Ok(server) => {
                    let oddity = format!("{}: another server has the same name", server.name);
                    snapshot.oddities.push(oddity);
                    continue;
                }
                Err(why) => {
                    // As the directory writes it: the name may be what is wrong.
                    snapshot.oddities.push(format!("{:?}: {why}", entry.name));
                    continue;
                }
            };
            snapshot.remember(entry, &server);
            let own = directories
                .get(&folded(&entry.name))
                .map_or(&[][..], Vec::as_slice);
            if server.version.is_legacy() {
                match server.back_end(own) {
                    Some(back_end) => topology = topology.back_end(back_end),
                    None => {
                        let oddity = format!("{}: no network address to reach it by", server.name);
                        snapshot.oddities.push(oddity);
                    }
                }
            } else if server.roles & CLIENT_ACCESS_ROLE != 0 {
                match &server.site {
                    Some(site) => {
                        let cas =
                            ClientAccessServer::new(server.name, site.clone(), server.version);
                        topology = topology.client_access_server(cas.with_owa(owa(own)));
                    }
                    None => {
                        let oddity = format!("{}: is in no site", server.name);
                        snapshot.oddities.push(oddity);
                    }
                }
            }
        }
        // Names are known to differ, so this cannot fail.
        snapshot.topology = topology.build().unwrap_or_default().into();
        snapshot.domains = domains.iter().filter_map(Domain::read).collect();
        snapshot
    }

    /// Where the mailbox of a user is: in the database that `homeMDB` names, which is below its server; else on the
    /// server whose legacy name `msExchHomeServerName` is. While a mailbox moves, the database changes first.
    pub(super) fn place(&self, user: &Entry) -> Option<Arc<Mailbox>> {
        let by_name = |name: &str| self.mailboxes.get(&folded(name));
        let database = user.text(HOME_DATABASE);
        database
            .and_then(|name| ancestors(name).find_map(by_name))
            .or_else(|| by_name(user.text(HOME_SERVER)?))
            .cloned()
    }

    /// The root of a domain, by either of its names.
    pub(super) fn domain(&self, name: &str) -> Option<&Arc<str>> {
        let named = |domain: &&Domain| {
            domain.netbios.eq_ignore_ascii_case(name) || domain.dns.eq_ignore_ascii_case(name)
        };
        self.domains.iter().find(named).map(|domain| &domain.root)
    }

    /// All that is odd, with event numbers.
    pub(super) fn findings(&self, here: Option<&ServerName>) -> Vec<(Option<u16>, String)> {
        let about_servers = self.oddities.iter().map(|oddity| (None, oddity.clone()));
        let check = |here| self.topology.check(here);
        let of_the_topology = here.map(check).unwrap_or_default();
        let text = |finding: Finding| (finding.event(), finding.to_string());
        about_servers
            .chain(of_the_topology.into_iter().map(text))
            .collect()
    }

    fn remember(&mut self, entry: &Entry, server: &Server) {
        let mut mailbox = Mailbox::new(server.name.clone(), server.version);
        if let Some(site) = &server.site {
            mailbox = mailbox.with_site(site.clone());
        }
        let mailbox = Arc::new(mailbox);
        if let Some(legacy_name) = entry.text(LEGACY_NAME) {
            self.mailboxes
                .insert(folded(legacy_name), Arc::clone(&mailbox));
        }
        self.mailboxes.insert(folded(&entry.name), mailbox);
    }
}

struct Server {
    name: ServerName,
    site: Option<SiteName>,
    version: ExchangeVersion,
    roles: u32,
    host: Option<String>,
}

impl Server {
    fn read(entry: &Entry) -> Result<Self, String> {
        let name = entry
            .text("cn")
            .map_or_else(|| leaf(&entry.name), |name| Some(name.to_owned()));
        let name = ServerName::new(name.unwrap_or_default()).map_err(|error| error.to_string())?;
        let number = entry.number(VERSION).ok_or("has no versionNumber")?;
        let version = ExchangeVersion::from_directory(number, entry.text(SERIAL));
        let site = entry
            .text(SITE)
            .map(|site| SiteName::new(leaf(site).unwrap_or_default()));
        Ok(Self {
            name,
            site: site.transpose().map_err(|error| format!("site: {error}"))?,
            version: version.map_err(|error| error.to_string())?,
            roles: entry.number(ROLES).unwrap_or(0),
            host: entry
                .texts(NETWORK_ADDRESS)
                .find_map(|address| strip_prefix_ignore_case(address, "ncacn_ip_tcp:"))
                .map(str::to_owned),
        })
    }

    //= src/docs/protocol.md#back-end-identity
    fn back_end(&self, directories: &[&Entry]) -> Option<BackEnd> {
        let url = format!("http://{}", self.host.as_ref()?).parse().ok()?;
        let back_end = BackEnd::new(self.name.clone(), url);
        let exchange = directories.iter().find(|entry| {
            entry
                .text("cn")
                .is_some_and(|name| name.eq_ignore_ascii_case("Exchange"))
        });
        let flags = exchange.and_then(|entry| entry.number(FLAGS)).unwrap_or(0);
        Some(if flags & IIS_INTEGRATED != 0 {
            back_end.with_integrated_windows_authentication()
        } else {
            back_end
        })
    }
}

impl Domain {
    fn read(entry: &Entry) -> Option<Self> {
        Some(Self {
            root: entry.text(DOMAIN_ROOT)?.into(),
            netbios: entry.text(NETBIOS_NAME)?.to_owned(),
            dns: entry.text(DNS_ROOT)?.to_owned(),
        })
    }
}

/// A virtual directory is below its server: `CN=owa (…),CN=HTTP,CN=Protocols,CN=<server>,…`.
fn by_server(virtual_directories: &[Entry]) -> HashMap<String, Vec<&Entry>> {
    let mut found: HashMap<String, Vec<&Entry>> = HashMap::new();
    for entry in virtual_directories {
        if let Some(server) = ancestors(&entry.name).nth(3) {
            found.entry(folded(server)).or_default().push(entry);
        }
    }
    found
}

/// The `/owa` virtual directory: that of the default web site, if there are several.
fn owa(directories: &[&Entry]) -> OwaVirtualDirectory {
    let name = |entry: &Entry| entry.text("cn").unwrap_or_default().to_ascii_lowercase();
    let rank = |entry: &&&Entry| (name(entry) != "owa (default web site)", name(entry));
    let is_owa = |entry: &&&Entry| name(entry) == "owa" || name(entry).starts_with("owa (");
    let mut owa = OwaVirtualDirectory::default();
    if let Some(entry) = directories.iter().filter(is_owa).min_by_key(rank) {
        owa.internal_url = entry.text(INTERNAL_URL).map(str::parse);
        owa.external_url = entry.text(EXTERNAL_URL).map(str::parse);
        let methods = entry.number(METHODS).unwrap_or(0);
        owa.internal_authentication = AuthenticationMethods::from_bits(methods);
    }
    owa
}

fn strip_prefix_ignore_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

pub(super) const HOME_DATABASE: &str = "homeMDB";
pub(super) const HOME_SERVER: &str = "msExchHomeServerName";

const NETWORK_ADDRESS: &str = "networkAddress";
const SITE: &str = "msExchServerSite";
const ROLES: &str = "msExchCurrentServerRoles";
const VERSION: &str = "versionNumber";
const SERIAL: &str = "serialNumber";
const LEGACY_NAME: &str = "legacyExchangeDN";
const INTERNAL_URL: &str = "msExchInternalHostName";
const EXTERNAL_URL: &str = "msExchExternalHostName";
const METHODS: &str = "msExchInternalAuthenticationMethods";
const FLAGS: &str = "msExchAuthenticationFlags";
const DOMAIN_ROOT: &str = "nCName";
const NETBIOS_NAME: &str = "nETBIOSName";
const DNS_ROOT: &str = "dnsRoot";

/// Bit of `msExchCurrentServerRoles`.
const CLIENT_ACCESS_ROLE: u32 = 4;

/// Bit of `msExchAuthenticationFlags`, which are those of IIS: Integrated Windows authentication.
const IIS_INTEGRATED: u32 = 4;

#[cfg(test)]
mod tests;
