//! Who is calling? The part that plugs in, and the proof it gives.

use std::{borrow::Cow, fmt, pin::Pin, sync::Arc};

use http::{HeaderValue, request::Parts};

/// Verifies that a request comes from a CAS we trust. Asked once for each request that speaks as a CAS does, before
/// anything else looks at it and before its body is touched.
///
/// Built in are `SharedKeys` (feature `signatures`) and [`ClientCertificates`](super::ClientCertificates). Closures
/// work as well:
///
/// ```
/// use cas_proxy::second_cas::{NotVerified, SecondCasLayer, Verdict, VerifiedCaller};
/// use http::request::Parts;
///
/// /// Put among the extensions by a connection layer that knows the peer.
/// #[derive(Clone)]
/// struct Peer(&'static str);
///
/// let layer = SecondCasLayer::new(|request: &Parts| {
///     Verdict::Now(match request.extensions.get::<Peer>() {
///         Some(Peer(name)) if *name == "chicago" => Ok(VerifiedCaller::vouched_for(*name)),
///         Some(_) => Err(NotVerified::refused("peer is not a CAS of ours")),
///         None => Err(NotVerified::no_credentials()),
///     })
/// });
/// ```
///
/// A verifier names *one peer*. "Is some machine of the domain" is no verdict: any such machine could then speak for
/// every user.
#[diagnostic::on_unimplemented(
    message = "`{Self}` verifies no callers",
    note = "`SharedKeys` and `ClientCertificates` do, and so does a closure `|request: &Parts| -> Verdict`"
)]
pub trait VerifyCaller: Send + Sync + 'static {
    /// The verdict, at once if it takes no waiting.
    fn verify(&self, request: &Parts) -> Verdict;
}

impl<F: Fn(&Parts) -> Verdict + Send + Sync + 'static> VerifyCaller for F {
    fn verify(&self, request: &Parts) -> Verdict {
        self(request)
    }
}

/// A verdict, or the promise of one.
pub enum Verdict {
    /// Known at once, at the cost of no allocation.
    Now(Result<VerifiedCaller, NotVerified>),
    /// Known later, after someone else was asked.
    Later(Pin<Box<dyn Future<Output = Result<VerifiedCaller, NotVerified>> + Send>>),
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(verdict) => f.debug_tuple("Now").field(verdict).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// Proof that a CAS was verified, by its name. What keeps contexts and takes logins asks for one. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VerifiedCaller {
    name: Arc<str>,
    body: Body,
    proof: Option<HeaderValue>,
}

/// What the proof says about the body of the request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Body {
    /// The connection itself is the caller's.
    OfTheConnection,
    /// The caller signed the head, with this SHA-256 of the body.
    #[cfg(feature = "signatures")]
    Digest([u8; 32]),
    /// The caller signed the head alone.
    #[cfg(feature = "signatures")]
    NotSigned,
}

impl VerifiedCaller {
    /// For verifiers that vouch for the connection, and with it for all that comes over it: client certificates, or
    /// Kerberos bound to the channel. `name` is the caller's; contexts are kept by it.
    ///
    /// Making one is saying that this peer may speak for every user.
    #[must_use]
    pub fn vouched_for(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            body: Body::OfTheConnection,
            proof: None,
        }
    }

    /// For verifiers that vouch for the head of the request alone, with the SHA-256 of the body if that was signed
    /// too. A proxy login is taken only if it was, and if the body fits.
    #[cfg(feature = "signatures")]
    #[must_use]
    pub fn signed(name: impl Into<Arc<str>>, body_digest: Option<[u8; 32]>) -> Self {
        Self {
            name: name.into(),
            body: body_digest.map_or(Body::NotSigned, Body::Digest),
            proof: None,
        }
    }

    /// By which the caller may know us in turn (mutual authentication): a `WWW-Authenticate` value that goes with the
    /// answer, whatever that is.
    #[must_use]
    pub fn answered_with(mut self, proof: HeaderValue) -> Self {
        self.proof = Some(proof);
        self
    }

    pub(super) fn take_proof(&mut self) -> Option<HeaderValue> {
        self.proof.take()
    }

    /// The caller's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether this is the body the caller sent.
    #[cfg_attr(
        not(feature = "signatures"),
        expect(unused_variables, reason = "a connection vouches for any body")
    )]
    pub(super) fn sent(&self, body: &[u8]) -> bool {
        match self.body {
            Body::OfTheConnection => true,
            #[cfg(feature = "signatures")]
            Body::Digest(digest) => crate::wire::signature::content_digest::sha256(body) == digest,
            #[cfg(feature = "signatures")]
            Body::NotSigned => false,
        }
    }
}

