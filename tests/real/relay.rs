//! A TCP relay that can fail in the ways a network does.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Through,
    /// Each piece takes this long.
    Slow(Duration),
    /// Connections are taken, and nothing comes back.
    Silent,
    /// Connections are closed, new ones as soon as they are made.
    Cut,
}

pub struct Relay {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    cuts: watch::Sender<()>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Relay {
    pub async fn to(target: &'static str) -> Self {
        Self::at("127.0.0.1:0", target).await
    }

    pub async fn at(address: &str, target: &'static str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, watched) = watch::channel(Mode::Through);
        let (cuts, cut) = watch::channel(());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (watched, mut cut) = (watched.clone(), cut.clone());
                cut.mark_unchanged();
                if *watched.borrow() == Mode::Cut {
                    continue;
                }
                open.spawn(async move {
                    tokio::select! {
                        () = carry(client, target, watched) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            mode,
            cuts,
            connections,
            _tasks: tasks,
        }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
        if mode == Mode::Cut {
            self.cut();
        }
    }

    /// Closes all connections, and takes new ones.
    pub fn cut(&self) {
        self.cuts.send_replace(());
    }

    /// How many connections were made through it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn carry(client: TcpStream, target: &str, mode: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, mode.clone()) => {}
        () = copy(from_server, to_client, mode) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mode: watch::Receiver<Mode>,
) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let now = *mode.borrow();
        match now {
            Mode::Slow(span) => tokio::time::sleep(span).await,
            Mode::Silent => {
                let _ = mode.wait_for(|mode| *mode != Mode::Silent).await;
            }
            Mode::Through | Mode::Cut => {}
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
