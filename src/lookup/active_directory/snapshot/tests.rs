use super::*;

const SERVERS: &str = "CN=Servers,CN=First,CN=Administrative Groups,DC=test";

fn server(name: &str) -> Entry {
    Entry::named(&format!("CN={name},{SERVERS}"))
        .with("cn", name)
        .with(
            LEGACY_NAME,
            format!("/o=Fourth/ou=First/cn=Servers/cn={name}"),
        )
}

fn exchange_2007(name: &str, site: &str, roles: &str) -> Entry {
    server(name)
        .with(SITE, format!("CN={site},CN=Sites,DC=test"))
        .with(ROLES, roles)
        .with(VERSION, "1912701168")
        .with(SERIAL, "Version 8.1 (Build 30240.6)")
}

fn exchange_2003(name: &str) -> Entry {
    server(name)
        .with(VERSION, "7638")
        .with(SERIAL, "Version 6.5 (Build 7638.2: Service Pack 2)")
}

fn directory(server: &str, name: &str) -> Entry {
    Entry::named(&format!(
        "CN={name},CN=HTTP,CN=Protocols,CN={server},{SERVERS}"
    ))
    .with("cn", name)
}

fn assemble(servers: &[Entry], directories: &[Entry]) -> Snapshot {
    Snapshot::assemble(servers, directories, &[])
}

fn name(text: &str) -> ServerName {
    ServerName::new(text).unwrap()
}

#[test]
//= src/docs/protocol.md#decide-lookup
fn a_cas_has_a_site_a_version_and_its_owa_directory() {
    let snapshot = assemble(
        &[
            exchange_2007("CAS", "Dallas", "36"),
            exchange_2007("MBX", "Dallas", "2"),
        ],
        &[
            directory("CAS", "owa (Second Site)").with(INTERNAL_URL, "https://second/owa"),
            directory("CAS", "OWA (Default Web Site)")
                .with(INTERNAL_URL, "https://cas.fourthcoffee.test/owa")
                .with(EXTERNAL_URL, "mail")
                .with(METHODS, "18"),
            directory("CAS", "Exchange (Default Web Site)")
                .with(INTERNAL_URL, "https://x/Exchange"),
            directory("GONE", "owa (Default Web Site)").with(INTERNAL_URL, "https://gone/owa"),
        ],
    );
    let topology = &snapshot.topology;
    assert_eq!(topology.client_access_servers().len(), 1);
    let cas = topology.client_access_server(&name("cas")).unwrap();
    assert_eq!(cas.site().as_str(), "Dallas");
    assert_eq!(cas.version().to_string(), "8.1.240.6");
    let owa = cas.owa();
    assert_eq!(
        owa.proxy_target().unwrap().to_string(),
        "https://cas.fourthcoffee.test/owa"
    );
    assert!(
        matches!(owa.external_url, Some(Err(_))),
        "kept for the linter"
    );
    assert_eq!(owa.internal_authentication.bits(), 18);
    assert!(snapshot.oddities.is_empty());
}

#[test]
//= src/docs/protocol.md#decide-legacy
fn exchange_2003_becomes_a_back_end() {
    let addressed = |name: &str| {
        exchange_2003(name)
            .with(NETWORK_ADDRESS, "netbios:OLD")
            .with(NETWORK_ADDRESS, "ncacn_ip_tcp:old.fourthcoffee.test")
    };
    for (flags, integrated) in [("6", true), ("4", true), ("2", false), ("x", false)] {
        let flags = directory("OLD", "Exchange").with(FLAGS, flags);
        let snapshot = assemble(
            &[addressed("OLD")],
            &[directory("OLD", "Public").with(FLAGS, "6"), flags],
        );
        let back_end = snapshot.topology.back_end(&name("OLD")).unwrap();
        assert_eq!(
            back_end.url().origin().to_string(),
            "http://old.fourthcoffee.test"
        );
        assert_eq!(back_end.integrated_windows_authentication(), integrated);
    }
    let snapshot = assemble(&[exchange_2003("OLD")], &[]);
    assert_eq!(
        snapshot.oddities,
        ["OLD: no network address to reach it by"]
    );
}