impl fmt::Debug for VerifiedCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifiedCaller").field(&self.name).finish()
    }
}

/// Why a caller was not verified. The reason is for the log; the caller is told the same whatever it is.
#[derive(Clone, Debug)]
pub struct NotVerified {
    kind: NotVerifiedKind,
    reason: Cow<'static, str>,
    challenges: Vec<HeaderValue>,
}

/// The kinds of [`NotVerified`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotVerifiedKind {
    /// The request shows no credentials of a CAS: most likely an ordinary client. Answered 403.
    NoCredentials,
    /// It shows some, and they are not good. Answered 403, the same way; or 401 where that is what this verifier says
    /// to those who show none, see [`NotVerified::with_challenge`].
    Refused,
    /// It cannot be judged now, through no fault of its own. Answered 503, so that the first CAS tries another.
    Unavailable,
    /// It has to answer a challenge first. Answered 401 with `WWW-Authenticate`.
    Challenge,
}

impl NotVerified {
    /// The request shows no credentials.
    #[must_use]
    pub fn no_credentials() -> Self {
        Self::new(
            NotVerifiedKind::NoCredentials,
            "request has no credentials of a CAS",
        )
    }

    /// The credentials are not good. `reason` is logged: no secrets, no text of the peer's choosing.
    #[must_use]
    pub fn refused(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(NotVerifiedKind::Refused, reason)
    }

    /// The verifier cannot judge now. Say so only of callers whose credentials are good, or whoever they may be.
    #[must_use]
    pub fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(NotVerifiedKind::Unavailable, reason)
    }

    /// The caller is to answer one of these `WWW-Authenticate` values.
    #[must_use]
    pub fn challenge(challenges: Vec<HeaderValue>) -> Self {
        Self {
            challenges,
            ..Self::new(
                NotVerifiedKind::Challenge,
                "caller has to answer a challenge",
            )
        }
    }

    /// The caller is told to answer this `WWW-Authenticate` value, with 401: what a verifier that challenges says to
    /// everyone, so that no refusal differs from a challenge.
    #[must_use]
    pub fn with_challenge(mut self, challenge: HeaderValue) -> Self {
        self.challenges.push(challenge);
        self
    }

    /// What kind of refusal it is.
    #[must_use]
    pub fn kind(&self) -> NotVerifiedKind {
        self.kind
    }

    pub(super) fn into_challenges(self) -> Vec<HeaderValue> {
        self.challenges
    }

    fn new(kind: NotVerifiedKind, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            reason: reason.into(),
            challenges: Vec::new(),
        }
    }
}

impl fmt::Display for NotVerified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for NotVerified {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_vouches_for_any_body_and_a_signature_for_one() {
        assert!(VerifiedCaller::vouched_for("chicago").sent(b"anything"));
        #[cfg(feature = "signatures")]
        {
            let digest = crate::wire::signature::content_digest::sha256(b"body");
            assert!(VerifiedCaller::signed("chicago", Some(digest)).sent(b"body"));
            assert!(!VerifiedCaller::signed("chicago", Some(digest)).sent(b"bodY"));
            assert!(!VerifiedCaller::signed("chicago", None).sent(b""));
        }
    }

    #[test]
    fn debug_and_display_read_well() {
        assert_eq!(
            format!("{:?}", VerifiedCaller::vouched_for("chicago")),
            r#"VerifiedCaller("chicago")"#
        );
        assert_eq!(NotVerified::refused("clock").to_string(), "clock");
        let verdict = Verdict::Later(Box::pin(async { Err(NotVerified::no_credentials()) }));
        assert_eq!(format!("{verdict:?}"), "Later(..)");
    }
}
