//! The scripts in this folder provision and start the directories; `organization.py` says who is in them.

mod connections;
mod decisions;
mod explained;
mod names;
#[cfg(feature = "negotiate")]
mod own_account;
mod slapd;
mod through_the_layer;
mod topology;

use std::{fs, future::Future, path::PathBuf, time::Duration};

use cas_proxy::{
    csc::Sid,
    directory::{MailboxKey, ServerName},
    lookup::{
        CouldNotAsk,
        active_directory::{
            ActiveDirectory, ActiveDirectoryBuilder, AuthenticatedName, DirectoryErrorKind,
            Identity,
        },
    },
};
use ldap3::{LdapConnAsync, LdapConnSettings, Scope, SearchEntry};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

const SAMBA: &str = "ldaps://127.0.88.1";
const BASE: &str = "DC=fourthcoffee,DC=test";
const ACCOUNT: &str = "svc-cas-proxy@fourthcoffee.test";
/// How long anything may take that is not expected to fail: a machine may be busy, and this shows only that something hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "Passw0rd!";

/// Of the directory's authority for certificates.
fn roots(of: &str) -> Vec<CertificateDer<'static>> {
    let file = root().join(format!("target/real/{of}/certificates/ca.pem"));
    vec![CertificateDer::from_pem_slice(&fs::read(file).unwrap()).unwrap()]
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn at(urls: &[&str]) -> ActiveDirectoryBuilder {
    ActiveDirectory::builder(urls.iter().copied())
        .unwrap()
        .bind(ACCOUNT, PASSWORD)
        .trust_roots(roots("active_directory"))
        .unwrap()
        .connect_time_limit(PATIENCE)
        .search_time_limit(PATIENCE)
}

async fn samba() -> ActiveDirectory {
    at(&[SAMBA]).here(here()).connect().await.unwrap()
}

fn here() -> ServerName {
    ServerName::new("SEA-CAS-01").unwrap()
}

fn name(text: &str) -> AuthenticatedName {
    AuthenticatedName::new("Basic", text).unwrap()
}

fn address(text: &str) -> MailboxKey {
    MailboxKey::Address(text.parse().unwrap())
}

/// The key of a user, as first CASs have it.
async fn sid_of(directory: &ActiveDirectory, user: &str) -> MailboxKey {
    let user = name(&format!("{user}@fourthcoffee.test"));
    match directory.identify(&user).await.unwrap() {
        Identity::Known(context) => MailboxKey::Sid(*context.user()),
        other => panic!("{user:?}: {other:?}"),
    }
}

fn kind(error: &CouldNotAsk) -> DirectoryErrorKind {
    let source = std::error::Error::source(error).unwrap();
    let source = source.downcast_ref::<cas_proxy::lookup::active_directory::DirectoryError>();
    source.unwrap().kind()
}

/// Waits until it is so, which ends in a failure only if something hangs.
async fn eventually<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(2 * PATIENCE, waiting).await;
    assert!(in_time.is_ok(), "{what}");
}

/// The directory as an administrator sees it, past everything that is tested.
struct Administrator(ldap3::Ldap);

impl Administrator {
    async fn sign_in() -> Self {
        let mut store = RootCertStore::empty();
        for root in roots("active_directory") {
            store.add(root).unwrap();
        }
        let tls = ClientConfig::builder().with_root_certificates(store);
        let tls = tls.with_no_client_auth().into();
        let settings = LdapConnSettings::new().set_config(tls);
        let opened = LdapConnAsync::with_settings(settings, SAMBA).await;
        let (connection, mut ldap) = opened.unwrap();
        ldap3::drive!(connection);
        let bound = ldap.simple_bind("Administrator@fourthcoffee.test", PASSWORD);
        bound.await.unwrap().success().unwrap();
        Self(ldap)
    }

    async fn group(&mut self, name: &str) -> Sid {
        let filter = format!("(&(objectClass=group)(cn={name}))");
        let found = self
            .0
            .search(BASE, Scope::Subtree, &filter, vec!["objectSid"]);
        let (found, _) = found.await.unwrap().success().unwrap();
        let mut entry = SearchEntry::construct(found.into_iter().next().unwrap());
        let value = match entry.bin_attrs.remove("objectSid") {
            Some(mut values) => values.remove(0),
            None => entry
                .attrs
                .remove("objectSid")
                .unwrap()
                .remove(0)
                .into_bytes(),
        };
        Sid::from_bytes(&value).unwrap()
    }

    async fn add(&mut self, entry: &str, attributes: &[(&str, &str)]) {
        let attributes = attributes
            .iter()
            .map(|(name, value)| (*name, [*value].into()));
        let added = self.0.add(entry, attributes.collect()).await;
        added.unwrap().success().unwrap();
    }

    async fn delete(&mut self, entry: &str) {
        self.0.delete(entry).await.unwrap().success().unwrap();
    }

    async fn replace(&mut self, entry: &str, attribute: &str, value: &str) {
        let change = ldap3::Mod::Replace(attribute, std::iter::once(value).collect());
        let changed = self.0.modify(entry, vec![change]).await;
        changed.unwrap().success().unwrap();
    }
}

/// Where a server's mailboxes are.
fn database(server: &str) -> String {
    let server = entry_of(server);
    format!("CN=Mailbox Database,CN=First Storage Group,CN=InformationStore,{server}")
}

fn entry_of(server: &str) -> String {
    format!(
        "CN={server},CN=Servers,CN=Exchange Administrative Group (FYDIBOHF23SPDLT),CN=Administrative Groups,CN=Fourth Coffee,CN=Microsoft Exchange,CN=Services,CN=Configuration,{BASE}"
    )
}
