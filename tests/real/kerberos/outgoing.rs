//! Our first CAS: at Apache, which somebody else has written, and at our second CAS.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::header::WWW_AUTHENTICATE;

use crate::{
    company::{first_cas, first_user, listen, patient, second_cas, visit, visit_at},
    support,
    surroundings::{Kdc, SAMBA, SEATTLE, Surroundings, account, apache, home, read, tickets},
};

//= src/docs/protocol.md#hop-kerberos
#[test]
#[ignore = "needs a Kerberos realm"]
fn apache_knows_our_account_and_no_request_is_wasted() {
    apache_knows_our_account(SEATTLE, "apache_knows_our_account_and_no_request_is_wasted");
}

//= src/docs/protocol.md#hop-kerberos
#[test]
#[ignore = "needs a Kerberos realm of samba"]
fn apache_knows_our_account_of_active_directory() {
    apache_knows_our_account(SAMBA, "apache_knows_our_account_of_active_directory");
}

fn apache_knows_our_account(surroundings: Surroundings, test: &str) {
    surroundings.run(&format!("outgoing::{test}"), || async {
        let ours = |log: &str| {
            log.lines()
                .filter(|line| line.ends_with(" /owa/counted.html"))
                .count()
        };
        let before = ours(&read("access.log"));
        let layer = first_cas(&[&apache("negotiate")], patient().require_mutual());
        for _ in 0..20 {
            let (status, text, failure) =
                visit_at(&layer, first_user(0), "/owa/counted.html").await;
            assert_eq!(
                (status, text.as_str()),
                (200, "mail of Apache\n"),
                "{failure:?}"
            );
        }
        // Apache writes it after the answer has gone.
        let mut log = read("access.log");
        for _ in 0..600 {
            if ours(&log) == before + 20 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            log = read("access.log");
        }
        assert_eq!(ours(&log), before + 20);
        let expected = format!("200 {} /owa/counted.html", account("seattle"));
        assert_eq!(
            log.lines().filter(|line| **line == *expected).count(),
            ours(&log)
        );
    });
}

//= src/docs/protocol.md#hop-kerberos
//= src/docs/protocol.md#login-caller
#[test]
#[ignore = "needs a Kerberos realm"]
fn ten_thousand_requests_of_a_hundred_users_reach_our_second_cas_each_as_its_user() {
    let test = "ten_thousand_requests_of_a_hundred_users_reach_our_second_cas_each_as_its_user";
    users_reach_our_second_cas(SEATTLE, test, 100);
}

//= src/docs/protocol.md#hop-kerberos
//= src/docs/protocol.md#login-caller
#[test]
#[ignore = "needs a Kerberos realm of samba"]
fn users_reach_our_second_cas_with_tickets_of_active_directory() {
    let test = "users_reach_our_second_cas_with_tickets_of_active_directory";
    users_reach_our_second_cas(SAMBA, test, 5);
}

/// A hundred users, with so many requests each.
fn users_reach_our_second_cas(surroundings: Surroundings, test: &str, requests: usize) {
    surroundings.run(&format!("outgoing::{test}"), || async move {
        let internal = listen(second_cas(), |_| ()).await;
        let layer = first_cas(&[&internal], patient().require_mutual());
        let started = std::time::Instant::now();
        let one_by_one = |user: u32| {
            let layer = layer.clone();
            async move {
                let expected = format!(
                    "mail of {} by {}",
                    support::user(user).user(),
                    account("seattle")
                );
                for _ in 0..requests {
                    let (status, text, failure) = visit(&layer, user).await;
                    assert_eq!((status, &text), (200, &expected), "{failure:?}");
                }
            }
        };
        let users: Vec<_> = (0..100)
            .map(|user| tokio::spawn(one_by_one(first_user(0) + user)))
            .collect();
        for user in users {
            user.await.unwrap();
        }
        println!(
            "figure: {requests} requests of each of 100 users in {:?}",
            started.elapsed()
        );
    });
}

