//! A request on its way to other servers: its head, which every attempt copies, and its body, which attempts
//! take over from one another.

use http::{
    Extensions, HeaderMap, HeaderValue, Method, Request, Response, header, request::Parts,
    uri::PathAndQuery,
};
use http_body::Body;

use super::{config::Config, exchange::waits, failure::Refused, tunnel::Upgrade, visit::Asked};
use crate::{
    directory::{MailboxKey, Origin, ServerName},
    outbound::{BoxError, OutboundBody, Replay, UpstreamBody, absolute, uploaded},
    pages::{Audience, Page},
    wire::{
        Ours,
        hop_by_hop::{Client, Framing},
        onward, original_uri, owa_path,
        proxy_headers::ProxyLines,
        rewrite,
    },
};

/// A request that may be sent more than once.
pub(super) struct Trip<B> {
    parts: Parts,
    payload: Payload<B>,
    /// Whom the client asked for.
    host: HeaderValue,
    /// Whether the client offers an upgrade that is allowed here.
    pub(super) offers_upgrade: bool,
    pub(super) upgrade: Upgrade,
    /// Whoever had the request already: nobody gets it a second time, not even after a 421 has sent it elsewhere.
    //= src/docs/protocol.md#failover-when
    pub(super) tried: Vec<ServerName>,
}

enum Payload<B> {
    /// Not looked at yet, or without a single byte.
    Untouched(B),
    Shared(Unaccepted),
    Gone,
}

/// A body that no answer has accepted yet: with the trip ends every attempt that still waits for it.
struct Unaccepted(Option<Replay>);

impl Drop for Unaccepted {
    fn drop(&mut self) {
        if let Some(body) = &self.0 {
            body.close();
        }
    }
}

impl<B> Trip<B> {
    pub(super) fn new(parts: Parts, body: B, host: HeaderValue, offers_upgrade: bool) -> Self {
        Self {
            parts,
            host,
            payload: Payload::Untouched(body),
            offers_upgrade,
            upgrade: Upgrade::default(),
            tried: Vec::new(),
        }
    }
}

