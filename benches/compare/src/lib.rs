//! What the servers of the comparison share: their command line, their accept loop, and what they serve.

use std::{collections::HashMap, env, error::Error, future::Future, net::SocketAddr};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};
use tower::Service;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The command line: `--name value`, in any order.
pub struct Arguments(HashMap<String, String>);

impl Arguments {
    /// Reads pairs of name and value, after the first `skip` words.
    pub fn read(skip: usize) -> Result<Self, BoxError> {
        let mut words = env::args().skip(1 + skip);
        let mut read = HashMap::new();
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} has no value"))?;
            read.insert(name, value);
        }
        Ok(Self(read))
    }

    /// The value of `--name`.
    pub fn get<T>(&self, name: &str) -> Result<T, BoxError>
    where
        T: std::str::FromStr<Err: Into<BoxError>>,
    {
        let value = self.0.get(name).ok_or_else(|| format!("needs {name}"))?;
        value.parse().map_err(Into::into)
    }

    /// The value of `--name`, or another.
    pub fn get_or<T>(&self, name: &str, default: T) -> Result<T, BoxError>
    where
        T: std::str::FromStr<Err: Into<BoxError>>,
    {
        if self.0.contains_key(name) {
            self.get(name)
        } else {
            Ok(default)
        }
    }
}

/// One thread without work stealing, or several with it.
pub fn runtime(threads: usize) -> Result<Runtime, BoxError> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    Ok(builder
        .worker_threads(threads.max(1))
        .enable_all()
        .build()?)
}

/// Serves HTTP/1.1, and HTTP/2 with prior knowledge, as `axum::serve` does. `make` makes the service of a connection.
pub async fn serve<S, B>(
    address: SocketAddr,
    make: impl Fn(SocketAddr) -> S,
) -> Result<(), BoxError>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, make(peer)));
    }
}

fn connection<S, B>(stream: TcpStream, service: S) -> impl Future<Output = ()> + Send
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    // All services here are always ready.
    let service = hyper::service::service_fn(move |request| service.clone().call(request));
    async move {
        // A connection that breaks is seen by the load generator.
        let _ = auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}

/// A mailbox server: what the other end of the comparison serves, without a hop.
pub fn mailbox() -> Router {
    let (small, medium) = (vec![b'x'; 128], vec![b'x'; 16 * 1024]);
    let (small, medium) = (Bytes::from(small), Bytes::from(medium));
    Router::new()
        .route("/owa/small", get(move || async move { small }))
        .route("/owa/medium", get(move || async move { medium }))
        .fallback(read_whole)
}

/// Answers when the body has been read to its end.
async fn read_whole(request: Request<Body>) -> Result<&'static str, StatusCode> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(|_| StatusCode::BAD_REQUEST)?;
    }
    Ok("read")
}
