//! What has happened, and whether it may.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use cas_proxy::first_cas::CasProxyLayer;

use super::{
    BUDGET, SMALL,
    client::{Letter, ask},
    plan::{Client, Plan, Visit},
    reaction::{Reaction, Reply, Then},
    second::Seconds,
};

/// The first CAS itself, among the servers.
pub const HERE: usize = usize::MAX;

#[derive(Default)]
pub struct Witness {
    events: Mutex<Events>,
    bodies: Arc<()>,
}

#[derive(Default)]
pub struct Events {
    pub exchanges: Vec<Exchange>,
    /// Of a user at a server.
    logins: BTreeMap<(usize, String), usize>,
    pub outcomes: BTreeMap<usize, Outcome>,
    pub invalidated: usize,
}

/// A request as a server saw it.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub visit: usize,
    pub server: usize,
    got: usize,
    pub whole: bool,
    torn: bool,
    pub reaction: Option<Reaction>,
    /// What it was answered, if it was, and how long that is.
    pub answered: Option<(u16, usize)>,
    /// The answer came before the body had.
    pub early: bool,
    pub done: bool,
}

/// What came of a request for its client.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Left,
    Answered {
        status: u16,
        exchange: Option<usize>,
        /// It says when to come again.
        again: bool,
        /// None if it broke off, or was not read.
        length: Option<usize>,
    },
}

impl Witness {
    pub fn alive(&self) -> Arc<()> {
        Arc::clone(&self.bodies)
    }

    /// Bodies of clients that somebody still holds.
    pub fn bodies(&self) -> usize {
        Arc::strong_count(&self.bodies) - 1
    }

    /// What `read` wants to know of the events.
    pub fn events<T>(&self, read: impl FnOnce(&mut Events) -> T) -> T {
        read(&mut self.events.lock().unwrap())
    }

    pub fn begin(&self, visit: usize, server: usize) -> usize {
        self.events(|events| {
            events.exchanges.push(Exchange {
                visit,
                server,
                got: 0,
                whole: false,
                torn: false,
                reaction: None,
                answered: None,
                early: false,
                done: false,
            });
            events.exchanges.len() - 1
        })
    }

    /// The size of a request's body; of those after a schedule, too.
    pub fn size(&self, plan: &Plan, visit: usize) -> u64 {
        plan.visits.get(visit).map_or(SMALL, |visit| visit.size)
    }

    /// So much has arrived.
    pub fn arrived(&self, number: usize, got: &[u8], whole: bool) {
        self.events(|events| {
            let exchange = &mut events.exchanges[number];
            exchange.torn |= !Letter::begins(exchange.visit, got);
            (exchange.got, exchange.whole) = (got.len(), whole);
        });
    }

    /// The server is about to do this, in place of a login if there is no number.
    pub fn replies(&self, number: Option<usize>, reaction: &Reaction) {
        let Some(number) = number else { return };
        self.events(|events| {
            let exchange = &mut events.exchanges[number];
            exchange.reaction = Some(*reaction);
            exchange.early = !exchange.whole;
            exchange.done = exchange.whole && reaction.does();
            if let Reply::Answers(status, length) = reaction.reply {
                exchange.answered = Some((status, length));
                exchange.done |= (200..300).contains(&status);
            }
        });
    }

    /// The first CAS has served it itself.
    pub fn did(&self, number: usize, status: u16, length: usize) {
        self.events(|events| {
            let exchange = &mut events.exchanges[number];
            (exchange.answered, exchange.done) = (Some((status, length)), true);
        });
    }

    pub fn login(&self, server: usize, user: &str) {
        let key = (server, user.to_owned());
        self.events(|events| *events.logins.entry(key).or_default() += 1);
    }

    pub fn invalidated(&self) {
        self.events(|events| events.invalidated += 1);
    }

    pub fn ended(&self, visit: usize, outcome: Outcome) {
        self.events(|events| events.outcomes.insert(visit, outcome));
    }

    /// All that is known, for whoever has to find out why.
    pub fn so_far(&self, plan: &Plan) -> String {
        self.events(|events| {
            let ended: Vec<_> = events.outcomes.keys().collect();
            let exchanges = events
                .exchanges
                .iter()
                .map(|exchange| format!("\n  {exchange:?}"));
            format!(
                "{ended:?} of {:#?}{}",
                plan.visits,
                exchanges.collect::<String>()
            )
        })
    }

