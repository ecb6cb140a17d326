//! A tower middleware that serves each user where the mailbox lives.
//!
//! | question | module |
//! |---|---|
//! | Who is the user? | [`csc`] |
//! | Where are things? | [`directory`] |
//! | What shall we do? | [`decision`] |
//! | What do two CASs say to each other? | [`wire`] |
//! | Who knows where a mailbox lives? | [`lookup`] |
//! | Who carries a request to another server? | [`outbound`] |
//! | What does the user read when it fails? | [`pages`] |
//! | What does the operator read? | [`telemetry`] |
//! | The server users reach | [`first_cas`] |
//! | The server that holds the mailbox | [`second_cas`] |

pub mod csc;
pub mod decision;
pub mod directory;
pub mod first_cas;
pub mod lookup;
pub mod outbound;
pub mod pages;
pub mod second_cas;
pub mod telemetry;
pub mod wire;

pub use csc::ClientSecurityContext;
pub use decision::Here;
pub use directory::{ClientAccessServer, Mailbox, MailboxKey, Topology};
pub use first_cas::CasProxyLayer;
pub use lookup::InMemory;
pub use second_cas::{SecondCasLayer, unless_proxied};
