//! TLS to second CASs: certificates are verified unless the danger is named.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    },
};

use super::{SendError, connect::Versions};
use crate::directory::Origin;

/// Whom this CAS trusts to be a second CAS, and what it shows of itself.
///
/// ```
/// use cas_proxy::outbound::{Client, Tls};
///
/// let client = Client::builder().tls(Tls::system()).build();
/// # let _ = client;
/// ```
#[derive(Clone)]
pub struct Tls(Roots);

#[derive(Clone)]
enum Roots {
    /// Read when the first https connection asks for them.
    System(Arc<OnceLock<Option<TlsConnector>>>),
    Configured(TlsConnector),
}

impl Tls {
    /// Trusts what the system trusts. Its roots are read once, when the first https connection is made; if it
    /// has none, no certificate is trusted.
    #[must_use]
    pub fn system() -> Self {
        Self(Roots::System(Arc::default()))
    }

    /// Trusts certificates issued under `roots`, and nothing else.
    ///
    /// # Errors
    /// If none is given, or one is no trust anchor.
    pub fn trust_roots(
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root)?;
        }
        Self::trusting(store)
    }

    /// The same, and shows a certificate of this CAS (mutual TLS).
    ///
    /// # Errors
    /// If there is no root, or the key doesn't fit the chain.
    pub fn trust_roots_with_client_certificate(
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root)?;
        }
        require_some(&store)?;
        Ok(Self::from_config(
            builder()?
                .with_root_certificates(store)
                .with_client_auth_cert(chain, key)?,
        ))
    }

    /// Uses a configuration of your own, with your own verifier. ALPN is set here: `h2`, `http/1.1`.
    #[must_use]
    pub fn from_config(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec(), HTTP_11.to_vec()];
        Self(Roots::Configured(TlsConnector::from(Arc::new(config))))
    }

    fn connector(&self) -> Option<TlsConnector> {
        match &self.0 {
            Roots::Configured(connector) => Some(connector.clone()),
            Roots::System(read) => read
                .get_or_init(|| {
                    let mut roots = RootCertStore::empty();
                    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                    Self::trusting(roots).ok()?.connector()
                })
                .clone(),
        }
    }

    fn trusting(roots: RootCertStore) -> Result<Self, TlsError> {
        require_some(&roots)?;
        Ok(Self::from_config(
            builder()?
                .with_root_certificates(roots)
                .with_no_client_auth(),
        ))
    }

    pub(super) async fn handshake<T>(
        &self,
        origin: &Origin,
        io: T,
        versions: Versions,
    ) -> Result<TlsStream<T>, SendError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(origin.host().to_owned())
            .map_err(SendError::certificate_not_trusted)?;
        let connector = self
            .connector()
            .ok_or_else(|| SendError::certificate_not_trusted(TlsError::NoTrustRoots))?;
        let shaken = match versions {
            Versions::Any => connector.connect(name, io).await,
            Versions::Http11 => {
                let only = connector.with_alpn(vec![HTTP_11.to_vec()]);
                only.connect(name, io).await
            }
        };
        shaken.map_err(|error| {
            let cause = error.get_ref();
            match cause.and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidCertificate(_)) => {
                    SendError::certificate_not_trusted(error)
                }
                Some(rustls::Error::AlertReceived(
                    rustls::AlertDescription::NoApplicationProtocol,
                )) if versions == Versions::Http11 => SendError::no_upgrade(error),
                _ => SendError::unreachable(error),
            }
        })
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    // Named, not the process default: what the application installs must not decide this.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?)
}

fn require_some(roots: &RootCertStore) -> Result<(), TlsError> {
    if roots.is_empty() {
        return Err(TlsError::NoTrustRoots);
    }
    Ok(())
}

const HTTP_11: &[u8] = b"http/1.1";

/// Why TLS could not be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// No trust root was found: every certificate would be refused.
    NoTrustRoots,
    /// A certificate or key does not serve.
    Unusable(rustls::Error),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Unusable(error)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrustRoots => f.write_str("set up TLS: no trust root was found"),
            Self::Unusable(error) => write!(f, "set up TLS: {error}"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoTrustRoots => None,
            Self::Unusable(error) => Some(error),
        }
    }
}
