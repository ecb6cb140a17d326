//! The same over HTTP/2, which TLS agrees on.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::DuplexStream, time::sleep};
use tokio_rustls::TlsAcceptor;

use super::{
    reaction::{Reply, Then},
    second::Seconds,
};

type Answer = Response<BoxBody<Bytes, io::Error>>;

impl Seconds {
    pub(super) async fn serve_http2(
        self: Arc<Self>,
        server: usize,
        stream: DuplexStream,
        tls: TlsAcceptor,
    ) {
        let Ok(stream) = tls.accept(stream).await else {
            return;
        };
        let service = service_fn(move |request| {
            let seconds = Arc::clone(&self);
            async move { seconds.exchange_http2(server, request).await }
        });
        // A first CAS that leaves is no failure of the test.
        let _ = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn exchange_http2(
        self: Arc<Self>,
        server: usize,
        request: Request<Incoming>,
    ) -> io::Result<Answer> {
        let (head, mut body) = request.into_parts();
        let field = |name| head.headers.get(name).map(|value| value.to_str().unwrap());
        let log_in = head.uri.path() == "/owa/proxyLogon.owa";
        let user = field("x-owa-proxysid").unwrap();
        let reaction = self.react(server, user, log_in, false);
        let (number, size) = self.begin(server, log_in, user, field("x-visit"));
        assert!(field("expect").is_none());
        let mut got = Vec::new();
        let mut whole = read(&mut body, &mut got, reaction.length(size)).await?;
        // A request whose head ends it has no body to read.
        whole |= body.is_end_stream();
        self.note(number, &got, whole);
        sleep(Duration::from_millis(reaction.after)).await;
        self.witness.replies(number, &reaction);
        if !whole && reaction.then != Then::Closes {
            let seconds = Arc::clone(&self);
            self.tasks.lock().unwrap().spawn(async move {
                if reaction.then == Then::ReadsNoMore {
                    let _body = body;
                    return std::future::pending().await;
                }
                let whole = read(&mut body, &mut got, usize::MAX).await;
                seconds.note(number, &got, whole.unwrap_or(false));
            });
        }
        match reaction.reply {
            Reply::Answers(status, length) => {
                let body = [Ok(Frame::data(Bytes::from(vec![b'a'; length])))];
                Ok(answer(status, number, body))
            }
            Reply::Breaks(status) => {
                let body = [
                    Ok(Frame::data(Bytes::from_static(b"aaa"))),
                    Err(io::ErrorKind::BrokenPipe.into()),
                ];
                Ok(answer(status, number, body))
            }
            Reply::Closes | Reply::HalfCloses => Err(io::ErrorKind::ConnectionReset.into()),
            Reply::Hangs => std::future::pending().await,
        }
    }

    fn note(&self, number: Option<usize>, got: &[u8], whole: bool) {
        if let Some(number) = number {
            self.witness.arrived(number, got, whole);
        }
    }
}

/// Reads until `length` bytes are there, or all; whether it is all.
async fn read(body: &mut Incoming, got: &mut Vec<u8>, length: usize) -> io::Result<bool> {
    while got.len() < length {
        match body.frame().await {
            Some(Ok(frame)) => got.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Some(Err(error)) => return Err(io::Error::other(error)),
            None => return Ok(true),
        }
    }
    Ok(false)
}

fn answer<const N: usize>(
    status: u16,
    number: Option<usize>,
    frames: [io::Result<Frame<Bytes>>; N],
) -> Answer {
    let mut answer = Response::builder().status(status);
    if let Some(number) = number {
        answer = answer.header("x-exchange", number);
    }
    let body = StreamBody::new(futures_util::stream::iter(frames));
    answer.body(body.boxed()).unwrap()
}
