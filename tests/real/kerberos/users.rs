//! A user's sign-in by the example `negotiate_sign_in`, with a ticket of Active Directory.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use axum::{Extension, Router, routing::get};
use cas_proxy::{
    csc::ClientSecurityContext, lookup::active_directory::ActiveDirectory,
    second_cas::KerberosAcceptor,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    company::SERVICE,
    surroundings::{SAMBA, account, home},
};

#[allow(dead_code, reason = "the program has an entry of its own")]
#[path = "../../../examples/negotiate_sign_in.rs"]
mod example;

const PASSWORD: &str = "Passw0rd!";

/// curl as a user who has signed in to a machine of the domain, or has not; status, and what is answered.
fn curl(url: &str, user: Option<&str>) -> (String, String) {
    let tickets = format!("FILE:{}", home().join("user.tickets").display());
    if let Some(user) = user {
        let mut kinit = Command::new("kinit")
            .env("KRB5CCNAME", &tickets)
            .arg(user)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let typed = kinit.stdin.take().unwrap().write_all(PASSWORD.as_bytes());
        typed.unwrap();
        assert!(kinit.wait().unwrap().success());
    }
    let output = Command::new("curl")
        .env("KRB5CCNAME", &tickets)
        .env_remove("KRB5_CLIENT_KTNAME")
        .args(["-s", "--max-time", "120", "-w", "\n%{http_code}"])
        .args(user.map_or(&[][..], |_| &["--negotiate", "-u", ":"]))
        .arg(url)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
#[ignore = "needs a Kerberos realm of samba"]
fn a_sign_in_by_kerberos_becomes_a_whole_context() {
    SAMBA.run(
        "users::a_sign_in_by_kerberos_becomes_a_whole_context",
        || async {
            let authority = "target/real/active_directory/certificates/ca.pem";
            let authority = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(authority);
            let root = CertificateDer::from_pem_file(authority).unwrap();
            let directory = ActiveDirectory::builder(["ldaps://127.0.88.1"])
                .unwrap()
                .bind("svc-cas-proxy@fourthcoffee.test", PASSWORD)
                .trust_roots([root])
                .unwrap()
                .connect()
                .await
                .unwrap();
            let acceptor = KerberosAcceptor::serving(SERVICE, &account("dallas")).unwrap();
            let told = |Extension(user): Extension<ClientSecurityContext>| async move {
                let groups = user.groups().iter().map(|group| group.sid.to_string());
                let groups: Vec<_> = groups.collect();
                format!(
                    "{} {} {} {}",
                    user.authentication_type(),
                    user.logon_name(),
                    user.user(),
                    groups.join(" ")
                )
            };
            let app = Router::new().route("/owa/", get(told));
            let app = example::signing_in(app, acceptor, directory);
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
                .await
                .unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(async move { axum::serve(listener, app).await });
            tokio::task::spawn_blocking(move || {
                let url = format!("http://localhost:{port}/owa/");
                assert_eq!(curl(&url, None).0, "401");
                let (status, context) = curl(&url, Some("anna"));
                assert_eq!(status, "200");
                let domain = "S-1-5-21-1004336348-1177238915-682003330";
                let start = format!(r"Negotiate FOURTHCOFFEE.TEST\anna {domain}-");
                assert!(context.starts_with(&start), "{context}");
                for group in [format!("{domain}-513"), "S-1-5-11".to_owned()] {
                    assert!(context.split(' ').any(|sid| sid == group), "{context}");
                }
            })
            .await
            .unwrap();
        },
    );
}
