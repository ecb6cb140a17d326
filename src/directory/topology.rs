use std::{collections::HashSet, fmt, sync::Arc};

use super::{
    name::{ByName, ServerName, SiteName},
    origin::Origin,
    server::{BackEnd, ClientAccessServer},
};

/// All servers of an organization: an immutable snapshot, to be shared in an `Arc` and replaced as a whole.
///
/// ```
/// use cas_proxy::directory::{ClientAccessServer, ServerName, SiteName, Topology};
///
/// let dallas = SiteName::new("Dallas")?;
/// let cas = ClientAccessServer::new(ServerName::new("CAS-DAL-01")?, dallas.clone(), "8.1.240.5".parse()?)
///     .with_internal_url("https://cas-dal-01.contoso.com/owa")
///     .with_integrated_windows_authentication();
/// let topology = Topology::builder().client_access_server(cas).build()?;
///
/// assert_eq!(topology.servers_in(&dallas).len(), 1);
/// assert!(topology.servers_in(&SiteName::new("Seattle")?).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Look-ups by name neither allocate nor depend on the number of servers. [`Topology::check`] reports what is odd
/// about the snapshot; nothing odd keeps it from being built but two servers of one name.
#[derive(Clone, Default)]
pub struct Topology {
    client_access_servers: Vec<Arc<ClientAccessServer>>,
    back_ends: Vec<Arc<BackEnd>>,
    by_site: ByName<SiteName, Site>,
    by_name: ByName<ServerName, Server>,
    targets: HashSet<Origin>,
}

/// The CASs of a site.
#[derive(Clone, Default)]
pub(crate) struct Site {
    /// In the order they were added, at least one.
    pub(crate) servers: Vec<Arc<ClientAccessServer>>,
    /// Whether a browser could be sent to any of them.
    pub(crate) has_external_url: bool,
}

#[derive(Clone)]
enum Server {
    ClientAccess(Arc<ClientAccessServer>),
    BackEnd(Arc<BackEnd>),
}

impl Topology {
    /// Starts an empty snapshot.
    #[must_use]
    pub fn builder() -> TopologyBuilder {
        TopologyBuilder::default()
    }

    /// The CASs of a site, in the order they were added; none if the site is unknown.
    #[must_use]
    pub fn servers_in(&self, site: &SiteName) -> &[Arc<ClientAccessServer>] {
        self.site(site).map_or(&[], |site| &site.servers)
    }

    pub(crate) fn site(&self, site: &SiteName) -> Option<&Site> {
        self.by_site.get(site)
    }

    /// The CAS of that name.
    #[must_use]
    pub fn client_access_server(&self, name: &ServerName) -> Option<&Arc<ClientAccessServer>> {
        match self.by_name.get(name)? {
            Server::ClientAccess(server) => Some(server),
            Server::BackEnd(_) => None,
        }
    }

    /// The Exchange 2003 back-end of that name.
    #[must_use]
    pub fn back_end(&self, name: &ServerName) -> Option<&Arc<BackEnd>> {
        match self.by_name.get(name)? {
            Server::BackEnd(server) => Some(server),
            Server::ClientAccess(_) => None,
        }
    }

    /// All CASs, in the order they were added.
    pub fn client_access_servers(&self) -> impl ExactSizeIterator<Item = &Arc<ClientAccessServer>> {
        self.client_access_servers.iter()
    }

    /// All Exchange 2003 back-ends, in the order they were added.
    pub fn back_ends(&self) -> impl ExactSizeIterator<Item = &Arc<BackEnd>> {
        self.back_ends.iter()
    }

    /// Whether a request may be sent there: the origin is that of some CAS's InternalURL or of a back-end.
    #[must_use]
    //= src/docs/protocol.md#hop-target
    pub fn contains_origin(&self, origin: &Origin) -> bool {
        self.targets.contains(origin)
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology")
            .field("client_access_servers", &self.client_access_servers)
            .field("back_ends", &self.back_ends)
            .finish()
    }
}

/// Collects the servers of a [`Topology`].
#[derive(Debug, Clone, Default)]
pub struct TopologyBuilder {
    client_access_servers: Vec<ClientAccessServer>,
    back_ends: Vec<BackEnd>,
}

impl TopologyBuilder {
    /// Adds a Client Access server.
    #[must_use]
    pub fn client_access_server(mut self, server: ClientAccessServer) -> Self {
        self.client_access_servers.push(server);
        self
    }

    /// Adds an Exchange 2003 back-end.
    #[must_use]
    pub fn back_end(mut self, server: BackEnd) -> Self {
        self.back_ends.push(server);
        self
    }

