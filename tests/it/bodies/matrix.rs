//! Every size and framing of a body against every moment and manner of its 441.

use http::{HeaderMap, Request, Version};
use http_body_util::BodyExt;

use super::*;
use crate::support::{
    browser::Browser,
    site::Answer,
    wire::{CONTINUE, NEED_IDENTITY},
};

/// How the client sends its body.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Framing {
    version: Version,
    sized: bool,
    trailers: bool,
}

/// When the second CAS answers 441.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// It has read no byte of the body, and reads what comes.
    Before,
    Half,
    Whole,
    /// It has read no byte, and never will; nor does it close.
    DeafForEver,
}

/// What it makes of `Expect: 100-continue`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Continues,
    SaysNothing,
    Fails,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    size: u64,
    framing: Framing,
    when: When,
    expected: Expected,
}

/// A second CAS that answers the first request as the row says, and every later one by taking its body.
struct Second {
    row: Row,
    refusals: AtomicUsize,
    logins: AtomicUsize,
    asked: AtomicUsize,
    stored: Mutex<Vec<Vec<u8>>>,
}

impl Second {
    async fn serve(self: Arc<Self>, mut line: Line) {
        while let Some(head) = line.next_head().await {
            if head.starts_with("POST /owa/proxyLogon.owa ") {
                line.body(&head).await;
                self.logins.fetch_add(1, Ordering::SeqCst);
                line.answer(ACCEPTED).await;
                continue;
            }
            let expects = head.contains("\r\nexpect: 100-continue\r\n");
            self.asked.fetch_add(usize::from(expects), Ordering::SeqCst);
            let row = &self.row;
            if expects && row.expected == Expected::Fails {
                line.answer("HTTP/1.1 417 No\r\ncontent-length: 0\r\n\r\n")
                    .await;
                continue;
            }
            let refuses = self.logins.load(Ordering::SeqCst) == 0;
            let reads_first = !refuses || matches!(row.when, When::Half | When::Whole);
            if expects && reads_first && row.expected == Expected::Continues {
                line.answer(CONTINUE).await;
            }
            if !refuses {
                let body = line.body(&head).await;
                self.stored.lock().unwrap().push(body);
                line.answer("HTTP/1.1 201 Stored\r\ncontent-length: 0\r\n\r\n")
                    .await;
                continue;
            }
            self.refusals.fetch_add(1, Ordering::SeqCst);
            match row.when {
                When::Before => {}
                When::Half => line.wait_for(row.size as usize / 2).await,
                When::Whole => drop(line.body(&head).await),
                When::DeafForEver => {
                    line.answer(NEED_IDENTITY).await;
                    return std::future::pending().await;
                }
            }
            line.answer(NEED_IDENTITY).await;
            if row.when != When::Whole && line.next_body(&head).await.is_none() {
                return;
            }
        }
    }
}

const LARGE: u64 = 64 * 1024;
const RECORDED: u64 = 256 * 1024;

impl Row {
    fn is_large(&self) -> bool {
        self.size > LARGE || !self.framing.sized
    }

    /// Whether the body can be given a second time; `None` if that is a matter of buffers on the way.
    fn can_be_given_again(&self) -> Option<bool> {
        let all_kept = self.size <= RECORDED;
        match (self.is_large(), self.expected, self.when) {
            // Logged in first, so that there is no 441.
            (true, Expected::Fails, _) => Some(true),
            (true, _, When::Before | When::DeafForEver) => Some(true),
            (true, _, When::Half) if !all_kept && self.size / 2 <= RECORDED => None,
            _ => Some(all_kept),
        }
    }

