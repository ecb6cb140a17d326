//! Time-outs and bounds of a first CAS: every wait ends, every store is full one day.

use std::time::Duration;

/// How long each phase of a request may take. None is infinite.
///
/// ```
/// use cas_proxy::first_cas::Timeouts;
/// use std::time::Duration;
///
/// let mut timeouts = Timeouts::default();
/// timeouts.response_head = Duration::from_secs(120);
/// ```
///
/// Connecting has its time-out in the outbound client.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Timeouts {
    /// For the directory's answer: 5 s.
    pub locate: Duration,
    /// For a proxy login, from waiting for its turn to its answer: 10 s.
    pub login: Duration,
    /// For `100 Continue`, before a large body is sent without: 1 s.
    pub wait_for_continue: Duration,
    /// For the head of the answer, counted from the end of the upload: 30 s.
    pub response_head: Duration,
    /// Between two pieces of an answer's body, and the window of [`Self::min_upload`]: 60 s.
    pub idle: Duration,
    /// Bytes an upload must move in each idle window: 1,024.
    pub min_upload: u64,
    /// How long the second CAS keeps a context unused: 60 min. A login younger than half of it counts as
    /// known there.
    pub login_lifetime: Duration,
    /// How long nothing may move in a tunnel, either way, before it is closed: 10 min. Longer than the pings of a
    /// WebSocket server are apart, shorter than a connection whose other end is gone should be kept.
    pub tunnel_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            locate: Duration::from_secs(5),
            login: Duration::from_secs(10),
            wait_for_continue: Duration::from_secs(1),
            response_head: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            min_upload: 1024,
            login_lifetime: Duration::from_secs(60 * 60),
            tunnel_idle: Duration::from_secs(10 * 60),
        }
    }
}

/// How much may be held at once.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request body kept for a second giving: 256 KiB.
    pub recorded_per_request: usize,
    /// The same for all requests together: 64 MiB. When it is spent, requests are not recorded.
    pub recorded: usize,
    /// Bodies of a known size up to this are sent without asking for `100 Continue`: 64 KiB.
    pub sent_without_asking: u64,
    /// Requests in flight to one server: 1,024, then 503.
    pub in_flight_per_server: usize,
    /// Proxy logins under way at one server: 64, then they queue.
    pub logins_per_server: usize,
    /// Logins remembered: 100,000, with 4 KiB of session cookies at most. One forgotten costs a 441.
    pub known_logins: usize,
    /// Tunnels (WebSockets) open through this CAS: 1,024, then 503. One takes 32 KiB of buffers and two connections.
    pub tunnels: usize,
    /// The same of one user: 64, then 503. More than a browser with many windows has, and a small part of all.
    pub tunnels_per_user: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            recorded_per_request: 256 * 1024,
            recorded: 64 * 1024 * 1024,
            sent_without_asking: 64 * 1024,
            in_flight_per_server: 1024,
            logins_per_server: 64,
            known_logins: 100_000,
            tunnels: 1024,
            tunnels_per_user: 64,
        }
    }
}
