//! What a million remembered users cost, in a process of their own.

use std::{env, fs, process::Command, sync::Arc, time::Duration};

use cas_proxy::{
    csc::Sid,
    directory::{Mailbox, MailboxKey, ServerName, SiteName},
    lookup::{Answer, Cached, MailboxLookup},
};

const USERS: u32 = 1_000_000;
/// Many times what is remembered of them.
const NAMES: u32 = 1_000_000;
/// Who ask at the same time, more than may be in flight.
const ASKERS: u32 = 1000;
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
    let cached = Cached::builder(directory)
        .capacity(USERS as usize)
        // However long this takes.
        .time_to_live(DAY)
        .build();
    let before = resident();
    for number in 0..USERS {
        cached.locate(user(number)).await.unwrap();
    }
    let users = resident() - before;
    let held = (0..USERS).filter(|number| cached.peek(&user(*number)).is_some());
    let held = held.count();
    println!("{held} users of {USERS} held in {} MiB", users / MIB);

    println!("seed of the names: {SEED}");
    let askers: Vec<_> = (0..ASKERS)
        .map(|asker| {
            let cached = cached.clone();
            tokio::spawn(async move {
                let mut dice = SEED ^ u64::from(asker) << 32;
                for _ in 0..NAMES / ASKERS {
                    let answer = cached.locate(random_name(&mut dice)).await.unwrap();
                    assert_eq!(answer, Answer::NotFound);
                }
            })
        })
        .collect();
    for asker in askers {
        asker.await.unwrap();
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

/// From 1 to 200 letters, as whoever floods us may choose.
fn random_name(dice: &mut u64) -> MailboxKey {
    let mut throw = || {
        // splitmix64
        *dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *dice;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let mut name = String::new();
    for _ in 0..throw() % 25 {
        name += &format!("{:08x}", throw() as u32);
    }
    name += &format!("{:016x}@fourthcoffee.test", throw());
    MailboxKey::Address(name.parse().unwrap())
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
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SEED: u64 = 0x0ca5_0f10_0d5e_ed00;
