//! Tickets for the servers that this machine speaks to by Kerberos.
//!
//! The library waits for a KDC as long as it likes, half a minute for one that is silent. So it is called on blocking
//! threads: one at a time for each server, and of those that need a new ticket four at a time for each user of
//! [`Tickets`]. When half of the life of the tickets is over they are renewed, all at once, while the old ones serve.

mod gss;
mod lane;
mod ticket_error;
mod wallet;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(crate) use self::lane::Lane;
pub use self::ticket_error::{TicketError, TicketErrorKind};
use self::wallet::Wallet;

/// What is known of tickets. Clones share it.
#[derive(Clone)]
pub(crate) struct Tickets(Arc<Shared>);

struct Shared {
    wallet: Arc<Wallet>,
    /// By service. Hosts come from the directory or from the configuration, so there are few.
    lanes: Mutex<HashMap<Box<str>, Arc<Lane>>>,
}

impl Tickets {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            wallet: Arc::new(Wallet::new()),
            lanes: Mutex::default(),
        }))
    }

    /// Those for a service of a host, such as `HTTP`.
    pub(crate) fn lane(&self, service: &str, host: &str) -> Arc<Lane> {
        let name = format!("{service}/{}", host.to_ascii_lowercase());
        let mut lanes = lock(&self.0.lanes);
        let lane = lanes
            .entry(name.into())
            .or_insert_with_key(|name| Arc::new(Lane::new(name, Arc::clone(&self.0.wallet))));
        Arc::clone(lane)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets(..)")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lane_for_a_host_in_any_case() {
        let tickets = Tickets::new();
        let lane = tickets.lane("HTTP", "Dallas.corp");
        assert_eq!(lane.service(), "HTTP/dallas.corp");
        assert!(Arc::ptr_eq(
            &lane,
            &tickets.clone().lane("HTTP", "dallas.corp")
        ));
        assert!(!Arc::ptr_eq(&lane, &tickets.lane("ldap", "dallas.corp")));
    }
}
