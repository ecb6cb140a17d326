//! `Cached`: one lookup for many, answers that age, and everything that can go wrong with the directory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cas_proxy::directory::{Mailbox, MailboxKey, ServerName};
use cas_proxy::first_cas::CasProxyLayer;
use cas_proxy::lookup::{
    Answer, Cached, CouldNotAsk, InMemory, LocateFuture, Located, MailboxLookup,
};
use futures_util::{FutureExt, future::join_all};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, advance, timeout};

use crate::support::{self, logs::Logs};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

//= src/docs/protocol.md#decide-lookup
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_at_once_cause_one_lookup() {
    let (lookup, mut directory) = cached();
    let askers: Vec<_> = (0..1000)
        .map(|_| tokio::spawn(lookup.locate(user(1))))
        .collect();
    directory.asked().await.answers(on("MBX-1"));
    for asker in askers {
        assert_eq!(asker.await.unwrap().unwrap(), on("MBX-1"));
    }
    directory.is_left_alone();
    assert_eq!(lookup.peek(&user(1)), Some(on("MBX-1")));
}

#[tokio::test]
async fn two_mailboxes_are_two_lookups() {
    let (lookup, mut directory) = cached();
    let both = join_all([lookup.locate(user(1)), lookup.locate(user(2))]);
    let answering = async {
        for _ in 0..2 {
            let question = directory.asked().await;
            let server = if question.key == user(1) {
                "MBX-1"
            } else {
                "MBX-2"
            };
            question.answers(on(server));
        }
    };
    let (both, ()) = tokio::join!(both, answering);
    let both: Vec<_> = both.into_iter().map(Result::unwrap).collect();
    assert_eq!(both, [on("MBX-1"), on("MBX-2")]);
}

