use std::{fmt, ops::BitOr};

use super::{
    url::{ExternalUrl, InternalUrl},
    url_error::UrlError,
};

/// What the directory says about the `/owa` virtual directory of a CAS.
///
/// ```
/// use cas_proxy::directory::{AuthenticationMethods, OwaVirtualDirectory};
///
/// let mut owa = OwaVirtualDirectory::default();
/// owa.internal_url = Some("https://cas-dal-01.contoso.com/owa".parse());
/// owa.external_url = Some("mail.contoso.com".parse());
/// owa.internal_authentication = AuthenticationMethods::BASIC | AuthenticationMethods::WINDOWS_INTEGRATED;
///
/// assert!(owa.proxy_target().is_some());
/// assert!(owa.redirect_target().is_none(), "not an absolute URL, so as good as none");
/// ```
///
/// A URL that cannot be used stays in, as the reason why not, so that the linter and `explain` can name it
/// (event 38).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwaVirtualDirectory {
    /// Where other CASs reach this one; `None` if the property is not set.
    pub internal_url: Option<Result<InternalUrl, UrlError>>,
    /// Where browsers reach this one; `None` if the property is not set.
    pub external_url: Option<Result<ExternalUrl, UrlError>>,
    /// The methods by which callers of the InternalURL may prove who they are.
    pub internal_authentication: AuthenticationMethods,
}

impl OwaVirtualDirectory {
    /// The InternalURL, if there is a usable one.
    #[must_use]
    pub fn proxy_target(&self) -> Option<&InternalUrl> {
        self.internal_url.as_ref()?.as_ref().ok()
    }

    /// The ExternalURL, if there is a usable one.
    #[must_use]
    pub fn redirect_target(&self) -> Option<&ExternalUrl> {
        self.external_url.as_ref()?.as_ref().ok()
    }
}

/// A set of authentication methods, in the bits of `msExchInternalAuthenticationMethods`.
///
/// ```
/// use cas_proxy::directory::AuthenticationMethods;
///
/// let as_installed = AuthenticationMethods::from_bits(5);
/// assert_eq!(as_installed, AuthenticationMethods::BASIC | AuthenticationMethods::FORMS);
/// assert!(!as_installed.contains(AuthenticationMethods::WINDOWS_INTEGRATED));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct AuthenticationMethods(u32);

impl AuthenticationMethods {
    /// Basic, bit 1.
    pub const BASIC: Self = Self(1);
    /// NTLM, bit 2.
    pub const NTLM: Self = Self(2);
    /// Forms-based, bit 4.
    pub const FORMS: Self = Self(4);
    /// Digest, bit 8.
    pub const DIGEST: Self = Self(8);
    /// Integrated Windows authentication, bit 16: the one by which CASs know each other.
    pub const WINDOWS_INTEGRATED: Self = Self(16);

    /// Takes the bits as the directory stores them; unknown ones are kept.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits as the directory stores them.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `methods` are in the set.
    #[must_use]
    pub const fn contains(self, methods: Self) -> bool {
        self.0 & methods.0 == methods.0
    }

    /// The methods of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for AuthenticationMethods {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl fmt::Debug for AuthenticationMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthenticationMethods({:#x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_used_is_none() {
        let mut owa = OwaVirtualDirectory::default();
        assert_eq!((owa.proxy_target(), owa.redirect_target()), (None, None));
        owa.internal_url = Some("https://cas/exchange".parse());
        owa.external_url = Some("ftp://mail".parse());
        assert_eq!((owa.proxy_target(), owa.redirect_target()), (None, None));
        owa.internal_url = Some("https://cas/owa".parse());
        owa.external_url = Some("https://mail/owa".parse());
        assert!(owa.proxy_target().is_some() && owa.redirect_target().is_some());
    }

    #[test]
    fn a_set_contains_its_parts() {
        let both = AuthenticationMethods::FORMS | AuthenticationMethods::WINDOWS_INTEGRATED;
        assert_eq!(both.bits(), 20);
        assert!(both.contains(AuthenticationMethods::FORMS));
        assert!(both.contains(both));
        assert!(!AuthenticationMethods::FORMS.contains(both));
        assert!(!both.contains(AuthenticationMethods::NTLM));
        assert_eq!(
            AuthenticationMethods::from_bits(0x8000_0001).bits(),
            0x8000_0001
        );
    }
}
