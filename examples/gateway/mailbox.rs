//! The service behind the layers: a mailbox that tells who opened it, and how the request came.
//!
//! Plain tower, as any service of your own would be. What it knows of the user stands in the request's extensions,
//! where no client can write: the [`ClientSecurityContext`], and [`Proxied`] if another CAS sent the request.

use std::{
    convert::Infallible,
    fmt::Write as _,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use cas_proxy::{
    csc::ClientSecurityContext,
    directory::{ServerName, SiteName},
    second_cas::Proxied,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tower::Service;

/// Answers `served-by=<name> site=<site> user=<sid> via=<first CAS's ProxyUri or ->`.
///
/// A POST or PUT is told the length and SHA-256 of its body on a second line. `?bytes=N` makes the answer exactly N
/// bytes long, streamed: the lines, cut if need be, then dots.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    place: Arc<str>,
}

impl Mailbox {
    pub(crate) fn new(name: &ServerName, site: &SiteName) -> Self {
        Self {
            place: format!("served-by={name} site={site}").into(),
        }
    }

    fn first_line<B>(&self, request: &Request<B>) -> String {
        let context = request.extensions().get::<ClientSecurityContext>();
        let user = context.map_or_else(|| "-".to_owned(), |context| context.user().to_string());
        let proxied = request.extensions().get::<Proxied>();
        let via = proxied
            .and_then(|proxied| proxied.uri().to_str().ok())
            .unwrap_or("-");
        format!("{} user={user} via={via}\n", self.place)
    }
}

impl<B> Service<Request<B>> for Mailbox
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    type Response = Response<Lines>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut text = self.first_line(&request);
        let (parts, body) = request.into_parts();
        Box::pin(async move {
            if parts.method == Method::POST || parts.method == Method::PUT {
                let Ok((length, sha256)) = digest(body).await else {
                    return Ok(broken_off());
                };
                text += &format!("body-length={length} body-sha256={sha256}\n");
            }
            let length = wanted_length(&parts.uri).unwrap_or(text.len() as u64);
            Ok(answer(&parts.method, Lines::new(text, length)))
        })
    }
}

fn answer(method: &Method, lines: Lines) -> Response<Lines> {
    let length = HeaderValue::from(lines.left());
    let mut answer = Response::new(if method == Method::HEAD {
        Lines::default()
    } else {
        lines
    });
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    // Said here rather than left to the server, so that HEAD says it, too.
    headers.insert(header::CONTENT_LENGTH, length);
    answer
}

/// The body never arrived whole. Most often nobody is left to read this.
fn broken_off() -> Response<Lines> {
    let text = "the body broke off\n".to_owned();
    let length = text.len() as u64;
    let mut answer = answer(&Method::POST, Lines::new(text, length));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer
}

struct BrokenOff;

/// Length and SHA-256 of a body, of which no more than one piece is in memory at a time.
async fn digest<B: Body>(body: B) -> Result<(u64, String), BrokenOff> {
    let mut body = pin!(body);
    let mut hash = Sha256::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(|_| BrokenOff)?.into_data() else {
            continue;
        };
        while data.has_remaining() {
            let piece = data.chunk().len();
            hash.update(data.chunk());
            data.advance(piece);
            length += piece as u64;
        }
    }
    let sha256 = hash
        .finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
    Ok((length, sha256))
}

/// N of `?bytes=N`.
fn wanted_length(uri: &Uri) -> Option<u64> {
    uri.query()?
        .split('&')
        .find_map(|pair| pair.strip_prefix("bytes="))?
        .parse()
        .ok()
}

/// A text, then dots up to a given length; made as it is sent.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    text: Bytes,
    dots: u64,
}

impl Lines {
    fn new(text: String, length: u64) -> Self {
        let mut text = Bytes::from(text);
        text.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        let dots = length - text.len() as u64;
        Self { text, dots }
    }

    fn left(&self) -> u64 {
        self.text.len() as u64 + self.dots
    }
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = if !self.text.is_empty() {
            std::mem::take(&mut self.text)
        } else if self.dots > 0 {
            let mut piece = Bytes::from_static(&DOTS);
            piece.truncate(usize::try_from(self.dots).unwrap_or(usize::MAX));
            self.dots -= piece.len() as u64;
            piece
        } else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

static DOTS: [u8; 16 * 1024] = [b'.'; 16 * 1024];
