//! What a second CAS makes of a request.

use crate::support::dice::Dice;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reaction {
    /// How much of the body it reads first.
    pub reads: Reads,
    /// Milliseconds until it replies.
    pub after: u64,
    pub reply: Reply,
    /// What it does with the rest of the body.
    pub then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reads {
    Nothing,
    /// So many thousandths.
    Part(usize),
    All,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reply {
    /// With a body of so many bytes.
    Answers(u16, usize),
    /// Announces a body, and closes in its midst.
    Breaks(u16),
    Closes,
    /// Says that it will say no more, and listens on.
    HalfCloses,
    Hangs,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Then {
    ReadsOn,
    ReadsNoMore,
    Closes,
}

impl Reaction {
    /// `whims`: one in so many is no success. `may_fail`: the request asks for `100 Continue`, and may get 417.
    pub fn draw(dice: &mut Dice, whims: usize, knows_user: bool, may_fail: bool) -> Self {
        let reads = match dice.below(5) {
            0 => Reads::Nothing,
            1 => Reads::Part(dice.below(1000)),
            _ => Reads::All,
        };
        let length = dice.pick(&[
            0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 5000, 5000, 5000, 5000, 100_000,
        ]);
        let reply = if !knows_user {
            Reply::Answers(441, 0)
        } else if !dice.one_in(whims) {
            Reply::Answers(200, length)
        } else {
            match dice.below(16) {
                0 | 1 => Reply::Answers(441, 0),
                2 => Reply::Answers(502, length),
                3 | 4 => Reply::Answers(503, length),
                5 | 6 => Reply::Answers(421, 0),
                7 if may_fail => Reply::Answers(417, 0),
                7 => Reply::Answers(404, length),
                8 => Reply::Answers(500, length),
                9 => Reply::Answers(dice.pick(&[401, 403, 442]), 0),
                10 => Reply::Breaks(200),
                11 | 12 => Reply::Closes,
                13 => Reply::HalfCloses,
                14 => Reply::Hangs,
                _ => Reply::Answers(302, 0),
            }
        };
        Self {
            reads,
            after: dice.pick(&[0, 0, 0, 1, 900, 1100, 29_000]),
            reply,
            then: dice.pick(&[
                Then::ReadsOn,
                Then::ReadsOn,
                Then::ReadsNoMore,
                Then::Closes,
            ]),
        }
    }

    /// Of a proxy login, which is read whole.
    pub fn to_login(dice: &mut Dice, whims: usize) -> Self {
        let reply = if dice.one_in(whims + 2) {
            match dice.below(6) {
                0 => Reply::Closes,
                1 => Reply::Hangs,
                _ => Reply::Answers(dice.pick(&[401, 403, 442, 500, 502, 503, 441, 200]), 0),
            }
        } else {
            Reply::Answers(241, 0)
        };
        Self {
            reads: Reads::All,
            after: dice.pick(&[0, 0, 0, 1, 500, 9000]),
            reply,
            then: Then::ReadsOn,
        }
    }

    pub fn to_everything_as_it_should_be(knows_user: bool) -> Self {
        Self {
            reads: Reads::All,
            after: 1,
            reply: Reply::Answers(if knows_user { 200 } else { 441 }, 0),
            then: Then::ReadsOn,
        }
    }

    pub fn length(&self, of: u64) -> usize {
        match self.reads {
            Reads::Nothing => 0,
            Reads::Part(thousandths) => of as usize * thousandths / 1000,
            Reads::All => usize::MAX,
        }
    }

    /// Whether a request of which all has arrived has been done by now, for all that anybody can know.
    pub fn does(&self) -> bool {
        !matches!(
            self.reply,
            Reply::Answers(441 | 421 | 417 | 442 | 401 | 403, _)
        )
    }
}
