//! What has been read of a body, kept for a second giving.

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::super::budget::Share;

/// The beginning of a body, up to a cap.
pub(super) struct Recording {
    pieces: Vec<Piece>,
    /// What came after them, copied. The current attempt has been given all of it.
    copied: Vec<u8>,
    /// How many of `pieces` the current attempt was given.
    given: usize,
    share: Share,
    cap: usize,
}

#[derive(Clone)]
pub(super) enum Piece {
    Data(Bytes),
    Trailers(Box<HeaderMap>),
}

impl Recording {
    pub(super) fn new(share: Share, cap: usize) -> Self {
        Self {
            pieces: Vec::new(),
            copied: Vec::new(),
            given: 0,
            share,
            cap,
        }
    }

    /// Begins anew: the next attempt gets everything.
    pub(super) fn rewind(&mut self) {
        self.seal();
        self.given = 0;
    }

    /// The next piece for an attempt that is given what another has had already.
    pub(super) fn next(&mut self) -> Option<Piece> {
        let piece = self.pieces.get(self.given)?.clone();
        self.given += 1;
        Some(piece)
    }

    /// Whether the current attempt has been given all there is.
    pub(super) fn is_caught_up(&self) -> bool {
        self.given >= self.pieces.len()
    }

    /// Keeps a piece that has just been read for the current attempt. False if there is no room.
    ///
    /// The first as it is, for most bodies have no other. Later ones are copied: each may be one byte that holds
    /// on to all of the buffer it was read into, and a client can send very many of them.
    pub(super) fn keep(&mut self, piece: &Bytes) -> bool {
        if piece.is_empty() {
            return true;
        }
        let is_first = self.share.bytes() == 0;
        if !self.take(piece.len()) {
            return false;
        }
        if is_first {
            self.push(Piece::Data(piece.clone()));
        } else {
            self.copied.extend_from_slice(piece);
        }
        true
    }

    /// The same of trailers.
    pub(super) fn keep_trailers(&mut self, trailers: &HeaderMap) -> bool {
        let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            name.as_str().len() + value.len() + PER_LINE
        };
        if !self.take(trailers.iter().map(line).sum()) {
            return false;
        }
        self.seal();
        self.push(Piece::Trailers(Box::new(trailers.clone())));
        true
    }

    /// Keeps nothing more than there is.
    pub(super) fn stop(&mut self) {
        self.cap = 0;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.cap == 0
    }

    fn take(&mut self, more: usize) -> bool {
        self.share.bytes() + more <= self.cap && self.share.grow(more)
    }

    fn seal(&mut self) {
        if !self.copied.is_empty() {
            let copied = std::mem::take(&mut self.copied);
            self.push(Piece::Data(copied.into()));
        }
    }

    fn push(&mut self, piece: Piece) {
        self.pieces.push(piece);
        self.given += 1;
    }
}

impl From<Piece> for Frame<Bytes> {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Data(data) => Frame::data(data),
            Piece::Trailers(trailers) => Frame::trailers(*trailers),
        }
    }
}

/// What a line of trailers costs besides name and value.
const PER_LINE: usize = 64;
