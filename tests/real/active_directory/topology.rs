//! The servers and sites, read from a real directory.

use std::time::Duration;

use cas_proxy::{
    directory::{ServerName, SiteName, TopologySource},
    lookup::{
        Answer, MailboxLookup,
        active_directory::{ActiveDirectory, DirectoryErrorKind},
    },
};

use super::{Administrator, SAMBA, address, at, entry_of, here, kind, samba};
use crate::support::logs::Logs;

#[tokio::test]
#[ignore = "needs samba"]
async fn the_topology_has_every_server_in_its_site() {
    let topology = samba().await.topology();
    let servers = topology.client_access_servers();
    let mut servers: Vec<String> = servers
        .map(|cas| format!("{} {} {}", cas.name(), cas.site(), cas.version()))
        .collect();
    servers.sort();
    assert_eq!(
        servers,
        [
            "DAL-CAS-01 Dallas 8.1.240.6",
            "DAL-CAS-02 Dallas 8.1.240.6",
            "LON-CAS-01 London 8.1.240.6",
            "SEA-CAS-01 Seattle 8.1.240.6",
            "TOK-CAS-01 Tokyo 8.1.240.6",
        ]
    );
    let old = topology.back_end(&ServerName::new("old-mbx-03").unwrap());
    assert!(old.unwrap().integrated_windows_authentication());
    for empty in ["Oslo", "Reykjavik", "Nowhere"] {
        assert!(
            topology
                .servers_in(&SiteName::new(empty).unwrap())
                .is_empty()
        );
    }
}

#[tokio::test]
#[ignore = "needs samba"]
async fn it_is_the_same_in_small_pages() {
    let whole = samba().await.topology();
    let paged = at(&[SAMBA])
        .page_size(3)
        .connect()
        .await
        .unwrap()
        .topology();
    assert_eq!(format!("{whole:?}"), format!("{paged:?}"));

    let limited = at(&[SAMBA]).page_size(3).max_servers(10).connect().await;
    assert_eq!(limited.unwrap_err().kind(), DirectoryErrorKind::TooMuch);
}

#[tokio::test]
#[ignore = "needs samba"]
async fn what_is_odd_is_logged_once() {
    let logs = Logs::default();
    let _guard = logs.collect();
    let directory: ActiveDirectory = at(&[SAMBA]).here(here()).connect().await.unwrap();
    for _ in 0..3 {
        directory.refresh().await.unwrap();
    }
    let text = logs.text();
    let tokyo: Vec<&str> = text.lines().filter(|line| line.contains("Tokyo")).collect();
    assert_eq!(tokyo.len(), 1, "{text}");
    assert!(tokyo[0].contains("event_id=41"), "{tokyo:?}");
    assert!(directory.topology_age().failing_for.is_none());
}

#[tokio::test]
#[ignore = "needs samba"]
//= src/docs/protocol.md#decide-lookup
async fn a_server_that_is_new_is_found_because_somebody_is_on_it() {
    let mut administrator = Administrator::sign_in().await;
    let directory = samba().await;
    let lena = || directory.locate(address("lena@fourthcoffee.test"));
    assert_eq!(
        kind(&lena().await.unwrap_err()),
        DirectoryErrorKind::UnknownServer
    );

    let new = entry_of("NEW-MBX-01");
    let legacy = "/o=Fourth Coffee/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Configuration/cn=Servers/cn=NEW-MBX-01";
    let attributes = [
        ("objectClass", "msExchExchangeServer"),
        ("legacyExchangeDN", legacy),
        (
            "msExchServerSite",
            "CN=Oslo,CN=Sites,CN=Configuration,DC=fourthcoffee,DC=test",
        ),
        ("versionNumber", "1912701168"),
    ];
    administrator.add(&new, &attributes).await;
    // A server that is nowhere is not looked for by everyone who asks.
    assert_eq!(
        kind(&lena().await.unwrap_err()),
        DirectoryErrorKind::UnknownServer
    );
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    let found = lena().await;
    administrator.delete(&new).await;
    assert!(
        matches!(&found, Ok(Answer::Found(mailbox)) if mailbox.site().unwrap().as_str() == "Oslo"),
        "{found:?}"
    );
}
