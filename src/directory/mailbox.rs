use std::{
    fmt,
    hash::{Hash, Hasher},
};

use crate::csc::Sid;

use super::{
    address::SmtpAddress,
    name::{ServerName, SiteName},
    version::ExchangeVersion,
};

/// Where a mailbox lives: the answer of a directory lookup.
///
/// ```
/// use cas_proxy::directory::{Mailbox, ServerName, SiteName};
///
/// let mailbox = Mailbox::new(ServerName::new("MBX-DAL-01")?, "8.1.240.5".parse()?)
///     .with_site(SiteName::new("Dallas")?)
///     .with_address("anna@contoso.com".parse()?);
///
/// assert_eq!(mailbox.site(), Some(&SiteName::new("dallas")?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
//= src/docs/protocol.md#decide-lookup
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    server: ServerName,
    site: Option<SiteName>,
    version: ExchangeVersion,
    address: Option<SmtpAddress>,
}

impl Mailbox {
    /// A mailbox on a server of the given version, whose AD site is not known.
    #[must_use]
    pub fn new(server: ServerName, version: ExchangeVersion) -> Self {
        Self {
            server,
            site: None,
            version,
            address: None,
        }
    }

    /// Sets the AD site of the mailbox server.
    #[must_use]
    pub fn with_site(mut self, site: SiteName) -> Self {
        self.site = Some(site);
        self
    }

    /// Sets the primary SMTP address.
    #[must_use]
    pub fn with_address(mut self, address: SmtpAddress) -> Self {
        self.address = Some(address);
        self
    }

    /// The mailbox server.
    #[must_use]
    pub fn server(&self) -> &ServerName {
        &self.server
    }

    /// The AD site of the mailbox server. `None` is usual for Exchange 2003, which has no site in the directory.
    #[must_use]
    pub fn site(&self) -> Option<&SiteName> {
        self.site.as_ref()
    }

    /// The version of the mailbox server.
    #[must_use]
    pub fn version(&self) -> ExchangeVersion {
        self.version
    }

    /// The primary SMTP address, if the directory gave one.
    #[must_use]
    pub fn address(&self) -> Option<&SmtpAddress> {
        self.address.as_ref()
    }
}

/// What a mailbox is looked up by.
///
/// `Debug` shows neither a whole SID nor a whole address.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MailboxKey {
    /// The user's own mailbox.
    Sid(Sid),
    /// The mailbox named in the path (`decide-explicit-logon`).
    Address(SmtpAddress),
}

/// Without a word for the kind: a SID and an address that share a hash are still not equal.
impl Hash for MailboxKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Sid(sid) => sid.hash(state),
            Self::Address(address) => address.hash(state),
        }
    }
}

impl fmt::Debug for MailboxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sid(sid) => sid.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    //= src/docs/protocol.md#decide-lookup
    fn a_mailbox_has_a_server_a_site_and_a_version() {
        let mailbox = Mailbox::new(
            ServerName::new("MBX").unwrap(),
            "8.1.240.5".parse().unwrap(),
        );
        assert_eq!((mailbox.site(), mailbox.address()), (None, None));
        let mailbox = mailbox
            .with_site(SiteName::new("Dallas").unwrap())
            .with_address("anna@contoso.com".parse().unwrap());
        assert_eq!(mailbox.server().as_str(), "MBX");
        assert_eq!(mailbox.site().unwrap().as_str(), "Dallas");
        assert_eq!(mailbox.version().to_string(), "8.1.240.5");
        assert_eq!(mailbox.address().unwrap().as_str(), "anna@contoso.com");
    }

    #[test]
    fn a_key_shows_little_of_itself() {
        let by_sid = MailboxKey::Sid(
            "S-1-5-21-1004336348-1177238915-682003330-1105"
                .parse()
                .unwrap(),
        );
        assert!(!format!("{by_sid:?}").contains("1004336348"));
        let by_address = MailboxKey::Address("anna@contoso.com".parse().unwrap());
        assert!(!format!("{by_address:?}").contains("anna"));
        assert_ne!(by_sid, by_address);
    }
}
