//! TLS on the second hop: whom it trusts, what it speaks, and that it is never left out.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use cas_proxy::{
    directory::ClientAccessServer,
    first_cas::CasProxyLayer,
    telemetry::{Event, Outcome},
};
use http::{Response, Version};
use rcgen::date_time_ymd;

use crate::support::{
    assert_status, get,
    logs::Logs,
    site::{Authority, Setup, Site, before, cas_at, code, text},
    through,
    wire::Listener,
};

/// A first CAS that trusts `authority`, with no policy but the default one.
fn strict(
    authority: &Authority,
    servers: impl IntoIterator<Item = ClientAccessServer>,
) -> CasProxyLayer {
    before(servers)
        .outbound(authority.client().build())
        .policy(cas_proxy::decision::Policy::default())
}

fn event<B>(answer: &Response<B>) -> Option<Event> {
    match answer.extensions().get() {
        Some(Outcome::Refused(failure)) => failure.event(),
        _ => None,
    }
}

/// A site that counts its requests and says which version they came with.
async fn counting(setup: Setup) -> (Site, Arc<AtomicUsize>) {
    let requests = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&requests);
    let site = setup
        .serve(move |request| {
            counter.fetch_add(1, Ordering::SeqCst);
            async move { text(format!("{:?}", request.version())) }
        })
        .await;
    (site, requests)
}

//= src/docs/protocol.md#tls-verified
#[tokio::test]
async fn https_is_spoken_over_either_version_as_the_servers_agree() {
    let authority = Authority::new();
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let (site, _) = counting(Setup::tls(&authority.certificate(), protocols)).await;
        let layer = strict(&authority, [site.as_cas("dallas")]);
        for _ in 0..3 {
            let answer = through(&layer, get(2, "/owa/")).await;
            assert_status(&answer, 200);
            assert_eq!(answer.body(), &format!("{version:?}"));
        }
        assert_eq!(site.connections(), 1, "{protocols:?}: one for all");
    }
}

//= src/docs/protocol.md#tls-verified
#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_502_and_nobody_else_is_asked() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let expired = authority.issue("127.0.0.1", |params| {
        params.not_before = date_time_ymd(2006, 1, 1);
        params.not_after = date_time_ymd(2007, 9, 10);
    });
    let not_yet = authority.issue("127.0.0.1", |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
    });
    for (what, certificate) in [
        ("untrusted", stranger.certificate()),
        ("wrong name", authority.issue("dallas.corp", |_| {})),
        ("wrong address", authority.issue("127.0.0.2", |_| {})),
        ("expired", expired),
        ("not yet valid", not_yet),
    ] {
        let logs = Logs::default();
        let _guard = logs.collect();
        let setup = Setup::tls(&certificate, &["h2", "http/1.1"]);
        let (one, one_asked) = counting(setup.clone()).await;
        let (two, two_asked) = counting(setup).await;
        let layer = strict(&authority, [one.as_cas("one"), two.as_cas("two")]);
        let answer = through(&layer, get(2, "/owa/")).await;
        assert_status(&answer, 502);
        assert_eq!(event(&answer), Some(Event::CertificateNotTrusted), "{what}");
        assert_eq!(one.connections() + two.connections(), 1, "{what}");
        let asked = one_asked.load(Ordering::SeqCst) + two_asked.load(Ordering::SeqCst);
        assert_eq!(asked, 0, "{what}");
        let events = logs.events();
        assert!(
            matches!(&events[..], [event] if event.starts_with("43 ")),
            "{what}: {events:?}"
        );
    }
}

//= src/docs/protocol.md#tls-required
#[tokio::test]
async fn without_https_nothing_is_sent_unless_the_policy_says_so() {
    let (site, asked) = counting(Setup::plain()).await;
    let servers = || [site.as_cas("dallas")];
    let answer = through(&strict(&Authority::new(), servers()), get(2, "/owa/")).await;
    assert_status(&answer, 502);
    assert_eq!(event(&answer), Some(Event::TlsRequired));
    assert_eq!((site.connections(), asked.load(Ordering::SeqCst)), (0, 0));

    let answer = through(&before(servers()), get(2, "/owa/")).await;
    assert_status(&answer, 200);
}

//= src/docs/protocol.md#tls-verified
#[tokio::test]
async fn https_is_never_downgraded() {
    let listener = Listener::new().await;
    let url = format!("https://{}/owa", listener.address());
    let layer = strict(&Authority::new(), [cas_at("dallas", &url)]);
    let client = tokio::spawn(async move { through(&layer, get(2, "/owa/")).await });
    let mut hop = listener.accept().await;
    // A server that has never heard of TLS.
    hop.answer("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        .await;
    let sent = hop.rest().await;
    assert_eq!(sent.first(), Some(&22), "a handshake and no request");
    assert!(!sent.windows(4).any(|part| part == b"HTTP"));
    assert_status(&client.await.unwrap(), 503);
}

//= src/docs/protocol.md#hop-target
#[tokio::test]
async fn redirects_of_the_second_cas_are_the_browsers_business() {
    let (elsewhere, asked) = counting(Setup::plain()).await;
    let target = format!("http://{}/owa/", elsewhere.address);
    let location = target.clone();
    for status in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let site = Setup::plain().serve(move |_| {
            let mut answer = code(status);
            let headers = answer.headers_mut();
            headers.insert("location", location.parse().unwrap());
            async { answer }
        });
        let site = site.await;
        let answer = through(&before([site.as_cas("dallas")]), get(2, "/owa/")).await;
        assert_status(&answer, status);
        assert_eq!(answer.headers()["location"], target);
    }
    assert_eq!(
        (elsewhere.connections(), asked.load(Ordering::SeqCst)),
        (0, 0)
    );
}