#[tokio::test(start_paused = true)]
async fn answers_age_within_a_tenth_of_their_time_to_live() {
    let check = async |answer: Answer, time_to_live: Duration| {
        let always = answer.clone();
        let lookup = Cached::builder(move |_| {
            let answer = always.clone();
            async { Ok(answer) }
        })
        .time_to_live(10 * MINUTE)
        .absent_time_to_live(MINUTE)
        .build();
        for rid in 0..200 {
            assert_eq!(lookup.locate(user(rid)).await.unwrap(), answer);
        }
        let fresh = || {
            (0..200)
                .filter(|&rid| lookup.peek(&user(rid)).is_some())
                .count()
        };
        advance(time_to_live / 10 * 9 - SECOND).await;
        assert_eq!(fresh(), 200);
        advance(SECOND + time_to_live / 10).await;
        assert!((40..160).contains(&fresh()), "not spread: {}", fresh());
        advance(SECOND + time_to_live / 10).await;
        assert_eq!(fresh(), 0);
    };
    check(on("MBX-1"), 10 * MINUTE).await;
    check(Answer::NotFound, MINUTE).await;
    check(Answer::Ambiguous, MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_is_asked_for_again() {
    let (lookup, mut directory) = cached();
    directory.tells(&lookup, Ok(on("MBX-1"))).await.unwrap();
    advance(6 * MINUTE).await;
    assert_eq!(lookup.peek(&user(1)), None);
    assert_eq!(lookup.age(&user(1)), Some(6 * MINUTE));
    let moved = directory.tells(&lookup, Ok(on("MBX-2"))).await;
    assert_eq!(moved.unwrap(), on("MBX-2"));
    assert_eq!(lookup.age(&user(1)), Some(Duration::ZERO));
    advance(6 * MINUTE).await;
    let gone = directory.tells(&lookup, Ok(Answer::NotFound)).await;
    assert_eq!(gone.unwrap(), Answer::NotFound);
    assert_eq!(lookup.peek(&user(1)), Some(Answer::NotFound));
}

#[tokio::test(start_paused = true)]
async fn while_the_directory_is_down_old_answers_serve() {
    let (lookup, mut directory) = cached();
    directory.tells(&lookup, Ok(on("MBX-1"))).await.unwrap();

    advance(6 * MINUTE).await;
    let stale = directory.tells(&lookup, Err(refused())).await;
    assert_eq!(stale.unwrap(), on("MBX-1"));
    assert_eq!(lookup.age(&user(1)), Some(6 * MINUTE), "its age is known");

    // For 5 s nobody waits for a directory that is down, then one does.
    assert_eq!(lookup.peek(&user(1)), Some(on("MBX-1")));
    advance(5 * SECOND).await;
    assert_eq!(lookup.peek(&user(1)), None);
    let stale = directory.is_silent(&lookup).await;
    assert_eq!(
        stale.unwrap(),
        on("MBX-1"),
        "a time-out is no answer either"
    );

    advance(5 * SECOND).await;
    let back = directory.tells(&lookup, Ok(on("MBX-2"))).await;
    assert_eq!(back.unwrap(), on("MBX-2"));
}

#[tokio::test(start_paused = true)]
async fn while_the_directory_is_silent_the_first_cas_waits_for_the_old_answer() {
    let (lookup, mut directory) = cached();
    let layer = CasProxyLayer::new(support::here(), support::topology(&[]), lookup.clone());
    let request = || {
        let layer = layer.clone();
        tokio::spawn(async move { support::through(&layer, support::get(1, "/owa/")).await })
    };
    let answer = request();
    directory.asked().await.answers(Answer::Found(
        support::mailbox("mbx-sea", "Seattle", support::EXCHANGE_2007).into(),
    ));
    support::assert_status(&answer.await.unwrap(), 200);

    advance(6 * MINUTE).await;
    let answer = request();
    let _unanswered = directory.asked().await;
    support::assert_status(&answer.await.unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_be_too_old() {
    let (lookup, mut directory) = cached();
    directory.tells(&lookup, Ok(on("MBX-1"))).await.unwrap();
    advance(60 * MINUTE - SECOND).await;
    directory.tells(&lookup, Err(refused())).await.unwrap();
    advance(SECOND).await;
    assert_eq!(lookup.peek(&user(1)), None, "the pause does not outlast it");
    let error = directory.tells(&lookup, Err(refused())).await.unwrap_err();
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "connection refused"
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_from_an_old_memory_that_there_is_no_mailbox() {
    let (lookup, mut directory) = cached();
    directory
        .tells(&lookup, Ok(Answer::NotFound))
        .await
        .unwrap();
    advance(MINUTE).await;
    directory.tells(&lookup, Err(refused())).await.unwrap_err();
}

#[tokio::test]
async fn an_error_is_not_remembered() {
    let (lookup, mut directory) = cached();
    directory.tells(&lookup, Err(refused())).await.unwrap_err();
    assert_eq!(lookup.peek(&user(1)), None);
    directory.tells(&lookup, Ok(on("MBX-1"))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_logged_with_its_age_and_without_the_sid() {
    let logs = Logs::default();
    let _guard = logs.collect();
    let (lookup, mut directory) = cached();
    directory.tells(&lookup, Ok(on("MBX-1"))).await.unwrap();
    advance(6 * MINUTE).await;
    directory.tells(&lookup, Err(refused())).await.unwrap();

    let log = logs.text();
    assert_eq!(log.lines().count(), 1, "{log}");
    for expected in [
        "WARN",
        "event_id=57",
        "age_seconds=360",
        "source=\"connection refused\"",
    ] {
        assert!(log.contains(expected), "no {expected} in {log}");
    }
    assert!(!log.contains("S-1-5-21-1004336348-1177238915"), "{log}");
}

#[tokio::test]
async fn what_is_invalidated_is_forgotten_below_too_and_serves_nobody() {
    let (lookup, mut directory) = cached();
    let outer = Cached::new(lookup.clone());
    directory.tells(&outer, Ok(on("MBX-1"))).await.unwrap();
    assert!(lookup.peek(&user(1)).is_some() && outer.peek(&user(1)).is_some());
    outer.invalidate(&user(1));
    assert!(lookup.peek(&user(1)).is_none() && outer.peek(&user(1)).is_none());
    assert_eq!(outer.age(&user(1)), None);
    directory.tells(&outer, Err(refused())).await.unwrap_err();
}

#[tokio::test]
async fn an_answer_from_before_an_invalidation_is_not_remembered() {
    for late in [false, true] {
        let (lookup, mut directory) = cached();
        let before = tokio::spawn(lookup.locate(user(1)));
        let old = directory.asked().await;
        lookup.invalidate(&user(1));
        let after = tokio::spawn(lookup.locate(user(1)));
        let new = directory.asked().await;
        if late {
            new.answers(on("MBX-2"));
            assert_eq!(after.await.unwrap().unwrap(), on("MBX-2"));
            old.answers(on("MBX-1"));
            assert_eq!(before.await.unwrap().unwrap(), on("MBX-1"));
        } else {
            old.answers(on("MBX-1"));
            assert_eq!(before.await.unwrap().unwrap(), on("MBX-1"));
            assert_eq!(lookup.peek(&user(1)), None);
            let joined = tokio::spawn(lookup.locate(user(1)));
            yield_now().await;
            new.answers(on("MBX-2"));
            assert_eq!(after.await.unwrap().unwrap(), on("MBX-2"));
            assert_eq!(joined.await.unwrap().unwrap(), on("MBX-2"));
        }
        assert_eq!(lookup.peek(&user(1)), Some(on("MBX-2")));
        directory.is_left_alone();
    }
}

#[tokio::test]
async fn a_lookup_outlives_whoever_asked_first() {
    let (lookup, mut directory) = cached();
    let mut first = lookup.locate(user(1));
    assert!((&mut first).now_or_never().is_none());
    let second = tokio::spawn(lookup.locate(user(1)));
    let question = directory.asked().await;
    drop(first);
    yield_now().await;
    question.answers(on("MBX-1"));
    assert_eq!(second.await.unwrap().unwrap(), on("MBX-1"));
    directory.is_left_alone();

    let mut alone = lookup.locate(user(2));
    assert!((&mut alone).now_or_never().is_none());
    drop(alone);
    directory.asked().await.answers(on("MBX-2"));
    lookup.drain().await;
    assert_eq!(lookup.peek(&user(2)), Some(on("MBX-2")));
}

#[tokio::test]
async fn a_lookup_that_panics_could_not_ask_and_the_next_one_can() {
    let asked = AtomicUsize::new(0);
    let lookup = Cached::new(move |_| -> LocateFuture {
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 => panic!("before the future"),
            1 => Box::pin(async { panic!("in the future") }),
            _ => Box::pin(async { Ok(on("MBX-1")) }),
        }
    });
    for _ in 0..2 {
        let both = join_all([lookup.locate(user(1)), lookup.locate(user(1))]).await;
        for located in both {
            let error = located.unwrap_err().to_string();
            assert_eq!(error, "ask the directory: the lookup panicked");
        }
    }
    assert_eq!(lookup.locate(user(1)).await.unwrap(), on("MBX-1"));
}

#[tokio::test(start_paused = true)]
async fn a_lookup_ends_at_its_time_limit() {
    let (lookup, mut directory) = cached();
    let start = Instant::now();
    let error = directory.is_silent(&lookup).await.unwrap_err();
    assert!(error.is_timed_out(), "{error}");
    let took = start.elapsed();
    assert!(
        took >= 4 * SECOND && took < 4 * SECOND + SECOND / 10,
        "{took:?}"
    );
    directory.tells(&lookup, Ok(on("MBX-1"))).await.unwrap();
}

#[tokio::test]
async fn memory_is_bounded_and_made_up_names_crowd_out_no_user() {
    let directory = (0..60).fold(InMemory::new(), |all, rid| {
        all.insert(user(rid), mailbox("MBX-1"))
    });
    let lookup = Cached::builder(directory)
        .capacity(256)
        .absent_capacity(256)
        .build();
    let remembered = |rids: std::ops::Range<u32>| {
        rids.filter(|&rid| lookup.peek(&user(rid)).is_some())
            .count()
    };
    for rid in 0..10_000 {
        lookup.locate(user(rid)).await.unwrap();
    }
    assert_eq!(remembered(0..60), 60);
    let absent = remembered(60..10_000);
    assert!((1..=512).contains(&absent), "{absent}");
    assert!(format!("{lookup:?}").contains("in_flight: 0"), "{lookup:?}");

    let everybody = Cached::builder(|_| async { Ok(on("MBX-1")) })
        .capacity(64)
        .build();
    for rid in 0..10_000 {
        everybody.locate(user(rid)).await.unwrap();
    }
    let found = (0..10_000)
        .filter(|&rid| everybody.peek(&user(rid)).is_some())
        .count();
    assert!((1..=128).contains(&found), "{found}");
}

#[tokio::test(start_paused = true)]
async fn lookups_in_flight_are_bounded_and_others_wait() {
    let (lookup, mut directory) = cached_with(|builder| builder.max_in_flight(1));
    let first = tokio::spawn(lookup.locate(user(1)));
    let question = directory.asked().await;

    // Who gives up waiting is not asked about.
    let mut impatient = lookup.locate(user(2));
    assert!((&mut impatient).now_or_never().is_none());
    drop(impatient);
    let second = tokio::spawn(lookup.locate(user(3)));
    yield_now().await;
    directory.is_left_alone();

    question.answers(on("MBX-1"));
    assert_eq!(first.await.unwrap().unwrap(), on("MBX-1"));
    let question = directory.asked().await;
    assert_eq!(question.key, user(3));

    // Room is waited for as long as for an answer, and no longer.
    let third = tokio::spawn(lookup.locate(user(4)));
    let fourth = tokio::spawn(lookup.locate(user(5)));
    yield_now().await;
    advance(SECOND).await;
    question.answers(on("MBX-3"));
    assert_eq!(second.await.unwrap().unwrap(), on("MBX-3"));
    let unanswered = directory.asked().await;
    assert_eq!(unanswered.key, user(4));
    let error = fourth.await.unwrap().unwrap_err().to_string();
    assert_eq!(error, "ask the directory: too many lookups in flight");
    directory.is_left_alone();
    third.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn drain_waits_for_lookups_in_flight() {
    let (lookup, mut directory) = cached();
    lookup.drain().await;
    let asker = tokio::spawn(lookup.locate(user(1)));
    let question = directory.asked().await;
    let draining = lookup.clone();
    let mut drain = Box::pin(async move { draining.drain().await });
    assert!((&mut drain).now_or_never().is_none());
    question.answers(on("MBX-1"));
    drain.await;
    assert_eq!(asker.await.unwrap().unwrap(), on("MBX-1"));
}

#[test]
fn without_a_runtime_or_with_one_that_ends_it_could_not_ask() {
    let (lookup, mut directory) = cached();
    let located = lookup.locate(user(1)).now_or_never().unwrap();
    assert_eq!(located.unwrap_err().to_string(), "ask the directory");

    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let (ending, lasting) = (runtime(), runtime());
    let mut waiting = lookup.locate(user(1));
    {
        let _entered = ending.enter();
        assert!((&mut waiting).now_or_never().is_none());
    }
    drop(ending);
    let error = lasting.block_on(waiting).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ask the directory: the lookup was abandoned"
    );

    let again = directory.tells(&lookup, Ok(on("MBX-1")));
    assert_eq!(lasting.block_on(again).unwrap(), on("MBX-1"));
}

#[tokio::test]
async fn spans_without_end_and_memories_without_size_do_no_harm() {
    let lookup = Cached::builder(|_| async { Ok(on("MBX-1")) })
        .time_to_live(Duration::MAX)
        .stale_for(Duration::MAX)
        .time_limit(Duration::MAX)
        .max_in_flight(0)
        .build();
    lookup.locate(user(1)).await.unwrap();
    assert_eq!(lookup.peek(&user(1)), Some(on("MBX-1")));

    let nothing = Cached::builder(|_| async { Ok(on("MBX-1")) })
        .capacity(0)
        .build();
    assert_eq!(nothing.locate(user(1)).await.unwrap(), on("MBX-1"));
    assert_eq!(nothing.peek(&user(1)), None);
}

/// A directory that this test answers for by hand.
struct Directory {
    questions: mpsc::UnboundedReceiver<Question>,
}

struct Question {
    key: MailboxKey,
    answer: oneshot::Sender<Located>,
}

type Ask = Box<dyn Fn(MailboxKey) -> LocateFuture + Send + Sync>;

fn cached() -> (Cached<Ask>, Directory) {
    cached_with(|builder| builder)
}

fn cached_with(
    set: impl FnOnce(cas_proxy::lookup::CachedBuilder<Ask>) -> cas_proxy::lookup::CachedBuilder<Ask>,
) -> (Cached<Ask>, Directory) {
    let (asking, questions) = mpsc::unbounded_channel();
    let ask: Ask = Box::new(move |key| {
        let (answer, answered) = oneshot::channel();
        let asked = asking.send(Question { key, answer });
        Box::pin(async move {
            asked.map_err(|_| CouldNotAsk::from_source("the test is over"))?;
            answered.await.map_err(CouldNotAsk::from_source)?
        })
    });
    (set(Cached::builder(ask)).build(), Directory { questions })
}

impl Directory {
    async fn asked(&mut self) -> Question {
        let question = timeout(MINUTE, self.questions.recv()).await;
        question.expect("a question in time").expect("a question")
    }

    fn is_left_alone(&mut self) {
        assert!(self.questions.try_recv().is_err());
    }

    /// Someone asks for user 1, and this comes back.
    async fn tells(&mut self, lookup: &impl MailboxLookup, located: Located) -> Located {
        let answering = async {
            let question = self.asked().await;
            assert_eq!(question.key, user(1));
            question.answer.send(located).expect("someone waits");
        };
        tokio::join!(lookup.locate(user(1)), answering).0
    }

    /// Someone asks for user 1, and nothing comes back.
    async fn is_silent(&mut self, lookup: &impl MailboxLookup) -> Located {
        let located = tokio::spawn(lookup.locate(user(1)));
        let _unanswered = self.asked().await;
        located.await.expect("no panic")
    }
}

impl Question {
    fn answers(self, answer: Answer) {
        self.answer.send(Ok(answer)).expect("someone waits");
    }
}

fn user(rid: u32) -> MailboxKey {
    let sid = format!("S-1-5-21-1004336348-1177238915-682003330-{rid}");
    MailboxKey::Sid(sid.parse().expect("a SID"))
}

fn on(server: &str) -> Answer {
    Answer::Found(mailbox(server))
}

fn mailbox(server: &str) -> Arc<Mailbox> {
    let server = ServerName::new(server).expect("a name");
    Arc::new(Mailbox::new(
        server,
        "8.1.240.5".parse().expect("a version"),
    ))
}

fn refused() -> CouldNotAsk {
    CouldNotAsk::from_source("connection refused")
}
