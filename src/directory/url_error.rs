use std::fmt;

/// Why a URL of the directory is not usable. It does not repeat the URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlError(UrlErrorKind);

impl UrlError {
    /// The first thing that was wrong.
    #[must_use]
    pub fn kind(&self) -> UrlErrorKind {
        self.0
    }
}

impl From<UrlErrorKind> for UrlError {
    fn from(kind: UrlErrorKind) -> Self {
        Self(kind)
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for UrlError {}

/// What can be wrong with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrlErrorKind {
    /// More than 2048 bytes.
    TooLong,
    /// White space, a control, a backslash, non-ASCII, or anything else RFC 3986 has no place for.
    Character,
    /// Relative, or neither http nor https.
    Scheme,
    /// `user@` or `user:password@`.
    UserInfo,
    /// No host, an IPv6 zone, a percent-encoding, or a number that is no IPv4 address.
    Host,
    /// Port 0, a port above 65535, or a colon without a number.
    Port,
    /// Not `/owa` in an InternalURL, anything but `/` for a back-end, a dot segment in an ExternalURL.
    Path,
    /// `?`, even with nothing behind it.
    Query,
    /// `#`, even with nothing behind it.
    Fragment,
}

impl fmt::Display for UrlErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "URL has more than 2048 bytes",
            Self::Character => "URL has a character that RFC 3986 does not allow",
            Self::Scheme => "URL is not an absolute http or https one",
            Self::UserInfo => "URL has user info",
            Self::Host => "URL has no valid host",
            Self::Port => "URL has no valid port",
            Self::Path => {
                "URL has a path that does not fit: it is /owa for an InternalURL, none for a back-end"
            }
            Self::Query => "URL has a query",
            Self::Fragment => "URL has a fragment",
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::directory::InternalUrl;

    #[test]
    fn an_error_does_not_repeat_a_password() {
        let error = "https://anna:secret@cas/owa"
            .parse::<InternalUrl>()
            .unwrap_err();
        assert_eq!(error.to_string(), "URL has user info");
        assert!(!format!("{error:?}").contains("secret"));
    }
}
