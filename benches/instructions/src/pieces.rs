//! Single functions, called over and over.

use std::{hint::black_box, sync::Arc};

use cas_proxy::{
    csc::{ClientSecurityContext, GroupAttributes, Sid, xml},
    decision::{Here, Policy, Question, decide},
    directory::{ClientAccessServer, Mailbox, MailboxKey, Topology},
    lookup::{Cached, InMemory, MailboxLookup},
    wire::signature::{SharedKey, Target},
};

use super::{Result, callgrind};

/// The instructions of one call of a piece.
pub(crate) fn count(piece: &str, times: u32) -> Result<u64> {
    let only = format!("--toggle-collect=*{COUNTED}*");
    let options = ["--instr-atstart=no", &only];
    let counted = callgrind::run(&options, &["repeat", piece, &times.to_string()], |_| Ok(()))?;
    Ok(counted / u64::from(times))
}

/// The function in which instructions are counted.
const COUNTED: &str = "counted_rounds";

/// Calls `piece` so many times.
pub(crate) fn repeat(piece: &str, times: u32) -> Result<()> {
    match piece {
        "csc-write-200" => {
            let user = user(199)?;
            rounds(times, || xml::write(&user).is_ok())
        }
        "csc-read-200" => {
            let body = xml::write(&user(199)?)?;
            rounds(times, || xml::read(&body).is_ok())
        }
        "decide-8" => decide_among(8, times),
        "sign" => sign(times),
        "peek-1m" => peek(1_000_000, times),
        _ => Err("no such piece".into()),
    }
}

fn rounds(times: u32, round: impl FnMut() -> bool) -> Result<()> {
    // Nobody has asked callgrind to look so far: a table of a million users would take minutes.
    callgrind::look()?;
    counted_rounds(times, round);
    Ok(())
}

#[inline(never)]
fn counted_rounds(times: u32, mut round: impl FnMut() -> bool) {
    for _ in 0..times {
        assert!(black_box(round()));
    }
}

fn decide_among(candidates: u32, times: u32) -> Result<()> {
    let version = "8.3.83.6".parse()?;
    let mut topology = Topology::builder();
    for number in 0..candidates {
        let server = ClientAccessServer::new(
            format!("dal-excas{number:02}").parse()?,
            "Dallas".parse()?,
            version,
        );
        topology = topology.client_access_server(
            server
                .with_internal_url(&format!("https://dal-excas{number:02}.corp/owa"))
                .with_integrated_windows_authentication(),
        );
    }
    let topology = topology.build()?;
    let here = Here::new("seattle".parse()?, "Seattle".parse()?, version);
    let mailbox = Mailbox::new("mbx".parse()?, version).with_site("Dallas".parse()?);
    let (policy, question) = (Policy::default(), Question::about(Some(&mailbox)));
    rounds(times, || {
        let decision = decide(&here, &policy, &topology, black_box(&question));
        matches!(decision, cas_proxy::decision::Decision::Proxy(_))
    })
}

fn sign(times: u32) -> Result<()> {
    let key = SharedKey::new("seattle-to-dallas", &[7; 32])?;
    let request = http::Request::get("/owa/?ae=Folder&t=IPF.Note")
        .header("x-owa-proxyuri", "https://mail.contoso.com/owa")
        .header("x-owa-proxyversion", "8.3.83.6")
        .header("x-owa-proxysid", sid(1105)?.to_string())
        .body(())?;
    rounds(times, || {
        let target = Target::new(request.method(), "dallas.corp", request.uri());
        let headers = black_box(request.headers());
        key.sign(&target, headers, 1_700_000_000, [7; 16]).is_ok()
    })
}

fn peek(users: u32, times: u32) -> Result<()> {
    let mailbox = Arc::new(Mailbox::new("mbx".parse()?, "8.3.83.6".parse()?));
    let mut table = InMemory::new();
    for user in 0..users {
        table = table.insert(MailboxKey::Sid(sid(user)?), Arc::clone(&mailbox));
    }
    let cached = Cached::builder(table).capacity(users as usize * 2).build();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        for user in 0..users {
            cached.locate(MailboxKey::Sid(sid(user)?)).await?;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    let _entered = runtime.enter();
    // A prime apart, so that they are all over the table.
    let some = (0..1000).map(|at| Ok(MailboxKey::Sid(sid(at * 7919 % users)?)));
    let some: Vec<MailboxKey> = some.collect::<Result<_>>()?;
    let mut next = some.iter().cycle();
    rounds(times, || {
        next.next().is_some_and(|user| cached.peek(user).is_some())
    })
}

fn user(groups: u32) -> Result<ClientSecurityContext> {
    let mut user = ClientSecurityContext::builder(sid(1105)?, "Negotiate", "CONTOSO\\anna");
    for group in 0..groups {
        user = user.group(sid(2000 + group)?, GroupAttributes::ENABLED_GROUP);
    }
    Ok(user.build()?)
}

fn sid(rid: u32) -> Result<Sid> {
    Ok(Sid::from_parts(
        5,
        &[21, 1_004_336_348, 1_177_238_915, 682_003_330, rid],
    )?)
}
