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
    decision::{Here, Policy, Question, decide},
    directory::{ClientAccessServer, Mailbox, MailboxKey, ServerName, SiteName, Topology},
    lookup::{Cached, InMemory, MailboxLookup},
    wire::{
        owa_path::{self, Scope},
        signature::{SharedKey, Target},
    },
};
use divan::{Bencher, black_box};

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
    let version = "8.3.83.6".parse().unwrap();
    let topology = (0..candidates)
        .fold(Topology::builder(), |topology, number| {
            topology.client_access_server(
                ClientAccessServer::new(
                    ServerName::new(format!("dal-excas{number:02}")).unwrap(),
                    SiteName::new("Dallas").unwrap(),
                    version,
                )
                .with_internal_url(&format!("https://dal-excas{number:02}.corp/owa"))
                .with_integrated_windows_authentication(),
            )
        })
        .build()
        .unwrap();
    let here = Here::new(
        ServerName::new("seattle").unwrap(),
        SiteName::new("Seattle").unwrap(),
        version,
    );
    let mailbox = Mailbox::new(ServerName::new("mbx").unwrap(), version)
        .with_site(SiteName::new("Dallas").unwrap());
    let (policy, question) = (Policy::default(), Question::about(Some(&mailbox)));
    bencher.bench(|| black_box(decide(&here, &policy, &topology, black_box(&question))));
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
        key.sign(
            &target,
            black_box(request.headers()),
            1_700_000_000,
            [7; 16],
        )
    });
}
