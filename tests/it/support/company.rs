//! A small company: its sites, users and servers.

use std::sync::Arc;

use cas_proxy::{
    csc::{ClientSecurityContext, GroupAttributes, Sid},
    decision::Here,
    directory::{BackEnd, ClientAccessServer, Mailbox, MailboxKey, ServerName, SiteName, Topology},
    lookup::InMemory,
};

pub const EXCHANGE_2007: &str = "8.3.83.6";
pub const EXCHANGE_2003: &str = "6.5.7638";

/// A user of the company, by the last part of the SID.
pub fn user(rid: u32) -> ClientSecurityContext {
    let domain =
        |rid| Sid::from_parts(5, &[21, 1_004_336_348, 1_177_238_915, 682_003_330, rid]).unwrap();
    ClientSecurityContext::builder(domain(rid), "Negotiate", format!("CONTOSO\\user{rid}"))
        .group(domain(513), GroupAttributes::ENABLED_GROUP)
        .build()
        .unwrap()
}

pub fn here() -> Here {
    Here::new(
        name("seattle"),
        site("Seattle"),
        EXCHANGE_2007.parse().unwrap(),
    )
}

pub fn name(name: &str) -> ServerName {
    ServerName::new(name).unwrap()
}

pub fn site(name: &str) -> SiteName {
    SiteName::new(name).unwrap()
}

pub fn mailbox(server: &str, site_name: &str, version: &str) -> Mailbox {
    Mailbox::new(name(server), version.parse().unwrap()).with_site(site(site_name))
}

/// A CAS that can be proxied to, at `https://<name>.corp/owa`.
pub fn cas(server: &str, site_name: &str) -> ClientAccessServer {
    ClientAccessServer::new(
        name(server),
        site(site_name),
        EXCHANGE_2007.parse().unwrap(),
    )
    .with_internal_url(&format!("https://{server}.corp/owa"))
    .with_integrated_windows_authentication()
}

/// Where a few users live: 1 here, 2 in Dallas, 3 on Exchange 2003, 4 where there is an ExternalURL.
pub fn lookup() -> InMemory {
    InMemory::new()
        .insert(
            MailboxKey::Sid(*user(1).user()),
            mailbox("mbx-sea", "Seattle", EXCHANGE_2007),
        )
        .insert(
            MailboxKey::Sid(*user(2).user()),
            mailbox("mbx-dal", "Dallas", EXCHANGE_2007),
        )
        .insert(
            MailboxKey::Sid(*user(3).user()),
            mailbox("legacy1", "Dallas", EXCHANGE_2003),
        )
        .insert(
            MailboxKey::Sid(*user(4).user()),
            mailbox("mbx-den", "Denver", EXCHANGE_2007),
        )
        .insert(
            MailboxKey::Sid(*user(5).user()),
            mailbox("mbx-dal", "Dallas", EXCHANGE_2007),
        )
}

pub fn topology(dallas: &[&str]) -> Arc<Topology> {
    let mut topology = Topology::builder()
        .client_access_server(
            cas("denver", "Denver").with_external_url("https://denver.contoso.com/owa"),
        )
        .back_end(
            BackEnd::new(name("legacy1"), "https://legacy1.corp".parse().unwrap())
                .with_integrated_windows_authentication(),
        );
    for server in dallas {
        topology = topology.client_access_server(cas(server, "Dallas"));
    }
    Arc::new(topology.build().unwrap())
}
