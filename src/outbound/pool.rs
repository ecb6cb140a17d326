//! Connections that wait for their next request, or are shared by several.
//!
//! Keyed by origin. Users share connections: they speak for this CAS, and the user travels in headers.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::client::conn::http2;
use tokio::{sync::watch, time::Instant};

use super::{Tasks, body::OutboundBody, connect::Fresh, h1::H1};
use crate::directory::{ByName, Origin};

pub(super) type H2 = http2::SendRequest<OutboundBody>;

/// All connections of a client that could take a request.
#[derive(Debug)]
pub(super) struct Pool {
    lanes: RwLock<ByName<Origin, Arc<Lane>>>,
    keeping: Keeping,
}

/// The connections to one origin.
pub(super) struct Lane {
    origin: Origin,
    state: Mutex<State>,
    keeping: Keeping,
}

/// What becomes of a connection that waits for its next request.
#[derive(Clone, Debug)]
struct Keeping {
    idle_timeout: Duration,
    max_idle: usize,
    /// Nothing is kept any more.
    closed: Arc<AtomicBool>,
    sweepers: Tasks,
}

struct State {
    h1: Vec<Idle>,
    h2: Vec<Shared>,
    /// Whether requests can share a connection there, as far as is known.
    sharing: Option<bool>,
    /// A connection being made that others may share.
    opening: Option<watch::Receiver<Option<bool>>>,
    /// Connections so far; numbers them.
    made: u64,
    /// Whether a task is there to close what idles too long.
    swept: bool,
}

struct Idle {
    sender: H1,
    since: Instant,
}

struct Shared {
    sender: H2,
    number: u64,
    /// As many requests as the other side takes at a time; 0 until it has said so.
    limit: watch::Sender<usize>,
    in_use: usize,
    since: Instant,
}

/// How a request gets its connection.
pub(super) enum Next {
    /// By this one.
    Ready(Connection),
    /// One that can be shared is being made.
    Wait(Waiting),
    /// By making one.
    Open(Opening),
}

/// A connection that takes a request now.
pub(super) enum Connection {
    /// For this request alone.
    H1(H1, Arc<Lane>),
    /// With others.
    H2(H2, Stream),
}

/// The wait for a connection that another request makes.
pub(super) enum Waiting {
    /// Until it is made, or not.
    Opening(watch::Receiver<Option<bool>>),
    /// Until the other side has said how many requests it takes.
    Settings(watch::Receiver<usize>),
}

/// A connection being made; dropped, it is none.
pub(super) struct Opening(watch::Sender<Option<bool>>);

/// What an exchange holds of the pool until its answer has been read.
pub(super) enum Lease {
    H1(H1, Arc<Lane>),
    H2 { _stream: Stream },
}

/// A place on a shared connection.
pub(super) struct Stream {
    lane: Arc<Lane>,
    number: u64,
}

impl Pool {
    pub(super) fn new(idle_timeout: Duration, max_idle: usize) -> Self {
        Self {
            lanes: RwLock::default(),
            keeping: Keeping {
                idle_timeout,
                max_idle,
                closed: Arc::default(),
                sweepers: Tasks::new(),
            },
        }
    }

    /// Closes what waits for a request, now and ever after. Exchanges under way go on.
    pub(super) fn close(&self) {
        self.keeping.closed.store(true, Ordering::SeqCst);
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        let lanes: Vec<Arc<Lane>> = lanes.values().cloned().collect();
        for lane in lanes {
            lane.close_idle();
        }
        self.keeping.sweepers.cut();
    }

    pub(super) fn lane(&self, origin: &Origin) -> Arc<Lane> {
        let known = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = known.get(origin) {
            return Arc::clone(lane);
        }
        drop(known);
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(origin) {
            return Arc::clone(lane);
        }
        // Origins come from the directory; those of servers long gone are dropped here.
        lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || !lane.is_empty());
        let lane = Arc::new(Lane {
            origin: origin.clone(),
            state: Mutex::new(State {
                h1: Vec::new(),
                h2: Vec::new(),
                sharing: (!origin.is_https()).then_some(false),
                opening: None,
                made: 0,
                swept: false,
            }),
            keeping: self.keeping.clone(),
        });
        lanes.insert(origin.clone(), Arc::clone(&lane));
        lane
    }
}

impl Lane {
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The connection for a request: the youngest that can take it now, or a new one. `may_wait` for one that
    /// is being made, if it may turn out to be for sharing.
    pub(super) fn next(self: &Arc<Self>, may_wait: bool) -> Next {
        let mut state = lock(&self.state);
        if let Some((sender, number)) = state.share(self.keeping.idle_timeout) {
            let lane = Arc::clone(self);
            return Next::Ready(Connection::H2(sender, Stream { lane, number }));
        }
        if let Some(sender) = state.take(self.keeping.idle_timeout) {
            return Next::Ready(Connection::H1(sender, Arc::clone(self)));
        }
        let (opening, opened) = watch::channel(None);
        if may_wait && state.sharing != Some(false) {
            if let Some(waiting) = state.waiting() {
                return Next::Wait(waiting);
            }
            state.opening = Some(opened);
        }
        Next::Open(Opening(opening))
    }

    /// Takes in a connection just made. The request it was made for is the first to use it.
    pub(super) fn opened(self: &Arc<Self>, opening: Opening, fresh: Fresh) -> Connection {
        let lane = Arc::clone(self);
        let mut state = lock(&self.state);
        let connection = match fresh {
            Fresh::H1(sender) => {
                state.sharing = Some(false);
                Connection::H1(sender, lane)
            }
            Fresh::H2(sender, limit) => {
                state.sharing = Some(true);
                state.made += 1;
                let number = state.made;
                state.h2.push(Shared {
                    sender: sender.clone(),
                    number,
                    limit,
                    in_use: 1,
                    since: Instant::now(),
                });
                Connection::H2(sender, Stream { lane, number })
            }
        };
        state.opening = None;
        drop(state);
        opening.tell(true);
        connection
    }

