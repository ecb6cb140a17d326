//! Callers known by the keys shared with them.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use http::request::Parts;

use super::{
    NotVerified, Verdict, VerifiedCaller, VerifyCaller,
    nonces::{Nonces, NotTaken},
};
use crate::{
    directory::InternalUrl,
    wire::signature::{
        InvalidAuthority, MAX_SKEW_SECONDS, OwnAuthority, Presented, SharedKey, SignatureError,
        Target,
    },
};

/// Verifies callers by [HTTP Message Signatures](crate::wire::signature) under keys shared with them. A caller's name
/// is the id of its key.
///
/// ```
/// use cas_proxy::{second_cas::SharedKeys, wire::signature::SharedKey};
///
/// # let (old, new, boston) = ([1; 32], [2; 32], [3; 32]);
/// let keys = SharedKeys::for_authorities(["dallas.fourthcoffee.com", "dallas-2.fourthcoffee.com:8443"])?
///     // Both are good while Chicago moves from one to the other.
///     .accept(SharedKey::new("chicago-to-dallas/1", &old)?)
///     .accept(SharedKey::new("chicago-to-dallas/2", &new)?)
///     .accept(SharedKey::new("boston-to-dallas", &boston)?)
///     // The key we sign with, should it ever come back to us.
///     .refuse_own("dallas-to-chicago");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What is refused
/// A signature that is malformed, stale, under another key, for another server or that leaves something out; a nonce
/// seen before. To the caller all these look alike; the log says which.
///
/// # What is unavailable (503)
/// With a good signature: one made before this verifier was, whose nonce an earlier process may have seen; or when a
/// key already has 1,048,576 nonces remembered, which takes more than 11,000 requests a second.
///
/// # Clocks
/// The wall clocks of two CASs may be 30 seconds apart. A caller whose clock is ahead is believed, so for as long as
/// it is ahead, and within the very second of the start, a request captured right before a restart can be repeated after
/// it. [`wait_after_start`](Self::wait_after_start) shuts that as well, at a price.
pub struct SharedKeys {
    own: Vec<OwnAuthority>,
    accepted: Vec<Accepted>,
    refused: Vec<Box<str>>,
    clock: Clock,
    started: u64,
    /// Seconds after the start that count as before it.
    wait: u64,
}

struct Accepted {
    key: SharedKey,
    name: Arc<str>,
    nonces: Nonces,
}

type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

