//! Connections without sockets, counted while they are open: with time paused, what happens on them is exact.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use cas_proxy::{
    directory::{ClientAccessServer, Origin, Topology},
    outbound::Client,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    sync::{Mutex, mpsc},
    time::{Duration, timeout},
};

use super::{EXCHANGE_2007, name, site, wire::Hop};

/// A second CAS behind pipes.
pub struct Pipes {
    calls: mpsc::UnboundedSender<DuplexStream>,
    called: Mutex<mpsc::UnboundedReceiver<DuplexStream>>,
    open: Arc<()>,
}

impl Pipes {
    pub fn new() -> Self {
        let (calls, called) = mpsc::unbounded_channel();
        Self {
            calls,
            called: Mutex::new(called),
            open: Arc::default(),
        }
    }

    /// A client whose connections all lead here.
    pub fn client(&self) -> Client {
        let (calls, open) = (self.calls.clone(), Arc::clone(&self.open));
        let dial = move |_: &Origin| {
            let (near, far) = duplex(64 * 1024);
            let called = calls.send(far).map_err(io::Error::other);
            let near = Near::new(near, &open);
            async move { called.map(|()| near) }
        };
        Client::builder().dial(dial).build()
    }

    pub async fn accept(&self) -> Hop<DuplexStream> {
        Hop::new(self.called.lock().await.recv().await.unwrap())
    }

    /// Whether nobody calls for a second.
    pub async fn is_silent(&self) -> bool {
        let mut called = self.called.lock().await;
        timeout(Duration::from_secs(1), called.recv())
            .await
            .is_err()
    }

    /// Connections that the client has not closed.
    pub fn open(&self) -> usize {
        Arc::strong_count(&self.open) - 2
    }

    /// Dallas, with these servers and no others.
    pub fn topology(servers: &[&str]) -> Arc<Topology> {
        let cas = |server: &&str| {
            ClientAccessServer::new(name(server), site("Dallas"), EXCHANGE_2007.parse().unwrap())
                .with_internal_url(&format!("http://{server}.corp/owa"))
                .with_integrated_windows_authentication()
        };
        let topology = servers
            .iter()
            .map(cas)
            .fold(Topology::builder(), |all, cas| {
                all.client_access_server(cas)
            });
        topology.build().unwrap().into()
    }
}

/// The client's end of a pipe, counted while it is open.
pub struct Near(
    DuplexStream,
    #[expect(dead_code, reason = "is counted")] Arc<()>,
);

impl Near {
    pub fn new(stream: DuplexStream, open: &Arc<()>) -> Self {
        Self(stream, Arc::clone(open))
    }
}

impl AsyncRead for Near {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Near {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
