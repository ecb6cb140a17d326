//! What a request costs in allocations, counted.
#![cfg(test)]
#![allow(clippy::expect_used, reason = "a test that fails may panic")]

use std::{
    convert::Infallible,
    future::Ready,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use cas_proxy::{
    csc::{ClientSecurityContext, Sid},
    decision::Here,
    directory::{Mailbox, MailboxKey, ServerName, SiteName, Topology},
    first_cas::CasProxyLayer,
    lookup::{Answer, Cached, InMemory, MailboxLookup},
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

/// Bytes that a remembered user takes, whose mailbox's server is known already.
fn remembered(users: u32) -> Result<i64, Box<dyn std::error::Error>> {
    let mailbox = Mailbox::new(ServerName::new("mbx")?, "8.3.83.6".parse()?);
    let answer = Answer::Found(Arc::new(mailbox.with_site(SiteName::new("Dallas")?)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let sid = |number| Sid::from_parts(5, &[21, 1, 2, 3, number]);
    let (mut cached_in, mut filled) = (None, Ok(()));
    let counted = allocation_counter::measure(|| {
        let lookup = move |_| std::future::ready(Ok(answer.clone()));
        let cached = Cached::builder(lookup).capacity(users as usize);
        let cached = cached_in.insert(cached.time_to_live(DAY).build());
        filled = runtime.block_on(async {
            for number in 0..users {
                cached.locate(MailboxKey::Sid(sid(number)?)).await?;
            }
            Ok::<_, Box<dyn std::error::Error>>(())
        });
    });
    filled?;
    let cached = cached_in.ok_or("nothing was remembered")?;
    let held = (0..users).filter(|&number| {
        sid(number).is_ok_and(|sid| cached.peek(&MailboxKey::Sid(sid)).is_some())
    });
    let held = runtime.block_on(async { held.count() });
    assert!(held > users as usize * 95 / 100, "only {held} are held");
    Ok(counted.bytes_current / i64::try_from(held)?)
}

#[test]
fn a_remembered_user_takes_at_most_200_bytes() -> Result<(), Box<dyn std::error::Error>> {
    let bytes = remembered(100_000)?;
    assert!(bytes <= 200, "{bytes} bytes each of 100,000 users");
    Ok(())
}

#[test]
#[ignore = "needs a process of its own"]
fn each_of_a_million_remembered_users_takes_at_most_200_bytes()
-> Result<(), Box<dyn std::error::Error>> {
    let bytes = remembered(1_000_000)?;
    println!("{bytes} bytes each");
    assert!(bytes <= 200, "{bytes} bytes each of 1,000,000 users");
    Ok(())
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
