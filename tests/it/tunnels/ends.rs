//! How a tunnel ends, and how many there may be.

use cas_proxy::first_cas::{Limits, Timeouts};
use tokio::time::{Duration, Instant, sleep};

use super::{checks::SMUGGLED, *};
use crate::support::{counted::Counts, wire::OK};

#[tokio::test(start_paused = true)]
async fn either_side_may_end_first_and_the_other_may_go_on() {
    for client_first in [true, false] {
        let line = Line::new();
        let (client, hop) = line.open().await;
        let (mut first, mut second) = if client_first {
            (client, hop)
        } else {
            (hop, client)
        };
        first.answer("last words").await;
        first.end().await;
        assert_eq!(second.until_end().await, b"last words");
        for _ in 0..3 {
            sleep(Duration::from_secs(9 * 60)).await;
            second.answer("still here").await;
            assert_eq!(first.exactly(10).await, b"still here");
        }
        second.end().await;
        assert_eq!(first.rest().await, b"");
        let until_closed = async {
            while line.dallas.open() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        until_closed.await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_in_which_nothing_moves_for_ten_minutes_is_closed() {
    let line = Line::new();
    let (mut client, mut hop) = line.open().await;
    // One way is enough.
    for _ in 0..3 {
        sleep(Duration::from_secs(599)).await;
        hop.answer("ping").await;
        assert_eq!(client.exactly(4).await, b"ping");
    }
    let silent = Instant::now();
    assert_eq!(client.until_end().await, b"");
    assert_eq!(silent.elapsed().as_secs(), 600);
    assert_eq!(hop.until_end().await, b"");
    assert_eq!(silent.elapsed().as_secs(), 600);
    // Neither says that it is through. They are not waited for much longer.
    while line.dallas.open() > 0 {
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(silent.elapsed().as_secs(), 605);
}

#[tokio::test(start_paused = true)]
async fn no_idle_time_is_too_long_for_the_clock() {
    let line = Line::set_up(|layer| {
        let mut timeouts = Timeouts::default();
        timeouts.tunnel_idle = Duration::MAX;
        layer.timeouts(timeouts)
    });
    let (mut client, mut hop) = line.open().await;
    sleep(Duration::from_secs(365 * 24 * 60 * 60)).await;
    hop.answer("a year later").await;
    assert_eq!(client.exactly(12).await, b"a year later");
}

#[tokio::test(start_paused = true)]
async fn whoever_breaks_off_is_told_to_the_other_at_once() {
    for client_leaves in [true, false] {
        let line = Line::new();
        let (client, hop) = line.open().await;
        let (leaves, mut stays) = if client_leaves {
            (client, hop)
        } else {
            (hop, client)
        };
        let since = Instant::now();
        drop(leaves);
        assert_eq!(stays.until_end().await, b"");
        assert_eq!(since.elapsed(), Duration::ZERO);
    }
}

/// What somebody said before it broke off arrives, whatever is sent to it meanwhile.
#[tokio::test(start_paused = true)]
async fn last_words_outlive_the_connection_they_came_by() {
    for client_leaves in [true, false] {
        let line = Line::new();
        let (client, hop) = line.open().await;
        let (mut leaves, mut stays) = if client_leaves {
            (client, hop)
        } else {
            (hop, client)
        };
        // A pipe of 64 KiB, the tunnel's buffer, and half of another pipe.
        let last_words = "x".repeat((64 + 16 + 32) * 1024);
        leaves.answer(&last_words).await;
        drop(leaves);
        stays.answer("are you there?").await;
        sleep(Duration::from_secs(1)).await;
        let since = Instant::now();
        let heard = stays.until_end().await.len();
        assert_eq!((heard, since.elapsed()), (last_words.len(), Duration::ZERO));
    }
}

/// Nobody is left to hear it, and its place is wanted.
#[tokio::test(start_paused = true)]
async fn whoever_goes_on_sending_to_one_that_broke_off_is_left_after_five_seconds() {
    let line = Line::new();
    let (client, mut hop) = line.open().await;
    let since = Instant::now();
    drop(client);
    while hop.try_answer("tick").await.is_ok() {
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(since.elapsed().as_secs(), 5);
    assert_eq!(line.dallas.open(), 0);
}

/// A reader that stops reading stops the writer, and what is on its way fits into buffers of a fixed size.
#[tokio::test(start_paused = true)]
async fn whoever_does_not_read_is_not_read_for() {
    let line = Line::new();
    let (mut client, mut hop) = line.open().await;
    let megabyte = "x".repeat(1 << 20);
    let writing = tokio::time::timeout(Duration::from_secs(60), hop.answer(&megabyte)).await;
    assert!(writing.is_err(), "a mebibyte went nowhere");
    // Two pipes of 64 KiB, 16 KiB of ours.
    hop.end().await;
    let arrived = client.until_end().await.len();
    assert!((128 * 1024..=144 * 1024).contains(&arrived), "{arrived}");
}

#[tokio::test(start_paused = true)]
async fn one_tunnel_too_many_is_a_503_until_another_ends() {
    let line = Line::set_up(|layer| {
        let mut limits = Limits::default();
        limits.tunnels = 1;
        layer.limits(limits)
    });
    let (client, hop) = line.open().await;
    let mut another = line.join();
    another.answer(&format!("{ASK}{SMUGGLED}")).await;
    let head = another.head().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nretry-after: 1\r\n"), "{head}");
    another.body(&head).await;
    assert_eq!(another.rest().await, b"");
    assert!(line.dallas.is_silent().await);
    // Others are served as ever.
    let mut reader = line.join();
    reader.answer("GET /owa/ HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut mail = line.dallas.accept().await;
    mail.head().await;
    mail.answer(OK).await;
    assert!(reader.head().await.starts_with("HTTP/1.1 200 "));

    drop((client, hop));
    sleep(Duration::from_secs(1)).await;
    let (_client, _hop) = line.open().await;
}

#[tokio::test(start_paused = true)]
async fn a_user_with_too_many_tunnels_reads_503_and_nobody_else_does() {
    let line = Line::new();
    let mut tunnels = Vec::new();
    for _ in 0..64 {
        tunnels.push(line.open().await);
    }
    let mut one_more = line.join();
    one_more.answer(&format!("{ASK}{SMUGGLED}")).await;
    let head = one_more.head().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nretry-after: 1\r\n"), "{head}");
    one_more.body(&head).await;
    assert_eq!(one_more.rest().await, b"");
    assert!(line.dallas.is_silent().await);
    let another = ASK.replace("/owa/ws", "/owa/another/ws");
    let (mut client, mut hop) = line.open_by(&another).await;
    hop.answer("for user 5").await;
    assert_eq!(client.exactly(10).await, b"for user 5");

    drop(tunnels.pop());
    sleep(Duration::from_secs(1)).await;
    let (_client, _hop) = line.open().await;
}

#[tokio::test(start_paused = true)]
async fn tunnels_are_counted_while_they_are_open_and_by_how_they_end() {
    let counts = Counts::default();
    let _counting = metrics::set_default_local_recorder(&counts);
    let is_open = |tunnels: f64| {
        let expected = ("cas_proxy_tunnels_open".to_owned(), tunnels);
        assert_eq!(counts.gauges(), [expected]);
    };
    let line = Line::new();
    let mut tunnels = Vec::new();
    for _ in 0..4 {
        tunnels.push(line.open().await);
    }
    is_open(4.0);
    let (mut client, mut hop) = tunnels.pop().unwrap();
    client.end().await;
    hop.end().await;
    let (client, mut hop) = tunnels.pop().unwrap();
    drop(client);
    hop.answer("are you there?").await;
    sleep(Duration::from_secs(6)).await;
    is_open(2.0);
    for _ in 0..3 {
        let (_, hop) = tunnels.last_mut().unwrap();
        sleep(Duration::from_secs(300)).await;
        hop.answer("ping").await;
    }
    is_open(1.0);
    line.layer.drain(Duration::from_secs(10)).await;
    is_open(0.0);
    let of_tunnels = |(key, _): &(String, u64)| key.contains("tunnels");
    let counted: Vec<_> = counts.counters().into_iter().filter(of_tunnels).collect();
    let expected = [
        ("cas_proxy_tunnels_ended_total reason=broken", 1),
        ("cas_proxy_tunnels_ended_total reason=closed", 1),
        ("cas_proxy_tunnels_ended_total reason=drained", 1),
        ("cas_proxy_tunnels_ended_total reason=idle", 1),
        ("cas_proxy_tunnels_opened_total", 4),
    ];
    assert_eq!(
        counted,
        expected.map(|(key, count)| (key.to_owned(), count))
    );
}

/// An offer that is not taken up leaves its place to the next.
#[tokio::test(start_paused = true)]
async fn an_offer_that_is_declined_or_given_up_takes_no_place() {
    let line = Line::set_up(|layer| {
        let mut limits = Limits::default();
        limits.tunnels = 1;
        layer.limits(limits)
    });
    for answer in [Some(OK), Some("HTTP/1.1 101 No\r\n\r\n"), None] {
        let mut client = line.join();
        client.answer(ASK).await;
        let mut hop = line.dallas.accept().await;
        hop.head().await;
        if let Some(answer) = answer {
            hop.answer(answer).await;
            client.head().await;
        }
        drop(client);
        sleep(Duration::from_secs(1)).await;
    }
    let (_client, _hop) = line.open().await;
}
