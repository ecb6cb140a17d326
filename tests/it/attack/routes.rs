//! Where a request goes when servers disagree about it, or someone would have it go in circles: one step, or none.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use cas_proxy::{
    csc::{ClientSecurityContext, GroupAttributes, Sid, xml},
    directory::{MailboxKey, Topology},
    first_cas::CasProxyLayer,
    lookup::{Answer, LocateFuture, MailboxLookup},
    second_cas::{SecondCasLayer, Verdict, VerifiedCaller, unless_proxied},
};
use http::{Request, Response, request::Parts};
use http_body_util::Full;
use tower::{Layer, ServiceExt, layer::layer_fn, service_fn};

use crate::support::{
    EXCHANGE_2007, Peer, answer, assert_status, by, cas, first_cas, get, here, lookup, mailbox,
    status, through, topology, user,
};

/// Says Dallas and Houston in turn, each time it is asked.
#[derive(Clone, Default)]
struct Wavering {
    asked: Arc<AtomicUsize>,
    forgotten: Arc<AtomicUsize>,
}

impl MailboxLookup for Wavering {
    fn locate(&self, _: MailboxKey) -> LocateFuture {
        let site = ["Dallas", "Houston"][self.asked.fetch_add(1, Ordering::SeqCst) % 2];
        let mailbox = mailbox("mbx", site, EXCHANGE_2007);
        Box::pin(async { Ok(Answer::Found(Arc::new(mailbox))) })
    }

    fn invalidate(&self, _: &MailboxKey) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }
}

fn wavering(peer: &Peer) -> (CasProxyLayer, Wavering) {
    let directory = Wavering::default();
    let topology = Topology::builder()
        .client_access_server(cas("dallas", "Dallas"))
        .client_access_server(cas("houston", "Houston"))
        .build();
    let topology = Arc::new(topology.unwrap());
    let layer = CasProxyLayer::with_outbound(here(), topology, directory.clone(), peer.outbound());
    (layer, directory)
}

fn hosts(peer: &Peer) -> Vec<String> {
    let host = |uri: &http::Uri| uri.host().unwrap().to_owned();
    peer.seen().iter().map(|seen| host(&seen.uri)).collect()
}

//= src/docs/protocol.md#decide-one-hop
#[tokio::test]
async fn a_mailbox_that_has_moved_is_looked_up_once_more_and_found() {
    let peer = Peer::answering([status(421), answer(200, "mail")]);
    let (layer, directory) = wavering(&peer);
    assert_status(&through(&layer, get(2, "/owa/")).await, 200);
    assert_eq!(hosts(&peer), ["dallas.corp", "houston.corp"]);
    assert_eq!(directory.asked.load(Ordering::SeqCst), 2);
    assert_eq!(directory.forgotten.load(Ordering::SeqCst), 1);
}

//= src/docs/protocol.md#decide-one-hop
#[tokio::test]
async fn two_servers_that_send_a_request_to_one_another_are_508() {
    let peer = Peer::answering((0..9).map(|_| status(421)));
    let (layer, directory) = wavering(&peer);
    assert_status(&through(&layer, get(2, "/owa/")).await, 508);
    assert_eq!(hosts(&peer), ["dallas.corp", "houston.corp"]);
    assert_eq!(directory.asked.load(Ordering::SeqCst), 2);
}

/// First try, login and replay go by one answer of the directory, whatever it would say meanwhile.
#[tokio::test]
async fn one_answer_of_the_directory_serves_a_whole_exchange() {
    let peer = Peer::answering([status(441), status(241), answer(200, "mail")]);
    let (layer, directory) = wavering(&peer);
    assert_status(&through(&layer, get(2, "/owa/")).await, 200);
    assert_eq!(hosts(&peer), ["dallas.corp"; 3]);
    assert_eq!(directory.asked.load(Ordering::SeqCst), 1);
}

/// An InternalURL that leads back here, by whatever name: the way is in the request.
//= src/docs/protocol.md#decide-one-hop
//= src/docs/protocol.md#header-via
#[tokio::test]
async fn a_request_that_has_been_here_goes_no_further() {
    for via in ["1.1 seattle", "1.1 x, 2 SEATTLE", "1.0 a (b, 1.1 seattle"] {
        for rid in [2, 3] {
            let peer = Peer::answering([answer(200, "mail")]);
            let basic = |_: &_, _: &_, _: &_| Some(http::HeaderValue::from_static("Basic x"));
            let layer = first_cas(&peer, &["dallas"]).back_end_credentials(basic);
            let request = by(rid, http::Method::GET, "/owa/").header("via", via);
            let answer = through(&layer, request.body(Full::default()).unwrap()).await;
            assert_status(&answer, 508);
            assert!(peer.seen().is_empty(), "{via}");
        }
    }
}

