//! The second CASs of a schedule: each does with its connections and requests as its dice say.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cas_proxy::{directory::Origin, outbound::Client};
use futures_util::future::BoxFuture;
use tokio::{
    io::{DuplexStream, duplex},
    task::JoinSet,
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Company,
    plan::Plan,
    reaction::{Reaction, Reply, Then},
    wire::{Head, Wire},
    witness::Witness,
};
use crate::support::{dice::Dice, pipes::Near};

pub struct Seconds {
    pub(super) plan: Arc<Plan>,
    pub(super) witness: Arc<Witness>,
    dice: Vec<Mutex<Dice>>,
    /// Users whose context a server keeps.
    contexts: Mutex<HashSet<(usize, String)>>,
    /// No more surprises.
    kind: AtomicBool,
    open: Arc<()>,
    pub(super) tasks: Mutex<JoinSet<()>>,
}

impl Seconds {
    pub fn new(plan: &Arc<Plan>, dice: &mut Dice, witness: &Arc<Witness>) -> Arc<Self> {
        let mut dice_of = |_| Mutex::new(Dice::new(dice.throw()));
        Arc::new(Self {
            plan: Arc::clone(plan),
            witness: Arc::clone(witness),
            dice: (0..plan.servers.len()).map(&mut dice_of).collect(),
            contexts: Mutex::default(),
            kind: AtomicBool::new(false),
            open: Arc::default(),
            tasks: Mutex::default(),
        })
    }

    /// A client whose connections all lead here.
    pub fn client(self: &Arc<Self>, company: &Company) -> Client {
        let (seconds, tls) = (Arc::clone(self), company.acceptor.clone());
        let dial = move |origin: &Origin| -> BoxFuture<'static, io::Result<Near>> {
            let server = seconds.plan.server(origin.host());
            let absence = seconds.plan.servers[server].absence;
            let (near, far) =
                duplex(seconds.with_dice(server, |dice| dice.pick(&[1000, 16_384, 65_536])));
            if !seconds.is_kind() && seconds.with_dice(server, |dice| dice.one_in(absence)) {
                return match seconds.with_dice(server, |dice| dice.below(3)) {
                    0 => Box::pin(std::future::pending()),
                    1 => Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) }),
                    // Accepted, and closed.
                    _ => Box::pin(std::future::ready(Ok(Near::new(near, &seconds.open)))),
                };
            }
            let serving = Arc::clone(&seconds).serve(server, far, tls.clone());
            seconds.tasks.lock().unwrap().spawn(serving);
            Box::pin(std::future::ready(Ok(Near::new(near, &seconds.open))))
        };
        Client::builder()
            .tls(company.tls.clone())
            .dial(dial)
            .build()
    }

    /// From now on everything is as it should be.
    pub fn be_kind(&self) {
        self.kind.store(true, Ordering::SeqCst);
    }

    fn is_kind(&self) -> bool {
        self.kind.load(Ordering::SeqCst)
    }

    pub(super) fn with_dice<T>(&self, server: usize, throw: impl FnOnce(&mut Dice) -> T) -> T {
        throw(&mut self.dice[server].lock().unwrap())
    }

    /// Connections that the first CAS has not closed.
    pub fn open(&self) -> usize {
        Arc::strong_count(&self.open) - 1
    }

    /// Ends everything here.
    pub async fn hang_up(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        tasks.abort_all();
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }

    pub(super) fn react(&self, server: usize, user: &str, log_in: bool, expects: bool) -> Reaction {
        let whims = self.plan.servers[server].whims;
        let context = (server, user.to_owned());
        let mut contexts = self.contexts.lock().unwrap();
        let knows = contexts.contains(&context);
        let reaction = match (self.is_kind(), log_in) {
            (true, true) => Reaction {
                reply: Reply::Answers(241, 0),
                ..Reaction::to_everything_as_it_should_be(true)
            },
            (true, false) => Reaction::to_everything_as_it_should_be(knows),
            (false, true) => self.with_dice(server, |dice| Reaction::to_login(dice, whims)),
            (false, false) => {
                // Some servers know everybody.
                let knows = knows || self.with_dice(server, |dice| dice.one_in(3));
                self.with_dice(server, |dice| Reaction::draw(dice, whims, knows, expects))
            }
        };
        match reaction.reply {
            Reply::Answers(241, _) => drop(contexts.insert(context)),
            Reply::Answers(441, _) => drop(contexts.remove(&context)),
            _ => {}
        }
        reaction
    }

    async fn serve(self: Arc<Self>, server: usize, stream: DuplexStream, tls: TlsAcceptor) {
        if self.plan.servers[server].http2 {
            return self.serve_http2(server, stream, tls).await;
        }
        let mut wire = Wire::new(stream);
        while let Some(head) = wire.head().await {
            if self.exchange(server, &mut wire, &head).await.is_none() {
                return;
            }
        }
    }

    /// One request over HTTP/1.1. None if the connection is over with it.
    async fn exchange(&self, server: usize, wire: &mut Wire, head: &Head) -> Option<()> {
        let (log_in, expects) = (head.is_login(), head.expects());
        let user = head.field("x-owa-proxysid").unwrap();
        let reaction = self.react(server, user, log_in, expects);
        let (number, size) = self.begin(server, log_in, user, head.field("x-visit"));
        let note = |body: &super::wire::Arriving| {
            if let Some(number) = number {
                self.witness.arrived(number, &body.got, body.whole);
            }
        };
        let mut body = head.body();
        let wanted = reaction.length(size);
        if expects && wanted > 0 && self.plan.servers[server].continues {
            wire.write("HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let read = wire.read(&mut body, wanted).await;
        note(&body);
        read?;
        sleep(Duration::from_millis(reaction.after)).await;
        self.witness.replies(number, &reaction);
        match reaction.reply {
            Reply::Answers(status, length) => {
                wire.write(&answer(status, number, length)).await?;
                wire.write(&"a".repeat(length)).await?;
            }
            Reply::Breaks(status) => {
                wire.write(&answer(status, number, 5000)).await?;
                wire.write("aaa").await?;
                return None;
            }
            Reply::Closes => return None,
            Reply::HalfCloses => {
                wire.half_close().await;
                wire.drain().await;
                return None;
            }
            Reply::Hangs => std::future::pending().await,
        }
        if body.whole {
            return Some(());
        }
        match reaction.then {
            Then::ReadsOn => {
                let read = wire.read(&mut body, usize::MAX).await;
                note(&body);
                read
            }
            Then::ReadsNoMore => std::future::pending().await,
            Then::Closes => None,
        }
    }

    /// Tells the witness of a request; its number, unless it is a login, and the size that its client said to others.
    pub(super) fn begin(
        &self,
        server: usize,
        log_in: bool,
        user: &str,
        visit: Option<&str>,
    ) -> (Option<usize>, u64) {
        if log_in {
            self.witness.login(server, user);
            return (None, 0);
        }
        let visit: usize = visit.unwrap().parse().unwrap();
        let number = self.witness.begin(visit, server);
        (Some(number), self.witness.size(&self.plan, visit))
    }
}

fn answer(status: u16, number: Option<usize>, length: usize) -> String {
    let number = number.map_or(String::new(), |number| format!("x-exchange: {number}\r\n"));
    format!("HTTP/1.1 {status} Said\r\n{number}content-length: {length}\r\n\r\n")
}