    /// Panics over whatever must not be.
    pub fn judge(&self, plan: &Plan) {
        let events = self.events.lock().unwrap();
        for (number, exchange) in events.exchanges.iter().enumerate() {
            let size = plan.visits[exchange.visit].size as usize;
            let cut_short = exchange.whole && exchange.got != size;
            let torn = exchange.torn || cut_short || exchange.got > size;
            assert!(!torn, "{number} of {size} bytes is torn: {exchange:?}");
        }
        for (id, visit) in plan.visits.iter().enumerate() {
            let outcome = events.outcomes[&id];
            let context = || {
                let exchanges = events.of(id).map(|exchange| format!("\n  {exchange:?}"));
                format!(
                    "{id} {visit:?}: {outcome:?}{}",
                    exchanges.collect::<String>()
                )
            };
            events.judge(visit, outcome, &context);
            let done = events.of(id).filter(|exchange| exchange.done).count();
            assert!(
                done <= 1 || visit.is_repeatable(),
                "done twice: {}",
                context()
            );
            for server in 0..plan.servers.len() {
                let there = || events.of(id).filter(|exchange| exchange.server == server);
                let refused = |status| {
                    let is =
                        |exchange: &&Exchange| exchange.answered.is_some_and(|it| it.0 == status);
                    there().filter(is).count()
                };
                // A 441, a 417 and a 421 are what it may be asked again for, and the last of them is none.
                let again = refused(441) + refused(417) + refused(421);
                assert!(there().count() <= 1 + again, "asked again: {}", context());
                assert!(refused(441) <= 2, "refused again and again: {}", context());
            }
        }
        for ((server, user), logins) in &events.logins {
            let visits = plan.visits.iter();
            let visits = visits.filter(|visit| user.ends_with(&format!("-{}", visit.rid)));
            assert!(
                *logins <= visits.count(),
                "{logins} logins of {user} at {server}"
            );
        }
    }

    /// Bodies that need all of the budget to be given again are given again.
    pub async fn budget_is_whole(self: &Arc<Self>, layer: &CasProxyLayer, seconds: &Seconds) {
        seconds.be_kind();
        let asks = (0..(BUDGET as u64 / SMALL) as usize).map(|number| {
            let visit = Visit {
                rid: 200 + number as u32,
                method: "POST",
                size: SMALL,
                sized: true,
                piece: SMALL,
                pause: 0,
                chance: 0,
                comes_at: 0,
                client: Client::Stays,
            };
            ask(layer, 1000 + number, visit, self)
        });
        for outcome in futures_util::future::join_all(asks).await {
            let Outcome::Answered {
                status, exchange, ..
            } = outcome
            else {
                unreachable!("nobody left");
            };
            assert_eq!(
                status, 200,
                "a part of the budget is gone, or a server rests for ever"
            );
            let whole = self.events(|events| events.exchanges[exchange.unwrap()].whole);
            assert!(whole);
        }
        seconds.hang_up().await;
    }
}

impl Events {
    pub fn of(&self, visit: usize) -> impl Iterator<Item = &Exchange> {
        let is_of = move |exchange: &&Exchange| exchange.visit == visit;
        self.exchanges.iter().filter(is_of)
    }

    fn judge(&self, visit: &Visit, outcome: Outcome, context: &dyn Fn() -> String) {
        let Outcome::Answered {
            status,
            exchange,
            length,
            ..
        } = outcome
        else {
            return;
        };
        let private = matches!(status, 100..200 | 241 | 242 | 421 | 441 | 442);
        assert!(
            !private,
            "{status} is no answer for a client: {}",
            context()
        );
        let Some(exchange) = exchange.map(|number| &self.exchanges[number]) else {
            assert!(status >= 300, "{status} out of nothing: {}", context());
            return;
        };
        let Some((answered, long)) = exchange.answered else {
            // It broke off, or the body did that was for the service here.
            assert!(length.is_none() || exchange.server == HERE, "{}", context());
            return;
        };
        assert_eq!(status, answered, "{}", context());
        let stops = exchange.early
            && exchange
                .reaction
                .is_some_and(|reaction| reaction.then != Then::ReadsOn);
        if let Some(length) = length {
            assert_eq!(length, long, "{}", context());
        } else {
            assert!(
                visit.may_lose() || stops,
                "the answer was lost: {}",
                context()
            );
        }
        if (200..300).contains(&status) {
            let whole = exchange.whole || stops || visit.may_lose();
            assert!(whole, "{status} to a part of the body: {}", context());
        }
    }
}
