//! The gateway is told to stop while a request and a tunnel are under way.

use std::{convert::Infallible, future::pending, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tower::{Layer as _, ServiceBuilder, service_fn};

use super::{server, stop::drained};
use crate::support::{
    site::before,
    user,
    wire::{Hop, Listener, OK},
};

#[tokio::test]
async fn a_gateway_told_to_stop_finishes_its_requests_and_closes_its_tunnels() {
    let dallas = Listener::new().await;
    let layer = before([dallas.as_cas("dallas")]);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mailbox =
        service_fn(|_: Request<Incoming>| pending::<Result<Response<Full<Bytes>>, Infallible>>());
    let stack = ServiceBuilder::new()
        .map_request(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(user(2));
            request
        })
        .service(layer.layer(mailbox));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let stop = async { drop(stopped.await) };
        let limit = Duration::from_secs(60);
        drained(&layer, limit, stop, |told| {
            let told = async { drop(told.await) };
            server::serve(listener, None, limit, stack, told)
        })
        .await
    });

    let connect = async || Hop::new(TcpStream::connect(address).await.unwrap());
    let mut tunnel = connect().await;
    tunnel.answer(crate::tunnels::ASK).await;
    let mut echo = dallas.accept().await;
    echo.head().await;
    echo.answer(crate::tunnels::SWITCHED).await;
    assert!(tunnel.head().await.starts_with("HTTP/1.1 101 "));
    let mut reader = connect().await;
    reader.answer("GET /owa/ HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut mail = dallas.accept().await;
    mail.head().await;

    stop.send(()).unwrap();
    assert_eq!(echo.until_end().await, b"");
    assert_eq!(tunnel.until_end().await, b"");
    drop((echo, tunnel));
    // The request goes on, and then there is nothing more to wait for.
    assert!(!serving.is_finished());
    mail.answer(OK).await;
    assert!(reader.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(reader.rest().await, b"ok");
    assert_eq!(mail.closed().await, 0);
    assert_eq!(serving.await.unwrap(), 0);
}
