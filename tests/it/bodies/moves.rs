//! Mailboxes that move while their users write: the second CAS says 421, and the request finds its way.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    io,
    time::Duration,
};

use bytes::Bytes;
use cas_proxy::{
    decision::Here,
    directory::{MailboxKey, Topology},
    lookup::{Answer, Cached, LocateFuture, MailboxLookup},
    outbound::{BoxError, OutboundBody, OutboundService, credentials::danger::BasicCredentials},
    second_cas::{SecondCasLayer, danger::StaticCredential},
};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};

use super::*;
use crate::support::{
    EXCHANGE_2007, Peer, answer, cas, first_cas as seattle, mailbox, name, post, site, status,
    through, user,
};

const USERS: usize = 1000;
const LETTERS: u32 = 4;

/// Where the mailboxes are.
#[derive(Clone, Default)]
struct Directory(Arc<Mutex<HashSet<MailboxKey>>>);

impl Directory {
    fn move_to_reno(&self, rid: u32) {
        let key = MailboxKey::Sid(*user(rid).user());
        self.0.lock().unwrap().insert(key);
    }
}

impl MailboxLookup for Directory {
    fn locate(&self, key: MailboxKey) -> LocateFuture {
        let moved = self.0.lock().unwrap().contains(&key);
        let home = mailbox("mbx", if moved { "Reno" } else { "Dallas" }, EXCHANGE_2007);
        Box::pin(async {
            // Time for everybody else to do something.
            sleep(Duration::from_millis(3)).await;
            Ok(Answer::Found(Arc::new(home)))
        })
    }
}

#[derive(Default)]
struct Seen {
    /// By letter: the sites that have stored it.
    stored: HashMap<String, Vec<&'static str>>,
    /// Users whom a site has sent away by 421, and how often.
    sent_away: HashMap<HeaderValue, usize>,
    /// Letters stored at a site that had already sent their user away.
    too_late: Vec<String>,
}

type Cas = BoxCloneSyncService<
    Request<OutboundBody>,
    Response<UnsyncBoxBody<Bytes, BoxError>>,
    Infallible,
>;

/// A second CAS, with a memory of its own of where mailboxes are, and a service that stores letters.
fn second(here: &'static str, lookup: &Arc<Cached<Directory>>, seen: &Arc<Mutex<Seen>>) -> Cas {
    let at: &'static str = if here == "dallas" { "Dallas" } else { "Reno" };
    let stores = Arc::clone(seen);
    let store = service_fn(move |request: Request<OutboundBody>| {
        let seen = Arc::clone(&stores);
        async move {
            let user = request.headers()["x-user"].clone();
            let letter = request.into_body().collect().await.unwrap().to_bytes();
            let letter = String::from_utf8(letter.to_vec()).unwrap();
            let mut seen = seen.lock().unwrap();
            if at == "Dallas" && seen.sent_away.contains_key(&user) {
                seen.too_late.push(letter.clone());
            }
            seen.stored.entry(letter).or_default().push(at);
            Ok::<_, Infallible>(answer(201, "stored"))
        }
    });
    let here = Here::new(name(here), site(at), EXCHANGE_2007.parse().unwrap());
    let trusted = StaticCredential::basic("lab", "secret");
    let layer = CasProxyLayer::new(here, sites(), Arc::clone(lookup));
    let stack = SecondCasLayer::new(trusted).layer(layer.layer(store));
    BoxCloneSyncService::new(
        stack
            .map_request(|mut request: Request<OutboundBody>| {
                let target = request.uri().path_and_query().unwrap().clone();
                *request.uri_mut() = target.into();
                request
            })
            .map_response(|answer| answer.map(|body| body.map_err(Into::into).boxed_unsync())),
    )
}

/// Everyone knows the same servers.
fn sites() -> Arc<Topology> {
    let topology = Topology::builder()
        .client_access_server(cas("dallas", "Dallas"))
        .client_access_server(cas("reno", "Reno"));
    topology.build().unwrap().into()
}

fn remembering(directory: &Directory) -> Arc<Cached<Directory>> {
    Arc::new(
        Cached::builder(directory.clone())
            .time_to_live(REMEMBERED)
            .build(),
    )
}

/// Writes one letter after the other, and insists on each of them being stored.
async fn write(layer: CasProxyLayer, rid: u32) {
    for number in 0..LETTERS {
        // Everyone at another time.
        sleep(Duration::from_millis(u64::from(4000 + rid % 977))).await;
        let mut letter = post(rid, "/owa/x", format!("{rid}/{number}"));
        letter.headers_mut().insert("x-user", rid.into());
        assert_eq!(
            through(&layer, letter).await.status(),
            201,
            "{rid}/{number}"
        );
    }
}

