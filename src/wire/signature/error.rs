//! What can be wrong with a signature, a key or an authority.

use std::fmt;

/// Why a signature was not accepted.
///
/// For logs only: what the other side is told must not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureError {
    /// One of `Signature-Input` and `Signature` is there without the other.
    Incomplete,
    /// `Signature-Input` or `Signature` is not the one strict form we read: one line, one label, no unknown
    /// parameter, nothing twice.
    Malformed,
    /// The request does not name one of this server's own authorities, or names two.
    WrongAuthority,
    /// A derived component that must be covered is not.
    ComponentNotCovered,
    /// The request carries a header of the identity family that the signature does not cover.
    IdentityHeaderNotCovered,
    /// A covered header is not in the request.
    CoveredHeaderMissing,
    /// `created` is later than our clock by more than the tolerated skew.
    FromTheFuture,
    /// `expires` is past by more than the tolerated skew.
    Expired,
    /// `expires` is before `created`, or further from it than we remember nonces.
    LifetimeOutOfBounds,
    /// The key is not the one the signature names.
    OtherKey,
    /// The MAC does not fit the request: another secret, or something was changed on the way.
    Mismatch,
    /// There is more to cover than a signature may list.
    TooManyComponents,
}

impl SignatureError {
    /// The same text as `Display`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "one of signature-input and signature is missing",
            Self::Malformed => "signature fields are malformed",
            Self::WrongAuthority => "request is not addressed to one of this server's authorities",
            Self::ComponentNotCovered => {
                "signature leaves out the method, authority, path or query"
            }
            Self::IdentityHeaderNotCovered => {
                "signature leaves out an identity header of the request"
            }
            Self::CoveredHeaderMissing => "signature covers a header the request does not have",
            Self::FromTheFuture => "signature was created in the future: compare the clocks",
            Self::Expired => "signature has expired: compare the clocks",
            Self::LifetimeOutOfBounds => "signature's lifetime is out of bounds",
            Self::OtherKey => "signature names another key",
            Self::Mismatch => "signature does not fit the request",
            Self::TooManyComponents => "more headers to sign than a signature may list",
        }
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for SignatureError {}

/// Why a key cannot be used. Says nothing of the secret but its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The id is empty, longer than 64 bytes, or has bytes other than letters, digits and `-._:@/+`.
    Id,
    /// The secret is shorter than [`SharedKey::MIN_SECRET`](super::SharedKey::MIN_SECRET).
    SecretTooShort {
        /// Length of the secret that was given, in bytes.
        length: usize,
    },
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("key id is not 1 to 64 letters, digits or `-._:@/+`"),
            Self::SecretTooShort { length } => {
                write!(
                    f,
                    "shared secret has {length} bytes, fewer than {}",
                    super::SharedKey::MIN_SECRET
                )
            }
        }
    }
}

impl std::error::Error for InvalidKey {}

/// Text that is not the authority (`host` or `host:port`) of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAuthority(pub(super) String);

impl fmt::Display for InvalidAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            "" => f.write_str("no `host` or `host:port` is given"),
            text => write!(f, "`{}` is not `host` or `host:port`", text.escape_debug()),
        }
    }
}

impl std::error::Error for InvalidAuthority {}