/// Both CASs on one server, and a verified CAS that sends the user of a third site.
//= src/docs/protocol.md#decide-one-hop
#[tokio::test]
async fn what_another_cas_sent_goes_to_no_third() {
    let peer = Peer::answering([answer(200, "mail"), answer(200, "mail")]);
    let first =
        CasProxyLayer::with_outbound(here(), topology(&["dallas"]), lookup(), peer.outbound());
    let inner = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let trusting = |_: &Parts| Verdict::Now(Ok(VerifiedCaller::vouched_for("chicago")));
    let nobody = layer_fn(|inner| inner);
    let stack =
        SecondCasLayer::new(trusting).layer(unless_proxied(nobody).layer(first.layer(inner)));
    for rid in [2, 3, 4] {
        let request = |method: &str, path: &str, body: Bytes| {
            Request::builder()
                .method(method)
                .uri(path)
                .header("host", "seattle.corp")
                .header("x-owa-proxyuri", "https://mail.contoso.com/owa")
                .header("x-owa-proxyversion", EXCHANGE_2007)
                .header("x-owa-proxysid", user(rid).user().to_string())
                .body(Full::new(body))
                .unwrap()
        };
        let context = xml::write(&user(rid)).unwrap();
        let login = request("POST", "/owa/proxyLogon.owa", context);
        assert_eq!(stack.clone().oneshot(login).await.unwrap().status(), 241);
        let get = request("GET", "/owa/", Bytes::new());
        assert_eq!(
            stack.clone().oneshot(get).await.unwrap().status(),
            421,
            "{rid}"
        );
    }
    assert!(peer.seen().is_empty());
}

/// Nobody's machine, and no service, is spoken for.
//= src/docs/protocol.md#login-same-sid
#[tokio::test]
async fn a_user_that_is_none_of_a_domain_is_not_spoken_for() {
    for sid in ["S-1-5-18", "S-1-5-32-544", "S-1-1-0", "S-1-5-80-1-2-3-4"] {
        let sid: Sid = sid.parse().unwrap();
        let system = ClientSecurityContext::builder(sid, "Negotiate", "SYSTEM").build();
        let peer = Peer::answering([answer(200, "mail")]);
        let in_dallas = lookup().insert(
            MailboxKey::Sid(sid),
            mailbox("mbx", "Dallas", EXCHANGE_2007),
        );
        let layer =
            CasProxyLayer::with_outbound(here(), topology(&["dallas"]), in_dallas, peer.outbound());
        let mut request = get(2, "/owa/");
        request.extensions_mut().insert(system.unwrap());
        assert_status(&through(&layer, request).await, 500);
        assert!(peer.seen().is_empty());
    }
}

/// All of a context is sent, or none of it: whoever lost a group that denies could read more than before.
//= src/docs/protocol.md#login-limit
#[tokio::test]
async fn a_user_of_too_many_groups_is_not_sent_with_fewer() {
    for (groups, status_code) in [(2_999, 200), (3_000, 500), (5_000, 500)] {
        let groups = (0..groups).map(|rid| cas_proxy::csc::Group {
            sid: Sid::from_parts(5, &[21, 1, 2, 3, rid]).unwrap(),
            attributes: GroupAttributes::USE_FOR_DENY_ONLY,
        });
        let member = ClientSecurityContext::builder(*user(2).user(), "Negotiate", "member");
        let peer = Peer::answering([status(441), status(241), answer(200, "mail")]);
        let mut request = get(2, "/owa/");
        let member = member.groups(groups).build().unwrap();
        request.extensions_mut().insert(member.clone());
        let answer = through(&first_cas(&peer, &["dallas"]), request).await;
        assert_status(&answer, status_code);
        let logins: Vec<_> = peer.seen().into_iter().skip(1).take(1).collect();
        if status_code == 200 {
            assert_eq!(xml::read(&logins[0].body).unwrap(), member);
        } else {
            assert!(logins.is_empty());
        }
    }
}
