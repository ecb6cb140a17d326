//! Callers known by the certificates they show.

use std::sync::Arc;

use http::request::Parts;

use super::{NotVerified, Verdict, VerifiedCaller, VerifyCaller};

/// The DNS names of a peer's certificate. Put it among the extensions of each request of a connection, once TLS has
/// verified the chain and that the peer holds the key; see [`ClientCertificates`].
#[derive(Clone, Debug)]
pub struct PeerCertificate {
    names: Arc<[Box<str>]>,
}

impl PeerCertificate {
    /// The names of a certificate that TLS has verified: the `dNSName` entries of its subject alternative name. Never
    /// the subject's common name, and nothing that came in a header.
    #[must_use]
    pub fn verified_with_names<N: Into<Box<str>>>(names: impl IntoIterator<Item = N>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
        }
    }
}

/// Verifies callers by their TLS client certificates: trusts those that bear one of the given names.
///
/// A verified chain alone is not enough, since any machine of the organisation may have one.
///
/// ```
/// use cas_proxy::second_cas::{ClientCertificates, PeerCertificate, SecondCasLayer};
/// use http::Request;
///
/// let layer = SecondCasLayer::new(ClientCertificates::named(["chicago-cas1.fourthcoffee.com"]));
///
/// // In the accept loop, after the handshake, for each request of the connection:
/// let peer = PeerCertificate::verified_with_names(["chicago-cas1.fourthcoffee.com"]);
/// let mut request = Request::new(());
/// request.extensions_mut().insert(peer.clone());
/// ```
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    trusted: Arc<[Arc<str>]>,
}

impl ClientCertificates {
    /// Trusts certificates with any of these DNS names, compared in any case. Wildcards are not expanded, on either
    /// side. A caller's name is the first of these that its certificate bears.
    #[must_use]
    pub fn named<N: Into<Arc<str>>>(names: impl IntoIterator<Item = N>) -> Self {
        Self {
            trusted: names
                .into_iter()
                .map(Into::into)
                .filter(|name| !name.is_empty())
                .collect(),
        }
    }
}

impl VerifyCaller for ClientCertificates {
    fn verify(&self, request: &Parts) -> Verdict {
        let Some(peer) = request.extensions.get::<PeerCertificate>() else {
            return Verdict::Now(Err(NotVerified::no_credentials()));
        };
        let bears = |trusted: &&Arc<str>| {
            peer.names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(trusted))
        };
        let caller = self
            .trusted
            .iter()
            .find(bears)
            .cloned()
            .map(VerifiedCaller::vouched_for);
        Verdict::Now(
            caller.ok_or_else(|| NotVerified::refused("client certificate bears no trusted name")),
        )
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::second_cas::NotVerifiedKind;

    fn check(names: Option<&[&str]>, expected: Result<&str, NotVerifiedKind>) {
        let certificates = ClientCertificates::named(["cas1.contoso.com", "cas2.contoso.com", ""]);
        let mut request = Request::new(());
        if let Some(names) = names {
            request
                .extensions_mut()
                .insert(PeerCertificate::verified_with_names(names.iter().copied()));
        }
        let Verdict::Now(verdict) = certificates.verify(&request.into_parts().0) else {
            panic!("waits for nobody")
        };
        assert_eq!(
            verdict
                .as_ref()
                .map(VerifiedCaller::name)
                .map_err(NotVerified::kind),
            expected
        );
    }

    #[test]
    fn a_certificate_is_trusted_by_its_exact_name() {
        check(None, Err(NotVerifiedKind::NoCredentials));
        check(Some(&[]), Err(NotVerifiedKind::Refused));
        check(Some(&["cas1.contoso.com"]), Ok("cas1.contoso.com"));
        check(
            Some(&["www.contoso.com", "CAS2.contoso.com"]),
            Ok("cas2.contoso.com"),
        );
        for name in [
            "",
            "*.contoso.com",
            "cas1.contoso.com.",
            "cas1",
            "acas1.contoso.com",
            "cas1.contoso.com.evil.example",
        ] {
            check(Some(&[name]), Err(NotVerifiedKind::Refused));
        }
    }
}
