//! Who is the user? HTTP Basic, against a list of users or, if the configuration names one, against Active Directory.
//!
//! This is the layer to replace by your own log-on. All that the first CAS asks of it is a
//! [`ClientSecurityContext`] in the request's extensions.

use std::{
    collections::HashMap,
    future::Future,
    hint::black_box,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cas_proxy::{
    csc::ClientSecurityContext,
    lookup::active_directory::DirectoryError,
    pages::{Audience, Page, render},
    wire::owa_path::{self, Kind, Scope},
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{Either, Full};
use sha2::{Digest, Sha256};
use tower::{Layer, Service};

use super::domain_users::DomainUsers;

/// Lets nobody through without a name and the password that belongs to it.
#[derive(Clone)]
pub(crate) struct SignIn(Arc<Accounts>);

struct Accounts {
    who: Who,
    /// Which paths are a mailbox's.
    scope: Scope,
}

enum Who {
    Listed(HashMap<String, Account>),
    Domain(DomainUsers),
}

struct Account {
    password: [u8; 32],
    context: ClientSecurityContext,
}

impl SignIn {
    /// Each user is a name, a password, and what the user is once signed in.
    pub(crate) fn new<'u>(
        users: impl IntoIterator<Item = (&'u str, &'u str, ClientSecurityContext)>,
    ) -> Self {
        let account = |(name, password, context): (&str, &str, _)| {
            let password = Sha256::digest(password).into();
            (name.to_owned(), Account { password, context })
        };
        Self::asking(Who::Listed(users.into_iter().map(account).collect()))
    }

    /// Whoever the directory knows, by `user@domain` or `DOMAIN\user`.
    pub(crate) fn of_the_domain(users: DomainUsers) -> Self {
        Self::asking(Who::Domain(users))
    }

    fn asking(who: Who) -> Self {
        Self(Arc::new(Accounts {
            who,
            scope: Scope::default(),
        }))
    }
}

impl Accounts {
    /// Whether the request is for a mailbox. All else needs nobody: static files, paths that are not ours, and
    /// those that the first CAS refuses, which must read the same whoever asks.
    fn needs_user<B>(&self, request: &Request<B>) -> bool {
        owa_path::classify(&self.scope, request.uri())
            .is_ok_and(|path| path.kind() == Kind::Mailbox)
    }

    async fn identify(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<ClientSecurityContext>, DirectoryError> {
        let Some(credentials) = credentials(headers) else {
            return Ok(None);
        };
        let Some((name, password)) = credentials.split_once(':') else {
            return Ok(None);
        };
        match &self.who {
            Who::Listed(users) => Ok(listed(users, name, password)),
            Who::Domain(users) => users.sign_in(name, password).await,
        }
    }
}

fn listed(
    users: &HashMap<String, Account>,
    name: &str,
    password: &str,
) -> Option<ClientSecurityContext> {
    let account = users.get(name);
    // A name that does not exist costs the same time as a wrong password.
    let expected = account.map_or(&NOBODY, |account| &account.password);
    let matches = equal(expected, &Sha256::digest(password).into());
    account
        .filter(|_| matches)
        .map(|account| account.context.clone())
}

/// `name:password`.
fn credentials(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    // Two lines may name two users, and whoever reads the other one disagrees with us.
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let (scheme, credentials) = line.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()
}

/// Compares digests without stopping at the first difference: how long it takes tells nothing.
fn equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let difference = one
        .iter()
        .zip(other)
        .fold(0, |difference, (one, other)| difference | (one ^ other));
    black_box(difference) == 0
}

impl<S> Layer<S> for SignIn {
    type Service = SignedIn<S>;

    fn layer(&self, inner: S) -> SignedIn<S> {
        SignedIn {
            inner,
            accounts: self.0.clone(),
        }
    }
}

#[derive(Clone)]
pub(crate) struct SignedIn<S> {
    inner: S,
    accounts: Arc<Accounts>,
}

impl<S, B, R> Service<Request<B>> for SignedIn<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Either<R, Full<Bytes>>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let accounts = Arc::clone(&self.accounts);
        // The one that is ready; the next call gets ready by itself.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            if accounts.needs_user(&request) {
                if is_of_another_origin(request.headers()) {
                    return Ok(forbidden());
                }
                match accounts.identify(request.headers()).await {
                    Ok(Some(context)) => drop(request.extensions_mut().insert(context)),
                    Ok(None) => return Ok(refusal(&request, &Page::IdentityMissing)),
                    Err(error) => {
                        tracing::warn!("nobody can sign in: failed to {error}");
                        return Ok(refusal(&request, &Page::DirectoryUnreachable));
                    }
                }
            }
            Ok(inner.call(request).await?.map(Either::Left))
        })
    }
}

/// Whether a page of another origin opens a WebSocket here. A browser lets it, and sends the user's password along.
fn is_of_another_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let of = |origin: &HeaderValue| {
        let (_, authority) = origin.to_str().ok()?.split_once("://")?;
        let host = headers.get(header::HOST)?.to_str().ok()?;
        Some(authority.eq_ignore_ascii_case(host))
    };
    headers.contains_key(header::UPGRADE) && of(origin) != Some(true)
}

fn forbidden<R>() -> Response<Either<R, Full<Bytes>>> {
    let mut answer = Response::new(Either::Right(Full::default()));
    *answer.status_mut() = StatusCode::FORBIDDEN;
    answer
}

fn refusal<B, R>(request: &Request<B>, page: &Page) -> Response<Either<R, Full<Bytes>>> {
    let audience = Audience::of(request.method(), request.headers());
    let mut answer = render(page, &audience);
    if matches!(page, Page::IdentityMissing) {
        let challenge = HeaderValue::from_static(CHALLENGE);
        answer
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    answer.map(|page| Either::Right(Full::new(page)))
}

const CHALLENGE: &str = "Basic realm=\"Outlook Web Access\", charset=\"UTF-8\"";

/// The digest of no password that anyone could send.
const NOBODY: [u8; 32] = [0; 32];
