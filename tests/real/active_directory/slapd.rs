//! The stand-in: fast, needs no root, and takes thousands of servers.

use cas_proxy::{
    directory::{MailboxKey, SiteName, TopologySource},
    lookup::{
        Answer, MailboxLookup,
        active_directory::{ActiveDirectory, ActiveDirectoryBuilder, DirectoryErrorKind, Identity},
    },
};

use super::{BASE, PASSWORD, PATIENCE, name, roots};

fn slapd(url: &str) -> ActiveDirectoryBuilder {
    ActiveDirectory::builder([url])
        .unwrap()
        .bind(format!("CN=svc-cas-proxy,CN=Users,{BASE}"), PASSWORD)
        .trust_roots(roots("slapd"))
        .unwrap()
        .connect_time_limit(PATIENCE)
        .search_time_limit(PATIENCE)
        .refresh_time_limit(PATIENCE)
}

#[tokio::test]
#[ignore = "needs slapd"]
async fn users_are_found_and_identified() {
    for url in ["ldaps://127.0.0.1:10636", "ldap://localhost:10389"] {
        let directory = slapd(url).connect().await.unwrap();
        let anna = "S-1-5-21-1004336348-1177238915-682003330-1200"
            .parse()
            .unwrap();
        let found = directory.locate(MailboxKey::Sid(anna)).await.unwrap();
        assert!(
            matches!(&found, Answer::Found(mailbox) if mailbox.server().as_str() == "SEA-MBX-01"),
            "{found:?}"
        );
        let bert = directory
            .identify(&name(r"FOURTHCOFFEE\bert"))
            .await
            .unwrap();
        assert!(
            matches!(&bert, Identity::Known(bert) if bert.groups().len() == 8),
            "{bert:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs slapd"]
async fn a_principal_name_is_nobody_elses_account_name() {
    let directory = slapd("ldaps://127.0.0.1:10636").connect().await.unwrap();
    for (text, known) in [
        // The principal name of olga, who is disabled and has no mailbox; pia's account name.
        ("pia@fourthcoffee.test", false),
        ("pia.p@fourthcoffee.test", true),
        (r"FOURTHCOFFEE\pia", true),
    ] {
        let found = directory.identify(&name(text)).await.unwrap();
        assert_eq!(
            matches!(&found, Identity::Known(_)),
            known,
            "{text}: {found:?}"
        );
        let found = directory.locate_by_name(&name(text)).await.unwrap();
        assert_eq!(
            matches!(&found, Answer::Found(_)),
            known,
            "{text}: {found:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs slapd"]
async fn two_thousand_servers_come_whole_in_pages_of_any_size() {
    for size in [1000, 3] {
        let directory = slapd("ldaps://127.0.0.1:10636").page_size(size);
        let topology = directory.connect().await.unwrap().topology();
        let bulk = topology.servers_in(&SiteName::new("Bulk").unwrap());
        assert_eq!(bulk.len(), 2000, "pages of {size}");
        assert!(bulk.iter().all(|cas| cas.owa().proxy_target().is_some()));
    }
    let limited = slapd("ldaps://127.0.0.1:10636")
        .max_servers(2000)
        .connect()
        .await;
    assert_eq!(limited.unwrap_err().kind(), DirectoryErrorKind::TooMuch);
}

#[tokio::test]
#[ignore = "needs slapd"]
async fn referrals_are_told_and_not_followed() {
    let elsewhere = slapd("ldaps://127.0.0.1:10636").base("DC=contoso,DC=test");
    let directory = elsewhere.connect().await.unwrap();
    let error = directory
        .identify(&name("anna@contoso.test"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DirectoryErrorKind::Referral);
}

#[tokio::test]
#[ignore = "needs slapd"]
async fn an_account_that_sees_no_server_is_an_error() {
    for (account, expected) in [
        ("gus", DirectoryErrorKind::Malformed),
        ("nobody", DirectoryErrorKind::BindRefused),
    ] {
        let account = format!("CN={account},CN=Users,{BASE}");
        let directory = slapd("ldaps://127.0.0.1:10636").bind(account, PASSWORD);
        let error = directory.connect().await.unwrap_err();
        assert_eq!(error.kind(), expected, "{error:?}");
    }
}
