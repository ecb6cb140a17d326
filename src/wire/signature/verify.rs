//! What the second CAS does.

use std::fmt;

use hmac::Mac;
use http::{HeaderMap, HeaderValue, header::AsHeaderName};

use super::{
    SharedKey, Target,
    base::{self, MANDATORY},
    content_digest,
    error::SignatureError,
    fields::{self, Input, MAC_LENGTH},
    sign::{CONTENT_DIGEST, SIGNATURE, SIGNATURE_INPUT},
};
use crate::wire::names::is_identity_name;

/// A signature as it came: read, not yet believed.
#[derive(Clone)]
pub struct Presented<'r> {
    headers: &'r HeaderMap,
    input: Input<'r>,
    mac: [u8; MAC_LENGTH],
}

impl<'r> Presented<'r> {
    /// Reads the signature of a request; `None` if it has none.
    ///
    /// # Errors
    /// [`SignatureError::Incomplete`] or [`SignatureError::Malformed`].
    pub fn read(headers: &'r HeaderMap) -> Result<Option<Self>, SignatureError> {
        match (only(headers, SIGNATURE_INPUT)?, only(headers, SIGNATURE)?) {
            (None, None) => Ok(None),
            (Some(input), Some(signature)) => {
                let input = Input::parse(input)?;
                let mac = fields::parse_signature(signature, input.label)?;
                Ok(Some(Self {
                    headers,
                    input,
                    mac,
                }))
            }
            _ => Err(SignatureError::Incomplete),
        }
    }

    /// Id of the key the signature claims to be made with.
    #[must_use]
    pub fn key_id(&self) -> &'r str {
        self.input.key_id
    }

    /// The nonce, 1 to 128 printable ASCII bytes. Accept each one once.
    #[must_use]
    pub fn nonce(&self) -> &'r str {
        self.input.nonce
    }

    /// When the signature was made, in seconds since 1970.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.input.created
    }

    /// Last second the signature is good for, since 1970.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.input.expires
    }

    /// Checks everything about the signature but whether its nonce was seen before. `now` is in seconds since 1970,
    /// `target` comes from [`Target::received`].
    ///
    /// # Errors
    /// Says what did not fit. The MAC is compared last and in constant time.
    pub fn verify(
        &self,
        key: &SharedKey,
        target: &Target<'_>,
        now: u64,
    ) -> Result<(), SignatureError> {
        if key.id() != self.input.key_id {
            return Err(SignatureError::OtherKey);
        }
        self.check_coverage()?;
        self.check_times(now)?;
        let mut mac = key.start();
        let params = self.input.params.as_bytes();
        base::write(
            target,
            self.headers,
            &self.input.components,
            params,
            |piece| mac.update(piece),
        )?;
        mac.verify_slice(&self.mac)
            .map_err(|_| SignatureError::Mismatch)
    }

    /// SHA-256 of the body the signature vouches for: `None` if `Content-Digest` is absent or not covered.
    /// Means nothing before [`verify`](Self::verify) has agreed.
    ///
    /// # Errors
    /// [`SignatureError::Malformed`]: the covered `Content-Digest` is not one `sha-256` value.
    pub fn body_digest(&self) -> Result<Option<[u8; 32]>, SignatureError> {
        if self.input.components.contains(CONTENT_DIGEST.as_str()) {
            content_digest::read(self.headers)
        } else {
            Ok(None)
        }
    }

    fn check_coverage(&self) -> Result<(), SignatureError> {
        if !MANDATORY
            .iter()
            .all(|component| self.input.components.contains(component))
        {
            return Err(SignatureError::ComponentNotCovered);
        }
        let all = self
            .headers
            .keys()
            .filter(|name| is_identity_name(name))
            .all(|name| self.input.components.contains(name.as_str()));
        if all {
            Ok(())
        } else {
            Err(SignatureError::IdentityHeaderNotCovered)
        }
    }

    fn check_times(&self, now: u64) -> Result<(), SignatureError> {
        let Input {
            created, expires, ..
        } = self.input;
        match expires.checked_sub(created) {
            None => Err(SignatureError::LifetimeOutOfBounds),
            Some(lifetime) if lifetime > MAX_LIFETIME_SECONDS => {
                Err(SignatureError::LifetimeOutOfBounds)
            }
            Some(_) if created > now.saturating_add(MAX_SKEW_SECONDS) => {
                Err(SignatureError::FromTheFuture)
            }
            Some(_) if now > expires.saturating_add(MAX_SKEW_SECONDS) => {
                Err(SignatureError::Expired)
            }
            Some(_) => Ok(()),
        }
    }
}

/// Without the MAC, and without the headers it is over: what was accepted here may not have been elsewhere.
impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("key_id", &self.key_id())
            .field("created", &self.created())
            .field("expires", &self.expires())
            .finish_non_exhaustive()
    }
}

/// The value of a field that may have one line at most.
pub(super) fn only(
    headers: &HeaderMap,
    name: impl AsHeaderName,
) -> Result<Option<&str>, SignatureError> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => HeaderValue::to_str(line)
            .map(Some)
            .map_err(|_| SignatureError::Malformed),
        (Some(_), Some(_)) => Err(SignatureError::Malformed),
    }
}

/// How far two clocks may be apart, in seconds.
pub const MAX_SKEW_SECONDS: u64 = 30;

/// Longest time from `created` to `expires` that is accepted, in seconds. It bounds how long nonces are remembered.
pub const MAX_LIFETIME_SECONDS: u64 = 300;
