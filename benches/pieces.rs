//! What each piece costs, side by side: read them as ratios, the machine is never quiet.
//!
//! `cargo bench --bench pieces`

#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot be set up may panic"
)]

use std::sync::Arc;

use cas_proxy::{
    csc::{ClientSecurityContext, GroupAttributes, Sid, xml},
    decision::{Here, Policy, Question, decide, explain},
    directory::{
        ClientAccessServer, InternalUrl, Mailbox, MailboxKey, ServerName, SiteName, Topology,
    },
    lookup::{Cached, InMemory, MailboxLookup},
    second_cas::{SecondCasLayer, danger::StaticCredential},
    wire::{
        hop_by_hop::{self, Client, Via},
        limits::HeadLimits,
        names,
        owa_path::{self, Scope},
        proxy_headers, rewrite,
        signature::{Presented, SharedKey, Target},
    },
};
use divan::{Bencher, black_box};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body_util::{Empty, Full};
use tower::{Layer, Service, service_fn};

fn main() {
    divan::main();
}

fn sid(rid: u32) -> Sid {
    Sid::from_parts(5, &[21, 1_004_336_348, 1_177_238_915, 682_003_330, rid]).unwrap()
}

fn context(groups: u32) -> ClientSecurityContext {
    (0..groups)
        .fold(
            ClientSecurityContext::builder(sid(1105), "Negotiate", "CONTOSO\\anna"),
            |context, group| context.group(sid(2000 + group), GroupAttributes::ENABLED_GROUP),
        )
        .build()
        .unwrap()
}

#[divan::bench(args = [1, 20, 200, 2999])]
fn csc_write(bencher: Bencher<'_, '_>, groups: u32) {
    let context = context(groups);
    bencher.bench(|| xml::write(black_box(&context)));
}

#[divan::bench(args = [1, 20, 200, 2999])]
fn csc_read(bencher: Bencher<'_, '_>, groups: u32) {
    let body = xml::write(&context(groups)).unwrap();
    bencher.bench(|| xml::read(black_box(&body)));
}

#[divan::bench(args = [1, 8, 64])]
fn decide_candidates(bencher: Bencher<'_, '_>, candidates: u32) {
    let (here, topology, mailbox) = (here(), dallas(candidates), in_dallas());
    let (policy, question) = (Policy::default(), Question::about(Some(&mailbox)));
    bencher.bench(|| black_box(decide(&here, &policy, &topology, black_box(&question))));
}

#[divan::bench(args = [1, 8, 64])]
fn explain_candidates(bencher: Bencher<'_, '_>, candidates: u32) {
    let (here, topology, mailbox) = (here(), dallas(candidates), in_dallas());
    let (policy, question) = (Policy::default(), Question::about(Some(&mailbox)));
    bencher.bench(|| black_box(explain(&here, &policy, &topology, black_box(&question))));
}

fn here() -> Here {
    Here::new(
        ServerName::new("seattle").unwrap(),
        SiteName::new("Seattle").unwrap(),
        VERSION.parse().unwrap(),
    )
}

fn in_dallas() -> Mailbox {
    Mailbox::new(ServerName::new("mbx").unwrap(), VERSION.parse().unwrap())
        .with_site(SiteName::new("Dallas").unwrap())
}

fn dallas(candidates: u32) -> Topology {
    (0..candidates)
        .fold(Topology::builder(), |topology, number| {
            topology.client_access_server(
                ClientAccessServer::new(
                    ServerName::new(format!("dal-excas{number:02}")).unwrap(),
                    SiteName::new("Dallas").unwrap(),
                    VERSION.parse().unwrap(),
                )
                .with_internal_url(&format!("https://dal-excas{number:02}.corp/owa"))
                .with_integrated_windows_authentication(),
            )
        })
        .build()
        .unwrap()
}

#[divan::bench(args = [1_000, 10_000, 100_000])]
fn peek_hit(bencher: Bencher<'_, '_>, users: u32) {
    let version = "8.3.83.6".parse().unwrap();
    let mailbox = Arc::new(Mailbox::new(ServerName::new("mbx").unwrap(), version));
    let table = (0..users).fold(InMemory::new(), |table, user| {
        table.insert(MailboxKey::Sid(sid(user)), Arc::clone(&mailbox))
    });
    let cached = Cached::builder(table).capacity(users as usize * 2).build();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        for user in 0..users {
            cached.locate(MailboxKey::Sid(sid(user))).await.unwrap();
        }
    });
    let _entered = runtime.enter();
    let key = MailboxKey::Sid(sid(users / 2));
    bencher.bench(|| cached.peek(black_box(&key)));
}

#[divan::bench]
fn classify_path(bencher: Bencher<'_, '_>) {
    let (scope, uri) = (
        Scope::default(),
        "/owa/?ae=Folder&t=IPF.Note&id=LgAAAABx".parse().unwrap(),
    );
    bencher.bench(|| owa_path::classify(&scope, black_box(&uri)).map(|path| path.kind()));
}

