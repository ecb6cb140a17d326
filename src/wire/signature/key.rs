//! The secret two CASs share.

use std::{fmt, sync::Arc};

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use super::error::InvalidKey;

/// A secret shared by two CASs, with the id both know it by. Cheap to clone; `Debug` shows the id alone.
///
/// Give each direction of each pair its own key: then a message that is sent back to its maker is signed under a
/// key its maker does not accept, and one stolen secret speaks for one server.
#[derive(Clone)]
pub struct SharedKey(Arc<Inner>);

struct Inner {
    id: Box<str>,
    /// HMAC with both key blocks already absorbed; cloned for each message, which saves two of its rounds.
    keyed: Hmac<Sha256>,
}

impl SharedKey {
    /// Shortest secret accepted, in bytes: the output length of SHA-256.
    ///
    /// Anyone who sees one signed request can try secrets against it at leisure. 256 random bits put that out of
    /// reach, and RFC 2104 discourages keys shorter than the hash's output. Longer ones are fine.
    pub const MIN_SECRET: usize = 32;

    /// A key from its id and its secret. The secret is to be random bytes (`openssl rand 32`), not a password.
    ///
    /// # Errors
    /// The secret is shorter than [`Self::MIN_SECRET`], or the id is not 1 to 64 of `A-Z a-z 0-9 - . _ : @ / +`.
    pub fn new(id: impl Into<String>, secret: &[u8]) -> Result<Self, InvalidKey> {
        let id: String = id.into();
        if !is_key_id(&id) {
            return Err(InvalidKey::Id);
        }
        let too_short = InvalidKey::SecretTooShort {
            length: secret.len(),
        };
        if secret.len() < Self::MIN_SECRET {
            return Err(too_short);
        }
        // HMAC takes a key of any length; the error arm is for MACs that do not.
        let keyed = Hmac::new_from_slice(secret).map_err(|_| too_short)?;
        Ok(Self(Arc::new(Inner {
            id: id.into(),
            keyed,
        })))
    }

    /// The id, as it travels in `keyid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    pub(super) fn start(&self) -> Hmac<Sha256> {
        self.0.keyed.clone()
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKey")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// Ids need no escapes in a structured-field string, so what is compared is what was written.
fn is_key_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:@/+".contains(&byte))
}

const MAX_ID: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_less_than_32_bytes_and_odd_ids_are_refused() {
        assert_eq!(
            SharedKey::new("a", &[1; 31]).unwrap_err(),
            InvalidKey::SecretTooShort { length: 31 }
        );
        assert!(SharedKey::new("a", &[1; 32]).is_ok());
        assert!(SharedKey::new("a", &[1; 4096]).is_ok());
        for id in ["", "a b", "a\"", "a\\", "é", "a\n", &"a".repeat(65)] {
            assert_eq!(
                SharedKey::new(id, &[1; 32]).unwrap_err(),
                InvalidKey::Id,
                "{id:?}"
            );
        }
    }

    #[test]
    fn debug_shows_the_id_alone() {
        let key = SharedKey::new("chicago", b"the secret that nobody may see!!").unwrap();
        assert_eq!(format!("{key:?}"), r#"SharedKey { id: "chicago", .. }"#);
    }
}
