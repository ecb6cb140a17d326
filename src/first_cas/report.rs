//! Every answer of ours leaves through here: logged once, counted once, its outcome left for outer layers.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use tokio::time::Instant;

use super::{body::ResponseBody, config::Config, failure::Refused};
use crate::{
    directory::ExternalUrl,
    outbound::UpstreamBody,
    pages::{self, Audience, Page},
    telemetry::{self, Outcome, Reference},
    wire::owa_path,
};

/// Who is to be answered, and when the question came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    audience: Audience,
    started: Instant,
    /// Whether the client offers an upgrade: what it has sent behind its request, it meant for the other side of that,
    /// and nobody shall read it as a request.
    closing: bool,
}

/// An answer that is not the inner service's.
pub(super) type Answered = Response<AnswerBody>;

/// Its body.
#[derive(Debug)]
pub(super) enum AnswerBody {
    Upstream(UpstreamBody),
    Page(Bytes),
}

impl Report {
    pub(super) fn of(config: &Config, parts: &Parts, started: Instant) -> Self {
        Self {
            audience: Audience::of(&parts.method, &parts.headers),
            started,
            closing: config.upgrades.offered(parts).is_some(),
        }
    }

    pub(super) fn refuse(self, refused: Refused) -> Answered {
        let reference = Reference::next();
        let audience = self
            .audience
            .with_reference(reference.get())
            .with_event(refused.event());
        let (page, failure) = refused.into_parts();
        let answer = pages::render(&page, &audience);
        self.leave(
            answer.map(AnswerBody::Page),
            Outcome::Refused(failure),
            reference,
        )
    }

    //= src/docs/protocol.md#decide-redirect
    pub(super) fn redirect(self, url: &ExternalUrl, silent: bool) -> Answered {
        let page = Page::Redirect {
            url: url.clone(),
            silent,
        };
        let answer = pages::render(&page, &self.audience);
        let outcome = Outcome::Redirected {
            url: url.clone(),
            silent,
        };
        self.leave(answer.map(AnswerBody::Page), outcome, Reference::next())
    }

    /// Passes an answer on that has its outcome among its extensions.
    pub(super) fn proxied(self, answer: Response<UpstreamBody>) -> Answered {
        if let Some(outcome) = answer.extensions().get() {
            self.tell(outcome, answer.status(), Reference::next());
        }
        self.close(answer.map(AnswerBody::Upstream))
    }

    /// Sends the browser to the language page, which every CAS has for itself.
    //= src/docs/protocol.md#status-442
    pub(super) fn language(self, explicit_segment: Option<&str>, outcome: Outcome) -> Answered {
        let mut answer = Response::new(AnswerBody::Page(Bytes::new()));
        *answer.status_mut() = StatusCode::FOUND;
        let headers = answer.headers_mut();
        if let Ok(location) = owa_path::language_path(explicit_segment) {
            headers.insert(header::LOCATION, location);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        self.leave(answer, outcome, Reference::next())
    }

    fn leave(self, mut answer: Answered, outcome: Outcome, reference: Reference) -> Answered {
        self.tell(&outcome, answer.status(), reference);
        answer.extensions_mut().insert(outcome);
        self.close(answer)
    }

    fn tell(self, outcome: &Outcome, status: StatusCode, reference: Reference) {
        telemetry::answered(outcome, status, reference, self.started.elapsed());
    }

    //= src/docs/protocol.md#upgrade-checked
    fn close(self, mut answer: Answered) -> Answered {
        if self.closing && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        answer
    }
}

impl<B> From<AnswerBody> for ResponseBody<B> {
    fn from(body: AnswerBody) -> Self {
        match body {
            AnswerBody::Upstream(body) => Self::upstream(body),
            AnswerBody::Page(body) => Self::page(body),
        }
    }
}
