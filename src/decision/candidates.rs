use std::{fmt, sync::Arc};

use crate::directory::{AuthenticationMethods, ClientAccessServer, ExchangeVersion, Origin};

use super::{Here, Policy, Verdict};

/// The CASs a request may be proxied to. Never empty.
///
/// It is a view of the topology: copying it is free, and so is making it.
#[derive(Clone, Copy)]
pub struct Candidates<'t> {
    servers: &'t [Arc<ClientAccessServer>],
    rules: Rules<'t>,
}

impl<'t> Candidates<'t> {
    /// The candidates, in the order of the topology.
    pub fn iter(&self) -> impl Iterator<Item = &'t Arc<ClientAccessServer>> + 't {
        let rules = self.rules;
        self.servers
            .iter()
            .filter(move |server| matches!(rules.judge(server), Verdict::Candidate))
    }

    /// How many there are, at least 1. Counts them.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Those of `servers` that follow the rules, as at least one has been seen to do.
    pub(super) fn new(servers: &'t [Arc<ClientAccessServer>], rules: Rules<'t>) -> Self {
        Self { servers, rules }
    }
}

impl PartialEq for Candidates<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Candidates<'_> {}

impl fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|server| server.name()))
            .finish()
    }
}

/// What a server must have, and must not be, for this first CAS to proxy to it.
#[derive(Clone, Copy)]
pub(super) struct Rules<'t> {
    own: Option<&'t ClientAccessServer>,
    own_hashes: [u64; 2],
    version: ExchangeVersion,
    without_ssl: bool,
}

impl<'t> Rules<'t> {
    /// `own` is the first CAS itself, if it is in the topology.
    pub(super) fn new(own: Option<&'t ClientAccessServer>, here: &Here, policy: &Policy) -> Self {
        Self {
            own,
            own_hashes: own.map_or([0; 2], ClientAccessServer::origin_hashes),
            version: here.version,
            without_ssl: policy.allow_proxying_without_ssl,
        }
    }

    /// The order of the tests is the order in which an administrator would mend things.
    #[inline]
    pub(super) fn judge(&self, server: &ClientAccessServer) -> Verdict {
        let owa = server.owa();
        //= src/docs/protocol.md#decide-proxy
        let url = match &owa.internal_url {
            None => return Verdict::NoInternalUrl,
            //= src/docs/protocol.md#internal-url
            Some(Err(error)) => return Verdict::InternalUrlMalformed(error.kind()),
            Some(Ok(url)) => url,
        };
        let methods = owa.internal_authentication;
        if !methods.contains(AuthenticationMethods::WINDOWS_INTEGRATED) {
            return Verdict::NoIntegratedWindowsAuthentication;
        }
        if self.leads_here(url.origin()) {
            return Verdict::LeadsHere;
        }
        //= src/docs/protocol.md#version-rule
        if server.version() > self.version {
            return Verdict::Newer;
        }
        //= src/docs/protocol.md#tls-required
        if !url.origin().is_https() && !self.without_ssl {
            return Verdict::PlainHttp;
        }
        Verdict::Candidate
    }

    /// A request that came back to us would be sent on for ever. Our own entry answers at its own InternalURL.
    //= src/docs/protocol.md#hop-target
    #[inline]
    fn leads_here(&self, origin: &Origin) -> bool {
        // The hashes are at hand, and the origins are only looked at if these agree.
        self.own_hashes.contains(&origin.known_hash())
            && self.own.is_some_and(|own| own.answers_at(origin))
    }
}

#[cfg(test)]
mod tests {
    use crate::decision::{Decision, scene::*};

    #[test]
    fn only_candidates_are_counted_and_listed() {
        let servers = cas("Dallas").named("one").internal_url()
            + cas("Dallas").named("two")
            + cas("Dallas").named("three").internal_url();
        let scene = mailbox("Dallas").on(EXCHANGE_2007).among(servers);
        let Decision::Proxy(candidates) = scene.decide() else {
            panic!("expected candidates");
        };
        assert_eq!(candidates.len(), 2);
        assert_eq!(candidates.iter().count(), 2);
        assert_eq!(
            format!("{candidates:?}"),
            r#"{ServerName("one"), ServerName("three")}"#
        );
        assert_eq!(
            Decision::Proxy(candidates).to_string(),
            "proxy to one or three"
        );
    }
}
