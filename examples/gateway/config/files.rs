//! The files a configuration names: secrets and certificates. Relative to the folder of the configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use cas_proxy::{
    outbound,
    wire::signature::{InvalidKey, SharedKey},
};
use tokio_rustls::rustls::{
    self, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{
    KeyFile, Tls, TlsFiles,
    problem::{Problem, Source},
};

/// Reads files for one configuration, and knows where in it each was named.
pub(super) struct Files<'s> {
    pub(super) source: &'s Source<'s>,
}

impl Files<'_> {
    pub(super) fn tls(&self, files: &TlsFiles) -> Result<Tls, Problem> {
        let server = match (&files.certificate, &files.key) {
            (Some(certificate), Some(key)) => Some(self.server_config(certificate, key)?),
            (None, None) => None,
            (Some(_), None) => {
                return Err(self
                    .source
                    .value(&["tls", "certificate"], "expected tls.key beside it"));
            }
            (None, Some(_)) => {
                return Err(self
                    .source
                    .value(&["tls", "key"], "expected tls.certificate beside it"));
            }
        };
        let trust_roots = match &files.trust_roots {
            Some(file) => Some(self.trust_roots(file)?),
            None => None,
        };
        Ok(Tls {
            server,
            trust_roots,
        })
    }

    pub(super) fn shared_key(&self, file: &KeyFile, path: &[&str]) -> Result<SharedKey, Problem> {
        let at = |key| path.iter().copied().chain([key]).collect::<Vec<_>>();
        let secret = self.read(&file.secret_file, &at("secret_file"))?;
        SharedKey::new(file.id.clone(), without_newline(&secret)).map_err(|error| {
            let key = if error == InvalidKey::Id {
                "id"
            } else {
                "secret_file"
            };
            self.source
                .value(&at(key), format_args!("expected a shared key: {error}"))
        })
    }

    /// What the file holds, without the newline at its end.
    pub(super) fn secret(&self, file: &Path, path: &[&str]) -> Result<Vec<u8>, Problem> {
        Ok(without_newline(&self.read(file, path)?).to_vec())
    }

    fn server_config(&self, certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, Problem> {
        let chain = self.certificates(certificate, &["tls", "certificate"])?;
        let at = ["tls", "key"];
        let wrong = |why: &dyn std::fmt::Display| {
            self.source.value(
                &at,
                format_args!("expected the PEM key of tls.certificate: {why}"),
            )
        };
        let key =
            PrivateKeyDer::from_pem_slice(&self.read(key, &at)?).map_err(|error| wrong(&error))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth())
            .and_then(|builder| builder.with_single_cert(chain, key));
        let mut config: ServerConfig = config.map_err(|error: rustls::Error| wrong(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn trust_roots(&self, file: &Path) -> Result<outbound::Tls, Problem> {
        let at = ["tls", "trust_roots"];
        outbound::Tls::trust_roots(self.certificates(file, &at)?).map_err(|error| {
            self.source.value(
                &at,
                format_args!("expected certificates of authorities: {error}"),
            )
        })
    }

    pub(super) fn certificates(
        &self,
        file: &Path,
        path: &[&str],
    ) -> Result<Vec<CertificateDer<'static>>, Problem> {
        let pem = self.read(file, path)?;
        match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
            Ok(chain) if !chain.is_empty() => Ok(chain),
            Ok(_) => Err(self
                .source
                .value(path, "expected a PEM file with a certificate: it has none")),
            Err(error) => Err(self.source.value(
                path,
                format_args!("expected a PEM file with a certificate: {error}"),
            )),
        }
    }

    fn read(&self, file: &Path, path: &[&str]) -> Result<Vec<u8>, Problem> {
        let file = self.beside(file);
        fs::read(&file).map_err(|error| {
            self.source.value(
                path,
                format_args!(
                    "expected a readable file, found {}: {error}",
                    file.display()
                ),
            )
        })
    }

    fn beside(&self, file: &Path) -> PathBuf {
        self.source
            .file
            .parent()
            .unwrap_or(Path::new(""))
            .join(file)
    }
}

/// A secret typed in an editor ends in a newline that nobody means. One of random bytes stays as it is.
fn without_newline(secret: &[u8]) -> &[u8] {
    let is_text = secret
        .iter()
        .all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n'));
    if is_text {
        secret.trim_ascii_end()
    } else {
        secret
    }
}