impl<B> Trip<B>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The request's extensions, at its end.
    pub(super) fn take_extensions(&mut self) -> Extensions {
        std::mem::take(&mut self.parts.extensions)
    }

    pub(super) fn method(&self) -> &Method {
        &self.parts.method
    }

    pub(super) fn has_no_body(&self) -> bool {
        matches!(&self.payload, Payload::Untouched(body) if body.is_end_stream())
    }

    /// The body as it came, unless bytes of it are gone.
    pub(super) fn take_body(&mut self) -> Option<B> {
        match std::mem::replace(&mut self.payload, Payload::Gone) {
            Payload::Untouched(body) => Some(body),
            Payload::Shared(body) => body.0.as_ref()?.reclaim(),
            Payload::Gone => None,
        }
    }

    pub(super) fn into_parts(self) -> Parts {
        self.parts
    }

    /// For whom a page would be.
    pub(super) fn audience(&self) -> Audience {
        Audience::of(&self.parts.method, &self.parts.headers)
    }

    /// The body, ready to be shared between attempts; `None` if there is none to share.
    pub(super) fn share_body(&mut self, config: &Config) -> Option<Replay> {
        match std::mem::replace(&mut self.payload, Payload::Gone) {
            Payload::Untouched(body) if !body.is_end_stream() => {
                let replay = Replay::new(
                    body,
                    &config.state.budget,
                    config.limits.recorded_per_request,
                    config.forward_request_trailers,
                );
                self.payload = Payload::Shared(Unaccepted(Some(replay.clone())));
                Some(replay)
            }
            Payload::Shared(body) => {
                let replay = body.0.clone();
                self.payload = Payload::Shared(body);
                replay
            }
            untouched => {
                self.payload = untouched;
                None
            }
        }
    }

    /// Sees to an upload that its answer has overtaken. After a success it goes on; otherwise a body that
    /// nobody asked for stays unread.
    pub(super) fn finish_upload(
        &mut self,
        config: &Config,
        answer: &mut Response<UpstreamBody>,
        body: Option<Replay>,
    ) {
        let Some(body) = body else {
            return;
        };
        if let Payload::Shared(unaccepted) = &mut self.payload {
            unaccepted.0 = None;
        }
        body.forget();
        let progress = body.progress();
        if progress.ended.is_some() {
            return body.close();
        }
        if progress.gated && !answer.status().is_success() {
            return answer.body_mut().leave_unread(body);
        }
        body.open_gate();
        let waits = waits(&config.timeouts);
        config.state.tasks.spawn(async move {
            // Either way nobody needs it any more, and whoever still waits for it has waited too long.
            let _ = uploaded(&body, waits).await;
            body.close();
        });
    }

    /// The target at the other server, byte for byte that of the client.
    //= src/docs/protocol.md#copy-path
    pub(super) fn target(&self) -> PathAndQuery {
        original_uri(&self.parts)
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"))
    }

    /// The request to a second CAS at `origin`, as the user of it.
    pub(super) fn request(
        &self,
        config: &Config,
        asked: &Asked,
        origin: &Origin,
        body: OutboundBody,
    ) -> Result<Request<OutboundBody>, Refused> {
        let explicit_logon = match &asked.key {
            MailboxKey::Address(address) => Some(address.to_header_value()),
            _ => None,
        };
        //= src/docs/protocol.md#header-version
        //= src/docs/protocol.md#header-sid
        //= src/docs/protocol.md#header-webpart
        //= src/docs/protocol.md#header-explicit
        let lines = ProxyLines {
            uri: asked.name_used(config).proxy_uri(),
            version: &config.version,
            sid: asked.user.user_header(),
            web_part: owa_path::is_web_part(original_uri(&self.parts).query()),
            explicit_logon,
        };
        let second_cas = Some((origin.host_header(), lines));
        self.request_with(config, asked, origin, self.target(), body, second_cas)
    }

    /// The request to a back-end at `origin`, without any identity yet.
    pub(super) fn request_to_back_end(
        &self,
        config: &Config,
        asked: &Asked,
        origin: &Origin,
        target: PathAndQuery,
        body: OutboundBody,
    ) -> Result<Request<OutboundBody>, Refused> {
        let mut request = self.request_with(config, asked, origin, target, body, None)?;
        let host = origin.host_header().clone();
        request.headers_mut().insert(header::HOST, host);
        Ok(request)
    }

    /// A copy of the head for `origin`: hygiene done, framing of `body` said anew.
    fn request_with(
        &self,
        config: &Config,
        asked: &Asked,
        origin: &Origin,
        target: PathAndQuery,
        body: OutboundBody,
        second_cas: Option<(&HeaderValue, ProxyLines<'_>)>,
    ) -> Result<Request<OutboundBody>, Refused> {
        let own = asked.name_used(config).origin();
        let onward = onward(
            &self.parts.method,
            self.parts.version,
            &self.parts.headers,
            Ours {
                via: &config.via,
                client: &client(&self.parts.extensions, own),
                host: self.host.clone(),
                log_on_cookies: &config.log_on_cookies,
                second_cas,
            },
        )
        .map_err(|error| Refused::at_the_door(Page::BadRequest, error))?;
        let mut headers = onward.headers;
        if onward.destination {
            rewrite::request(&mut headers, own, origin);
        }
        let said = onward.prepared.framing != Framing::Undeclared;
        frame(&mut headers, &self.parts.method, &body, said);
        let mut request = Request::new(body);
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = absolute(origin, target).map_err(Refused::internal)?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// What is known of the client's connection: whatever accepted it may say so in the extensions.
fn client(extensions: &Extensions, own: &Origin) -> Client {
    extensions.get().copied().unwrap_or_else(|| Client {
        peer: None,
        https: own.is_https(),
        trusted: false,
    })
}

/// Says how long the body is, whatever the client's own hop said.
fn frame(headers: &mut HeaderMap, method: &Method, body: &OutboundBody, said: bool) {
    if said {
        headers.remove(header::CONTENT_LENGTH);
    }
    match body.size_hint().exact() {
        // A server may ask for the length of the body even where there is none.
        Some(0) if body.is_end_stream() && !said && is_usually_without_body(method) => {}
        Some(length) => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        // Without this, hyper would send a GET's body as none at all.
        None => {
            let chunked = HeaderValue::from_static("chunked");
            headers.insert(header::TRANSFER_ENCODING, chunked);
        }
    }
}

fn is_usually_without_body(method: &Method) -> bool {
    !matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
