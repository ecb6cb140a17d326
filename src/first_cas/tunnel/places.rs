//! How many tunnels there may be, and of one user.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{
    csc::Sid,
    first_cas::{failure::Refused, settings::Limits},
};

/// All tunnels of a layer.
pub(in crate::first_cas) struct Tunnels {
    places: Arc<Semaphore>,
    users: Arc<Users>,
    draining: watch::Sender<bool>,
}

/// Those who have tunnels, and how many. Never more users than tunnels.
struct Users {
    at_most: usize,
    tunnels: Mutex<HashMap<Sid, usize>>,
}

impl Tunnels {
    pub(in crate::first_cas) fn new(limits: &Limits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.tunnels.min(Semaphore::MAX_PERMITS))),
            users: Arc::new(Users {
                at_most: limits.tunnels_per_user,
                tunnels: Mutex::default(),
            }),
            draining: watch::Sender::new(false),
        }
    }

    /// A place for one more.
    ///
    /// # Errors
    /// There are too many, or the user has too many, or they are being closed.
    pub(super) fn enter(&self, user: &Sid) -> Result<Place, Refused> {
        let draining = self.draining.subscribe();
        let none = || Refused::too_many_tunnels("no further connection can be upgraded now");
        if *draining.borrow() {
            return Err(none());
        }
        let permit = Arc::clone(&self.places).try_acquire_owned();
        Ok(Place {
            draining,
            _permit: permit.map_err(|_| none())?,
            _of_user: self.users.enter(user).ok_or_else(|| {
                Refused::too_many_tunnels("the user has too many upgraded connections")
            })?,
        })
    }

    /// Lets nobody in any more, and has those closed that are open.
    pub(in crate::first_cas) fn drain(&self) {
        self.draining.send_replace(true);
    }
}

impl fmt::Debug for Tunnels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnels")
            .field("free", &self.places.available_permits())
            .finish_non_exhaustive()
    }
}

impl Users {
    fn enter(self: &Arc<Self>, user: &Sid) -> Option<OfUser> {
        let mut tunnels = self.tunnels();
        let open = tunnels.get(user).copied().unwrap_or(0);
        if open >= self.at_most {
            return None;
        }
        tunnels.insert(*user, open + 1);
        drop(tunnels);
        Some(OfUser {
            users: Arc::clone(self),
            user: *user,
        })
    }

    fn tunnels(&self) -> MutexGuard<'_, HashMap<Sid, usize>> {
        self.tunnels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Taken from the offer of an upgrade to the end of its tunnel.
pub(super) struct Place {
    pub(super) draining: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
    _of_user: OfUser,
}

struct OfUser {
    users: Arc<Users>,
    user: Sid,
}

impl Drop for OfUser {
    fn drop(&mut self) {
        let mut tunnels = self.users.tunnels();
        match tunnels.get_mut(&self.user) {
            Some(open @ 2..) => *open -= 1,
            _ => drop(tunnels.remove(&self.user)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_gone_is_not_remembered() {
        let limits = Limits {
            tunnels: 5,
            tunnels_per_user: 2,
            ..Limits::default()
        };
        let tunnels = Tunnels::new(&limits);
        let user = |rid| Sid::from_parts(5, &[21, 1, 2, 3, rid]).unwrap();
        let open = |rid| tunnels.enter(&user(rid));
        let (first, second) = (open(1).unwrap(), open(1).unwrap());
        assert!(open(1).is_err());
        // A refusal gives back what it took.
        assert_eq!(tunnels.places.available_permits(), 3);
        drop(first);
        let third = open(1).unwrap();
        let others = [open(2).unwrap(), open(3).unwrap(), open(4).unwrap()];
        assert!(open(5).is_err());
        assert_eq!(tunnels.users.tunnels().len(), 4);
        drop((second, third, others));
        assert!(tunnels.users.tunnels().is_empty());
        assert_eq!(tunnels.places.available_permits(), 5);
    }
}
