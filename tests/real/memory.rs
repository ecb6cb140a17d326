//! What a million remembered users cost, in a process of their own.

use std::{env, fs, process::Command, sync::Arc};

use cas_proxy::{
    csc::Sid,
    directory::{Mailbox, MailboxKey, ServerName, SiteName},
    lookup::{Answer, Cached, MailboxLookup},
};

const USERS: u32 = 1_000_000;
/// Many times what is remembered of them.
const NAMES: u32 = 200_000;
const MAX_MIB: u64 = 200;
const CHILD: &str = "CAS_PROXY_MEASURE_MEMORY";

#[test]
#[ignore = "needs a process of its own"]
fn a_million_users_fit_into_200_mib_and_a_flood_of_names_adds_little() {
    if env::var_os(CHILD).is_some() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        return runtime.block_on(measure());
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("memory::a_million_users_fit_into_200_mib_and_a_flood_of_names_adds_little")
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn measure() {
    // As the Active Directory answers: all mailboxes of a server share one value.
    let servers: Vec<Arc<Mailbox>> = (0..100).map(server).collect();
    let directory = move |key| {
        let answer = match key {
            MailboxKey::Sid(sid) => {
                let number = *sid.sub_authorities().last().unwrap();
                Answer::Found(Arc::clone(&servers[number as usize % servers.len()]))
            }
            _ => Answer::NotFound,
        };
        async { Ok(answer) }
    };
    let cached = Cached::builder(directory).capacity(USERS as usize).build();
    let before = resident();
    for number in 0..USERS {
        cached.locate(user(number)).await.unwrap();
    }
    let users = resident() - before;
    let held = (0..USERS).filter(|number| cached.peek(&user(*number)).is_some());
    let held = held.count();
    println!("{held} users of {USERS} held in {} MiB", users / MIB);

    for number in 0..NAMES {
        let name = format!("nobody-{number}@fourthcoffee.test")
            .parse()
            .unwrap();
        let answer = cached.locate(MailboxKey::Address(name)).await.unwrap();
        assert_eq!(answer, Answer::NotFound);
    }
    let flood = resident().saturating_sub(before + users);
    println!("a flood of {NAMES} made-up names adds {} MiB", flood / MIB);
    let still = (0..USERS).filter(|number| cached.peek(&user(*number)).is_some());
    assert_eq!(
        still.count(),
        held,
        "no user is forgotten for a made-up name"
    );
    assert!(held > USERS as usize * 95 / 100);
    assert!(users < MAX_MIB * MIB, "{users} bytes");
    assert!(flood < 16 * MIB, "{flood} bytes");
}

fn server(number: u32) -> Arc<Mailbox> {
    let server = ServerName::new(format!("MBX-{number}")).unwrap();
    let mailbox = Mailbox::new(server, "8.1.240.6".parse().unwrap());
    mailbox.with_site(SiteName::new("Dallas").unwrap()).into()
}

fn user(number: u32) -> MailboxKey {
    let parts = [21, 1_004_336_348, 1_177_238_915, 682_003_330, number];
    MailboxKey::Sid(Sid::from_parts(5, &parts).unwrap())
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

const MIB: u64 = 1024 * 1024;