impl SharedKeys {
    /// For a server that these InternalURLs lead to. A request signed for any other host or port is refused. Accepts no
    /// key yet.
    ///
    /// ```
    /// use cas_proxy::second_cas::SharedKeys;
    ///
    /// let keys = SharedKeys::for_internal_urls([&"https://dallas.fourthcoffee.com/owa".parse()?])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is none.
    pub fn for_internal_urls<'u>(
        urls: impl IntoIterator<Item = &'u InternalUrl>,
    ) -> Result<Self, InvalidAuthority> {
        let authority = |url: &'u InternalUrl| url.origin().host_header().to_str();
        Self::for_authorities(
            urls.into_iter()
                .map(|url| authority(url).unwrap_or_default()),
        )
    }

    /// For a server that goes by these names: host, and port if it is not the scheme's default (`dallas`, never
    /// `dallas:443`). A request signed for any other name is refused. Accepts no key yet.
    ///
    /// # Errors
    /// A name is no authority, or there is none.
    pub fn for_authorities<A: AsRef<str>>(
        authorities: impl IntoIterator<Item = A>,
    ) -> Result<Self, InvalidAuthority> {
        let own = authorities
            .into_iter()
            .map(|name| OwnAuthority::new(name.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if own.is_empty() {
            OwnAuthority::new("")?;
        }
        let clock: Clock = Box::new(wall_clock);
        Ok(Self {
            own,
            accepted: Vec::new(),
            refused: Vec::new(),
            started: clock(),
            wait: 0,
            clock,
        })
    }

    /// Accepts a key, in place of one with the same id.
    #[must_use]
    pub fn accept(mut self, key: SharedKey) -> Self {
        self.accepted.retain(|known| known.key.id() != key.id());
        let name = Arc::from(key.id());
        self.accepted.push(Accepted {
            key,
            name,
            nonces: Nonces::new(NONCES_PER_KEY),
        });
        self
    }

    /// Refuses a key by its id, even if it is accepted as well: the one this server signs with as a first CAS. A
    /// message sent back to its maker, by mistake or on purpose, then proves nothing.
    ///
    /// It goes with one key for each direction. Where one key serves both, do without: the authority a message was
    /// signed for keeps it from being turned round.
    #[must_use]
    pub fn refuse_own(mut self, key_id: impl Into<String>) -> Self {
        self.refused.push(key_id.into().into());
        self
    }

    /// For so many seconds after its start, a server tells every caller to come again (503): 31 and more leave nothing
    /// that was signed before a restart to be repeated after it, whatever the caller's clock, and make a restart that
    /// much longer. None by default; good where each site has several second CASs, to which callers turn meanwhile.
    #[must_use]
    pub fn wait_after_start(mut self, seconds: u64) -> Self {
        self.wait = seconds;
        self
    }

    /// Another wall clock, in seconds since 1970; for tests. What was signed before its present reading is treated as
    /// signed before the start.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.started = clock();
        self.clock = Box::new(clock);
        self
    }

    fn check(&self, request: &Parts) -> Result<VerifiedCaller, NotVerified> {
        let presented = Presented::read(&request.headers)
            .map_err(refused)?
            .ok_or_else(NotVerified::no_credentials)?;
        if self.refused.iter().any(|own| **own == *presented.key_id()) {
            return Err(NotVerified::refused(
                "signature is under a key of this server's own",
            ));
        }
        let accepted = self
            .accepted
            .iter()
            .find(|known| known.key.id() == presented.key_id())
            .ok_or_else(|| NotVerified::refused("signature is under a key not accepted here"))?;
        let target = Target::received(request, &self.own).map_err(refused)?;
        let now = (self.clock)();
        presented
            .verify(&accepted.key, &target, now)
            .map_err(refused)?;
        self.check_freshness(accepted, &presented, now)?;
        // Only a login needs a digest; another request may have one we do not read.
        let digest = presented.body_digest().unwrap_or_default();
        Ok(VerifiedCaller::signed(Arc::clone(&accepted.name), digest))
    }

    /// After the MAC only: who cannot sign can neither fill the memory nor ask when we started.
    fn check_freshness(
        &self,
        accepted: &Accepted,
        presented: &Presented<'_>,
        now: u64,
    ) -> Result<(), NotVerified> {
        if presented.created() < self.started.saturating_add(self.wait) {
            return Err(NotVerified::unavailable(
                "signature was made before this server started",
            ));
        }
        let end = presented.expires().saturating_add(MAX_SKEW_SECONDS);
        accepted
            .nonces
            .take(presented.nonce(), end, now)
            .map_err(|why| match why {
                NotTaken::Seen => NotVerified::refused("signature was used before"),
                NotTaken::MaybeSeen => NotVerified::refused(
                    "signature is older than what is remembered: was the clock set back?",
                ),
                NotTaken::Full => {
                    NotVerified::unavailable("more signatures than can be remembered")
                }
            })
    }
}

impl VerifyCaller for SharedKeys {
    fn verify(&self, request: &Parts) -> Verdict {
        Verdict::Now(self.check(request))
    }
}

impl fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.accepted.iter().map(|known| known.key.id()).collect();
        f.debug_struct("SharedKeys")
            .field("own", &self.own)
            .field("accepted", &ids)
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

fn refused(why: SignatureError) -> NotVerified {
    NotVerified::refused(why.as_str())
}

fn wall_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

