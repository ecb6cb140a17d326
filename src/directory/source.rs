//! Where a topology comes from, and whether it may change.

use std::sync::Arc;

use super::Topology;

/// Gives the topology of the moment: a whole snapshot, never half of two.
///
/// A [`Topology`] is one that never changes. A closure may hand out a new snapshot whenever it likes; a
/// request uses the one it started with.
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
