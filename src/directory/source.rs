//! Where a topology comes from, and whether it may change.

use std::sync::Arc;

use super::Topology;

/// Gives the topology of the moment: a whole snapshot, never half of two.
///
/// An `Arc<Topology>` is one that never changes. A closure may hand out a new snapshot whenever it likes; a
/// request uses the one it started with.
///
/// ```
/// use cas_proxy::directory::{Topology, TopologySource};
/// use std::sync::{Arc, RwLock};
///
/// let read_now = Arc::new(Topology::default());
/// assert_eq!(read_now.topology().client_access_servers().len(), 0);
///
/// // Replaced as a whole whenever the directory was read again.
/// let latest = Arc::new(RwLock::new(read_now));
/// let source = move || Arc::clone(&latest.read().unwrap_or_else(|poisoned| poisoned.into_inner()));
/// assert_eq!(source.topology().back_ends().len(), 0);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` gives no topology",
    note = "a topology that never changes is an `Arc<Topology>`; one that does, a closure that gives the latest"
)]
pub trait TopologySource: Send + Sync + 'static {
    /// The topology as it is now. Called once or twice a request: must not block.
    fn topology(&self) -> Arc<Topology>;
}

impl TopologySource for Arc<Topology> {
    fn topology(&self) -> Arc<Topology> {
        Arc::clone(self)
    }
}

impl<F> TopologySource for F
where
    F: Fn() -> Arc<Topology> + Send + Sync + 'static,
{
    fn topology(&self) -> Arc<Topology> {
        self()
    }
}
