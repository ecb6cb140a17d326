//! Bytes both ways between two connections, through one bounded buffer each: whoever does not read is not read for.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::{Either, select};
use hyper::rt::{Read, ReadBuf, Write};
use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep_until, timeout},
};

use crate::{clock::later, telemetry::TunnelEnd};

/// How a tunnel ended, and how many bytes it carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) how: TunnelEnd,
    pub(super) to_server: u64,
    pub(super) to_client: u64,
}

/// Carries bytes until there is nothing left to carry. A side that ends is told to the other, which may go on sending.
///
/// A side that takes nothing any more may have said something before: that still arrives, and what is sent to it is
/// thrown away.
pub(super) async fn relay<C, S>(
    mut client: C,
    mut server: S,
    idle: Duration,
    mut draining: watch::Receiver<bool>,
) -> Ended
where
    C: Read + Write + Unpin,
    S: Read + Write + Unpin,
{
    let (mut up, mut down) = (Direction::new(), Direction::new());
    let mut quiet = Quiet::new(idle);
    let mut is_broken = false;
    let how = {
        let mut timer = pin!(sleep_until(quiet.end()));
        let carried = poll_fn(|cx| {
            let (was_up, was_down) = (up.moved, down.moved);
            let there = up.poll(cx, &mut client, &mut server);
            let back = down.poll(cx, &mut server, &mut client);
            if (was_up, was_down) != (up.moved, down.moved) {
                quiet.moved();
            }
            if up.reading == Reading::Broken || down.reading == Reading::Broken {
                // Who sends no more for being broken takes nothing, either.
                return Poll::Ready(TunnelEnd::Broken);
            }
            if up.writing == Writing::Broken || down.writing == Writing::Broken {
                if up.is_over() && down.is_over() {
                    return Poll::Ready(TunnelEnd::Broken);
                }
                // What was said before still arrives, at the pace of whoever takes it, but not at that of nobody.
                if !is_broken {
                    is_broken = true;
                    quiet = Quiet::new(idle.min(FAREWELL));
                    timer.as_mut().reset(quiet.end());
                }
            } else if there.is_ready() && back.is_ready() {
                return Poll::Ready(TunnelEnd::Closed);
            }
            let ended = match is_broken {
                true => TunnelEnd::Broken,
                false => TunnelEnd::Idle,
            };
            quiet.poll(cx, timer.as_mut()).map(|()| ended)
        });
        // Without a sender nobody is left who could have it drained.
        let told = async {
            if draining.wait_for(|draining| *draining).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        match select(carried, pin!(told)).await {
            Either::Left((how, _)) => how,
            Either::Right(((), _)) => TunnelEnd::Drained,
        }
    };
    up.stop();
    down.stop();
    let farewell = poll_fn(|cx| {
        let there = up.poll(cx, &mut client, &mut server).is_ready();
        let back = down.poll(cx, &mut server, &mut client).is_ready();
        if there && back {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    // Whoever does not take leave in that time is left.
    let _ = timeout(FAREWELL, farewell).await;
    Ended {
        how,
        to_server: up.moved,
        to_client: down.moved,
    }
}

/// One way through the tunnel.
struct Direction {
    buffer: Box<[u8]>,
    /// What of the buffer is still to be written.
    full: std::ops::Range<usize>,
    reading: Reading,
    writing: Writing,
    unflushed: bool,
    moved: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    On,
    Ended,
    Broken,
    /// What still comes is thrown away: closing a socket with unread bytes would reset it, and take from the other
    /// side what it has not read yet.
    Discarding,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    On,
    /// The end was passed on.
    Closed,
    Broken,
}

impl Direction {
    fn new() -> Self {
        Self {
            buffer: vec![0; BUFFER].into_boxed_slice(),
            full: 0..0,
            reading: Reading::On,
            writing: Writing::On,
            unflushed: false,
            moved: 0,
        }
    }

    /// Ends it behind what has been read.
    fn stop(&mut self) {
        if self.reading == Reading::On {
            self.reading = Reading::Discarding;
        }
    }

    /// The writer takes nothing any more.
    fn give_up(&mut self) {
        self.writing = Writing::Broken;
        self.stop();
    }

    /// Nothing more will arrive at the writer.
    fn is_over(&self) -> bool {
        self.writing != Writing::On
    }

    /// Ready when the reader has ended, and the writer knows it or takes nothing any more.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, reader: &mut R, writer: &mut W) -> Poll<()>
    where
        R: Read + Unpin,
        W: Write + Unpin,
    {
        loop {
            if self.writing == Writing::On && ready!(self.poll_write(cx, writer)).is_err() {
                self.give_up();
            }
            if matches!(self.reading, Reading::Ended | Reading::Broken) {
                return Poll::Ready(());
            }
            match self.poll_read(cx, reader) {
                Poll::Ready(Ok(0)) => self.reading = Reading::Ended,
                Poll::Ready(Ok(read)) if self.reading == Reading::On => self.full = 0..read,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => self.reading = Reading::Broken,
                Poll::Pending => {
                    if self.unflushed && self.writing == Writing::On {
                        let flushed = ready!(Pin::new(&mut *writer).poll_flush(cx));
                        self.unflushed = false;
                        if flushed.is_err() {
                            self.give_up();
                        }
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Ready when all that has been read is written, and the end as well if there is one.
    fn poll_write<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<io::Result<()>>
    where
        W: Write + Unpin,
    {
        while let Some(piece) = self
            .buffer
            .get(self.full.clone())
            .filter(|piece| !piece.is_empty())
        {
            let written = ready!(Pin::new(&mut *writer).poll_write(cx, piece))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.full.start += written;
            self.moved += written as u64;
            self.unflushed = true;
        }
        if self.reading != Reading::On {
            ready!(Pin::new(&mut *writer).poll_shutdown(cx))?;
            self.writing = Writing::Closed;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read<R: Read + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(reader).poll_read(cx, buffer.unfilled()))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

/// Since when nothing has moved. The timer is set again only when it rings.
struct Quiet {
    limit: Duration,
    since: Instant,
}

impl Quiet {
    fn new(limit: Duration) -> Self {
        let since = Instant::now();
        Self { limit, since }
    }

    fn moved(&mut self) {
        self.since = Instant::now();
    }

    fn end(&self) -> Instant {
        later(self.since, self.limit)
    }

    fn poll(&self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<()> {
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= self.end() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.end());
        }
    }
}

/// Bytes on their way in one direction: as much as a TLS record holds.
const BUFFER: usize = 16 * 1024;
/// For the last bytes and both sides' ends, once a tunnel is to close.
const FAREWELL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
