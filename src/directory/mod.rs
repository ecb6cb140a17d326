//! Where are things? The types of the directory's answers, parsed where they enter.
//!
//! | question | type |
//! |---|---|
//! | Which servers are there, and in which AD sites? | [`Topology`], [`ClientAccessServer`], [`BackEnd`] |
//! | How is a CAS reached? | [`OwaVirtualDirectory`], [`InternalUrl`], [`ExternalUrl`], [`Origin`] |
//! | Where does a mailbox live? | [`Mailbox`], asked for by [`MailboxKey`] |
//! | What is wrong with all this? | [`Topology::check`], [`Finding`] |
//!
//! Nothing here asks a directory: these are values, made by whoever did.

mod address;
mod check;
mod mailbox;
mod name;
mod origin;
mod server;
mod source;
mod topology;
mod url;
mod url_error;
mod version;
mod virtual_directory;

pub use address::{InvalidAddress, SmtpAddress};
pub use check::Finding;
pub use mailbox::{Mailbox, MailboxKey};
pub(crate) use name::{ByName, scatter};
pub use name::{InvalidName, ServerName, SiteName};
pub use origin::Origin;
pub use server::{BackEnd, ClientAccessServer};
pub use source::TopologySource;
pub(crate) use topology::Site;
pub use topology::{Topology, TopologyBuilder, TopologyError};
pub use url::{BackEndUrl, ExternalUrl, InternalUrl};
pub use url_error::{UrlError, UrlErrorKind};
pub use version::{ExchangeVersion, InvalidVersion};
pub use virtual_directory::{AuthenticationMethods, OwaVirtualDirectory};