/// A browser's request, eight lines.
fn from_a_browser() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "mail.contoso.com"),
        ("accept", "text/html"),
        ("accept-language", "en-us"),
        ("accept-encoding", "gzip, deflate"),
        ("user-agent", "Mozilla/4.0"),
        ("cookie", "UserContext=0123456789abcdef; sessionid=4711"),
        ("referer", "https://mail.contoso.com/owa/"),
        ("connection", "keep-alive"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

#[divan::bench]
fn check_head(bencher: Bencher<'_, '_>) {
    let (limits, headers) = (HeadLimits::default(), from_a_browser());
    let uri = "/owa/?ae=Folder".parse().unwrap();
    bencher.bench(|| limits.check(black_box(&uri), black_box(&headers)));
}

#[divan::bench]
fn strip_identity(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(from_a_browser)
        .bench_local_refs(names::strip_identity);
}

#[divan::bench]
fn prepare_request(bencher: Bencher<'_, '_>) {
    let (via, uri) = (
        Via::new("seattle").unwrap(),
        "/owa/?ae=Folder".parse().unwrap(),
    );
    let client = Client {
        peer: Some("192.0.2.1:4711".parse().unwrap()),
        https: true,
        trusted: false,
    };
    bencher
        .with_inputs(from_a_browser)
        .bench_local_refs(|headers| {
            let version = Version::HTTP_11;
            hop_by_hop::prepare_request(&Method::GET, &uri, version, headers, &via, &client)
        });
}

#[divan::bench]
fn write_identity(bencher: Bencher<'_, '_>) {
    let (mail, version) = (
        HeaderValue::from_static("https://mail.contoso.com/owa"),
        HeaderValue::from_static(VERSION),
    );
    let user = HeaderValue::try_from(sid(1105).to_string()).unwrap();
    bencher
        .with_inputs(from_a_browser)
        .bench_local_refs(|headers| {
            proxy_headers::write(headers, &mail, &version, &user, false, None);
        });
}

#[divan::bench]
fn prepare_answer(bencher: Bencher<'_, '_>) {
    let answer = Response::builder()
        .header("content-type", "text/html")
        .header("content-length", "128")
        .header("server", "Microsoft-IIS/6.0")
        .header("date", "Thu, 26 Nov 2026 08:00:00 GMT")
        .header("set-cookie", "UserContext=0123456789abcdef; path=/owa")
        .header("connection", "keep-alive")
        .body(())
        .unwrap();
    let via = Via::new("seattle").unwrap();
    let [second, first] = ["https://dallas.corp/owa", "https://mail.contoso.com/owa"]
        .map(|url| url.parse::<InternalUrl>().unwrap());
    bencher
        .with_inputs(|| answer.headers().clone())
        .bench_local_refs(|headers| {
            let (method, status, version) = (&Method::GET, answer.status(), Version::HTTP_11);
            hop_by_hop::prepare_response(method, status, version, headers, &via).unwrap();
            rewrite::response(headers, second.origin(), first.origin());
        });
}

/// A proxied request, signed, as the second CAS gets it.
fn signed(key: &SharedKey, method: &Method, uri: &http::Uri) -> HeaderMap {
    let mut headers = from_a_browser();
    for (name, value) in [
        ("x-owa-proxyuri", "https://mail.contoso.com/owa"),
        ("x-owa-proxyversion", VERSION),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let user = HeaderValue::try_from(sid(1105).to_string()).unwrap();
    headers.insert("x-owa-proxysid", user);
    let target = Target::new(method, "dallas.corp", uri);
    let signature = key.sign(&target, &headers, NOW, [7; 16]).unwrap();
    signature.insert_into(&mut headers);
    headers
}

#[divan::bench]
fn verify(bencher: Bencher<'_, '_>) {
    let key = SharedKey::new("seattle", &[7; 32]).unwrap();
    let (method, uri) = (Method::GET, "/owa/?ae=Folder".parse().unwrap());
    let headers = signed(&key, &method, &uri);
    let target = Target::new(&method, "dallas.corp", &uri);
    bencher.bench(|| {
        let presented = Presented::read(black_box(&headers)).unwrap().unwrap();
        presented.verify(&key, &target, NOW).unwrap();
    });
}

/// A request of a user whose context is kept, through the whole second CAS.
#[divan::bench(args = [1_000, 10_000, 100_000])]
fn second_cas_kept_context(bencher: Bencher<'_, '_>, users: u32) {
    let layer = SecondCasLayer::new(StaticCredential::basic("seattle", "secret"));
    let nothing = service_fn(async |_: Request<Full<bytes::Bytes>>| {
        Ok::<_, std::convert::Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
    });
    let mut service = layer.layer(nothing);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let request = |method, path, user, body: Vec<u8>| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", "dallas.corp")
            .header("authorization", "Basic c2VhdHRsZTpzZWNyZXQ=")
            .header("x-owa-proxyuri", "https://mail.contoso.com/owa")
            .header("x-owa-proxyversion", VERSION)
            .header("x-owa-proxysid", sid(user).to_string())
            .body(Full::from(body))
            .unwrap()
    };
    for user in 0..users {
        let context = ClientSecurityContext::builder(sid(user), "Negotiate", "CONTOSO\\anna");
        let body = xml::write(&context.build().unwrap()).unwrap();
        let login = request(Method::POST, "/owa/proxyLogon.owa", user, body.to_vec());
        let answer = service.call(login).now_or_never().unwrap().unwrap();
        assert_eq!(answer.status(), 241);
    }
    bencher
        .with_inputs(|| request(Method::GET, "/owa/?ae=Folder", users / 2, Vec::new()))
        .bench_local_values(|request| {
            let answer = service.call(request).now_or_never().unwrap().unwrap();
            assert_eq!(answer.status(), 200);
        });
}

#[divan::bench]
fn sign(bencher: Bencher<'_, '_>) {
    let key = SharedKey::new("seattle", &[7; 32]).unwrap();
    let request = http::Request::get("/owa/?ae=Folder")
        .header("x-owa-proxyuri", "https://mail.contoso.com/owa")
        .header("x-owa-proxyversion", "8.3.83.6")
        .header("x-owa-proxysid", sid(1105).to_string())
        .body(())
        .unwrap();
    bencher.bench(|| {
        let target = Target::new(request.method(), "dallas.corp", request.uri());
        key.sign(&target, black_box(request.headers()), NOW, [7; 16])
    });
}

const VERSION: &str = "8.3.83.6";
const NOW: u64 = 1_700_000_000;
