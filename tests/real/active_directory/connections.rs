//! Domain controllers that lie, stall, fall silent and die.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use cas_proxy::{
    csc::ClientSecurityContext,
    decision::Here,
    directory::{MailboxKey, SiteName},
    first_cas::CasProxyLayer,
    lookup::{
        Answer, Cached, MailboxLookup,
        active_directory::{DirectoryErrorKind, danger},
    },
};
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::{SAMBA, address, at, eventually, here, kind, root, roots, samba, sid_of};
use crate::relay::{Mode, Relay};

/// Of a search, where a domain controller is silent. Long enough for any that is not.
const LIMIT: Duration = Duration::from_secs(4);

#[tokio::test]
#[ignore = "needs samba"]
async fn only_verified_certificates_and_encrypted_binds_pass() {
    at(&["ldap://127.0.88.1"])
        .connect()
        .await
        .expect("StartTLS");
    let refused = async |builder: cas_proxy::lookup::active_directory::ActiveDirectoryBuilder| {
        builder.connect().await.unwrap_err().kind()
    };
    let another = roots("slapd");
    for url in [SAMBA, "ldap://127.0.88.1"] {
        let strange = at(&[url]).trust_roots(another.clone()).unwrap();
        assert_eq!(
            refused(strange).await,
            DirectoryErrorKind::Unreachable,
            "{url}"
        );
    }
    // The certificate is of another name.
    let relay = Relay::at("127.0.88.9:0", "127.0.88.1:636").await;
    let url = format!("ldaps://{}", relay.address);
    let misnamed = at(&[&url]);
    assert_eq!(refused(misnamed).await, DirectoryErrorKind::Unreachable);
    assert_eq!(relay.connections(), 1);
    let wrong = at(&[SAMBA]).bind("svc-cas-proxy@fourthcoffee.test", "wrong");
    assert_eq!(refused(wrong).await, DirectoryErrorKind::BindRefused);
    // A domain controller would take it for an anonymous bind, and let it pass.
    let empty = at(&[SAMBA]).bind("svc-cas-proxy@fourthcoffee.test", "");
    assert_eq!(refused(empty).await, DirectoryErrorKind::BindRefused);
    // Not that it would help: this domain controller wants no passwords in clear.
    let clear = danger::without_tls(at(&["ldap://127.0.88.1"]));
    assert_eq!(refused(clear).await, DirectoryErrorKind::Refused);
}

#[tokio::test]
#[ignore = "needs samba"]
async fn a_silent_or_broken_domain_controller_is_left_for_the_next() {
    let (first, second) = (
        Relay::to("127.0.88.1:636").await,
        Relay::to("127.0.88.1:636").await,
    );
    let urls = [&first, &second].map(|relay| format!("ldaps://{}", relay.address));
    let directory = at(&[&urls[0], &urls[1]])
        .connect_time_limit(LIMIT)
        .search_time_limit(LIMIT)
        .connect()
        .await
        .unwrap();
    let anna = address("anna@fourthcoffee.test");
    let found = || directory.locate(anna.clone());
    assert_eq!((first.connections(), second.connections()), (1, 0));

    // Slow, but not too slow.
    first.set(Mode::Slow(Duration::from_millis(50)));
    assert!(matches!(found().await, Ok(Answer::Found(_))));
    assert_eq!((first.connections(), second.connections()), (1, 0));

    // Silent: noticed after the limit of one search, then the other is asked.
    first.set(Mode::Silent);
    assert!(matches!(found().await, Ok(Answer::Found(_))));
    assert_eq!((first.connections(), second.connections()), (1, 1));
    // And from then on, so that nobody waits for the first one again.
    for _ in 0..20 {
        assert!(matches!(found().await, Ok(Answer::Found(_))));
    }
    assert_eq!((first.connections(), second.connections()), (1, 1));

    // All are gone: an error.
    second.set(Mode::Cut);
    let error = found().await.unwrap_err();
    use DirectoryErrorKind::{Resting, TimedOut, Unreachable};
    assert!(
        matches!(kind(&error), Resting | TimedOut | Unreachable),
        "{error:?}"
    );

    // Nobody has to do anything for them to be asked again.
    first.set(Mode::Through);
    eventually("the directory is asked again", async || {
        found().await.is_ok()
    })
    .await;
}