/// Tickets live for 40 s here, so there are 20 s for a few visits while the KDC is silent.
#[test]
#[ignore = "needs a Kerberos realm"]
fn tickets_are_renewed_before_they_expire_once_for_all_and_nobody_waits() {
    let hurried = SEATTLE
        .client_keytab("hurried.keytab")
        .config("third-kdc.conf");
    let test = "outgoing::tickets_are_renewed_before_they_expire_once_for_all_and_nobody_waits";
    hurried.run(test, || async {
        let given = |to: &str| {
            let given = |line: &&str| line.contains(to) && line.contains("ISSUE");
            let of_ours = |line: &&str| line.contains("HURRIED$");
            read("kdc-3.log")
                .lines()
                .filter(of_ours)
                .filter(given)
                .count()
        };
        let (accounts, services) = (given("AS_REQ"), given("TGS_REQ"));
        let layer = first_cas(&[&apache("negotiate")], patient());
        let visits = || async {
            let visits = (0..20).map(|user| {
                let layer = layer.clone();
                tokio::spawn(async move { visit(&layer, first_user(0) + user).await })
            });
            for visit in visits.collect::<Vec<_>>() {
                let (status, _, failure) = visit.await.unwrap();
                assert_eq!(status, 200, "{failure:?}");
            }
        };
        visits().await;
        tokio::time::sleep(Duration::from_secs(22)).await;

        let kdc = Kdc::number(3);
        kdc.stop();
        visits().await;
        assert_eq!(given("AS_REQ"), accounts + 1);
        kdc.go_on();
        for _ in 0..600 {
            if given("TGS_REQ") == services + 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        visits().await;
        assert_eq!(given("AS_REQ"), accounts + 2);
        assert_eq!(given("TGS_REQ"), services + 2);
    });
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn tickets_that_serve_no_more_are_replaced_from_the_keytab() {
    let test = "outgoing::tickets_that_serve_no_more_are_replaced_from_the_keytab";
    SEATTLE.run(test, || async move {
        let layer = first_cas(&[&apache("negotiate")], patient());
        for _ in 0..3 {
            let (status, _, failure) = visit(&layer, first_user(0)).await;
            assert_eq!(status, 200, "{failure:?}");
            std::fs::remove_file(home().join(tickets(test))).unwrap();
        }
    });
}

//= src/docs/protocol.md#hop-kerberos
#[test]
#[ignore = "needs a Kerberos realm"]
fn a_server_that_can_not_prove_to_be_the_one_is_not_believed() {
    SEATTLE.run(
        "outgoing::a_server_that_can_not_prove_to_be_the_one_is_not_believed",
        || async {
            // Shows the first proof again and again, which fits the first request alone.
            let first = Arc::new(Mutex::new(None));
            let internal = listen(second_cas(), move |headers| {
                let mut first = first.lock().unwrap();
                let proof = first.get_or_insert_with(|| headers[WWW_AUTHENTICATE].clone());
                headers.insert(WWW_AUTHENTICATE, proof.clone());
            })
            .await;
            let (status, _, failure) =
                visit(&first_cas(&[&internal], patient()), first_user(0)).await;
            let failure = failure.unwrap();
            assert_eq!(status, 502);
            assert!(
                failure.contains("dallas1") && failure.contains("mutual authentication failed"),
                "{failure}"
            );
            println!("figure: failed to {failure}");

            // Shows none.
            let internal = listen(second_cas(), |headers| {
                headers.remove(WWW_AUTHENTICATE);
            })
            .await;
            let (status, _, _) = visit(&first_cas(&[&internal], patient()), first_user(0)).await;
            assert_eq!(status, 200);
            let strict = first_cas(&[&internal], patient().require_mutual());
            let (status, _, failure) = visit(&strict, first_user(0)).await;
            assert_eq!(status, 502);
            assert!(failure.unwrap().contains("it shows nothing"));
        },
    );
}
