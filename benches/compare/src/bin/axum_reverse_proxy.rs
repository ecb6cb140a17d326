//! A peer: axum-reverse-proxy, its pool as large as that of the others, and without Nagle's delay.

use std::net::SocketAddr;

use axum::Router;
use axum_reverse_proxy::ReverseProxy;
use cas_proxy_compare::{Arguments, BoxError, runtime, serve};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

fn main() -> Result<(), BoxError> {
    let arguments = Arguments::read(0)?;
    runtime(arguments.get_or("--threads", 1)?)?.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> Result<(), BoxError> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(64)
        .build(connector);
    let to = |address: SocketAddr, path| {
        let target = format!("http://{address}{path}");
        ReverseProxy::new_with_client(path, target, client.clone())
    };
    // It knows no users; a path says who uploads.
    let reno: Router = to(arguments.get("--reno")?, "/owa/upload").into();
    let dallas: Router = to(arguments.get("--dallas")?, "/owa/mail").into();
    let router = reno.merge(dallas);
    serve(arguments.get("--listen")?, |_| router.clone()).await
}
