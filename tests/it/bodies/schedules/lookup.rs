//! A directory whose mailboxes are in Dallas until a second CAS says that they are not.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use cas_proxy::{
    directory::MailboxKey,
    lookup::{Answer, CouldNotAsk, LocateFuture, MailboxLookup},
};

use super::{
    plan::{Moved, Plan},
    witness::Witness,
};
use crate::support::{EXCHANGE_2007, mailbox};

pub struct Moving {
    plan: Arc<Plan>,
    moved: Mutex<HashSet<MailboxKey>>,
    witness: Arc<Witness>,
}

impl Moving {
    pub fn new(plan: &Arc<Plan>, witness: &Arc<Witness>) -> Self {
        Self {
            plan: Arc::clone(plan),
            moved: Mutex::default(),
            witness: Arc::clone(witness),
        }
    }
}

impl MailboxLookup for Moving {
    fn locate(&self, key: MailboxKey) -> LocateFuture {
        let at = |site| {
            let mailbox = mailbox("mbx", site, EXCHANGE_2007);
            Ok(Answer::Found(Arc::new(mailbox)))
        };
        let moved = self.moved.lock().unwrap().contains(&key);
        let located = match self.plan.moved {
            _ if !moved => at("Dallas"),
            Moved::Nowhere => at("Dallas"),
            Moved::Here => at("Seattle"),
            Moved::Reno => at("Reno"),
            Moved::Gone => Ok(Answer::NotFound),
            Moved::DirectoryFails => Err(CouldNotAsk::from_source("the directory is down")),
        };
        Box::pin(std::future::ready(located))
    }

    fn invalidate(&self, key: &MailboxKey) {
        self.witness.invalidated();
        self.moved.lock().unwrap().insert(key.clone());
    }
}
