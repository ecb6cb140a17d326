//! From a user to the server of the mailbox.

use std::sync::Arc;

use crate::{
    csc::Sid,
    directory::{Mailbox, MailboxKey},
    lookup::{Answer, CouldNotAsk, Located},
};

use super::{
    AuthenticatedName, DirectoryError, DirectoryErrorKind, Shared,
    connection::{Base, Limit, Search},
    entry::Entry,
    filter::Filter,
    logon_name::Parts,
    snapshot::{HOME_DATABASE, HOME_SERVER},
};

impl Shared {
    //= src/docs/protocol.md#decide-lookup
    pub(super) async fn locate(&self, key: MailboxKey) -> Located {
        let found = match key {
            MailboxKey::Sid(sid) if sid.is_domain_account() => self.by_sid(&sid).await,
            // No account, so nobody who has a mailbox; but such SIDs mark mailboxes that are nobody's.
            MailboxKey::Sid(_) => return Ok(Answer::NotFound),
            MailboxKey::Address(address) => {
                // Compared without regard to case, so the primary address, `SMTP:`, is meant too.
                let address = format!("smtp:{}", address.as_str());
                self.mailboxes(Filter::equals("proxyAddresses", &address))
                    .await
            }
        };
        self.answer(found).await.map_err(CouldNotAsk::from_source)
    }

    /// The user's own mailbox, or else one that is linked to the user, who has an account in another forest. In this
    /// order: a shared mailbox may be linked to somebody who has one already.
    async fn by_sid(&self, sid: &Sid) -> Result<Vec<Entry>, DirectoryError> {
        let own = self.mailboxes(Filter::sid("objectSid", sid)).await?;
        if own.is_empty() {
            return self
                .mailboxes(Filter::sid("msExchMasterAccountSid", sid))
                .await;
        }
        Ok(own)
    }

    pub(super) async fn locate_by_name(&self, name: &AuthenticatedName) -> Located {
        let mut found = self.by_name(name, ATTRIBUTES).await;
        if let Ok(found) = &mut found {
            found.retain(|user| {
                user.text(HOME_DATABASE)
                    .or(user.text(HOME_SERVER))
                    .is_some()
            });
        }
        self.answer(found).await.map_err(CouldNotAsk::from_source)
    }

    /// People of that name; at most two, which is one too many.
    ///
    /// Whoever has it as principal name keeps an account of that name from being meant, even if nothing comes of it.
    pub(super) async fn by_name(
        &self,
        name: &AuthenticatedName,
        attributes: &'static [&'static str],
    ) -> Result<Vec<Entry>, DirectoryError> {
        let domain = |name| self.snapshot.load().domain(name).cloned();
        let (account, domain) = match name.parts() {
            Parts::Principal { user, domain: dns } => {
                let by_principal = person([Filter::equals("userPrincipalName", &name.name)]);
                let found = self.search(Base::Users, by_principal, attributes).await?;
                if !found.is_empty() {
                    return Ok(found);
                }
                (user, domain(dns))
            }
            Parts::Account { user, domain: name } => (user, domain(name)),
        };
        let Some(domain) = domain else {
            return Ok(Vec::new());
        };
        let by_account = person([Filter::equals("sAMAccountName", account)]);
        self.search(Base::Below(domain), by_account, attributes)
            .await
    }

    async fn mailboxes(&self, filter: Filter) -> Result<Vec<Entry>, DirectoryError> {
        let filter = person([filter, with_mailbox()]);
        self.search(Base::Users, filter, ATTRIBUTES).await
    }

    async fn search(
        &self,
        base: Base,
        filter: Filter,
        attributes: &'static [&'static str],
    ) -> Result<Vec<Entry>, DirectoryError> {
        let search = Search {
            base,
            filter,
            attributes,
            limit: Limit::Some(2),
        };
        let time_limit = self.pool.settings().search_time_limit;
        let mut found = self.pool.search(&[search], time_limit).await?;
        Ok(found.pop().unwrap_or_default())
    }

    async fn answer(
        &self,
        found: Result<Vec<Entry>, DirectoryError>,
    ) -> Result<Answer, DirectoryError> {
        match found?.as_slice() {
            [] => Ok(Answer::NotFound),
            [user] => self.place(user).await.map(Answer::Found),
            _ => Ok(Answer::Ambiguous),
        }
    }

    /// A server that is not in the snapshot may be new, so the directory is asked, though not every time.
    async fn place(&self, user: &Entry) -> Result<Arc<Mailbox>, DirectoryError> {
        if let Some(mailbox) = self.snapshot.load().place(user) {
            return Ok(mailbox);
        }
        self.refresh_for_a_stranger().await?;
        let unknown = || DirectoryError::general(DirectoryErrorKind::UnknownServer);
        self.snapshot.load().place(user).ok_or_else(unknown)
    }
}

fn with_mailbox() -> Filter {
    Filter::any([Filter::present(HOME_DATABASE), Filter::present(HOME_SERVER)])
}

/// Users, and no machines.
fn person<const N: usize>(filters: [Filter; N]) -> Filter {
    Filter::all([
        Filter::equals("objectCategory", "person"),
        Filter::equals("objectClass", "user"),
        Filter::all(filters),
    ])
}

const ATTRIBUTES: &[&str] = &[HOME_DATABASE, HOME_SERVER];
