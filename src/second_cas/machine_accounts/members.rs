//! Accounts trusted because of a group they are in. The library does not show the groups that are in a ticket, so a
//! directory is asked.

use std::{fmt, pin::Pin, sync::Arc};

use quick_cache::sync::Cache;
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, timeout},
};

use super::{MembershipLimits, NotUsable, principal::Principal};
use crate::{clock::later, csc::Sid};

/// Says which groups an account is in. `ActiveDirectory::identify` of [`crate::lookup`] knows (feature
/// `active-directory`); so closures will do:
///
/// ```
/// use cas_proxy::{csc::Sid, second_cas::MembershipLookup};
///
/// # async fn ask_the_directory(account: &str) -> std::io::Result<Vec<Sid>> { Ok(Vec::new()) }
/// fn lookup() -> impl MembershipLookup {
///     |account: String, realm: String| async move {
///         Ok(ask_the_directory(&format!("{realm}\\{account}")).await?)
///     }
/// }
/// # lookup();
/// ```
pub trait MembershipLookup: Send + Sync + 'static {
    /// The groups of `account` (`SEATTLE$`) of `realm` (`FOURTHCOFFEE.COM`), with the groups these are in. None for an
    /// account that is unknown or disabled. An error if that can't be found out; the account is not trusted then.
    ///
    /// Not asked about the same account again while an answer is kept. Dropped when it takes too long.
    fn groups(&self, account: String, realm: String) -> MembershipFuture;
}

/// What [`MembershipLookup::groups`] gives.
pub type MembershipFuture = Pin<
    Box<dyn Future<Output = Result<Vec<Sid>, Box<dyn std::error::Error + Send + Sync>>> + Send>,
>;

impl<F, Fut> MembershipLookup for F
where
    F: Fn(String, String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<Sid>, Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    fn groups(&self, account: String, realm: String) -> MembershipFuture {
        Box::pin(self(account, realm))
    }
}

/// The members of some groups, as far as they have called.
pub(super) struct Members {
    groups: Vec<Sid>,
    lookup: Arc<dyn MembershipLookup>,
    /// By account. Whoever finds no answer asks while others wait at the lock.
    known: Cache<Box<str>, Arc<Mutex<Option<Known>>>>,
    asking: Semaphore,
    limits: MembershipLimits,
}

#[derive(Clone, Copy)]
struct Known {
    is_member: bool,
    until: Instant,
}

impl Members {
    pub(super) fn new(
        groups: impl IntoIterator<Item = Sid>,
        lookup: impl MembershipLookup,
        limits: MembershipLimits,
    ) -> Result<Self, NotUsable> {
        let groups: Vec<Sid> = groups.into_iter().collect();
        if let Some(wide) = groups.iter().find(|group| is_wide(group)) {
            return Err(NotUsable::new(format_args!(
                "{wide:?} is no group whose members somebody has chosen: make one for the first CASs"
            )));
        }
        Ok(Self::asking(groups, Arc::new(lookup), limits))
    }

    /// The same members, of whom nothing is known yet.
    pub(super) fn afresh(&self, limits: MembershipLimits) -> Self {
        Self::asking(self.groups.clone(), Arc::clone(&self.lookup), limits)
    }

    fn asking(
        groups: Vec<Sid>,
        lookup: Arc<dyn MembershipLookup>,
        limits: MembershipLimits,
    ) -> Self {
        let questions = limits.questions.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            groups,
            lookup,
            known: Cache::new(limits.known.max(1)),
            asking: Semaphore::new(questions),
            limits,
        }
    }

    /// Whether the account is in one of the groups. Whatever is not an answer is an error, fit for a log.
    pub(super) async fn include(&self, account: &Principal) -> Result<bool, String> {
        let key = account.as_str().to_ascii_lowercase().into_boxed_str();
        let entry = self
            .known
            .get_or_insert_with(&key, || Ok::<_, ()>(Arc::default()))
            .unwrap_or_default();
        let answering = async {
            let mut known = entry.lock().await;
            if let Some(known) = &*known
                && Instant::now() < known.until
            {
                return Ok(known.is_member);
            }
            // An answer that is too old is none, whatever the directory says now.
            *known = None;
            let _turn = self.asking.acquire().await;
            let (name, realm) = account.name_and_realm();
            let groups = self.lookup.groups(name.to_owned(), realm.to_owned()).await;
            let groups = groups.map_err(|error| error.to_string())?;
            let is_member = groups.iter().any(|group| self.groups.contains(group));
            let kept = if is_member {
                self.limits.member_kept
            } else {
                self.limits.stranger_kept
            };
            *known = Some(Known {
                is_member,
                until: later(Instant::now(), kept),
            });
            Ok(is_member)
        };
        let time_limit = self.limits.time_limit;
        timeout(time_limit, answering)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {time_limit:?}")))
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.groups).finish()
    }
}

/// Groups that every account of a domain, of a machine, or of the network is in.
fn is_wide(group: &Sid) -> bool {
    let rid = group.sub_authorities().last();
    !group.is_domain_account()
        || rid.is_none_or(|rid| [DOMAIN_USERS, DOMAIN_GUESTS, DOMAIN_COMPUTERS].contains(rid))
}