#[tokio::test]
#[ignore = "needs samba"]
async fn connections_are_shared_bounded_and_replaced() {
    let relay = Relay::to("127.0.88.1:636").await;
    let url = format!("ldaps://{}", relay.address);
    let directory = at(&[&url]).max_connections(3);
    let directory = directory.connect().await.unwrap();
    let anna = address("anna@fourthcoffee.test");
    let lookups: Vec<_> = (0..200)
        .map(|_| tokio::spawn(directory.locate(anna.clone())))
        .collect();
    for lookup in lookups {
        assert!(matches!(lookup.await.unwrap(), Ok(Answer::Found(_))));
    }
    assert!(
        (1..=3).contains(&relay.connections()),
        "{}",
        relay.connections()
    );

    // Cut while idle: no failure, just another connection.
    let before = relay.connections();
    relay.set(Mode::Cut);
    relay.set(Mode::Through);
    assert!(matches!(
        directory.locate(anna.clone()).await,
        Ok(Answer::Found(_))
    ));
    assert_eq!(relay.connections(), before + 1);
}

#[tokio::test]
#[ignore = "needs samba"]
async fn a_thousand_requests_are_one_lookup() {
    let directory = samba().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = {
        let count = Arc::clone(&count);
        move |key| {
            count.fetch_add(1, Ordering::Relaxed);
            directory.locate(key)
        }
    };
    let cached = Cached::new(counted);
    let anna = address("anna@fourthcoffee.test");
    let requests: Vec<_> = (0..1000)
        .map(|_| tokio::spawn(cached.locate(anna.clone())))
        .collect();
    for request in requests {
        assert!(matches!(request.await.unwrap(), Ok(Answer::Found(_))));
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

/// The domain controller is killed under load, and started again: users it was asked about before notice nothing, the
/// others are told 503, and nobody has to restart anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs samba"]
//= src/docs/protocol.md#error-status
async fn a_domain_controller_that_dies_fails_no_cached_user() {
    script("up").await;
    let directory = at(&["ldaps://127.0.88.2"]).here(here());
    let directory = directory.connect().await.unwrap();
    // Remembered for so short a time that the directory is asked again and again.
    let cached = Cached::builder(directory.clone())
        .time_to_live(Duration::from_millis(200))
        .pause(Duration::from_millis(100))
        .build();
    let seattle = SiteName::new("Seattle").unwrap();
    let this = Here::new(here(), seattle, "8.1.240.6".parse().unwrap());
    let layer = CasProxyLayer::new(this, directory.clone(), cached.clone());
    let mail = service_fn(|_: Request<Empty<bytes::Bytes>>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::from("mail")))
    });
    let stack = layer.layer(mail);
    let request = move |key: &MailboxKey| {
        let MailboxKey::Sid(sid) = key else {
            panic!("{key:?}")
        };
        let user = ClientSecurityContext::builder(*sid, "Basic", "user")
            .build()
            .unwrap();
        let stack = stack.clone();
        let mut request = Request::get("/owa/").header("host", "mail.fourthcoffee.test");
        request.extensions_mut().unwrap().insert(user);
        let request = request.body(Empty::new()).unwrap();
        async move { stack.oneshot(request).await.unwrap().status() }
    };
    let anna = sid_of(&directory, "anna").await;
    let ivan = sid_of(&directory, "ivan").await;
    assert_eq!(request(&anna).await, StatusCode::OK);

    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (request, anna, stop) = (request.clone(), anna.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut requests, mut failed) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    requests += 1;
                    failed += usize::from(request(&anna).await != StatusCode::OK);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                (requests, failed)
            })
        })
        .collect();

    script("stop").await;
    // For one who was never asked about there is nothing to go by.
    assert_eq!(request(&ivan).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(directory.refresh().await.is_err());
    assert!(directory.topology_age().failing_for.is_some());
    // Until the answer for the one who is cached has been stale for a while.
    eventually("a stale answer", async || {
        cached
            .age(&anna)
            .is_some_and(|age| age > Duration::from_secs(1))
    })
    .await;
    assert_eq!(request(&anna).await, StatusCode::OK);

    script("start").await;
    eventually("it is asked again", async || {
        request(&ivan).await == StatusCode::OK
    })
    .await;
    directory.refresh().await.unwrap();
    assert!(directory.topology_age().failing_for.is_none());
    stop.store(true, Ordering::Relaxed);
    let (mut requests, mut failed) = (0, 0);
    for task in load {
        let (more, wrong) = task.await.unwrap();
        requests += more;
        failed += wrong;
    }
    script("down").await;
    println!("{requests} requests of a cached user, {failed} failed");
    assert!(requests > 50);
    assert_eq!(failed, 0);
}

/// The second domain controller, which belongs to one test.
async fn script(command: &'static str) {
    let script = root().join("tests/real/active_directory/samba.sh");
    let run = move || Command::new(script).args([command, "2"]).status().unwrap();
    assert!(
        tokio::task::spawn_blocking(run).await.unwrap().success(),
        "{command}"
    );
}
