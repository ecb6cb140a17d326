//! For labs only.

use super::ActiveDirectoryBuilder;

/// Speaks LDAP in clear to `ldap://` domain controllers: anyone on the way can read the password of the bind account, and
/// send users wherever they please. Most domain controllers refuse it, rightly.
pub fn without_tls(builder: ActiveDirectoryBuilder) -> ActiveDirectoryBuilder {
    builder.in_clear()
}
