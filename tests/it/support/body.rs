//! A request body that counts what is read of it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// `total` bytes in pieces of 16 KiB, each byte telling its place; sized or not.
pub struct Counted {
    total: u64,
    sized: bool,
    at: u64,
    pulled: Arc<AtomicU64>,
}

impl Counted {
    pub fn new(total: u64, sized: bool) -> (Self, Arc<AtomicU64>) {
        let pulled = Arc::<AtomicU64>::default();
        let body = Self {
            total,
            sized,
            at: 0,
            pulled: Arc::clone(&pulled),
        };
        (body, pulled)
    }

    /// The byte at `place` of every such body.
    pub fn byte(place: u64) -> u8 {
        (place ^ (place >> 8) ^ (place >> 16)) as u8
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let end = self.total.min(self.at + 16 * 1024);
        if self.at == end {
            return Poll::Ready(None);
        }
        let piece: Bytes = (self.at..end).map(Self::byte).collect();
        self.at = end;
        self.pulled.store(end, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.sized && self.at == self.total
    }

    fn size_hint(&self) -> SizeHint {
        if self.sized {
            SizeHint::with_exact(self.total - self.at)
        } else {
            SizeHint::default()
        }
    }
}