const NONCES_PER_KEY: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use http::Request;

    use super::*;
    use crate::second_cas::NotVerifiedKind;

    const START: u64 = 1_700_000_000;
    const HOST: &str = "dallas.fourthcoffee.com";

    fn key(id: &str) -> SharedKey {
        SharedKey::new(id, &[id.len() as u8; 32]).unwrap()
    }

    fn keys() -> (SharedKeys, Arc<AtomicU64>) {
        let now = Arc::new(AtomicU64::new(START));
        let clock = Arc::clone(&now);
        let keys = SharedKeys::for_authorities([HOST])
            .unwrap()
            .accept(key("chicago"))
            .accept(key("chicago/2"))
            .clock(move || clock.load(Ordering::Relaxed));
        (keys, now)
    }

    fn request(key: &SharedKey, nonce: u8, created: u64) -> Parts {
        let (mut parts, ()) = Request::get("/owa/")
            .header("host", HOST)
            .body(())
            .unwrap()
            .into_parts();
        let target = Target::new(&parts.method, HOST, &parts.uri);
        key.sign(&target, &parts.headers, created, [nonce; 16])
            .unwrap()
            .insert_into(&mut parts.headers);
        parts
    }

    #[track_caller]
    fn check(keys: &SharedKeys, request: &Parts, expected: Result<&str, NotVerifiedKind>) {
        let verdict = keys.check(request);
        assert_eq!(
            verdict
                .as_ref()
                .map(VerifiedCaller::name)
                .map_err(NotVerified::kind),
            expected,
            "{verdict:?}"
        );
    }

    const REFUSED: Result<&str, NotVerifiedKind> = Err(NotVerifiedKind::Refused);
    const UNAVAILABLE: Result<&str, NotVerifiedKind> = Err(NotVerifiedKind::Unavailable);

    #[test]
    fn several_keys_are_good_at_a_time_and_others_are_not() {
        let (keys, _) = keys();
        check(&keys, &request(&key("chicago"), 1, START), Ok("chicago"));
        check(
            &keys,
            &request(&key("chicago/2"), 1, START),
            Ok("chicago/2"),
        );
        check(&keys, &request(&key("boston"), 1, START), REFUSED);
        let (unsigned, ()) = Request::get("/owa/")
            .header("host", HOST)
            .body(())
            .unwrap()
            .into_parts();
        check(&keys, &unsigned, Err(NotVerifiedKind::NoCredentials));
    }

    #[test]
    fn a_request_is_accepted_once() {
        let (keys, now) = keys();
        let parts = request(&key("chicago"), 1, START);
        check(&keys, &parts, Ok("chicago"));
        check(&keys, &parts, REFUSED);
        // The same nonce on another message is no better.
        check(&keys, &request(&key("chicago"), 1, START + 1), REFUSED);
        now.store(START + 90, Ordering::Relaxed);
        check(&keys, &parts, REFUSED);
        now.store(START + 91, Ordering::Relaxed);
        check(&keys, &parts, REFUSED);
        check(
            &keys,
            &request(&key("chicago"), 1, START + 91),
            Ok("chicago"),
        );
        now.store(START, Ordering::Relaxed);
        check(&keys, &parts, REFUSED);
    }

    #[test]
    fn a_bad_mac_takes_no_nonce() {
        let (keys, _) = keys();
        let good = request(&key("chicago"), 1, START);
        let mut forged = good.clone();
        forged.method = http::Method::POST;
        check(&keys, &forged, REFUSED);
        check(&keys, &good, Ok("chicago"));
    }

    #[test]
    fn what_was_signed_before_the_start_is_unavailable_if_genuine() {
        let (keys, _) = keys();
        check(&keys, &request(&key("chicago"), 1, START - 1), UNAVAILABLE);
        let forger = SharedKey::new("chicago", &[0; 32]).unwrap();
        check(&keys, &request(&forger, 1, START - 1), REFUSED);
    }

    /// Every skew that is allowed, every moment of capture, every moment of repeating.
    #[test]
    fn after_a_wait_nothing_captured_before_a_restart_can_be_repeated() {
        let now = Arc::new(AtomicU64::new(START));
        let keys = |at: u64, wait: u64| {
            let clock = Arc::clone(&now);
            now.store(at, Ordering::Relaxed);
            SharedKeys::for_authorities([HOST])
                .unwrap()
                .accept(key("chicago"))
                .wait_after_start(wait)
                .clock(move || clock.load(Ordering::Relaxed))
        };
        let mut without = 0;
        for ahead in 0..=MAX_SKEW_SECONDS {
            let parts = request(&key("chicago"), 1, START + ahead);
            check(&keys(START, 0), &parts, Ok("chicago"));
            // In the same second, or later.
            for restart in [START, START + 1, START + 20] {
                for repeated in [restart, restart + 40] {
                    let (open, waiting) = (keys(restart, 0), keys(restart, MAX_SKEW_SECONDS + 1));
                    now.store(repeated, Ordering::Relaxed);
                    without += u32::from(open.check(&parts).is_ok());
                    let repeated = waiting.check(&parts);
                    assert!(repeated.is_err(), "{ahead} {restart}");
                }
            }
        }
        // Otherwise nothing was shown.
        assert!(without > 0);
        let waited = keys(START, MAX_SKEW_SECONDS + 1);
        let later = START + MAX_SKEW_SECONDS + 1;
        now.store(later, Ordering::Relaxed);
        check(&waited, &request(&key("chicago"), 2, later), Ok("chicago"));
    }

    #[test]
    fn a_full_memory_is_unavailable() {
        let (mut keys, now) = keys();
        for accepted in &mut keys.accepted {
            accepted.nonces = Nonces::new(1);
        }
        check(&keys, &request(&key("chicago"), 1, START), Ok("chicago"));
        check(&keys, &request(&key("chicago"), 2, START), UNAVAILABLE);
        // Each key has a memory of its own.
        check(
            &keys,
            &request(&key("chicago/2"), 2, START),
            Ok("chicago/2"),
        );
        now.store(START + 91, Ordering::Relaxed);
        check(
            &keys,
            &request(&key("chicago"), 2, START + 91),
            Ok("chicago"),
        );
    }

    #[test]
    fn our_own_key_is_refused_though_accepted() {
        let (keys, _) = keys();
        let keys = keys.refuse_own("chicago");
        check(&keys, &request(&key("chicago"), 1, START), REFUSED);
        check(
            &keys,
            &request(&key("chicago/2"), 1, START),
            Ok("chicago/2"),
        );
    }

    #[test]
    fn a_key_replaces_one_with_its_id() {
        let (keys, _) = keys();
        let newer = SharedKey::new("chicago", &[99; 32]).unwrap();
        let keys = keys.accept(newer.clone());
        check(&keys, &request(&key("chicago"), 1, START), REFUSED);
        check(&keys, &request(&newer, 1, START), Ok("chicago"));
    }

    #[test]
    fn an_internal_url_names_the_server_as_requests_do() {
        for (url, authority) in [
            ("https://dallas.fourthcoffee.com/owa", HOST),
            ("https://DALLAS.fourthcoffee.com:443/owa/", HOST),
            ("http://dallas.fourthcoffee.com:80/owa", HOST),
            ("http://[::1]:9001/owa", "[::1]:9001"),
        ] {
            let keys = SharedKeys::for_internal_urls([&url.parse().unwrap()]).unwrap();
            assert_eq!(keys.own, [OwnAuthority::new(authority).unwrap()], "{url}");
        }
        assert_eq!(
            SharedKeys::for_internal_urls([]).unwrap_err().to_string(),
            "no `host` or `host:port` is given"
        );
    }

    #[test]
    fn it_cannot_be_made_without_a_name_of_its_own() {
        assert!(SharedKeys::for_authorities(Vec::<String>::new()).is_err());
        assert!(SharedKeys::for_authorities(["dallas", ""]).is_err());
    }

    #[test]
    fn the_real_clock_is_near_the_present() {
        let keys = SharedKeys::for_authorities([HOST])
            .unwrap()
            .accept(key("chicago"));
        check(
            &keys,
            &request(&key("chicago"), 1, wall_clock()),
            Ok("chicago"),
        );
        check(&keys, &request(&key("chicago"), 2, 1_600_000_000), REFUSED);
    }

    #[test]
    fn debug_shows_ids_alone() {
        let (keys, _) = keys();
        let text = format!("{keys:?}");
        assert!(text.contains("chicago/2") && text.contains(HOST), "{text}");
        assert!(!text.contains("SharedKey {"), "{text}");
    }
}
