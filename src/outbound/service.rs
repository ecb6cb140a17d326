//! An outbound of the user's own: any tower service.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{BoxError, Outbound, OutboundBody, SendError, SendFuture, UpstreamBody};
use crate::directory::Origin;

/// Makes a tower service the outbound, in place of the built-in client.
///
/// The service gets requests with an absolute URI. It must not follow redirects or send anything twice. An
/// error in its readiness counts as "nothing was sent", an error of its answer as "something was".
///
/// ```
/// use cas_proxy::outbound::{OutboundBody, OutboundService};
/// use http::{Request, Response};
/// use tower::service_fn;
///
/// let recorded = service_fn(|request: Request<OutboundBody>| async move {
///     assert!(request.uri().host().is_some());
///     Ok::<_, std::io::Error>(Response::new(String::from("hello")))
/// });
/// let outbound = OutboundService::new(recorded);
/// # let _ = outbound;
/// ```
pub struct OutboundService<S> {
    // Services need not be `Sync`; the lock is held for the clone only.
    service: Mutex<S>,
}

impl<S> OutboundService<S> {
    /// Wraps `service`, which is cloned for every request.
    pub fn new(service: S) -> Self {
        Self {
            service: Mutex::new(service),
        }
    }
}

impl<S, B> Outbound for OutboundService<S>
where
    S: Service<Request<OutboundBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn send(&self, _origin: &Origin, request: Request<OutboundBody>) -> SendFuture {
        let mut service = self
            .service
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Box::pin(async move {
            std::future::poll_fn(|cx| service.poll_ready(cx))
                .await
                .map_err(SendError::unreachable)?;
            let answer = service.call(request).await.map_err(SendError::closed)?;
            Ok(answer.map(UpstreamBody::new))
        })
    }
}

impl<S> fmt::Debug for OutboundService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutboundService")
    }
}
