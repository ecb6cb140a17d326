//! Whoever takes all there is of something keeps it from nobody else, and it comes back.

use std::{env, process::Command, sync::Arc, time::Duration};

use bytes::Bytes;
use cas_proxy::{
    csc::{ClientSecurityContext, Sid, xml},
    decision::Policy,
    first_cas::{CasProxyLayer, Limits},
    second_cas::{SecondCasLayer, SharedKeys, Verdict, VerifiedCaller},
    wire::signature::{SharedKey, Target},
};
use http::{Method, Request, Response};
use http_body_util::Full;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{
    get, here, lookup,
    pipes::Pipes,
    post,
    process::Usage,
    through,
    wire::{ACCEPTED, NEED_IDENTITY, OK},
};

fn layer(pipes: &Pipes) -> CasProxyLayer {
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = true;
    CasProxyLayer::with_outbound(
        here(),
        Pipes::topology(&["dallas"]),
        lookup(),
        pipes.client(),
    )
    .policy(policy)
}

//= src/docs/protocol.md#login-twice
#[tokio::test(start_paused = true)]
async fn a_spent_replay_budget_is_felt_by_none_but_a_body_that_has_to_be_given_again() {
    let pipes = Pipes::new();
    let mut limits = Limits::default();
    limits.recorded = 1_000;
    let layer = layer(&pipes).limits(limits);
    let send = |request| {
        let layer = layer.clone();
        tokio::spawn(async move { through(&layer, request).await.status().as_u16() })
    };
    // The first takes the whole budget, and holds it while its answer is waited for.
    let holder = send(post(2, "/owa/x", vec![b'x'; 1_000]));
    let mut held = pipes.accept().await;
    let head = held.head().await;
    held.body(&head).await;

    // A body that is not refused, a request without one that is, and then a body that is.
    let unrefused = send(post(2, "/owa/x", "body"));
    let mut line = pipes.accept().await;
    let head = line.head().await;
    assert_eq!(line.body(&head).await, b"body");
    line.answer(OK).await;
    assert_eq!(unrefused.await.unwrap(), 200);

    let without_body = send(get(2, "/owa/"));
    line.head().await;
    line.answer(NEED_IDENTITY).await;
    let head = line.head().await;
    line.body(&head).await;
    line.answer(ACCEPTED).await;
    line.head().await;
    line.answer(OK).await;
    assert_eq!(without_body.await.unwrap(), 200);

    let refused = send(post(2, "/owa/x", "body"));
    let head = line.head().await;
    line.body(&head).await;
    line.answer(NEED_IDENTITY).await;
    let head = line.head().await;
    line.body(&head).await;
    line.answer(ACCEPTED).await;
    assert_eq!(refused.await.unwrap(), 503);

    // Even the holder is served.
    held.answer(OK).await;
    assert_eq!(holder.await.unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn early_hints_without_end_are_no_answer() {
    let pipes = Pipes::new();
    let layer = layer(&pipes);
    let start = Instant::now();
    let sent = layer.clone();
    let answer = tokio::spawn(async move { through(&sent, get(2, "/owa/")).await.status() });
    let mut line = pipes.accept().await;
    line.head().await;
    let hints = async {
        loop {
            line.answer(EARLY_HINTS).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let status = tokio::select! {
        status = answer => status.unwrap(),
        () = hints => unreachable!(),
    };
    assert_eq!(status, 504);
    assert!(
        start.elapsed() <= Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(pipes.open(), 0, "the line is given up");
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_early_hints_is_read_over() {
    let pipes = Pipes::new();
    let layer = layer(&pipes);
    let answer = tokio::spawn(async move { through(&layer, get(2, "/owa/")).await.status() });
    let mut line = pipes.accept().await;
    line.head().await;
    for _ in 0..100 {
        line.answer(&EARLY_HINTS.repeat(100)).await;
    }
    line.answer(OK).await;
    assert_eq!(answer.await.unwrap(), 200);
}

const EARLY_HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n";

const CHILD: &str = "CAS_PROXY_MEASURE_EXHAUSTION";

/// Runs a test of this file again, in a process of its own; true in that process.
fn is_the_child(test: &str) -> bool {
    if env::var_os(CHILD).is_some() {
        return true;
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg(["exhaustion::", test].concat())
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{failed}");
    false
}

fn second_cas(layer: &SecondCasLayer) -> impl AsyncFn(Request<Full<Bytes>>) -> u16 + use<> {
    let layer = layer.clone();
    async move |request| {
        let mailbox = service_fn(|_: Request<Full<Bytes>>| async {
            Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let answer = layer.layer(mailbox).oneshot(request).await.unwrap();
        answer.status().as_u16()
    }
}

fn random_user(number: u32) -> ClientSecurityContext {
    let scattered = number.wrapping_mul(0x9e37_79b9);
    let sid = Sid::from_parts(5, &[21, scattered, !scattered, number, 1105]).unwrap();
    ClientSecurityContext::builder(sid, "Kerberos", format!("CONTOSO\\user{number}"))
        .build()
        .unwrap()
}

//= src/docs/protocol.md#login-stored
#[test]
#[ignore = "needs a process of its own"]
fn logins_of_fifty_thousand_made_up_users_take_no_more_than_the_store_may_hold() {
    const MOST: usize = 10_000;
    if !is_the_child("logins_of_fifty_thousand_made_up_users_take_no_more_than_the_store_may_hold")
    {
        return;
    }
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let layer =
            SecondCasLayer::new(|_: &_| Verdict::Now(Ok(VerifiedCaller::vouched_for("chicago"))))
                .max_contexts(MOST);
        let send = second_cas(&layer);
        let before = Usage::now();
        let mut at_the_bound = before;
        for number in 0..5 * MOST as u32 {
            assert_eq!(send(login(&random_user(number))).await, 241);
            if number == 2 * MOST as u32 {
                at_the_bound = Usage::now();
            }
        }
        let after = Usage::now();
        println!(
            "{} of {} logins kept: {} bytes, {} when the bound was reached",
            layer.contexts_kept(),
            5 * MOST,
            after.resident - before.resident,
            at_the_bound.resident - before.resident,
        );
        assert!(layer.contexts_kept() <= MOST + MOST / 10);
        assert!(after.resident - before.resident < 64 * 1024 * 1024);
        assert!(
            after.resident < at_the_bound.resident + 8 * 1024 * 1024,
            "it still grows"
        );
        // All go home.
        tokio::time::advance(Duration::from_secs(3601)).await;
        assert_eq!(send(login(&random_user(0))).await, 241);
        assert_eq!(layer.contexts_kept(), 1);
    });
}

fn login(user: &ClientSecurityContext) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/owa/proxyLogon.owa")
        .header("host", "dallas.corp")
        .header("content-type", "text/xml; charset=utf-8")
        .header("x-owa-proxyuri", "https://mail.contoso.com/owa")
        .header("x-owa-proxyversion", "8.3.83.6")
        .header("x-owa-proxysid", user.user().to_string());
    request.body(Full::new(xml::write(user).unwrap())).unwrap()
}

#[test]
#[ignore = "needs a process of its own"]
fn a_nonce_takes_little_and_is_forgotten_in_time() {
    const NONCES: usize = 40_000;
    const ALL: usize = 1 << 20;
    if !is_the_child("a_nonce_takes_little_and_is_forgotten_in_time") {
        return;
    }
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    runtime.block_on(async {
        let now = Arc::new(std::sync::atomic::AtomicU64::new(1_700_000_000));
        let clock = Arc::clone(&now);
        let key = SharedKey::new("chicago", b"0123456789abcdef0123456789abcdef").unwrap();
        let keys = SharedKeys::for_authorities(["dallas.corp"])
            .unwrap()
            .accept(key.clone())
            .clock(move || clock.load(std::sync::atomic::Ordering::SeqCst));
        let layer = SecondCasLayer::new(keys).version("8.1.240.5".parse().unwrap());
        let send = second_cas(&layer);
        let ping = |number: usize| {
            let now = now.load(std::sync::atomic::Ordering::SeqCst);
            let mut nonce = [0; 16];
            nonce[..8].copy_from_slice(&number.to_le_bytes());
            let mut request = Request::get("/owa/ping.owa")
                .header("host", "dallas.corp")
                .body(Full::default())
                .unwrap();
            let target = Target::new(request.method(), "dallas.corp", request.uri());
            let signed = key.sign(&target, request.headers(), now, nonce).unwrap();
            signed.insert_into(request.headers_mut());
            request
        };
        let mut resident = vec![Usage::now().resident];
        for round in 0..4 {
            for number in 0..NONCES {
                assert_eq!(send(ping(round * NONCES + number)).await, 242);
            }
            assert_eq!(send(ping(round * NONCES)).await, 403, "sent again");
            resident.push(Usage::now().resident);
            now.fetch_add(1000, std::sync::atomic::Ordering::SeqCst);
        }
        let each = (resident[1] - resident[0]) / NONCES;
        println!(
            "{each} bytes for a nonce, so {} MiB for all {ALL} of a key; by round: {resident:?}",
            (each * ALL) >> 20
        );
        assert!(each <= 200, "{each} bytes for a nonce");
        // Later rounds take the room of those that are over.
        assert!(resident[4] <= resident[1] + 8 * 1024 * 1024, "{resident:?}");
    });
}
