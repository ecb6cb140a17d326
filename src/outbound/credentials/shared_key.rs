//! Signs every request under a key shared with the second CAS.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Authentication, Credentials, CredentialsError, Unauthenticated};
use crate::wire::signature::{SharedKey, Target, content_digest};

impl Credentials for SharedKey {
    fn authenticate(&self, request: &mut Unauthenticated<'_>) -> Authentication {
        Authentication::Now(sign(self, request))
    }
}

fn sign(key: &SharedKey, request: &mut Unauthenticated<'_>) -> Result<(), CredentialsError> {
    if let Some(body) = request.body {
        let digest = content_digest::of(body);
        request.headers.insert("content-digest", digest);
    }
    let authority = request
        .origin
        .host_header()
        .to_str()
        .map_err(CredentialsError::new)?;
    let target = Target::new(request.method, authority, request.uri);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(CredentialsError::new)?
        .as_secs();
    key.sign(&target, request.headers, now, nonce()?)
        .map_err(CredentialsError::new)?
        .insert_into(request.headers);
    Ok(())
}

/// Different each time, in this process and any other: that is all a nonce needs under a MAC.
fn nonce() -> Result<[u8; 16], CredentialsError> {
    static PROCESS: OnceLock<[u8; 8]> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let process = match PROCESS.get() {
        Some(process) => *process,
        None => {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(CredentialsError::new)?;
            *PROCESS.get_or_init(|| random)
        }
    };
    let mut nonce = [0; 16];
    let (first, second) = nonce.split_at_mut(8);
    first.copy_from_slice(&process);
    second.copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Ok(nonce)
}
