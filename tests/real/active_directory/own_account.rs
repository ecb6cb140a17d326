//! Signing in by Kerberos, with the domain controller as KDC.

use std::{env, path::PathBuf, process::Command, time::Duration};

use cas_proxy::{
    directory::TopologySource,
    lookup::{
        Answer, MailboxLookup,
        active_directory::{
            ActiveDirectory, ActiveDirectoryBuilder, DirectoryError, DirectoryErrorKind, danger,
        },
    },
    outbound::credentials::{TicketError, TicketErrorKind},
};

use super::{PATIENCE, SAMBA, address, root, roots};
use crate::relay::{Mode, Relay};

/// Runs the test of this name, which is the one that asks, in a process of its own: there, the Kerberos library finds
/// this client keytab, and this KDC.
fn run<F: Future<Output = ()>>(
    test: &str,
    keytab: &str,
    kdc: Option<&str>,
    body: impl FnOnce() -> F,
) {
    if env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let runtime = runtime.unwrap();
        runtime.block_on(body());
        // A call of the library may be under way still.
        return runtime.shutdown_background();
    }
    let mut config = std::fs::read_to_string(home().join("krb5.conf")).unwrap();
    if let Some(kdc) = kdc {
        config = config.replace("kdc = 127.0.88.1", &format!("kdc = {kdc}"));
        assert!(config.contains(kdc));
    }
    let own = env::temp_dir().join(format!("cas-proxy-{}-{test}.conf", std::process::id()));
    std::fs::write(&own, config).unwrap();
    let keytab = home().join("keytabs").join(keytab);
    let output = Command::new(env::current_exe().unwrap())
        .arg(format!("active_directory::own_account::{test}"))
        .args(["--exact", "--ignored", "--nocapture"])
        .env(INSIDE, "1")
        .env("KRB5_CONFIG", &own)
        .env("KRB5_CLIENT_KTNAME", format!("FILE:{}", keytab.display()))
        .env("KRB5CCNAME", "MEMORY:cas-proxy")
        .output()
        .unwrap();
    std::fs::remove_file(own).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{complained}"
    );
}

fn home() -> PathBuf {
    root().join("target/real/active_directory")
}

fn at(url: &str) -> ActiveDirectoryBuilder {
    ActiveDirectory::builder([url])
        .unwrap()
        .bind_as_own_account()
        .trust_roots(roots("active_directory"))
        .unwrap()
        .connect_time_limit(PATIENCE)
        .search_time_limit(PATIENCE)
}

fn ticket_error(error: &DirectoryError) -> TicketErrorKind {
    assert_eq!(error.kind(), DirectoryErrorKind::NoTicket, "{error:?}");
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref::<TicketError>().unwrap().kind()
}

#[test]
#[ignore = "needs samba"]
fn the_account_of_this_server_may_ask_everything() {
    run(
        "the_account_of_this_server_may_ask_everything",
        "sea-cas-01.keytab",
        None,
        || async {
            for url in [SAMBA, "ldap://127.0.88.1"] {
                for directory in [at(url), at(url).bind_as_account(SEATTLE)] {
                    let directory = directory.connect().await.unwrap();
                    assert_eq!(directory.topology().client_access_servers().count(), 5);
                    let found = directory.locate(address("anna@fourthcoffee.test"));
                    assert!(matches!(found.await, Ok(Answer::Found(_))), "{url}");
                    let bert = super::name("bert@fourthcoffee.test");
                    let bert = format!("{:?}", directory.identify(&bert).await.unwrap());
                    assert!(bert.starts_with("Known"), "{bert}");
                }
            }
        },
    );
}

#[test]
#[ignore = "needs samba"]
fn a_connection_in_use_that_breaks_is_replaced() {
    run(
        "a_connection_in_use_that_breaks_is_replaced",
        "sea-cas-01.keytab",
        None,
        || async {
            let relay = Relay::to("127.0.88.1:636").await;
            // The service principal name is that of the host: the port is left out.
            let url = format!("ldaps://localhost:{}", relay.address.port());
            let error = at(&url).connect().await.unwrap_err();
            assert_eq!(ticket_error(&error), TicketErrorKind::UnknownService);

            let relay = Relay::at("127.0.88.3:0", "127.0.88.1:636").await;
            let url = format!("ldaps://{}", relay.address);
            let directory = at(&url).max_connections(2).connect().await.unwrap();
            let anna = || directory.locate(address("anna@fourthcoffee.test"));
            assert!(anna().await.is_ok());
            assert_eq!(relay.connections(), 1);
            relay.set(Mode::Cut);
            relay.set(Mode::Through);
            assert!(anna().await.is_ok());
            assert_eq!(relay.connections(), 2);
            // 200 at once make no more connections than are allowed.
            let all: Vec<_> = (0..200).map(|_| tokio::spawn(anna())).collect();
            for one in all {
                assert!(one.await.unwrap().is_ok());
            }
            assert!(relay.connections() <= 3, "{}", relay.connections());
        },
    );
}

#[test]
#[ignore = "needs samba"]
fn nothing_goes_without_tls_or_without_a_key() {
    run(
        "nothing_goes_without_tls_or_without_a_key",
        "none.keytab",
        None,
        || async {
            let error = at(SAMBA).connect().await.unwrap_err();
            assert_eq!(ticket_error(&error), TicketErrorKind::Account);
            let clear = danger::without_tls(at("ldap://127.0.88.1")).connect().await;
            assert_eq!(clear.unwrap_err().kind(), DirectoryErrorKind::BindRefused);
            let strange = at(SAMBA).trust_roots(roots("slapd")).unwrap();
            let error = strange.connect().await.unwrap_err();
            assert_eq!(error.kind(), DirectoryErrorKind::Unreachable);
        },
    );
}

/// The library waits for such a KDC half a minute and more; nobody else does.
#[test]
#[ignore = "needs samba"]
fn a_silent_kdc_is_noticed_and_holds_nobody_up() {
    run(
        "a_silent_kdc_is_noticed_and_holds_nobody_up",
        "sea-cas-01.keytab",
        Some("127.0.88.1:18889"),
        || async {
            let silent = tokio::net::TcpListener::bind("127.0.88.1:18889").await;
            let silent = silent.unwrap();
            let _udp = tokio::net::UdpSocket::bind("127.0.88.1:18889")
                .await
                .unwrap();
            let other = super::at(&[SAMBA]).connect().await.unwrap();
            let asked = tokio::spawn(async move {
                let limited = at(SAMBA).connect_time_limit(Duration::from_secs(2));
                limited.connect().await.unwrap_err()
            });
            // Whoever is signed in is served meanwhile: no worker thread is taken.
            for _ in 0..20 {
                let found = other.locate(address("anna@fourthcoffee.test")).await;
                assert!(matches!(found, Ok(Answer::Found(_))));
            }
            let error = asked.await.unwrap();
            assert_eq!(ticket_error(&error), TicketErrorKind::KdcUnreachable);
            let why = std::error::Error::source(&error).unwrap().to_string();
            assert!(
                why.contains("silent") && why.contains("ldap/127.0.88.1"),
                "{why}"
            );
            drop(silent);
        },
    );
}

const SEATTLE: &str = "SEA-CAS-01$@FOURTHCOFFEE.TEST";
const INSIDE: &str = "CAS_PROXY_INSIDE";
