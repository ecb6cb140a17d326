//! Users of the domain: Active Directory checks their passwords, and says who they are and which groups they are in.
//!
//! Browsers send the password with every request, so what came of it is remembered for some minutes, under a digest with
//! a key of this process. Wrong passwords are not remembered: the domain counts them.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cas_proxy::{
    csc::ClientSecurityContext,
    lookup::active_directory::{ActiveDirectory, DirectoryError, Identity},
};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tokio_rustls::rustls::crypto::ring;

pub(crate) struct DomainUsers {
    directory: ActiveDirectory,
    key: [u8; 32],
    known: Mutex<HashMap<[u8; 32], Known>>,
}

struct Known {
    user: ClientSecurityContext,
    until: Instant,
}

impl DomainUsers {
    pub(crate) fn of(directory: ActiveDirectory) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut key = [0; 32];
        let random = ring::default_provider().secure_random;
        random
            .fill(&mut key)
            .map_err(|_| "get random bytes from the system")?;
        Ok(Self {
            directory,
            key,
            known: Mutex::default(),
        })
    }

    /// The user, if the password is right.
    pub(crate) async fn sign_in(
        &self,
        name: &str,
        password: &str,
    ) -> Result<Option<ClientSecurityContext>, DirectoryError> {
        let digest = self.digest(name, password);
        if let Some(user) = self.remembered(&digest) {
            return Ok(Some(user));
        }
        match self.directory.sign_in(name, password).await? {
            Identity::Known(user) => {
                self.remember(digest, &user);
                Ok(Some(user))
            }
            _ => Ok(None),
        }
    }

    fn remembered(&self, digest: &[u8; 32]) -> Option<ClientSecurityContext> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(digest)?;
        (Instant::now() < known.until).then(|| known.user.clone())
    }

    fn remember(&self, digest: [u8; 32], user: &ClientSecurityContext) {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.retain(|_, known| now < known.until);
        }
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        let known_until = Known {
            user: user.clone(),
            until: now + REMEMBERED_FOR,
        };
        known.insert(digest, known_until);
    }

    fn digest(&self, name: &str, password: &str) -> [u8; 32] {
        let digest = Sha256::new_with_prefix(self.key);
        let digest = digest.chain_update(name.len().to_be_bytes());
        digest
            .chain_update(name)
            .chain_update(password)
            .finalize()
            .into()
    }
}

/// As long as a password that was changed, or an account that was disabled, is still good here.
const REMEMBERED_FOR: Duration = Duration::from_secs(5 * 60);
const MOST_KNOWN: usize = 10_000;