const REMEMBERED: Duration = Duration::from_secs(60);

//= src/docs/protocol.md#decide-one-hop
#[tokio::test(start_paused = true)]
async fn a_thousand_mailboxes_that_move_cost_each_user_one_request_and_nobody_a_letter() {
    let directory = Directory::default();
    let credentials = BasicCredentials::new("lab:secret").unwrap();
    let seen = Arc::<Mutex<Seen>>::default();
    let memories = [(); 3].map(|()| remembering(&directory));
    let cass = [
        ("dallas.corp", second("dallas", &memories[0], &seen)),
        ("reno.corp", second("reno", &memories[1], &seen)),
    ];
    let (servers, noted) = (Arc::new(HashMap::from(cass)), Arc::clone(&seen));
    let outbound = OutboundService::new(service_fn(move |request: Request<OutboundBody>| {
        let server = servers[request.uri().host().unwrap()].clone();
        let noted = Arc::clone(&noted);
        async move {
            let user = request.headers().get("x-user").cloned();
            let answer = server.oneshot(request).await.unwrap();
            if answer.status() == StatusCode::MISDIRECTED_REQUEST {
                let mut seen = noted.lock().unwrap();
                *seen.sent_away.entry(user.unwrap()).or_default() += 1;
            }
            Ok::<_, io::Error>(answer)
        }
    }));
    let layer = CasProxyLayer::with_outbound(here(), sites(), Arc::clone(&memories[2]), outbound)
        .external_url(&"https://mail.contoso.com/owa".parse().unwrap())
        .credentials(credentials);

    let rids = 1000..1000 + USERS as u32;
    // Reno has heard of them all, and knows them to be in Dallas.
    for rid in rids.clone() {
        let key = MailboxKey::Sid(*user(rid).user());
        memories[1].locate(key).await.unwrap();
    }
    let writers: Vec<_> = rids
        .clone()
        .map(|rid| tokio::spawn(write(layer.clone(), rid)))
        .collect();
    for rid in rids.clone() {
        sleep(Duration::from_millis(11)).await;
        directory.move_to_reno(rid);
        // Whoever moves a mailbox tells its old site; the others learn it when somebody needs to know.
        memories[0].invalidate(&MailboxKey::Sid(*user(rid).user()));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.stored.len(), USERS * LETTERS as usize);
    let twice: Vec<_> = seen
        .stored
        .iter()
        .filter(|(_, sites)| sites.len() > 1)
        .collect();
    assert!(twice.is_empty(), "stored twice: {twice:?}");
    assert!(seen.too_late.is_empty(), "{:?}", seen.too_late);
    let by_site = |site| {
        seen.stored
            .values()
            .filter(|sites| sites[0] == site)
            .count()
    };
    assert!(
        by_site("Dallas") > USERS / 2 && by_site("Reno") > USERS,
        "they moved in the midst"
    );
    assert!(
        seen.sent_away.len() > USERS / 2,
        "{} were sent on",
        seen.sent_away.len()
    );
    assert!(seen.sent_away.values().all(|times| *times == 1));
}

/// Sends a request of user 2, of whom `peer` knows more than the directory.
async fn after_a_421(peer: &Peer, dallas: &[&str]) -> Response<Bytes> {
    through(&seattle(peer, dallas), post(2, "/owa/x", "letter")).await
}

//= src/docs/protocol.md#decide-one-hop
//= src/docs/protocol.md#failover-when
#[tokio::test]
async fn a_421_that_the_directory_contradicts_is_508_and_nobody_is_asked_twice() {
    let peer = Peer::answering([status(441), status(241), status(421), status(200)]);
    assert_eq!(after_a_421(&peer, &["dallas"]).await.status(), 508);
    assert_eq!(peer.seen().len(), 3);

    // Another server of the site may know better.
    let peer = Peer::answering([status(421), answer(200, "mail")]);
    let answered = after_a_421(&peer, &["dallas1", "dallas2"]).await;
    assert_eq!(
        (answered.status().as_u16(), &answered.body()[..]),
        (200, &b"mail"[..])
    );
    let hosts: HashSet<_> = peer
        .seen()
        .iter()
        .map(|seen| seen.uri.host().unwrap().to_owned())
        .collect();
    assert_eq!(hosts.len(), 2);

    let peer = Peer::answering([status(421), status(421), status(200)]);
    let answered = after_a_421(&peer, &["dallas1", "dallas2", "dallas3"]).await;
    assert_eq!((answered.status().as_u16(), peer.seen().len()), (508, 2));
}
