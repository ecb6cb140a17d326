use std::{
    collections::HashMap,
    fmt, future,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use crate::directory::{Mailbox, MailboxKey};

use super::{Answer, LocateFuture, MailboxLookup};

/// Knows every mailbox from a table, and answers at once.
///
/// ```
/// use cas_proxy::directory::{Mailbox, MailboxKey, ServerName, SiteName};
/// use cas_proxy::lookup::{Answer, InMemory, MailboxLookup};
///
/// let in_dallas = || -> Result<_, Box<dyn std::error::Error>> {
///     Ok(Mailbox::new(ServerName::new("MBX-DAL-01")?, "8.1.240.5".parse()?)
///         .with_site(SiteName::new("Dallas")?))
/// };
/// let anna = MailboxKey::Sid("S-1-5-21-1-2-3-1105".parse()?);
/// let lookup = InMemory::new().insert(anna.clone(), in_dallas()?);
///
/// assert_eq!(lookup.peek(&anna), Some(Answer::Found(in_dallas()?.into())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The table grows with what is put in and has no limit of its own.
#[derive(Default)]
pub struct InMemory {
    answers: RwLock<HashMap<MailboxKey, Answer>>,
}

impl InMemory {
    /// A table without mailboxes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a mailbox under a key; a mailbox with several keys is added under each. The latest one holds.
    #[must_use]
    pub fn insert(self, key: MailboxKey, mailbox: impl Into<Arc<Mailbox>>) -> Self {
        self.move_mailbox(key, mailbox);
        self
    }

    /// Makes a key one that fits several mailboxes.
    #[must_use]
    pub fn insert_ambiguous(self, key: MailboxKey) -> Self {
        self.write().insert(key, Answer::Ambiguous);
        self
    }

    /// Says where a mailbox lives from now on, while others are asking.
    pub fn move_mailbox(&self, key: MailboxKey, to: impl Into<Arc<Mailbox>>) {
        self.write().insert(key, Answer::Found(to.into()));
    }

    /// Removes a key, while others are asking.
    pub fn remove(&self, key: &MailboxKey) {
        self.write().remove(key);
    }

    fn answer(&self, key: &MailboxKey) -> Answer {
        self.read().get(key).cloned().unwrap_or(Answer::NotFound)
    }

    // Each change is one call on the map, so a panic elsewhere leaves nothing half done behind it.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<MailboxKey, Answer>> {
        self.answers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<MailboxKey, Answer>> {
        self.answers.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MailboxLookup for InMemory {
    fn peek(&self, key: &MailboxKey) -> Option<Answer> {
        Some(self.answer(key))
    }

    fn locate(&self, key: MailboxKey) -> LocateFuture {
        Box::pin(future::ready(Ok(self.answer(&key))))
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory")
            .field("keys", &self.read().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::directory::ServerName;

    use super::*;

    fn on(server: &str) -> Arc<Mailbox> {
        let server = ServerName::new(server).unwrap();
        Mailbox::new(server, "8.1.240.5".parse().unwrap()).into()
    }

    fn key(address: &str) -> MailboxKey {
        MailboxKey::Address(address.parse().unwrap())
    }

    #[tokio::test]
    async fn every_question_has_an_answer_at_once() {
        let (anna, info) = (key("anna@contoso.com"), key("info@contoso.com"));
        let lookup = InMemory::new()
            .insert(anna.clone(), on("MBX-1"))
            .insert_ambiguous(info.clone());
        for (key, expected) in [
            (anna, Answer::Found(on("MBX-1"))),
            (info, Answer::Ambiguous),
            (key("nobody@contoso.com"), Answer::NotFound),
        ] {
            assert_eq!(lookup.peek(&key).unwrap(), expected);
            assert_eq!(lookup.locate(key).await.unwrap(), expected);
        }
        assert_eq!(format!("{lookup:?}"), "InMemory { keys: 2 }");
    }

    #[test]
    fn mailboxes_move_and_go_while_serving() {
        let anna = key("anna@contoso.com");
        let lookup = InMemory::new().insert(anna.clone(), on("MBX-1"));
        lookup.move_mailbox(anna.clone(), on("MBX-2"));
        assert_eq!(lookup.peek(&anna), Some(Answer::Found(on("MBX-2"))));
        lookup.remove(&anna);
        assert_eq!(lookup.peek(&anna), Some(Answer::NotFound));
    }
}