const DOMAIN_USERS: u32 = 513;
const DOMAIN_GUESTS: u32 = 514;
const DOMAIN_COMPUTERS: u32 = 515;

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use futures_util::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    const GROUP: &str = "S-1-5-21-1-2-3-1200";

    fn sid(text: &str) -> Sid {
        text.parse().unwrap()
    }

    fn seattle() -> Principal {
        Principal::new("SEATTLE$@CORP").unwrap()
    }

    fn usual() -> MembershipLimits {
        MembershipLimits::default()
    }

    /// Answers what `answer` makes of the number of the question, after a second.
    fn members(
        answer: impl Fn(usize) -> Result<&'static str, &'static str> + Send + Sync + Copy + 'static,
    ) -> (Members, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let lookup = move |account: String, realm: String| {
            assert_eq!(
                (account.to_uppercase().as_str(), &*realm),
                ("SEATTLE$", "CORP")
            );
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move {
                sleep(Duration::from_secs(1)).await;
                Ok(vec![sid("S-1-5-21-1-2-3-515"), sid(answer(number)?)])
            }
        };
        (Members::new([sid(GROUP)], lookup, usual()).unwrap(), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn one_question_for_all_who_ask_at_once_in_any_case_until_the_answer_is_old() {
        let (members, asked) = members(|_| Ok(GROUP));
        let lower = Principal::new("seattle$@CORP").unwrap();
        let both = [seattle(), lower];
        let answers = join_all((0..50).map(|at| members.include(&both[at % 2]))).await;
        assert!(answers.iter().all(|answer| *answer == Ok(true)));
        advance(usual().member_kept - Duration::from_secs(1)).await;
        assert_eq!(members.include(&seattle()).await, Ok(true));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        advance(Duration::from_secs(2)).await;
        assert_eq!(members.include(&seattle()).await, Ok(true));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_new_in_the_group_waits_a_minute_and_somebody_put_out_of_it_five() {
        let (members, _) = members(|number| {
            Ok(match number {
                1 => GROUP,
                _ => "S-1-5-21-1-2-3-1201",
            })
        });
        assert_eq!(members.include(&seattle()).await, Ok(false));
        advance(usual().stranger_kept).await;
        assert_eq!(members.include(&seattle()).await, Ok(true));
        advance(usual().member_kept).await;
        assert_eq!(members.include(&seattle()).await, Ok(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_directory_that_can_not_be_asked_makes_nobody_a_member_and_is_asked_again() {
        let (failing, asked) = members(|number| match number {
            0 => Ok(GROUP),
            1 => Err("it is down"),
            _ => Ok(GROUP),
        });
        assert_eq!(failing.include(&seattle()).await, Ok(true));
        advance(usual().member_kept).await;
        assert_eq!(
            failing.include(&seattle()).await,
            Err("it is down".to_owned())
        );
        assert_eq!(failing.include(&seattle()).await, Ok(true));
        assert_eq!(asked.load(Ordering::Relaxed), 3);

        let silent = |_: String, _: String| async { std::future::pending().await };
        let silent = Members::new([sid(GROUP)], silent, usual()).unwrap();
        let said = silent.include(&seattle()).await.unwrap_err();
        assert_eq!(said, "no answer within 5s");
    }

    #[tokio::test(start_paused = true)]
    async fn each_limit_is_kept_when_it_is_set() {
        let (members, asked) = members(|_| Ok(GROUP));
        let is_known = async |members: &Members, after: Duration| {
            members.include(&seattle()).await.unwrap();
            advance(after).await;
            let before = asked.load(Ordering::Relaxed);
            members.include(&seattle()).await.unwrap();
            asked.load(Ordering::Relaxed) == before
        };
        let mut limits = usual();
        limits.member_kept = Duration::from_secs(10);
        let hasty = members.afresh(limits);
        assert!(is_known(&hasty, Duration::from_secs(9)).await);
        assert!(!is_known(&hasty, Duration::from_secs(10)).await);
        limits.member_kept = Duration::MAX;
        let patient = members.afresh(limits);
        assert!(is_known(&patient, Duration::from_secs(365 * 24 * 60 * 60)).await);
        limits.time_limit = Duration::from_millis(999);
        let said = members.afresh(limits).include(&seattle()).await;
        assert_eq!(said, Err("no answer within 999ms".to_owned()));

        // One question at a time, each of a second; one account remembered, or none where that is asked for.
        let accounts = ["ONE$@CORP", "TWO$@CORP", "THREE$@CORP"];
        let accounts = accounts.map(|name| Principal::new(name).unwrap());
        for (questions, seconds) in [(0, 3), (1, 3), (2, 2), (usize::MAX, 1)] {
            limits = usual();
            (limits.questions, limits.known) = (questions, 0);
            let asked = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&asked);
            let lookup = move |_: String, _: String| {
                count.fetch_add(1, Ordering::Relaxed);
                async {
                    sleep(Duration::from_secs(1)).await;
                    Ok(vec![sid(GROUP)])
                }
            };
            let few = Members::new([sid(GROUP)], lookup, limits).unwrap();
            let since = Instant::now();
            let answers = join_all(accounts.iter().map(|account| few.include(account))).await;
            assert!(answers.iter().all(|answer| *answer == Ok(true)));
            assert_eq!(since.elapsed().as_secs(), seconds, "{questions}");
            for account in &accounts {
                assert_eq!(few.include(account).await, Ok(true));
            }
            assert!(asked.load(Ordering::Relaxed) > 4, "all were remembered");
        }
    }

    #[test]
    fn a_group_that_everybody_is_in_is_not_trusted() {
        let nobody = |_: String, _: String| async { Ok(Vec::new()) };
        for wide in [
            "S-1-1-0",
            "S-1-5-11",
            "S-1-5-32-545",
            "S-1-5-21-1-2-3-513",
            "S-1-5-21-1-2-3-514",
            "S-1-5-21-1-2-3-515",
        ] {
            let refused = Members::new([sid(GROUP), sid(wide)], nobody, usual()).unwrap_err();
            assert!(refused.to_string().contains("make one"), "{refused}");
        }
        assert!(Members::new([sid(GROUP)], nobody, usual()).is_ok());
    }
}
