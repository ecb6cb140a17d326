//! Every answer of ours leaves through here: logged once, counted once, its outcome left for outer layers.

use bytes::Bytes;
use http::{Extensions, HeaderValue, Response, StatusCode, header};
use tokio::time::Instant;

use super::{body::ResponseBody, failure::Refused, second_hop::Given};
use crate::{
    directory::ExternalUrl,
    outbound::UpstreamBody,
    pages::{self, Audience, Page},
    telemetry::{self, Outcome, Reference},
    wire::owa_path,
};

/// When the question came, and what has to become of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
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
    pub(super) fn new(started: Instant, closing: bool) -> Self {
        Self { started, closing }
    }

    pub(super) fn refuse(self, refused: Refused, audience: Audience) -> Answered {
        let reference = Reference::next();
        let audience = audience
            .with_reference(reference.get())
            .with_event(refused.event());
        let (page, failure) = refused.into_parts();
        let mut answer = pages::render(&page, &audience);
        self.leave(&mut answer, Outcome::Refused(failure), reference);
        answer.map(AnswerBody::Page)
    }

    //= src/docs/protocol.md#decide-redirect
    pub(super) fn redirect(self, url: &ExternalUrl, silent: bool, audience: Audience) -> Answered {
        let page = Page::Redirect {
            url: url.clone(),
            silent,
        };
        let mut answer = pages::render(&page, &audience);
        let outcome = Outcome::Redirected {
            url: url.clone(),
            silent,
        };
        self.leave(&mut answer, outcome, Reference::next());
        answer.map(AnswerBody::Page)
    }

    /// `spare` is of the request, which is done with it: to make another would cost more than to clear it.
    pub(super) fn proxied(self, given: Given, mut spare: Extensions) -> Answered {
        let Given {
            mut answer,
            outcome,
        } = given;
        if answer.extensions().is_empty() {
            spare.clear();
            *answer.extensions_mut() = spare;
        }
        self.leave(&mut answer, outcome, Reference::next());
        answer.map(AnswerBody::Upstream)
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
        self.leave(&mut answer, outcome, Reference::next());
        answer
    }

    fn leave<B>(self, answer: &mut Response<B>, outcome: Outcome, reference: Reference) {
        telemetry::answered(&outcome, answer.status(), reference, self.started.elapsed());
        answer.extensions_mut().insert(outcome);
        //= src/docs/protocol.md#upgrade-checked
        if self.closing && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
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
