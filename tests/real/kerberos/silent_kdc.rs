//! A KDC that does not answer, or is gone: whose ticket is known is served as before.

use std::time::{Duration, Instant};

use cas_proxy::{first_cas::CasProxyLayer, outbound::credentials::Integrated};

use crate::{
    company::{first_cas, first_user, patient, visit},
    surroundings::{Kdc, SEATTLE, apache, home, read},
};

#[test]
#[ignore = "needs a Kerberos realm"]
fn users_of_other_sites_are_served_as_before() {
    let second = SEATTLE.config("second-kdc.conf");
    second.run(
        "silent_kdc::users_of_other_sites_are_served_as_before",
        || async {
            // Each round asks for a ticket that nobody has asked for.
            let mut sites = vec![apache("negotiate")];
            sites.extend((0..ROUNDS).map(|at| format!("http://new{at}.fourthcoffee.test/owa")));
            let sites: Vec<&str> = sites.iter().map(String::as_str).collect();
            let layer = first_cas(&sites, Integrated::new().ticket_timeout(TICKET_TIMEOUT));
            assert_eq!(visit(&layer, first_user(0)).await.0, 200);
            let kdc = Kdc::number(2);
            let (mut calm, mut silent) = (Vec::new(), Vec::new());
            for round in 0..ROUNDS {
                calm.push(round_of_visits(&layer).await);
                kdc.stop();
                let unlucky: Vec<_> = (0..50)
                    .map(|user| {
                        let layer = layer.clone();
                        tokio::spawn(async move {
                            let (status, _, failure) =
                                visit(&layer, first_user(1 + round) + user).await;
                            (status, failure.unwrap())
                        })
                    })
                    .collect();
                silent.push(round_of_visits(&layer).await);
                for unlucky in unlucky {
                    let (status, failure) = unlucky.await.unwrap();
                    assert_eq!(status, 502);
                    assert!(failure.contains("the KDC is silent"), "{failure}");
                }
                kdc.go_on();
            }
            println!("figure: a visit with a KDC that answers: {}", told(calm));
            println!("figure: a visit with one that is silent: {}", told(silent));
        },
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn users_of_other_sites_are_served_as_before_when_it_is_gone() {
    // Read again by the library when it has changed.
    let config = |from: &str| {
        let fresh = home().join("fresh.conf");
        std::fs::write(&fresh, read(from)).unwrap();
        std::fs::rename(fresh, home().join("changing.conf")).unwrap();
    };
    SEATTLE.config("changing.conf").run(
        "silent_kdc::users_of_other_sites_are_served_as_before_when_it_is_gone",
        || async move {
            config("krb5.conf");
            let layer = first_cas(
                &[&apache("negotiate"), "http://new.fourthcoffee.test/owa"],
                patient(),
            );
            let (mut calm, mut dead) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                calm.push(round_of_visits(&layer).await);
                config("dead-kdc.conf");
                let unreachable = || async {
                    let (status, _, failure) = visit(&layer, first_user(1)).await;
                    assert_eq!(status, 502);
                    failure.unwrap().contains("KDC can't be reached")
                };
                // The library looks for changes once a second.
                for _ in 0..600 {
                    if unreachable().await {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                let unlucky: Vec<_> = (0..50)
                    .map(|user| {
                        let layer = layer.clone();
                        tokio::spawn(async move { visit(&layer, first_user(1) + user).await })
                    })
                    .collect();
                dead.push(round_of_visits(&layer).await);
                for unlucky in unlucky {
                    let (status, _, failure) = unlucky.await.unwrap();
                    let failure = failure.unwrap();
                    assert_eq!(status, 502);
                    assert!(failure.contains("KDC can't be reached"), "{failure}");
                }
                config("krb5.conf");
            }
            println!("figure: a visit with a KDC that is there: {}", told(calm));
            println!("figure: a visit with one that is gone: {}", told(dead));
        },
    );
}

/// The median of some visits to the site whose ticket is known.
async fn round_of_visits(layer: &CasProxyLayer) -> Duration {
    let mut took = Vec::new();
    for _ in 0..100 {
        let started = Instant::now();
        assert_eq!(visit(layer, first_user(0)).await.0, 200);
        took.push(started.elapsed());
    }
    took.sort();
    took[50]
}

fn told(mut medians: Vec<Duration>) -> String {
    medians.sort();
    format!(
        "median of {} rounds {:?}, from {:?} to {:?}",
        medians.len(),
        medians[medians.len() / 2],
        medians[0],
        medians[medians.len() - 1]
    )
}

const ROUNDS: usize = 5;
/// Each round takes as long. A visit that is served has it too, and is never near it.
const TICKET_TIMEOUT: Duration = Duration::from_secs(5);
