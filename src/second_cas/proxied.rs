//! What the inner service learns of a proxied request, beside the user.

use http::HeaderValue;

use super::VerifiedCaller;
use crate::{
    directory::{ExchangeVersion, SmtpAddress},
    wire::proxy_headers::ProxyHeaders,
};

/// How a request of another CAS's user came here. Among the extensions of the request, beside the user's
/// [`ClientSecurityContext`](crate::csc::ClientSecurityContext); the headers it was read from are gone.
#[derive(Clone, Debug)]
pub struct Proxied {
    caller: VerifiedCaller,
    uri: HeaderValue,
    version: ExchangeVersion,
    web_part: bool,
    explicit_logon: Option<SmtpAddress>,
}

impl Proxied {
    pub(super) fn new(caller: VerifiedCaller, headers: ProxyHeaders) -> Self {
        let ProxyHeaders {
            uri,
            version,
            web_part,
            explicit_logon,
            ..
        } = headers;
        Self {
            caller,
            uri,
            version,
            web_part,
            explicit_logon,
        }
    }

    /// Name of the CAS that sent the request.
    #[must_use]
    pub fn caller(&self) -> &str {
        self.caller.name()
    }

    /// Where the user's browser reaches that CAS, such as `https://mail.contoso.com/owa`: absolute links that are to
    /// work for the user begin with it.
    #[must_use]
    pub fn uri(&self) -> &HeaderValue {
        &self.uri
    }

    /// Version of that CAS.
    #[must_use]
    pub fn version(&self) -> ExchangeVersion {
        self.version
    }

    /// Whether the request asks for a web part.
    #[must_use]
    pub fn is_web_part(&self) -> bool {
        self.web_part
    }

    /// The mailbox the user opens, where it is not the user's own. It says *what* is opened, never *who* opens it.
    #[must_use]
    pub fn explicit_logon(&self) -> Option<&SmtpAddress> {
        self.explicit_logon.as_ref()
    }
}
