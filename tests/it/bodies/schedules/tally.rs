//! What chance has brought about, so that it can be seen to have left nothing out.

use std::{collections::BTreeMap, fmt};

use super::witness::{Outcome, Witness};

#[derive(Default)]
pub struct Tally {
    schedules: usize,
    counts: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub fn add(&mut self, witness: &Witness) {
        self.schedules += 1;
        witness.events(|events| {
            let mut count = |what, is| *self.counts.entry(what).or_default() += usize::from(is);
            for (visit, outcome) in &events.outcomes {
                let mut exchanges: Vec<_> = events.of(*visit).collect();
                let last = exchanges.pop();
                let refused_by = |status| {
                    let is = |answer: (u16, usize)| answer.0 == status;
                    exchanges
                        .iter()
                        .any(|exchange| exchange.answered.is_some_and(is))
                };
                let moved = exchanges
                    .iter()
                    .any(|exchange| last.is_some_and(|last| last.server != exchange.server));
                let Outcome::Answered {
                    status,
                    exchange,
                    again,
                    length,
                } = *outcome
                else {
                    count("left", true);
                    continue;
                };
                let success = (200..300).contains(&status);
                let early =
                    success && exchange.is_some_and(|number| events.exchanges[number].early);
                count("success", success);
                count("success before the body", early);
                count("success after 441", success && refused_by(441));
                count("success after 417", success && refused_by(417));
                count("success after 421", success && refused_by(421));
                count(
                    "success at another server",
                    success && moved && !refused_by(421),
                );
                count("answer broken off", exchange.is_some() && length.is_none());
                count(
                    "not to be given again",
                    status == 503 && again && exchange.is_none(),
                );
                count("client too slow", status == 408);
                count("time-out", status == 504);
                count("loop", status == 508);
                count("refused", status == 502 && exchange.is_none());
            }
        });
    }

    pub fn has_everything(&self) {
        for (what, count) in &self.counts {
            assert!(*count > 0, "not once: {what}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} schedules", self.schedules)?;
        self.counts
            .iter()
            .try_for_each(|(what, count)| write!(f, ", {count} {what}"))
    }
}
