//! A request body that counts what is read of it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// `total` bytes in pieces of 16 KiB, of a pattern that tells places apart; sized or not.
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
        pattern()[(place % PERIOD) as usize]
    }

    /// The bytes from `place` on of every such body, `length` of them at most.
    pub fn piece(place: u64, length: u64) -> Bytes {
        let pattern = pattern();
        let at = (place % PERIOD) as usize;
        let end = pattern.len().min(at + length as usize);
        pattern.slice(at..end)
    }

    /// Whether these are the first bytes of such a body.
    pub fn begins(mut bytes: &[u8]) -> bool {
        let mut place = 0;
        while !bytes.is_empty() {
            let piece = Self::piece(place, bytes.len() as u64);
            let (first, rest) = bytes.split_at(piece.len());
            if first != piece {
                return false;
            }
            (bytes, place) = (rest, place + piece.len() as u64);
        }
        true
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = (self.total - self.at).min(16 * 1024);
        if length == 0 {
            return Poll::Ready(None);
        }
        let piece = Self::piece(self.at, length);
        self.at += piece.len() as u64;
        self.pulled.store(self.at, Ordering::SeqCst);
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

fn pattern() -> &'static Bytes {
    static PATTERN: OnceLock<Bytes> = OnceLock::new();
    PATTERN.get_or_init(|| {
        let mut bits = 1_u64;
        let mut next = || {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            bits as u8
        };
        (0..PERIOD).map(|_| next()).collect()
    })
}

/// A prime: pieces exchanged for one another show, whatever their size.
const PERIOD: u64 = 262_139;
