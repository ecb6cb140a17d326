use std::{error::Error, fmt, sync::Arc};

use ldap3::{LdapError, LdapResult};

/// The directory could not be asked, or its answer is of no use.
///
/// Its text names the domain controller, and is worded to follow "failed to".
#[derive(Debug, Clone)]
pub struct DirectoryError {
    kind: DirectoryErrorKind,
    controller: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What went wrong with the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DirectoryErrorKind {
    /// No connection, or it broke; a certificate that is not trusted is of this kind too.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The domain controller does not accept the bind account: its name, its password, or its ticket.
    BindRefused,
    /// No ticket for the domain controller, or it does not show that it is the one the ticket is for. The
    /// [source](Error::source) says what to do about it.
    NoTicket,
    /// The domain controller answered with an error.
    Refused,
    /// The domain controller refers to another one. Only those that are configured are asked.
    Referral,
    /// More entries than the limit.
    TooMuch,
    /// The answer is not to be understood.
    Malformed,
    /// The mailbox is on a server that the directory does not know.
    UnknownServer,
    /// All connections are busy.
    Busy,
    /// Every domain controller failed lately, and is given a rest before it is tried again.
    Resting,
}

impl DirectoryError {
    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> DirectoryErrorKind {
        self.kind
    }

    pub(super) fn new(kind: DirectoryErrorKind, controller: &Arc<str>) -> Self {
        Self {
            kind,
            controller: Arc::clone(controller),
            source: None,
        }
    }

    /// About the directory as a whole.
    pub(super) fn general(kind: DirectoryErrorKind) -> Self {
        Self::new(kind, &Arc::from("the directory"))
    }

    pub(super) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    pub(super) fn ldap(error: LdapError, controller: &Arc<str>) -> Self {
        let kind = match &error {
            LdapError::LdapResult { result } => Self::kind_of(result),
            LdapError::Timeout { .. } => DirectoryErrorKind::TimedOut,
            _ => DirectoryErrorKind::Unreachable,
        };
        Self::new(kind, controller).because(error)
    }

    pub(super) fn result(result: LdapResult, controller: &Arc<str>) -> Self {
        Self::new(Self::kind_of(&result), controller).because(LdapError::from(result))
    }

    /// Whether another domain controller may do better.
    pub(super) fn is_of_the_controller(&self) -> bool {
        use DirectoryErrorKind::{BindRefused, Malformed, NoTicket, TimedOut, Unreachable};
        matches!(
            self.kind,
            BindRefused | Malformed | NoTicket | TimedOut | Unreachable
        )
    }

    fn kind_of(result: &LdapResult) -> DirectoryErrorKind {
        match result.rc {
            10 => DirectoryErrorKind::Referral,
            49 => DirectoryErrorKind::BindRefused,
            // Busy and unavailable: it is there, and as good as not there.
            51 | 52 => DirectoryErrorKind::Unreachable,
            _ => DirectoryErrorKind::Refused,
        }
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let controller = &self.controller;
        match self.kind {
            DirectoryErrorKind::Unreachable => write!(f, "reach {controller}"),
            DirectoryErrorKind::TimedOut => write!(f, "hear from {controller} in time"),
            DirectoryErrorKind::BindRefused => {
                write!(
                    f,
                    "sign in to {controller}: the bind account is not accepted"
                )
            }
            DirectoryErrorKind::NoTicket => {
                write!(f, "sign in to {controller} by Kerberos")
            }
            DirectoryErrorKind::Refused => write!(f, "search {controller}"),
            DirectoryErrorKind::Referral => {
                write!(
                    f,
                    "search {controller}: it refers to a server that is not configured"
                )
            }
            DirectoryErrorKind::TooMuch => {
                write!(f, "search {controller}: more entries than allowed")
            }
            DirectoryErrorKind::Malformed => write!(f, "read the answer of {controller}"),
            DirectoryErrorKind::UnknownServer => {
                write!(f, "find the mailbox's server in {controller}")
            }
            DirectoryErrorKind::Busy => {
                write!(f, "ask {controller}: all connections are busy")
            }
            DirectoryErrorKind::Resting => {
                write!(
                    f,
                    "reach {controller}: every domain controller failed lately"
                )
            }
        }
    }
}

impl Error for DirectoryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_ref()?;
        Some(&**source)
    }
}