    fn is_empty(&self) -> bool {
        let state = lock(&self.state);
        state.h1.is_empty() && state.h2.iter().all(|shared| shared.sender.is_closed())
    }

    /// Takes back a connection whose answer has been read; its request may still be on its way.
    fn give_back(self: &Arc<Self>, sender: H1) {
        let lane = Arc::clone(self);
        sender.when_sent(move |sender| lane.keep(sender));
    }

    fn keep(self: &Arc<Self>, sender: H1) {
        if sender.is_closed() {
            return;
        }
        let mut state = lock(&self.state);
        if state.h1.len() >= self.keeping.max_idle || self.is_closed() {
            return;
        }
        state.h1.push(Idle {
            sender,
            since: Instant::now(),
        });
        self.look_after(&mut state);
    }

    fn look_after(self: &Arc<Self>, state: &mut State) {
        if self.is_closed() {
            state.h2.retain(|shared| shared.in_use > 0);
        } else if !state.swept && tokio::runtime::Handle::try_current().is_ok() {
            state.swept = true;
            let keeping = &self.keeping;
            keeping
                .sweepers
                .spawn(sweep(Arc::downgrade(self), keeping.idle_timeout));
        }
    }

    fn is_closed(&self) -> bool {
        self.keeping.closed.load(Ordering::SeqCst)
    }

    /// Closes what has idled too long. False when nothing is left to look after.
    fn close_idle(&self) -> bool {
        let idle_timeout = match self.is_closed() {
            true => Duration::ZERO,
            false => self.keeping.idle_timeout,
        };
        let mut state = lock(&self.state);
        state
            .h1
            .retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < idle_timeout);
        state.h2.retain(|shared| shared.is_alive(idle_timeout));
        state.swept = !state.h1.is_empty() || !state.h2.is_empty();
        state.swept
    }
}

impl State {
    /// A place on a shared connection.
    fn share(&mut self, idle_timeout: Duration) -> Option<(H2, u64)> {
        self.h2.retain(|shared| shared.is_alive(idle_timeout));
        let shared = self.h2.iter_mut().find(|shared| shared.has_room())?;
        shared.in_use += 1;
        Some((shared.sender.clone(), shared.number))
    }

    /// A connection that will soon be there to share.
    fn waiting(&self) -> Option<Waiting> {
        let mut limits = self.h2.iter().map(|shared| shared.limit.subscribe());
        if let Some(unsettled) = limits.find(|limit| *limit.borrow() == 0) {
            return Some(Waiting::Settings(unsettled));
        }
        let opening = self.opening.as_ref()?;
        // Whoever was making it may have gone away over it.
        let under_way = opening.has_changed().is_ok();
        under_way.then(|| Waiting::Opening(opening.clone()))
    }

    /// The youngest idle connection.
    fn take(&mut self, idle_timeout: Duration) -> Option<H1> {
        let mut at = self.h1.len();
        while let Some(idle) = at.checked_sub(1).and_then(|before| self.h1.get(before)) {
            at -= 1;
            if idle.sender.is_closed() || idle.since.elapsed() >= idle_timeout {
                self.h1.swap_remove(at);
            } else if idle.sender.is_ready() {
                return Some(self.h1.swap_remove(at).sender);
            }
            // Otherwise its last request body is still on its way.
        }
        None
    }
}

impl Shared {
    fn is_alive(&self, idle_timeout: Duration) -> bool {
        !self.sender.is_closed() && (self.in_use > 0 || self.since.elapsed() < idle_timeout)
    }

    fn has_room(&self) -> bool {
        // The first request waits on the connection itself, and has it polled when the other side speaks up.
        self.in_use < (*self.limit.borrow()).max(1)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("Lane")
            .field("idle", &state.h1.len())
            .field("shared", &state.h2.len())
            .finish_non_exhaustive()
    }
}

impl Waiting {
    /// Waits until the connection is there or will not be. False if making it failed, so that waiting for
    /// another one makes no sense.
    pub(super) async fn over(self) -> bool {
        match self {
            Self::Opening(mut opening) => {
                let made = opening.wait_for(Option::is_some).await;
                made.map_or(true, |made| *made != Some(false))
            }
            Self::Settings(mut limit) => {
                // Known now, or nobody asks for it any more.
                limit.changed().await.is_ok()
            }
        }
    }
}

impl Opening {
    /// Tells all who wait that there will be none.
    pub(super) fn failed(self) {
        self.tell(false);
    }

    fn tell(self, made: bool) {
        let Self(opened) = self;
        opened.send_replace(Some(made));
    }
}

impl Lease {
    /// Leaves the connection to the next request: the answer has been read to its end.
    pub(super) fn give_back(self) {
        match self {
            Self::H1(sender, lane) => lane.give_back(sender),
            // Ended or not, a stream is no more than itself.
            Self::H2 { .. } => {}
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = lock(&self.lane.state);
        let number = self.number;
        if let Some(shared) = state.h2.iter_mut().find(|shared| shared.number == number) {
            shared.in_use -= 1;
            shared.since = Instant::now();
            if *shared.limit.borrow() == 0 {
                shared.limit.send_replace(0);
            }
            self.lane.look_after(&mut state);
        }
    }
}

/// Looks after one lane; ends with it, or when it has run empty.
async fn sweep(lane: Weak<Lane>, idle_timeout: Duration) {
    loop {
        tokio::time::sleep(idle_timeout / 2).await;
        match lane.upgrade() {
            Some(lane) if lane.close_idle() => {}
            _ => return,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
