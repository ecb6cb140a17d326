//! From a name to a user with all groups.

use crate::csc::{ClientSecurityContext, Group, GroupAttributes, Sid};

use super::{
    AuthenticatedName, DirectoryError, DirectoryErrorKind, Shared,
    connection::{Base, Limit, Search},
    entry::Entry,
    filter::Filter,
};

/// Who a name belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// This user.
    Known(ClientSecurityContext),
    /// Nobody, or an account that is disabled.
    Unknown,
    /// More than one user.
    Ambiguous,
}

impl Shared {
    pub(super) async fn identify(
        &self,
        name: &AuthenticatedName,
    ) -> Result<Identity, DirectoryError> {
        match self.enabled(name).await? {
            Ok(user) => self.with_groups(name, &user).await,
            Err(nobody) => Ok(nobody),
        }
    }

    pub(super) async fn sign_in(
        &self,
        name: &str,
        password: &str,
    ) -> Result<Identity, DirectoryError> {
        let Ok(name) = AuthenticatedName::new("Basic", name) else {
            return Ok(Identity::Unknown);
        };
        // Without one, a domain controller would take the bind for an anonymous one, and let it pass; and some read no
        // further than a zero, and would take what stands before it for the password.
        // A long one makes it hang up.
        if !(1..=LONGEST_PASSWORD).contains(&password.len()) || password.contains('\0') {
            return Ok(Identity::Unknown);
        }
        let _turn = self.pool.turn_to_sign_in().await?;
        let found = self.enabled(&name).await?;
        // By the entry that was found: a domain controller knows more kinds of names, and might mean another user.
        // A name that nobody has costs the same time.
        let entry = found.as_ref().map_or(NOBODY, |user| &*user.name);
        let matches = self.pool.verify(entry, password).await?;
        match found {
            Ok(user) if matches => self.with_groups(&name, &user).await,
            Ok(_) => Ok(Identity::Unknown),
            Err(nobody) => Ok(nobody),
        }
    }

    /// The one user of that name whose account is not disabled.
    async fn enabled(
        &self,
        name: &AuthenticatedName,
    ) -> Result<Result<Entry, Identity>, DirectoryError> {
        let mut found = self.by_name(name, &["objectSid", STATE]).await?;
        let user = match (found.pop(), found.is_empty()) {
            (None, _) => return Ok(Err(Identity::Unknown)),
            (Some(user), true) => user,
            (Some(_), false) => return Ok(Err(Identity::Ambiguous)),
        };
        // An account whose state is not to be seen is as good as disabled.
        let state = user.number(STATE).unwrap_or(DISABLED);
        Ok(if state & DISABLED == 0 {
            Ok(user)
        } else {
            Err(Identity::Unknown)
        })
    }

    async fn with_groups(
        &self,
        name: &AuthenticatedName,
        user: &Entry,
    ) -> Result<Identity, DirectoryError> {
        // Computed by the domain controller, and for a search of this one entry alone.
        let groups = Search {
            base: Base::Only(user.name.clone()),
            filter: Filter::present("objectClass"),
            attributes: &["tokenGroups"],
            limit: Limit::Some(1),
        };
        let time_limit = self.pool.settings().search_time_limit;
        let found = self.pool.search(&[groups], time_limit).await?;
        match found.first().and_then(|found| found.first()) {
            // Gone since.
            None => Ok(Identity::Unknown),
            Some(groups) => context(name, user, groups).map(Identity::Known),
        }
    }
}

fn context(
    name: &AuthenticatedName,
    user: &Entry,
    groups: &Entry,
) -> Result<ClientSecurityContext, DirectoryError> {
    let malformed = |why: &str| DirectoryError::general(DirectoryErrorKind::Malformed).because(why);
    let sid = user.sids("objectSid").and_then(|mut sids| sids.pop());
    let sid = sid.ok_or_else(|| malformed("the user has no SID"))?;
    let mut groups = groups
        .sids("tokenGroups")
        .ok_or_else(|| malformed("the list of the user's groups is not whole"))?;
    // Every user has a primary group at least, so somebody may not read them.
    if groups.is_empty() {
        return Err(malformed("the bind account may not read the user's groups"));
    }
    for (authority, part) in OF_EVERY_USER {
        let every = Sid::from_parts(authority, &[part]);
        groups.extend(every.ok().filter(|sid| !groups.contains(sid)));
    }
    let groups = groups.into_iter().map(|sid| Group {
        sid,
        attributes: GroupAttributes::ENABLED_GROUP,
    });
    ClientSecurityContext::builder(sid, &*name.authentication_type, &*name.name)
        .groups(groups)
        .build()
        .map_err(|error| DirectoryError::general(DirectoryErrorKind::Malformed).because(error))
}

const STATE: &str = "userAccountControl";

/// Whom no directory knows.
const NOBODY: &str = "CN=nobody";

/// In bytes: 256 characters, which is the longest password of Active Directory, have 768 at most in UTF-8.
const LONGEST_PASSWORD: usize = 1024;

/// Bit of the state.
const DISABLED: u32 = 2;

/// Everyone, Network, Authenticated Users, This Organization.
const OF_EVERY_USER: [(u64, u32); 4] = [(1, 0), (5, 2), (5, 11), (5, 15)];

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(text: &str) -> Sid {
        text.parse().unwrap()
    }

    fn check(user: &Entry, groups: &Entry) -> Result<Vec<String>, DirectoryErrorKind> {
        let name = AuthenticatedName::new("Basic", r"FOURTHCOFFEE\bert").unwrap();
        let context = context(&name, user, groups).map_err(|error| error.kind())?;
        assert_eq!(context.logon_name(), r"FOURTHCOFFEE\bert");
        assert_eq!(context.authentication_type(), "Basic");
        let groups = context.groups().iter();
        assert!(
            groups
                .clone()
                .all(|group| group.attributes == GroupAttributes::ENABLED_GROUP)
        );
        Ok(groups.map(|group| group.sid.to_string()).collect())
    }

    #[test]
    fn a_context_has_the_groups_of_the_directory_and_those_of_everyone() {
        let user = Entry::named("CN=bert").with("objectSid", sid("S-1-5-21-1-2-3-1105").to_bytes());
        let groups = Entry::named("CN=bert")
            .with("tokenGroups", sid("S-1-5-21-1-2-3-513").to_bytes())
            .with("tokenGroups", sid("S-1-5-11").to_bytes());
        assert_eq!(
            check(&user, &groups).unwrap(),
            [
                "S-1-5-21-1-2-3-513",
                "S-1-5-11",
                "S-1-1-0",
                "S-1-5-2",
                "S-1-5-15"
            ]
        );
        let part = groups
            .clone()
            .with("tokenGroups;range=0-1499", sid("S-1-5-32-544").to_bytes());
        for (user, groups) in [
            (&user, &Entry::named("CN=bert")),
            (&user, &part),
            (&Entry::named("CN=bert"), &groups),
            (&Entry::named("CN=bert").with("objectSid", "S-1-5"), &groups),
        ] {
            assert_eq!(check(user, groups), Err(DirectoryErrorKind::Malformed));
        }
    }
}
