//! Tasks that outlive the request they began for: none of them is out of sight.

use std::{collections::HashMap, fmt, sync::Arc};

use hyper::rt::Executor;
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Duration, Instant, timeout, timeout_at},
};

/// Counts tasks while they run, waits for them at the end, and cuts off those that take too long.
///
/// Dropping it ends none of them.
#[derive(Clone)]
pub(crate) struct Tasks(Arc<watch::Sender<Running>>);

#[derive(Default)]
struct Running {
    begun: u64,
    /// How many had begun when all were cut off.
    cut: u64,
    /// Without a handle for the moment in which one begins.
    handles: HashMap<u64, Option<AbortHandle>>,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Running::default())))
    }

    /// Runs `task`, and counts it until it has ended, or panicked, or been dropped with the runtime.
    pub(crate) fn spawn(&self, task: impl Future<Output: Send> + Send + 'static) {
        let ended = self.enter();
        let number = ended.number;
        let handle = tokio::spawn(async move {
            let _ended = ended;
            task.await;
        });
        let mut is_late = false;
        self.0.send_if_modified(|running| {
            is_late = number <= running.cut;
            if let Some(entry) = running.handles.get_mut(&number) {
                *entry = Some(handle.abort_handle());
            }
            false
        });
        if is_late {
            handle.abort();
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().handles.len()
    }

    /// Cuts all of them off, and says how many there were.
    pub(crate) fn cut(&self) -> usize {
        let (mut all, mut handles) = (0, Vec::<AbortHandle>::new());
        self.0.send_if_modified(|running| {
            // One that is just beginning finds this.
            running.cut = running.begun;
            all = running.handles.len();
            handles = running.handles.values().flatten().cloned().collect();
            false
        });
        // Out of the lock: an abort may drop a task at once, and that takes it.
        handles.iter().for_each(AbortHandle::abort);
        all
    }

    /// Waits for all to end, and cuts off those that have not by `deadline`. Says how many these were.
    pub(crate) async fn finish(&self, deadline: Instant) -> usize {
        let mut running = self.0.subscribe();
        let none_left = |running: &Running| running.handles.is_empty();
        if timeout_at(deadline, running.wait_for(none_left))
            .await
            .is_ok()
        {
            return 0;
        }
        let late = self.cut();
        // One that is being polled goes when that poll returns.
        let _ = timeout(LAST_POLL, running.wait_for(none_left)).await;
        late
    }

    fn enter(&self) -> Ended {
        let mut number = 0;
        self.0.send_if_modified(|running| {
            running.begun += 1;
            number = running.begun;
            running.handles.insert(number, None);
            false
        });
        let tasks = self.clone();
        Ended { tasks, number }
    }
}

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tasks").field(&self.len()).finish()
    }
}

/// Takes its task off the list, however it ends.
struct Ended {
    tasks: Tasks,
    number: u64,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.tasks.0.send_if_modified(|running| {
            running.handles.remove(&self.number);
            running.handles.is_empty()
        });
    }
}

const LAST_POLL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_end_of_a_task_takes_it_off_the_list() {
        let tasks = Tasks::new();
        tasks.spawn(async {});
        tasks.spawn(async { panic!("expected by this test") });
        tasks.spawn(tokio::time::sleep(Duration::from_secs(5)));
        assert_eq!(tasks.len(), 3);
        let since = Instant::now();
        assert_eq!(tasks.finish(since + Duration::from_secs(60)).await, 0);
        assert_eq!(since.elapsed().as_secs(), 5);

        tasks.spawn(std::future::pending::<()>());
        tasks.spawn(tokio::time::sleep(Duration::from_secs(1)));
        tasks.spawn(std::future::pending::<()>());
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(tasks.finish(deadline).await, 2);
        assert_eq!((tasks.len(), Instant::now()), (0, deadline));
    }

    #[test]
    fn a_runtime_that_ends_takes_its_tasks_along() {
        let tasks = Tasks::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async { tasks.spawn(std::future::pending::<()>()) });
        assert_eq!(tasks.len(), 1);
        let handle = runtime.handle().clone();
        drop(runtime);
        assert_eq!(tasks.len(), 0);
        // It drops what is spawned now at once, in this very thread.
        let _entered = handle.enter();
        tasks.spawn(std::future::pending::<()>());
        assert_eq!(tasks.len(), 0);
    }
}
