//! Calls of the Kerberos library: a bounded number at a time, none waited for too long.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::{NotVerified, kerberos_acceptor::refused};

/// Clones share the turns, and have a time limit each.
#[derive(Clone)]
pub(super) struct Calls {
    turns: Arc<Semaphore>,
    pub(super) time_limit: Duration,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            time_limit: TIME_LIMIT,
        }
    }

    /// Calls when it is this one's turn. A call that is given up keeps its turn until it returns.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, NotVerified> + Send + 'static,
    ) -> Result<T, NotVerified> {
        let in_time = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await;
            let called = spawn_blocking(move || {
                let _turn = turn;
                call()
            });
            let abandoned = |_| Err(refused("the call of the Kerberos library was abandoned"));
            called.await.unwrap_or_else(abandoned)
        };
        timeout(self.time_limit, in_time).await.unwrap_or_else(|_| {
            Err(NotVerified::unavailable(
                "the Kerberos library did not judge the token in time",
            ))
        })
    }
}

/// Each takes a tenth of a millisecond, as long as the disk answers: the replay cache is a file.
const AT_A_TIME: usize = 8;
const TIME_LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::time::{Instant, advance};

    use super::{super::super::NotVerifiedKind, *};

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_five_seconds_for_a_turn_is_told_to_come_again() {
        let calls = Calls::new();
        let all = Arc::clone(&calls.turns).acquire_many_owned(AT_A_TIME as u32);
        let all = all.await.unwrap();
        let since = Instant::now();
        let waited = calls.run(|| Ok(())).await.unwrap_err();
        assert_eq!(waited.kind(), NotVerifiedKind::Unavailable);
        assert_eq!(since.elapsed(), TIME_LIMIT);
        let patient = Calls {
            time_limit: Duration::MAX,
            ..calls.clone()
        };
        let waiting = tokio::spawn(async move { patient.run(|| Ok(())).await });
        advance(Duration::from_secs(60 * 60)).await;
        drop(all);
        assert!(waiting.await.unwrap().is_ok());
        assert!(calls.run(|| Ok(())).await.is_ok());
        assert_eq!(calls.turns.available_permits(), AT_A_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_hang_keep_their_turns_and_nobody_else() {
        let calls = Calls::new();
        let (release, hangs) = mpsc::channel::<()>();
        let hangs = Arc::new(std::sync::Mutex::new(hangs));
        let asked: Vec<_> = (0..=AT_A_TIME)
            .map(|_| {
                let (calls, hangs) = (calls.clone(), Arc::clone(&hangs));
                let hang = move || hangs.lock().unwrap().recv().map_err(|_| refused("over"));
                tokio::spawn(async move { calls.run(hang).await })
            })
            .collect();
        tokio::task::yield_now().await;
        advance(TIME_LIMIT).await;
        for asked in asked {
            let given_up = asked.await.unwrap().unwrap_err();
            assert_eq!(given_up.kind(), NotVerifiedKind::Unavailable);
        }
        assert_eq!(calls.turns.available_permits(), 0);
        drop(release);
        let all = calls.turns.acquire_many(AT_A_TIME as u32).await;
        assert!(all.is_ok());
    }
}
