//! Which candidate a user goes to: the same one while it is healthy, and all of them evenly.

use std::sync::Arc;

use super::health::{Health, Turn};
use crate::{
    csc::Sid,
    directory::{ClientAccessServer, ServerName, scatter},
};

/// Chooses the next server for `user` among `candidates`, leaving out those `tried`.
///
/// Rendezvous hashing of the user with each server: when a server goes, only its users move. A server that
/// rests is passed over; if all rest, the user's first choice is taken at once.
//= src/docs/protocol.md#candidate-order
pub(crate) fn choose<'t, I>(
    candidates: impl Fn() -> I,
    user: &Sid,
    tried: &[ServerName],
    health: &Health,
) -> Option<(&'t Arc<ClientAccessServer>, Turn)>
where
    I: Iterator<Item = &'t Arc<ClientAccessServer>>,
{
    let mut some = candidates();
    let lone = match (some.next(), some.next()) {
        (Some(server), None) => Some(server),
        _ => None,
    };
    if let Some(server) = lone {
        let is_untried = !tried.contains(server.name());
        return is_untried.then(|| (server, health.of(server.name()).turn_anyway()));
    }
    let user = hash_user(user);
    let untried = || candidates().filter(|server| !tried.contains(server.name()));
    let first = untried().max_by_key(|server| rank(user, server))?;
    let first_state = health.of(first.name());
    if let Some(turn) = first_state.turn() {
        return Some((first, turn));
    }
    let mut others: Vec<_> = untried()
        .filter(|server| server.name() != first.name())
        .collect();
    others.sort_by_key(|server| std::cmp::Reverse(rank(user, server)));
    others
        .into_iter()
        .find_map(|server| Some((server, health.of(server.name()).turn()?)))
        .or_else(|| Some((first, first_state.turn_anyway())))
}

/// No random key has a part in it: all first CASs must agree on a user's server.
fn rank(user: u64, server: &ClientAccessServer) -> u64 {
    scatter(user ^ server.name().known_hash())
}

fn hash_user(user: &Sid) -> u64 {
    user.sub_authorities()
        .iter()
        .fold(scatter(user.authority()), |hash, &part| {
            scatter(hash ^ u64::from(part))
        })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::directory::SiteName;

    fn servers(names: &[String]) -> Vec<Arc<ClientAccessServer>> {
        names
            .iter()
            .map(|name| {
                Arc::new(ClientAccessServer::new(
                    ServerName::new(name).unwrap(),
                    SiteName::new("Dallas").unwrap(),
                    "8.3.83.6".parse().unwrap(),
                ))
            })
            .collect()
    }

    fn user(rid: u32) -> Sid {
        Sid::from_parts(5, &[21, 1_004_336_348, 1_177_238_915, 682_003_330, rid]).unwrap()
    }

    fn chosen(servers: &[Arc<ClientAccessServer>], rid: u32, health: &Health) -> ServerName {
        choose(|| servers.iter(), &user(rid), &[], health)
            .unwrap()
            .0
            .name()
            .clone()
    }

    //= src/docs/protocol.md#candidate-order
    #[test]
    fn ten_servers_share_ten_thousand_users_evenly_and_only_the_dead_ones_users_move() {
        let names: Vec<String> = (1..=10).map(|n| format!("DAL-EXCAS{n:02}")).collect();
        let (all, health) = (servers(&names), Health::new(1024, 64));
        let before: Vec<_> = (0..10_000)
            .map(|rid| chosen(&all, 1000 + rid, &health))
            .collect();
        let mut share: HashMap<&ServerName, u32> = HashMap::new();
        for name in &before {
            *share.entry(name).or_default() += 1;
        }
        let (least, most) = (share.values().min().unwrap(), share.values().max().unwrap());
        assert_eq!(share.len(), 10);
        assert!(
            f64::from(*most) / f64::from(*least) <= 1.2,
            "{least}..{most}"
        );

        let dead = all[3].name().clone();
        let left: Vec<_> = all.iter().filter(|s| *s.name() != dead).cloned().collect();
        for (rid, was) in (0..).zip(&before) {
            let is = chosen(&left, 1000 + rid, &health);
            assert!(is == *was || *was == dead, "a user of {was} moved to {is}");
        }
    }

    #[test]
    fn all_first_cass_agree_whatever_order_and_case_they_read_the_servers_in() {
        let health = Health::new(1024, 64);
        let upper = servers(&["DALLAS1".into(), "DALLAS2".into(), "DALLAS3".into()]);
        let lower = servers(&["dallas3".into(), "dallas1".into(), "dallas2".into()]);
        for rid in 1000..1100 {
            assert_eq!(chosen(&upper, rid, &health), chosen(&lower, rid, &health));
        }
    }

    /// A first CAS that is updated goes on to agree with those that are not yet.
    #[test]
    fn the_choice_is_the_same_in_every_release() {
        let health = Health::new(1024, 64);
        let all = servers(&["dallas1".into(), "dallas2".into(), "dallas3".into()]);
        let last = |rid| chosen(&all, rid, &health).as_str().replace("dallas", "");
        let choices: String = (1000..1030).map(last).collect();
        assert_eq!(choices, "221311221213123321322112122132");
    }

    #[tokio::test(start_paused = true)]
    async fn a_resting_server_is_passed_over_and_all_resting_means_the_first_choice() {
        let (all, health) = (servers(&["a".into(), "b".into()]), Health::new(1024, 64));
        let first = chosen(&all, 1105, &health);
        for _ in 0..2 {
            health.of(&first).turn_anyway().failed();
        }
        let second = chosen(&all, 1105, &health);
        assert_ne!(first, second);
        for _ in 0..2 {
            health.of(&second).turn_anyway().failed();
        }
        assert_eq!(chosen(&all, 1105, &health), first);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lone_candidate_never_rests() {
        let (one, health) = (servers(&["a".into()]), Health::new(1024, 64));
        for _ in 0..5 {
            let (_, turn) = choose(|| one.iter(), &user(1105), &[], &health).unwrap();
            turn.failed();
        }
    }

    #[test]
    fn a_tried_server_is_not_chosen_again() {
        let (all, health) = (servers(&["a".into(), "b".into()]), Health::new(1024, 64));
        let first = chosen(&all, 1105, &health);
        let tried = [first.clone()];
        let (second, _) = choose(|| all.iter(), &user(1105), &tried, &health).unwrap();
        assert_ne!(*second.name(), first);
        let tried = [first, second.name().clone()];
        assert!(choose(|| all.iter(), &user(1105), &tried, &health).is_none());
    }
}
