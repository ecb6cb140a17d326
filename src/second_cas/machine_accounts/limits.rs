//! How long the members of a group are known, and how much is asked to know them.

use std::time::Duration;

/// Bounds of what [`MachineAccounts::trust_members`](super::MachineAccounts::trust_members) asks and remembers, for each
/// time it is called.
///
/// ```
/// use cas_proxy::second_cas::MembershipLimits;
/// use std::time::Duration;
///
/// let mut limits = MembershipLimits::default();
/// limits.member_kept = Duration::from_secs(60);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MembershipLimits {
    /// How long a member is known, and so how long somebody put out of the group is still trusted: 5 min.
    pub member_kept: Duration,
    /// How long anybody else is known, and so how long somebody new in the group is still refused: 1 min.
    pub stranger_kept: Duration,
    /// How long an answer may take, with the wait for a turn to ask: 5 s. Then the account is refused.
    pub time_limit: Duration,
    /// Accounts asked about at a time: 4, then they queue. At least one.
    pub questions: usize,
    /// Accounts remembered: 1,024; at least one. One forgotten is asked about again.
    pub known: usize,
}

impl Default for MembershipLimits {
    fn default() -> Self {
        Self {
            member_kept: Duration::from_secs(5 * 60),
            stranger_kept: Duration::from_secs(60),
            time_limit: Duration::from_secs(5),
            questions: 4,
            known: 1024,
        }
    }
}
