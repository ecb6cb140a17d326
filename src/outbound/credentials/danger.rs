//! Credentials for labs: whoever reads one request can send any other.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, header::AUTHORIZATION};

use super::{Authentication, Credentials, CredentialsError, Unauthenticated};

/// The same HTTP Basic user and password with every request.
///
/// For labs and black-box tests. Nothing is bound to the request: use signatures, mutual TLS or Integrated
/// Windows authentication where mail is real.
#[derive(Clone)]
pub struct BasicCredentials(HeaderValue);

impl BasicCredentials {
    /// Takes user and password as `user:password`.
    ///
    /// # Errors
    /// If there is no colon, or a control character.
    pub fn new(user_and_password: &str) -> Result<Self, CredentialsError> {
        if !user_and_password.contains(':') || user_and_password.chars().any(char::is_control) {
            return Err(CredentialsError::new("not of the form user:password"));
        }
        let value = format!("Basic {}", STANDARD.encode(user_and_password));
        let mut value = HeaderValue::try_from(value).map_err(CredentialsError::new)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl Credentials for BasicCredentials {
    fn authenticate(&self, request: &mut Unauthenticated<'_>) -> Authentication {
        request.headers.insert(AUTHORIZATION, self.0.clone());
        Authentication::Now(Ok(()))
    }
}

impl fmt::Debug for BasicCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BasicCredentials(..)")
    }
}
