//! Every order of what can happen to a small body, and random orders of what can happen to a larger one.

use super::*;
use crate::outbound::random::Random;

/// What happens next to a body and its attempts.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The n-th attempt, counted from the youngest, reads once.
    Read(usize),
    Begin {
        gated: bool,
    },
    /// The gate of the n-th attempt.
    Open(usize),
    Halt,
    Forget,
    Drop(usize),
    Close,
}

const EVENTS: [Event; 11] = [
    Event::Read(0),
    Event::Read(1),
    Event::Begin { gated: false },
    Event::Begin { gated: true },
    Event::Open(0),
    Event::Open(1),
    Event::Halt,
    Event::Forget,
    Event::Drop(0),
    Event::Drop(1),
    Event::Close,
];

/// One attempt as a sender sees it.
struct Sender {
    body: Option<OutboundBody>,
    gate: Gate,
    got: Vec<u8>,
    ended: bool,
    gated: bool,
}

struct Play {
    whole: Vec<u8>,
    budget: ReplayBudget,
    cap: usize,
    alive: std::sync::Weak<()>,
    replay: Replay,
    senders: Vec<Sender>,
    /// No attempt may read any more.
    over: bool,
    closed: bool,
    forgotten: bool,
}

impl Play {
    fn new(steps: &[Step], cap: usize) -> Self {
        let whole = steps.iter().flat_map(|step| match step {
            Step::Data(data) => data.to_vec(),
            _ => Vec::new(),
        });
        let budget = ReplayBudget::new(cap);
        let whole = whole.collect();
        let (body, alive) = body(steps.iter().cloned());
        let replay = Replay::new(body, &budget, cap, false);
        Self {
            whole,
            budget,
            cap,
            alive,
            replay,
            senders: Vec::new(),
            over: true,
            closed: false,
            forgotten: false,
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Read(age) => self.read(age),
            Event::Begin { gated } => self.begin(gated),
            Event::Open(age) => {
                if let Some(sender) = self.sender(age) {
                    sender.gated = false;
                    sender.gate.open();
                }
            }
            Event::Halt => {
                self.replay.halt();
                self.over = true;
            }
            Event::Forget => {
                self.replay.forget();
                self.forgotten = true;
            }
            Event::Drop(age) => {
                if let Some(sender) = self.sender(age) {
                    sender.body = None;
                }
            }
            Event::Close => {
                self.replay.close();
                (self.over, self.closed) = (true, true);
            }
        }
        self.check();
    }

    fn sender(&mut self, age: usize) -> Option<&mut Sender> {
        let at = self.senders.len().checked_sub(age + 1)?;
        self.senders.get_mut(at)
    }

    fn begin(&mut self, gated: bool) {
        let may = !self.closed && (self.replay.pulled() == 0 || self.replay.can_be_given_again());
        let begun = self.replay.attempt(gated);
        assert_eq!(begun.is_some(), may);
        if let Some((body, gate)) = begun {
            self.over = false;
            self.senders.push(Sender {
                body: Some(body),
                gate,
                got: Vec::new(),
                ended: false,
                gated,
            });
        }
    }

    fn read(&mut self, age: usize) {
        let (over, whole) = (self.over, self.whole.clone());
        let Some(sender) = self.sender(age) else {
            return;
        };
        let Some(body) = &mut sender.body else { return };
        let is_current = age == 0 && !over;
        match super::read(body) {
            Read::Data(data) => {
                assert!(is_current && !sender.gated && !sender.ended);
                sender.got.extend_from_slice(&data);
                assert!(whole.starts_with(&sender.got), "not the client's bytes");
            }
            Read::End => {
                assert_eq!(sender.got, whole, "cut short");
                sender.ended = true;
            }
            Read::Error => assert!(!is_current && !sender.ended),
            Read::Nothing => assert!(is_current),
            Read::Trailers(_) => unreachable!("there are none"),
        }
    }

    fn check(&self) {
        let used = self.budget.used();
        assert!(used <= self.cap);
        assert!(used as u64 <= self.replay.pulled());
        assert_eq!(self.alive.strong_count() == 0, self.closed);
        let progress = self.replay.progress();
        if let (Some(sender), false) = (self.senders.last(), self.over) {
            let given = sender.got.len() as u64;
            assert_eq!((progress.given, progress.gated), (given, sender.gated));
            let must = sender.ended || sender.body.is_none();
            let may = must || sender.got == self.whole;
            assert!(progress.ended.is_none() || may);
            assert!(progress.ended.is_some() || !must);
            let everything_kept = used as u64 == self.replay.pulled();
            if self.forgotten && given == self.replay.pulled() {
                assert_eq!(used, 0, "kept for nobody");
            } else if self.replay.pulled() > 0 && self.replay.can_be_given_again() {
                assert!(everything_kept);
            }
        }
    }

    fn end(mut self) {
        self.replay.close();
        assert_eq!((self.alive.strong_count(), self.budget.used()), (0, 0));
        for sender in &mut self.senders {
            if let Some(body) = &mut sender.body {
                match super::read(body) {
                    Read::End => assert_eq!(sender.got, self.whole),
                    other => assert_eq!((other, sender.ended), (Read::Error, false)),
                }
            }
        }
    }
}

#[tokio::test]
async fn every_order_of_five_events() {
    const LENGTH: u32 = 5;
    let bodies: [&[Step]; 3] = [
        &[],
        &[Step::Silent, data("one"), Step::Silent, data("two")],
        &[data("one"), data("two")],
    ];
    for (steps, cap) in bodies.into_iter().flat_map(|body| [(body, 6), (body, 4)]) {
        for order in 0..EVENTS.len().pow(LENGTH) {
            // Nothing happens before an attempt begins: half of all orders are no others.
            if !matches!(EVENTS[order % EVENTS.len()], Event::Begin { .. }) {
                continue;
            }
            let mut play = Play::new(steps, cap);
            let mut left = order;
            for _ in 0..LENGTH {
                play.happens(EVENTS[left % EVENTS.len()]);
                left /= EVENTS.len();
            }
            play.end();
        }
    }
}

#[tokio::test]
async fn random_orders_of_many_events() {
    for seed in 0..5_000 {
        let mut random = Random::new(seed);
        let steps: Vec<_> = (0..random.below(8))
            .map(|place| match random.below(3) {
                0 => Step::Silent,
                _ => Step::Data(vec![place as u8; random.below(9000)].into()),
            })
            .collect();
        let cap = [0, 1, 5000, 20_000, 100_000][random.below(5)];
        let mut play = Play::new(&steps, cap);
        play.happens(Event::Begin { gated: false });
        for _ in 0..40 {
            // Reading is what happens most.
            let event = match random.below(3) {
                0 => EVENTS[random.below(EVENTS.len() - 1)],
                _ => Event::Read(0),
            };
            play.happens(event);
        }
        play.end();
    }
}
