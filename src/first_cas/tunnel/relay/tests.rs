use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// Takes what is written, and cannot be read.
struct Unreadable(TokioIo<DuplexStream>);

impl Read for Unreadable {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

impl Write for Unreadable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_side_that_was_reset_is_told_to_the_other_at_once_which_has_five_seconds_to_go() {
    for client_is_reset in [true, false] {
        let (broken, mut end_of_broken) = duplex(1024);
        let (whole, mut survivor) = duplex(1024);
        survivor.write_all(b"too late?").await.unwrap();
        let since = Instant::now();
        let (_sender, draining) = watch::channel(false);
        let (broken, whole) = (Unreadable(TokioIo::new(broken)), TokioIo::new(whole));
        let relay = tokio::spawn(async move {
            if client_is_reset {
                relay(broken, whole, IDLE, draining).await
            } else {
                relay(whole, broken, IDLE, draining).await
            }
        });
        assert_eq!(survivor.read(&mut [0; 64]).await.unwrap(), 0);
        assert_eq!(since.elapsed(), Duration::ZERO);
        // What it has read is written before it gives up.
        let mut got = Vec::new();
        end_of_broken.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"too late?");
        assert_eq!(since.elapsed(), Duration::ZERO);
        survivor.write_all(b"to nobody").await.unwrap();
        let ended = relay.await.unwrap();
        assert_eq!(since.elapsed(), FAREWELL);
        assert_eq!(ended.how, TunnelEnd::Broken);
        assert_eq!(ended.to_server + ended.to_client, 9);
    }
}

const IDLE: Duration = Duration::from_secs(600);

/// Gives some bytes before it turns out to be reset, and takes none.
struct Gone(usize);

impl Read for Gone {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let given = self.0.min(into.remaining());
        if given == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        into.put_slice(&vec![7; given]);
        self.0 -= given;
        Poll::Ready(Ok(()))
    }
}

impl Write for Gone {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_nothing_is_not_waited_for_once_the_other_is_gone() {
    let (whole, mut survivor) = duplex(1024);
    survivor.write_all(b"to nobody").await.unwrap();
    let since = Instant::now();
    let (_sender, draining) = watch::channel(false);
    let ended = relay(Gone(4096), TokioIo::new(whole), IDLE, draining).await;
    assert_eq!((ended.how, ended.to_server), (TunnelEnd::Broken, 1024));
    assert!(since.elapsed() <= 2 * FAREWELL, "{:?}", since.elapsed());
}