    async fn check(self) {
        let pipes = Pipes::new();
        let layer = layer(&pipes, &["dallas"]);
        let second = Arc::new(Second {
            row: self,
            refusals: AtomicUsize::new(0),
            logins: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            stored: Mutex::default(),
        });
        let serving = Arc::clone(&second);
        let served = tokio::spawn(async move {
            let mut lines = tokio::task::JoinSet::new();
            loop {
                let line = pipes.accept().await;
                lines.spawn(Arc::clone(&serving).serve(line));
            }
        });
        let answer = self.send(&layer).await;
        let again = answer.status() == 201;
        assert!(again || answer.status() == 503, "{answer:?} for {self:?}");
        assert_eq!(
            again,
            self.can_be_given_again().unwrap_or(again),
            "{self:?}"
        );
        // Whoever tries again finds the login done.
        if !again {
            assert_eq!(answer.headers()["retry-after"], "1", "{self:?}");
            assert_eq!(second.stored.lock().unwrap().len(), 0, "{self:?}");
            assert_eq!(self.send(&layer).await.status(), 201, "{self:?}");
        }
        let stored = std::mem::take(&mut *second.stored.lock().unwrap());
        let [stored] = stored.try_into().unwrap();
        assert!(self.is(&stored), "{} bytes for {self:?}", stored.len());
        assert_eq!(second.logins.load(Ordering::SeqCst), 1, "{self:?}");
        let asked = second.asked.load(Ordering::SeqCst) > 0;
        assert_eq!(asked, self.is_large(), "{self:?}");
        served.abort();
    }

    async fn send(&self, layer: &CasProxyLayer) -> http::Response<()> {
        let request = Request::post("/owa/x").header("trailer", "checksum");
        let request = request.body(self.body()).unwrap();
        let mut browser = Browser::new(layer, 2, self.framing.version).await;
        browser.fetch(request).await.map(drop)
    }

    fn body(&self) -> Answer {
        let (body, _) = Counted::new(self.size, self.framing.sized);
        let trailers = self.framing.trailers.then(|| {
            let mut trailers = HeaderMap::new();
            trailers.insert("checksum", http::HeaderValue::from_static("1"));
            Ok(trailers)
        });
        let body = body.with_trailers(std::future::ready(trailers));
        match self.framing.sized {
            true => Counted::new(self.size, true)
                .0
                .map_err(|never| match never {})
                .boxed(),
            false => body.map_err(|never| match never {}).boxed(),
        }
    }

    fn is(&self, stored: &[u8]) -> bool {
        stored.len() as u64 == self.size && Counted::begins(stored)
    }
}

//= src/docs/protocol.md#status-441
//= src/docs/protocol.md#login-twice
#[tokio::test(start_paused = true)]
async fn a_body_arrives_whole_once_or_is_refused_with_nothing_stored() {
    use {Expected::*, When::*};
    let framings = [
        (Version::HTTP_11, true, false),
        (Version::HTTP_11, false, false),
        (Version::HTTP_11, false, true),
        (Version::HTTP_2, true, false),
        (Version::HTTP_2, false, true),
    ];
    for (version, sized, trailers) in framings {
        for size in [0, 1, LARGE, LARGE + 1, RECORDED, RECORDED + 1, 1024 * 1024] {
            for when in [Before, Half, Whole, DeafForEver] {
                for expected in [Continues, SaysNothing, Fails] {
                    let framing = Framing {
                        version,
                        sized,
                        trailers,
                    };
                    let row = Row {
                        size,
                        framing,
                        when,
                        expected,
                    };
                    // A small body is sent whole, and its connection goes on.
                    if row.is_large() || expected == Continues && when != DeafForEver {
                        row.check().await;
                    }
                }
            }
        }
    }
}

/// The same far beyond all buffers, one row a framing: all rows would take minutes without optimization.
//= src/docs/protocol.md#status-441
#[tokio::test(start_paused = true)]
async fn sixty_four_mebibytes_arrive_whole_once() {
    use {Expected::*, When::*};
    let rows = [
        (Version::HTTP_11, true, false, Before, Continues),
        (Version::HTTP_11, false, true, DeafForEver, Continues),
        (Version::HTTP_2, true, false, DeafForEver, SaysNothing),
        (Version::HTTP_2, false, true, Before, Fails),
    ];
    for (version, sized, trailers, when, expected) in rows {
        let framing = Framing {
            version,
            sized,
            trailers,
        };
        let row = Row {
            size: 64 * 1024 * 1024,
            framing,
            when,
            expected,
        };
        row.check().await;
    }
}
