//! A KDC that takes questions and does not answer: whose ticket is known is served as before.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use cas_proxy::{first_cas::CasProxyLayer, outbound::credentials::Integrated};

use crate::{
    company::{first_cas, first_user, visit},
    surroundings::{SEATTLE, read},
};

/// Sends the second KDC a signal; dropped, lets it go on.
struct SecondKdc;

impl SecondKdc {
    fn signal(name: &str) {
        let pid = read("kdc-2.pid");
        let sent = Command::new("kill").args([name, pid.trim()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for SecondKdc {
    fn drop(&mut self) {
        Self::signal("-CONT");
    }
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn users_of_other_sites_are_served_as_before() {
    let second = SEATTLE.config("second-kdc.conf");
    second.run(
        "silent_kdc::users_of_other_sites_are_served_as_before",
        || async {
            let patience = Duration::from_millis(500);
            let layer = first_cas(
                &[
                    "http://localhost:18090/owa",
                    "http://nowhere.fourthcoffee.test/owa",
                ],
                Integrated::new().ticket_timeout(patience),
            );
            assert_eq!(visit(&layer, first_user(0)).await.0, 200);
            let _going_on = SecondKdc;
            let (mut calm, mut silent) = (Vec::new(), Vec::new());
            for round in 0..7 {
                calm.push(round_of_visits(&layer).await);
                SecondKdc::signal("-STOP");
                let unlucky: Vec<_> = (0..50)
                    .map(|user| {
                        let layer = layer.clone();
                        tokio::spawn(async move {
                            let started = Instant::now();
                            let (status, _, failure) = visit(&layer, first_user(1) + user).await;
                            (status, failure.unwrap(), started.elapsed())
                        })
                    })
                    .collect();
                silent.push(round_of_visits(&layer).await);
                for unlucky in unlucky {
                    let (status, failure, took) = unlucky.await.unwrap();
                    assert_eq!(status, 502);
                    assert!(failure.contains("KDC"), "{failure}");
                    assert!(took < patience * 4, "{took:?}");
                    if round == 0 {
                        assert!(failure.contains("the KDC is silent"), "{failure}");
                    }
                }
                SecondKdc::signal("-CONT");
            }
            println!("figure: a visit with a KDC that answers: {}", told(calm));
            println!("figure: a visit with one that is silent: {}", told(silent));
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
