//! A second CAS with real connections, of HTTP/1.1 or HTTP/2, plain or by TLS, whose answers a function gives.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use cas_proxy::{
    decision::Policy,
    directory::{ClientAccessServer, Topology},
    first_cas::CasProxyLayer,
    outbound::{BoxError, Client, ClientBuilder, Tls},
};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

use super::{EXCHANGE_2007, here, lookup, name, site};

/// Any body.
pub type Answer = BoxBody<Bytes, BoxError>;

pub fn text(text: impl Into<Bytes>) -> Response<Answer> {
    Response::new(whole(text))
}

pub fn whole(text: impl Into<Bytes>) -> Answer {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed()
}

pub fn code(status: u16) -> Response<Answer> {
    let mut answer = text("");
    *answer.status_mut() = status.try_into().unwrap();
    answer
}

/// Listens on a loopback port of its own until it is dropped, and all its connections with it.
pub struct Site {
    pub address: SocketAddr,
    scheme: &'static str,
    connections: Arc<AtomicUsize>,
    open: watch::Receiver<usize>,
    hang_up: watch::Sender<()>,
    _tasks: JoinSet<()>,
}

/// What a site does with its connections.
#[derive(Clone)]
pub struct Setup {
    http: auto::Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
}

impl Setup {
    pub fn plain() -> Self {
        Self {
            http: auto::Builder::new(TokioExecutor::new()),
            tls: None,
        }
    }

    /// Offers `protocols` by ALPN, and shows `certificate`.
    pub fn tls(certificate: &Certificate, protocols: &[&str]) -> Self {
        let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificate.chain.clone(), certificate.key.clone_key())
            .unwrap();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        Self {
            tls: Some(TlsAcceptor::from(Arc::new(config))),
            ..Self::plain()
        }
    }

    /// What makes TLS of a connection, if it is to be TLS.
    pub fn acceptor(&self) -> Option<TlsAcceptor> {
        self.tls.clone()
    }

    /// How many requests a connection of HTTP/2 takes at a time.
    pub fn max_streams(mut self, streams: u32) -> Self {
        self.http.http2().max_concurrent_streams(streams);
        self
    }

    pub async fn serve<F, A, B>(self, answer: F) -> Site
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
        A: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let (counter, scheme) = (Arc::clone(&connections), self.scheme());
        let (hang_up, hung_up) = watch::channel(());
        let (opened, open) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            let opened = Arc::new(opened);
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                let (setup, answer, mut hung_up) = (self.clone(), answer.clone(), hung_up.clone());
                hung_up.mark_unchanged();
                let opened = Arc::clone(&opened);
                opened.send_modify(|open| *open += 1);
                open.spawn(async move {
                    tokio::select! {
                        () = setup.accept(stream, answer) => {}
                        _ = hung_up.changed() => {}
                    }
                    opened.send_modify(|open| *open -= 1);
                });
            }
        });
        Site {
            address,
            scheme,
            connections,
            open,
            hang_up,
            _tasks: tasks,
        }
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    async fn accept<F, A, B>(&self, stream: TcpStream, answer: F)
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
        A: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        match &self.tls {
            None => self.connection(stream, answer).await,
            // Whoever does not like the certificate goes away.
            Some(tls) => {
                if let Ok(stream) = tls.accept(stream).await {
                    self.connection(stream, answer).await;
                }
            }
        }
    }

    async fn connection<F, A, B>(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        answer: F,
    ) where
        F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
        A: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let service = hyper::service::service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        // A client that leaves is no failure of the test.
        let _ = self
            .http
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .await;
    }
}

impl Site {
    /// How many connections were ever made to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until it has no connection.
    pub async fn all_closed(&self) {
        self.open.clone().wait_for(|open| *open == 0).await.unwrap();
    }

    /// Closes all its connections, whatever they are at.
    pub fn hang_up(&self) {
        self.hang_up.send_replace(());
    }

    pub fn as_cas(&self, server: &str) -> ClientAccessServer {
        cas_at(server, &format!("{}://{}/owa", self.scheme, self.address))
    }
}

/// A CAS of Dallas at any URL.
pub fn cas_at(server: &str, internal_url: &str) -> ClientAccessServer {
    ClientAccessServer::new(name(server), site("Dallas"), EXCHANGE_2007.parse().unwrap())
        .with_internal_url(internal_url)
        .with_integrated_windows_authentication()
}

/// A first CAS before these servers, which may be without TLS.
pub fn before(servers: impl IntoIterator<Item = ClientAccessServer>) -> CasProxyLayer {
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = true;
    let mut topology = Topology::builder();
    for server in servers {
        topology = topology.client_access_server(server);
    }
    CasProxyLayer::new(here(), Arc::new(topology.build().unwrap()), lookup()).policy(policy)
}

/// Issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// A certificate with its key.
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().clone();
        Self {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    /// For 127.0.0.1, where all sites are.
    pub fn certificate(&self) -> Certificate {
        self.issue("127.0.0.1", |_| {})
    }

    pub fn issue(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Certificate {
            chain: vec![certificate.der().clone()],
            key: key.into(),
        }
    }

    /// A client that trusts this authority and no other.
    pub fn client(&self) -> ClientBuilder {
        Client::builder().tls(self.tls())
    }

    /// Trusts this authority and no other.
    pub fn tls(&self) -> Tls {
        Tls::trust_roots([self.root.clone()]).unwrap()
    }
}
