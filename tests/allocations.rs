//! What a request costs in allocations, counted.

use std::{
    convert::Infallible,
    future::Ready,
    sync::Arc,
    task::{Context, Poll},
};

use cas_proxy::{
    csc::{ClientSecurityContext, Sid},
    decision::Here,
    directory::{Mailbox, MailboxKey, ServerName, SiteName, Topology},
    first_cas::CasProxyLayer,
    lookup::{Cached, InMemory, MailboxLookup},
};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer, Service};

type Body = Empty<bytes::Bytes>;

/// An inner service that costs nothing itself.
#[derive(Clone)]
struct Nothing;

impl Service<Request<Body>> for Nothing {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Body>) -> Self::Future {
        std::future::ready(Ok(Response::new(Body::new())))
    }
}

/// Allocations of one request for `path` of a user whose mailbox is here, its making not counted.
fn allocations(path: &str) -> Result<u64, Box<dyn std::error::Error>> {
    let user = ClientSecurityContext::builder(
        Sid::from_parts(5, &[21, 1, 2, 3, 1105])?,
        "Negotiate",
        "CONTOSO\\anna",
    )
    .build()?;
    let here = Here::new(
        ServerName::new("seattle")?,
        SiteName::new("Seattle")?,
        "8.3.83.6".parse()?,
    );
    let key = MailboxKey::Sid(*user.user());
    let mailbox = Mailbox::new(ServerName::new("mbx")?, "8.3.83.6".parse()?)
        .with_site(SiteName::new("Seattle")?);
    let lookup = Cached::new(InMemory::new().insert(key.clone(), mailbox));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(lookup.locate(key))?;
    let topology = Arc::new(Topology::builder().build()?);
    let mut service = CasProxyLayer::new(here, topology, lookup).layer(Nothing);
    let request = Request::get(path)
        .header("host", "mail.contoso.com")
        .header("accept", "text/html")
        .header("cookie", "UserContext=0123456789abcdef")
        .extension(user)
        .body(Body::new())?;
    let _entered = runtime.enter();
    let mut answer = None;
    let counted = allocation_counter::measure(|| answer = service.call(request).now_or_never());
    let answer = answer.ok_or("not served at once")??;
    assert_eq!(answer.status(), 200);
    Ok(counted.count_total)
}

#[test]
fn a_local_request_allocates_nothing() -> Result<(), Box<dyn std::error::Error>> {
    assert_eq!(
        (
            allocations("/favicon.ico")?,
            allocations("/owa/?ae=Folder&t=IPF.Note")?
        ),
        (0, 0)
    );
    assert_eq!(allocations("/favicon.ico")?, 0);
    Ok(())
}