    /// Makes the snapshot.
    ///
    /// # Errors
    ///
    /// Two servers of one name, be they CASs or back-ends.
    pub fn build(self) -> Result<Topology, TopologyError> {
        let mut topology = Topology::default();
        for server in self.client_access_servers.into_iter().map(Arc::new) {
            topology.name(server.name(), Server::ClientAccess(server.clone()))?;
            let site = topology.by_site.entry(server.site().clone()).or_default();
            site.has_external_url |= server.owa().redirect_target().is_some();
            site.servers.push(server.clone());
            let target = server.owa().proxy_target();
            topology
                .targets
                .extend(target.map(|url| url.origin().clone()));
            topology.client_access_servers.push(server);
        }
        for server in self.back_ends.into_iter().map(Arc::new) {
            topology.name(server.name(), Server::BackEnd(server.clone()))?;
            topology.targets.insert(server.url().origin().clone());
            topology.back_ends.push(server);
        }
        Ok(topology)
    }
}

impl Topology {
    fn name(&mut self, name: &ServerName, server: Server) -> Result<(), TopologyError> {
        match self.by_name.insert(name.clone(), server) {
            None => Ok(()),
            Some(_) => Err(TopologyError::DuplicateServer(name.clone())),
        }
    }
}

/// Why servers do not make a topology.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopologyError {
    /// Two servers have this name.
    DuplicateServer(ServerName),
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateServer(name) => write!(f, "two servers have the name {name}"),
        }
    }
}

impl std::error::Error for TopologyError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServerName {
        ServerName::new(text).unwrap()
    }

    fn site(text: &str) -> SiteName {
        SiteName::new(text).unwrap()
    }

    fn cas(server: &str, at: &str) -> ClientAccessServer {
        ClientAccessServer::new(name(server), site(at), "8.1.240.5".parse().unwrap())
    }

    fn back_end(server: &str) -> BackEnd {
        BackEnd::new(name(server), "http://mbx-2003".parse().unwrap())
    }

    #[test]
    fn servers_are_found_by_site_and_by_name_in_any_case() {
        let topology = Topology::builder()
            .client_access_server(cas("dal-2", "Dallas"))
            .client_access_server(cas("sea-1", "Seattle"))
            .client_access_server(cas("dal-1", "DALLAS"))
            .back_end(back_end("mbx"))
            .build()
            .unwrap();
        let names = |servers: &[Arc<ClientAccessServer>]| -> Vec<String> {
            servers.iter().map(|cas| cas.name().to_string()).collect()
        };
        assert_eq!(
            names(topology.servers_in(&site("dallas"))),
            ["dal-2", "dal-1"]
        );
        assert_eq!(names(topology.servers_in(&site("Seattle"))), ["sea-1"]);
        assert!(topology.servers_in(&site("Denver")).is_empty());
        assert_eq!(topology.client_access_servers().len(), 3);
        assert_eq!(topology.back_ends().len(), 1);

        assert!(topology.client_access_server(&name("DAL-1")).is_some());
        assert!(topology.client_access_server(&name("mbx")).is_none());
        assert!(topology.back_end(&name("MBX")).is_some());
        assert!(topology.back_end(&name("dal-1")).is_none());
    }

    #[test]
    fn one_name_is_one_server() {
        let twice = |builder: TopologyBuilder| builder.build().unwrap_err().to_string();
        let one = Topology::builder().client_access_server(cas("dal-1", "Dallas"));
        assert_eq!(
            twice(one.clone().client_access_server(cas("DAL-1", "Seattle"))),
            "two servers have the name DAL-1"
        );
        assert_eq!(
            twice(one.back_end(back_end("dal-1"))),
            "two servers have the name dal-1"
        );
    }

    #[test]
    //= src/docs/protocol.md#hop-target
    fn requests_go_to_internal_urls_and_back_ends_only() {
        let topology = Topology::builder()
            .client_access_server(
                cas("dal-1", "Dallas")
                    .with_internal_url("https://dal-1/owa")
                    .with_external_url("https://mail/owa"),
            )
            .client_access_server(cas("dal-2", "Dallas").with_internal_url("https://dal-2/x"))
            .back_end(back_end("mbx"))
            .build()
            .unwrap();
        for (url, contained) in [
            ("https://DAL-1:443", true),
            ("http://mbx-2003:80", true),
            ("http://dal-1", false),
            ("https://dal-1:8443", false),
            ("https://dal-2", false),
            ("https://mail", false),
        ] {
            let url: crate::directory::BackEndUrl = url.parse().unwrap();
            assert_eq!(topology.contains_origin(url.origin()), contained, "{url}");
        }
    }
}
