//! A request that is ours, and what it asks for.

use super::{
    config::Config,
    own_names::{OwnName, Used},
    report::Report,
    trip::Trip,
};
use crate::{
    csc::ClientSecurityContext,
    decision::Question,
    directory::{Mailbox, MailboxKey},
    lookup::Answer,
};

/// A request in scope, on its way through the pipeline.
pub(super) struct Visit<B> {
    pub(super) trip: Trip<B>,
    pub(super) asked: Asked,
    /// The lookup's answer, where it was at hand.
    pub(super) known: Option<Answer>,
    pub(super) report: Report,
}

/// Who asks for which mailbox.
pub(super) struct Asked {
    pub(super) user: ClientSecurityContext,
    pub(super) key: MailboxKey,
    pub(super) owa_path: bool,
    /// The path's segment that names the mailbox, as it was sent.
    pub(super) explicit_segment: Option<Box<str>>,
    /// Whether a verified CAS sent it.
    pub(super) from_cas: bool,
    /// Whether it has a line `Via`.
    pub(super) has_via: bool,
    /// Whether it has a line `Upgrade`.
    pub(super) has_upgrade: bool,
    /// Under which name the client knows this CAS.
    pub(super) name_used: Used,
}

impl Asked {
    pub(super) fn question<'q>(
        &self,
        config: &'q Config,
        mailbox: Option<&'q Mailbox>,
    ) -> Question<'q> {
        let mut question = Question::about(mailbox);
        question.client_host = Some(self.name_used(config).origin().authority().as_str());
        question.from_cas = self.from_cas;
        question.owa_path = self.owa_path;
        question
    }

    /// The name under which the client knows this CAS.
    pub(super) fn name_used<'c>(&self, config: &'c Config) -> &'c OwnName {
        config.names.get(self.name_used)
    }
}
