//! The client of one request: a body that takes its time, and a reader who may lose patience.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use cas_proxy::first_cas::CasProxyLayer;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Sleep, sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};

use super::{
    plan::{Client, Plan, Visit},
    witness::{HERE, Outcome, Witness},
};
use crate::support::{body::Counted, by, dice::Dice};

/// Makes request `id`, and tells the witness what came of it.
pub async fn visit(layer: CasProxyLayer, plan: Arc<Plan>, id: usize, witness: Arc<Witness>) {
    let visit = plan.visits[id].clone();
    sleep(Duration::from_millis(visit.comes_at)).await;
    let client = visit.client;
    let asking = ask(&layer, id, visit, &witness);
    let outcome = match client {
        Client::Leaves(after) => timeout(Duration::from_millis(after), asking)
            .await
            .unwrap_or(Outcome::Left),
        _ => asking.await,
    };
    witness.ended(id, outcome);
}

pub async fn ask(
    layer: &CasProxyLayer,
    id: usize,
    visit: Visit,
    witness: &Arc<Witness>,
) -> Outcome {
    let reads = visit.client != Client::LeavesTheAnswer;
    let request = by(visit.rid, visit.method.parse().unwrap(), "/owa/x").header("x-visit", id);
    let body = Letter::new(id, visit, witness.alive());
    let witness = Arc::clone(witness);
    let inner = service_fn(move |request| serve_here(Arc::clone(&witness), id, request));
    let answer = layer
        .layer(inner)
        .oneshot(request.body(body).unwrap())
        .await;
    let (head, body) = answer.unwrap().into_parts();
    let text = match reads {
        true => body.collect().await.ok().map(|text| text.to_bytes()),
        false => None,
    };
    Outcome::Answered {
        status: head.status.as_u16(),
        exchange: exchange(&head.headers),
        again: head.headers.contains_key("retry-after"),
        length: text.map(|text| text.len()),
    }
}

fn exchange(headers: &HeaderMap) -> Option<usize> {
    let number = headers.get("x-exchange")?;
    Some(number.to_str().unwrap().parse().unwrap())
}

/// The service within, where mailboxes are that have moved here.
async fn serve_here(
    witness: Arc<Witness>,
    id: usize,
    request: Request<Letter>,
) -> Result<Response<String>, Infallible> {
    let number = witness.begin(id, HERE);
    let mut answer = Response::builder().header("x-exchange", number);
    let mut body = request.into_body();
    let mut got = Vec::new();
    // A request that is served here is out of the layer's hands: how long its body may take is said here.
    let patience = Duration::from_secs(60);
    loop {
        match timeout(patience, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => got.extend_from_slice(&frame.into_data().unwrap()),
            Ok(Some(Err(_))) | Err(_) => {
                answer = answer.status(400);
                return Ok(answer.body(String::new()).unwrap());
            }
        }
    }
    witness.arrived(number, &got, true);
    witness.did(number, 200, 2);
    Ok(answer.body("aa".to_owned()).unwrap())
}

/// The body of a request.
pub struct Letter {
    id: usize,
    visit: Visit,
    at: u64,
    dice: Dice,
    pausing: Option<Pin<Box<Sleep>>>,
    _alive: Arc<()>,
}

impl Letter {
    fn new(id: usize, visit: Visit, alive: Arc<()>) -> Self {
        Self {
            id,
            at: 0,
            dice: Dice::new(visit.chance),
            visit,
            pausing: None,
            _alive: alive,
        }
    }

    /// Whether these are the first bytes of the body of request `id`.
    pub fn begins(id: usize, bytes: &[u8]) -> bool {
        let mut place = 0;
        while place < bytes.len() {
            let piece = Self::piece(id, place as u64, (bytes.len() - place) as u64);
            if bytes[place..place + piece.len()] != piece[..] {
                return false;
            }
            place += piece.len();
        }
        true
    }

    /// No two requests have the same bytes.
    fn piece(id: usize, place: u64, length: u64) -> Bytes {
        Counted::piece(place + 7919 * id as u64, length)
    }

    /// How many more bytes come before the client does something else.
    fn left(&self) -> u64 {
        let end = match self.visit.client {
            Client::BreaksOff(at) | Client::FallsSilent(at) => at,
            _ => self.visit.size,
        };
        end - self.at
    }
}

impl Body for Letter {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(pausing) = &mut self.pausing {
            ready!(pausing.as_mut().poll(cx));
            self.pausing = None;
        } else if self.visit.pause > 0 && self.dice.one_in(3) {
            let pause = Duration::from_millis(self.visit.pause);
            self.pausing = Some(Box::pin(sleep(pause)));
            return self.poll_frame(cx);
        }
        let left = self.left().min(self.visit.piece);
        if left > 0 {
            let piece = Self::piece(self.id, self.at, left);
            self.at += piece.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match self.visit.client {
            Client::BreaksOff(_) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            Client::FallsSilent(_) => Poll::Pending,
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.visit.sized && self.at == self.visit.size
    }

    fn size_hint(&self) -> SizeHint {
        match self.visit.sized {
            true => SizeHint::with_exact(self.visit.size - self.at),
            false => SizeHint::default(),
        }
    }
}
