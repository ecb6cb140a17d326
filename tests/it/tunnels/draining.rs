//! A server that stops: nothing it has begun is left behind.

use tokio::{
    runtime::Handle,
    time::{Duration, Instant, sleep},
};

use super::{checks::SMUGGLED, *};
use crate::support::wire::{ACCEPTED, OK};

/// Tasks of any kind.
fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn draining_closes_tunnels_both_ways_and_leaves_no_task() {
    let before = alive();
    let line = Line::new();
    let mut tunnels = Vec::new();
    for _ in 0..3 {
        tunnels.push(line.open().await);
    }
    // A connection that idles, with a task that watches it.
    let mut reader = line.join();
    reader.answer("GET /owa/ HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut idle = line.dallas.accept().await;
    idle.head().await;
    idle.answer(OK).await;
    assert!(reader.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(reader.exactly(2).await, b"ok");
    for (client, _) in &mut tunnels {
        client.answer("on its way").await;
    }

    let layer = line.layer.clone();
    let draining = tokio::spawn(async move { layer.drain(Duration::from_secs(10)).await });
    for (client, hop) in &mut tunnels {
        assert_eq!(hop.until_end().await, b"on its way");
        assert_eq!(client.until_end().await, b"");
        client.end().await;
        hop.end().await;
    }
    assert_eq!(draining.await.unwrap(), 0);
    assert_eq!(idle.closed().await, 0);
    assert_eq!(line.dallas.open(), 0);

    // No further one.
    let mut late = line.join();
    late.answer(&format!("{ASK}{SMUGGLED}")).await;
    let head = late.head().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nretry-after: "), "{head}");
    late.body(&head).await;
    assert_eq!(late.rest().await, b"");

    drop((reader, tunnels, line));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(alive(), before);
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_whose_ends_do_not_take_leave_is_closed_after_five_seconds() {
    let line = Line::new();
    let (_client, hop) = line.open().await;
    let since = Instant::now();
    assert_eq!(line.layer.drain(Duration::from_secs(10)).await, 0);
    assert_eq!(since.elapsed().as_secs(), 5);
    assert_eq!(hop.closed().await, 0);
    assert_eq!(line.dallas.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_login_gets_its_answer_while_draining() {
    let before = alive();
    let line = Line::new();
    let (clients, mut login) = three_who_wait_for_a_login(&line).await;
    let layer = line.layer.clone();
    let draining = tokio::spawn(async move { layer.drain(Duration::from_secs(10)).await });
    sleep(Duration::from_secs(1)).await;
    assert!(!draining.is_finished());
    login.answer(ACCEPTED).await;
    for _ in &clients {
        // A connection each: none is kept for the next.
        let mut hop = line.dallas.accept().await;
        hop.head().await;
        hop.answer(OK).await;
        assert_eq!(hop.closed().await, 0);
    }
    for mut client in clients {
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(draining.await.unwrap(), 0);
    drop(line);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(alive(), before);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_outlasts_the_draining_is_cut_off_and_its_followers_read_503() {
    let before = alive();
    let line = Line::new();
    let (clients, login) = three_who_wait_for_a_login(&line).await;
    let since = Instant::now();
    // The login, and its connection.
    assert_eq!(line.layer.drain(Duration::from_secs(2)).await, 2);
    assert_eq!(since.elapsed().as_secs(), 2);
    for mut client in clients {
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert!(head.contains("\r\nretry-after: "), "{head}");
    }
    assert_eq!(login.closed().await, 0);
    assert_eq!(line.dallas.open(), 0);
    drop(line);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(alive(), before);
}

/// An upload whose answer has overtaken it is nobody's but the task's that finishes it.
#[tokio::test(start_paused = true)]
async fn an_upload_that_was_answered_early_arrives_whole_while_draining() {
    let before = alive();
    let mut line = Line::new();
    let post = "POST /owa/ HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n01234";
    line.client.answer(post).await;
    let mut hop = line.dallas.accept().await;
    hop.head().await;
    assert_eq!(hop.exactly(5).await, b"01234");
    hop.answer(OK).await;
    assert!(line.client.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(line.client.exactly(2).await, b"ok");
    let layer = line.layer.clone();
    let draining = tokio::spawn(async move { layer.drain(Duration::from_secs(10)).await });
    sleep(Duration::from_secs(1)).await;
    assert!(!draining.is_finished());
    line.client.answer("56789").await;
    assert_eq!(hop.exactly(5).await, b"56789");
    assert_eq!(hop.closed().await, 0);
    assert_eq!(draining.await.unwrap(), 0);
    drop(line);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(alive(), before);
}

/// Three clients whose requests were answered 441, and the connection by which their one login has come.
async fn three_who_wait_for_a_login(line: &Line) -> (Vec<Hop<DuplexStream>>, Hop<DuplexStream>) {
    let (mut clients, mut hops) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let mut client = line.join();
        client.answer("GET /owa/ HTTP/1.1\r\nhost: a\r\n\r\n").await;
        clients.push(client);
        let mut hop = line.dallas.accept().await;
        hop.head().await;
        hops.push(hop);
    }
    for mut hop in hops {
        hop.answer(NEED_IDENTITY_AND_CLOSE).await;
        assert_eq!(hop.closed().await, 0);
    }
    let mut login = line.dallas.accept().await;
    let head = login.head().await;
    assert!(head.starts_with("POST /owa/proxyLogon.owa "), "{head}");
    login.body(&head).await;
    (clients, login)
}
