//! What the gateway does about all that goes on behind its requests, once it is told to stop.

use std::{future::Future, time::Duration};

use cas_proxy::first_cas::CasProxyLayer;
use tokio::{sync::oneshot, time::Instant};

/// Runs a server until `stop` completes, and then lets both end within `limit`: its requests, which it sees to itself
/// once it is told, and what the layer does in the background. Tunnels are closed at once, for they have no end of
/// their own. Says how many tasks were cut off.
pub(crate) async fn drained<F>(
    layer: &CasProxyLayer,
    limit: Duration,
    stop: impl Future<Output = ()>,
    serve: impl FnOnce(oneshot::Receiver<()>) -> F,
) -> usize
where
    F: Future<Output = ()>,
{
    let (tell, told) = oneshot::channel();
    let background = async {
        stop.await;
        let deadline = Instant::now() + limit;
        // Nobody listens if the server has ended by itself.
        let _ = tell.send(());
        (layer.drain(limit).await, deadline)
    };
    let ((), (cut, deadline)) = tokio::join!(serve(told), background);
    // The last requests may have left something behind.
    let left = deadline.saturating_duration_since(Instant::now());
    cut + layer.drain(left).await
}