#[test]
fn a_mailbox_is_where_its_database_is_and_else_on_its_home_server() {
    let snapshot = assemble(
        &[
            exchange_2007("MBX-1", "Dallas", "2"),
            exchange_2007("MBX-2", "London", "2"),
        ],
        &[],
    );
    let database = |server: &str| format!("CN=DB,CN=SG,CN=InformationStore,CN={server},{SERVERS}");
    let legacy = |server: &str| format!("/o=fourth/ou=FIRST/cn=Servers/cn={server}");
    let user = Entry::named("CN=anna");
    for (entry, expected) in [
        (
            user.clone().with(HOME_DATABASE, database("mbx-1")),
            Some("MBX-1"),
        ),
        (
            user.clone().with(HOME_SERVER, legacy("MBX-2")),
            Some("MBX-2"),
        ),
        (
            user.clone()
                .with(HOME_DATABASE, database("MBX-1"))
                .with(HOME_SERVER, legacy("MBX-2")),
            Some("MBX-1"),
        ),
        (
            user.clone()
                .with(HOME_DATABASE, database("GONE"))
                .with(HOME_SERVER, legacy("MBX-2")),
            Some("MBX-2"),
        ),
        (user.clone().with(HOME_DATABASE, database("GONE")), None),
        (user, None),
    ] {
        let place = snapshot.place(&entry);
        let found = place.as_ref().map(|mailbox| mailbox.server().as_str());
        assert_eq!(found, expected, "{entry:?}");
    }
}

#[test]
fn what_keeps_a_server_out_is_told() {
    let snapshot = assemble(
        &[
            exchange_2007("TWICE", "Dallas", "4"),
            exchange_2007("twice", "London", "4"),
            server("NO-VERSION"),
            server("OLD").with(VERSION, "7638"),
            server("HOMELESS")
                .with(VERSION, "1912701168")
                .with(ROLES, "4"),
            exchange_2007("ODD-SITE", "", "4"),
            Entry::named("CN=a\nb,DC=test")
                .with("cn", "a\nb")
                .with(VERSION, "1912701168"),
        ],
        &[],
    );
    let servers = snapshot.topology.client_access_servers();
    assert_eq!(
        servers
            .map(|server| server.name().as_str())
            .collect::<Vec<_>>(),
        ["TWICE"]
    );
    let findings = snapshot.findings(Some(&name("HERE")));
    let texts: Vec<&str> = findings.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "\"CN=a\\nb,DC=test\": name has a control character",
            "HOMELESS: is in no site",
            &format!("\"CN=NO-VERSION,{SERVERS}\": has no versionNumber"),
            &format!("\"CN=ODD-SITE,{SERVERS}\": site: name is empty"),
            &format!(
                "\"CN=OLD,{SERVERS}\": version is not dotted decimal of at most 2, 2, 4 and 4 digits"
            ),
            "twice: another server has the same name",
            "HERE: this server is not among the CASs of the directory",
            "Dallas: no CAS of the site has an ExternalURL, or an InternalURL with Integrated Windows authentication (event 41)",
        ]
    );
    assert_eq!(findings.last().unwrap().0, Some(41));
    assert_eq!(snapshot.findings(None).len(), 6, "nothing to compare with");
}

#[test]
fn a_domain_is_found_by_either_name() {
    let domain = Entry::named("CN=X")
        .with(DOMAIN_ROOT, "DC=fourthcoffee,DC=test")
        .with(NETBIOS_NAME, "FOURTHCOFFEE")
        .with(DNS_ROOT, "fourthcoffee.test");
    let snapshot = Snapshot::assemble(&[], &[], &[domain, Entry::named("CN=Schema")]);
    for (name, found) in [
        ("fourthcoffee", true),
        ("FourthCoffee.Test", true),
        ("contoso", false),
        ("", false),
    ] {
        assert_eq!(snapshot.domain(name).is_some(), found, "{name}");
    }
}
