//! The service behind the layers: a mailbox that shows whose it is, where it is, and how the request came.

use std::{
    convert::Infallible,
    fmt::Write as _,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use cas_proxy::{csc::ClientSecurityContext, second_cas::Proxied};
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use tower::Service;

/// The mailboxes of one server.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    server: &'static str,
    site: &'static str,
}

impl Mailbox {
    pub(crate) fn new(server: &'static str, site: &'static str) -> Self {
        Self { server, site }
    }

    fn page<B>(&self, request: &Request<B>) -> String {
        // Both stand where no client can write.
        let context = request.extensions().get::<ClientSecurityContext>();
        let proxied = request.extensions().get::<Proxied>();

        let user = context.map_or("nobody", ClientSecurityContext::logon_name);
        let sid = context.map_or_else(String::new, |context| context.user().to_string());
        let via = request.headers().get(header::VIA).map(shown);
        let came = match (proxied, via) {
            (Some(proxied), _) => format!(
                "proxied by the CAS with the key {}, which the browser knows as {}",
                proxied.caller(),
                shown(proxied.uri())
            ),
            (None, Some(via)) => format!("passed on by {via}, with the user's own password"),
            (None, None) => "straight from the browser".to_owned(),
        };
        let mailbox = proxied
            .and_then(Proxied::explicit_logon)
            .map_or(user, |address| address.as_str());
        let asked = format!("{} {}", request.method(), request.uri());
        let facts = [
            ("User", user),
            ("SID", &sid),
            ("Site", self.site),
            ("Server", self.server),
            ("Request", &asked),
            ("How it came", &came),
        ];

        let title = format!("{}: mailbox of {}", self.server, escaped(mailbox));
        let mut page = HEAD.replace("TITLE", &title);
        for (what, value) in facts {
            // Writing to a String cannot fail.
            let _ = writeln!(page, "<dt>{what}</dt><dd>{}</dd>", escaped(value));
        }
        page += TAIL;
        page
    }
}

impl<B> Service<Request<B>> for Mailbox {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut answer = Response::new(Full::from(self.page(&request)));
        for (name, value) in [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
        ] {
            answer
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        ready(Ok(answer))
    }
}

fn shown(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("?")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>TITLE</title>
<style>
body { max-width: 45rem; margin: 3rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .5rem 1.5rem; overflow-wrap: anywhere; }
dt { font-weight: 600; }
dd { margin: 0; }
</style>
<h1>TITLE</h1>
<dl>
";

const TAIL: &str = "</dl>\n</html>\n";
