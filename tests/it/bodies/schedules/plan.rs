//! What a seed says: who there is, who asks for what, and how those behave who ask.

use crate::support::dice::Dice;

pub struct Plan {
    pub servers: Vec<Server>,
    pub visits: Vec<Visit>,
    pub moved: Moved,
}

pub struct Server {
    pub name: &'static str,
    pub site: &'static str,
    pub http2: bool,
    /// Whether it says `100 Continue` when it wants the body.
    pub continues: bool,
    /// One in so many requests is answered by something else than success.
    pub whims: usize,
    /// One in so many connections is not made.
    pub absence: usize,
}

/// One request, and the client who makes it.
#[derive(Clone, Debug)]
pub struct Visit {
    pub rid: u32,
    pub method: &'static str,
    pub size: u64,
    pub sized: bool,
    /// The largest piece of the body; pauses come between pieces.
    pub piece: u64,
    /// Milliseconds, one in three pieces.
    pub pause: u64,
    /// When it pauses.
    pub chance: u64,
    pub comes_at: u64,
    pub client: Client,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Client {
    Stays,
    /// So many milliseconds after it came.
    Leaves(u64),
    /// Its body ends in an error after so many bytes.
    BreaksOff(u64),
    /// Its body goes silent after so many bytes.
    FallsSilent(u64),
    /// Reads the head of the answer, and goes.
    LeavesTheAnswer,
}

/// Where the mailbox is after a 421.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moved {
    Nowhere,
    Here,
    Reno,
    Gone,
    DirectoryFails,
}

impl Plan {
    pub fn draw(dice: &mut Dice) -> Self {
        let dallas = dice.pick(&[1, 1, 2, 2, 3]);
        let http2 = dice.one_in(20);
        let whims = dice.pick(&[1, 2, 2, 4, 8]);
        let mut server = |name, site| Server {
            name,
            site,
            http2: http2 && dice.one_in(2),
            continues: !dice.one_in(4),
            whims,
            absence: dice.pick(&[3, 6, 1000]),
        };
        let mut servers: Vec<_> = ["dallas1", "dallas2", "dallas3"][..dallas]
            .iter()
            .map(|name| server(*name, "Dallas"))
            .collect();
        servers.push(server("reno1", "Reno"));
        let one_user = dice.one_in(3);
        let visits = (0..dice.pick(&[1, 1, 1, 2, 3, 4]))
            .map(|number| Visit::draw(dice, if one_user { 100 } else { 100 + number }))
            .collect();
        let moved = dice.pick(&[
            Moved::Nowhere,
            Moved::Here,
            Moved::Here,
            Moved::Reno,
            Moved::Reno,
            Moved::Gone,
            Moved::DirectoryFails,
        ]);
        Self {
            servers,
            visits,
            moved,
        }
    }

    pub fn server(&self, host: &str) -> usize {
        let named = |server: &Server| host.strip_suffix(".corp") == Some(server.name);
        self.servers.iter().position(named).unwrap()
    }
}

impl Visit {
    fn draw(dice: &mut Dice, rid: u32) -> Self {
        let (small, recorded) = (super::SMALL, super::RECORDED as u64);
        let sizes = [
            0,
            1,
            900,
            small,
            small + 1,
            recorded,
            recorded + 1,
            2 * recorded,
            20_000,
        ];
        let size = if dice.one_in(300) {
            600_000
        } else {
            dice.pick(&sizes)
        };
        let part = |dice: &mut Dice| dice.below(size as usize + 1) as u64;
        let client = match dice.below(16) {
            0 | 1 => Client::Leaves(dice.pick(&[0, 1, 50, 1000, 1001, 2500, 20_000])),
            2 => Client::BreaksOff(part(dice)),
            3 => Client::FallsSilent(part(dice)),
            4 => Client::LeavesTheAnswer,
            _ => Client::Stays,
        };
        let piece = if size < 10_000 { 700 } else { 5000 };
        let piece = dice.pick(&[piece, 5000, 16_384, 16_384, 1 << 20]);
        Self {
            rid,
            method: dice.pick(&["POST", "POST", "POST", "MOVE", "GET", "PROPFIND"]),
            size,
            sized: !dice.one_in(3),
            piece,
            // Never so slow that it is cut off for it.
            pause: dice.pick(if piece > 1024 {
                &[0, 1, 1500, 20_000]
            } else {
                &[0, 0, 1, 1500]
            }),
            chance: dice.throw(),
            comes_at: dice.pick(&[0, 0, 0, 1, 1000, 4000]),
            client,
        }
    }

    pub fn is_repeatable(&self) -> bool {
        matches!(self.method, "GET" | "PROPFIND")
    }

    /// Whether it is the client's own doing if its body or its answer does not arrive whole.
    pub fn may_lose(&self) -> bool {
        self.client != Client::Stays
    }
}
