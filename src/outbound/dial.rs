//! Other ways to a server than TCP.

use std::{fmt, io, pin::Pin, sync::Arc};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::directory::Origin;

/// Opens connections for a client.
#[derive(Clone)]
pub(super) struct Dial(Arc<Dialing>);

type Dialing = dyn Fn(&Origin) -> Opening + Send + Sync;
type Opening = Pin<Box<dyn Future<Output = io::Result<Opened>> + Send>>;

/// A connection of any kind.
pub(super) type Opened = Box<dyn Duplex>;

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Dial {
    pub(super) fn new<F, Fut, T>(dial: F) -> Self
    where
        F: Fn(&Origin) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<T>> + Send + 'static,
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self(Arc::new(move |origin| {
            let opening = dial(origin);
            Box::pin(async move { Ok(Box::new(opening.await?) as Opened) })
        }))
    }

    pub(super) fn open(&self, origin: &Origin) -> Opening {
        (self.0)(origin)
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}
