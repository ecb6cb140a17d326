//! One HTTP/1 connection to a second hop, in the hands of whoever uses it.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use tokio::{sync::oneshot, time::timeout};

use super::{body::OutboundBody, replay::Upload};

/// Dropped in the middle of an exchange, it is cut off at once; between two, it ends politely.
///
/// hyper alone would flush what it has buffered before it closes, and wait for ever if the other side reads no
/// more: with a socket, and with the client's body.
pub(super) struct H1 {
    sender: http1::SendRequest<OutboundBody>,
    /// Told, the connection may end by itself; dropped, it may not.
    owner: Option<oneshot::Sender<()>>,
    in_exchange: bool,
    upload: Option<Upload>,
}

impl H1 {
    /// The hold on `connection`, and what has to be run for it.
    pub(super) fn new<C>(
        sender: http1::SendRequest<OutboundBody>,
        connection: C,
    ) -> (Self, impl Future<Output = hyper::Result<()>> + Send)
    where
        C: Future<Output = hyper::Result<()>> + Send,
    {
        let (owner, owned) = oneshot::channel();
        let held = Self {
            sender,
            owner: Some(owner),
            in_exchange: false,
            upload: None,
        };
        (held, run(connection, owned))
    }

    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Begins an exchange, at once.
    pub(super) fn try_send_request(
        &mut self,
        request: Request<OutboundBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<OutboundBody>>>> + use<>
    {
        self.in_exchange = true;
        self.upload = request.body().upload();
        self.sender.try_send_request(request)
    }

    /// Lets the connection go on as something else: whoever has the answer's `OnUpgrade` gets it.
    pub(super) fn switched(mut self) {
        self.in_exchange = false;
    }

    /// Hands the connection to `then` when its exchange is over: the answer has been read, the request may still
    /// be on its way. If it will never be sent whole, the connection is cut off.
    pub(super) fn when_sent(mut self, then: impl FnOnce(Self) + Send + 'static) {
        let upload = self.upload.take();
        let over = move || {
            let mut this = self;
            this.in_exchange = false;
            then(this);
        };
        match upload {
            Some(upload) => upload.when_sent(over),
            None => over(),
        }
    }
}

impl Drop for H1 {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take().filter(|_| !self.in_exchange) {
            // It may have ended already.
            let _ = owner.send(());
        }
    }
}

async fn run<C>(connection: C, owned: oneshot::Receiver<()>) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    match select(pin!(connection), owned).await {
        Either::Left((ended, _)) => ended,
        Either::Right((Ok(()), connection)) => {
            timeout(LAST_FLUSH, connection).await.unwrap_or(Ok(()))
        }
        Either::Right((Err(_), _)) => Ok(()),
    }
}

/// For a server to read the rest of a request that it has answered already.
const LAST_FLUSH: Duration = Duration::from_secs(60);
