//! Kameo: actors as tasks of a current-thread runtime.

use std::{convert::Infallible, sync::Arc};

use kameo::{
    actor::{ActorRef, Spawn},
    mailbox,
    message::{Context, Message},
    prelude::Actor,
};

use super::thread::RuntimeThread;
use crate::{
    peer::{
        self, Account, Address, Arrivals, Behaviour, CAPACITY, Flow, Job, Mailbox, Peer, Ring,
        Spawner, Token, Yielding,
    },
    savina::bank::{Teller, ToTeller},
    span::{Sample, Span},
};

struct Add(u64);

struct AddYielding(u64, Yielding);

/// Adds up what it is sent.
#[derive(Debug, Actor)]
pub struct Counter {
    total: u64,
}

impl Message<Add> for Counter {
    type Reply = u64;

    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self, u64>) -> u64 {
        self.total += n;
        self.total
    }
}

impl Message<AddYielding> for Counter {
    type Reply = ();

    async fn handle(&mut self, AddYielding(n, how): AddYielding, _: &mut Context<Self, ()>) {
        how.once().await;
        self.total += n;
    }
}

impl peer::Counter for ActorRef<Counter> {
    #[inline]
    async fn tell(&self) {
        self.tell(Add(1)).send().await.expect("the actor lives");
    }

    #[inline]
    fn try_tell(&self) {
        self.tell(Add(1)).try_send().expect("room");
    }

    #[inline]
    async fn ask(&self) -> u64 {
        self.ask(Add(1)).send().await.expect("an answer")
    }

    #[inline]
    async fn tell_yielding(&self, how: Yielding) {
        self.tell(AddYielding(1, how)).send().await.expect("the actor lives");
    }
}

struct Run(Job);

/// Kameo replies with types of one's own.
#[derive(kameo::Reply)]
struct Ran(Sample);

#[derive(Actor)]
struct Driver;

impl Message<Run> for Driver {
    type Reply = Ran;

    async fn handle(&mut self, Run(job): Run, _: &mut Context<Self, Ran>) -> Ran {
        Ran(job.await)
    }
}

/// An actor of a ring.
#[derive(Debug, Actor)]
pub struct Member {
    next: Option<ActorRef<Self>>,
}

struct Pass(Token);

struct Link(ActorRef<Member>);

impl Message<Pass> for Member {
    type Reply = ();

    async fn handle(&mut self, Pass(token): Pass, _: &mut Context<Self, ()>) {
        match token.left.checked_sub(1) {
            Some(left) => {
                let next = self.next.as_ref().expect("the ring is closed");
                next.tell(Pass(Token { left, ..token })).send().await.expect("the ring lives");
            }
            None => token.done.send(()).expect("somebody waits for the token"),
        }
    }
}

impl Message<Link> for Member {
    type Reply = ();

    async fn handle(&mut self, Link(next): Link, _: &mut Context<Self, ()>) {
        self.next = Some(next);
    }
}

impl Ring for ActorRef<Member> {
    fn start(&self, token: Token) {
        self.tell(Pass(token)).try_send().expect("the ring lives");
    }
}

struct Idle;

impl Actor for Idle {
    type Args = Arc<Arrivals>;
    type Error = Infallible;

    async fn on_start(arrivals: Arc<Arrivals>, _: ActorRef<Self>) -> Result<Self, Infallible> {
        arrivals.one();
        Ok(Self)
    }
}

impl Message<Add> for Idle {
    type Reply = u64;

    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self, u64>) -> u64 {
        n
    }
}

/// Carries a behaviour.
pub struct Carrier<B>(B);

impl<B: Behaviour> Actor for Carrier<B> {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(carrier: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(carrier)
    }
}

struct Deliver<M>(M);

impl<B: Behaviour> Message<Deliver<B::Message>> for Carrier<B> {
    type Reply = ();

    async fn handle(&mut self, Deliver(message): Deliver<B::Message>, ctx: &mut Context<Self, ()>) {
        if self.0.on(message) == Flow::Ends {
            ctx.stop();
        }
    }
}

impl<B: Behaviour> Address<B::Message> for ActorRef<Carrier<B>> {
    fn send(&self, message: B::Message) {
        assert!(self.tell(Deliver(message)).try_send().is_ok(), "the actor lives");
    }
}

/// An account of the bank.
#[derive(Actor)]
pub struct Balance(i64);

type TellerRef = ActorRef<Carrier<Teller<Spawning>>>;

struct Transfer {
    amount: i64,
    to: ActorRef<Balance>,
    teller: TellerRef,
}

struct Deposit(i64);

struct GetBalance;

impl Message<Transfer> for Balance {
    type Reply = ();

    async fn handle(&mut self, transfer: Transfer, _: &mut Context<Self, ()>) {
        self.0 -= transfer.amount;
        transfer.to.ask(Deposit(transfer.amount)).send().await.expect("an answer");
        transfer.teller.send(ToTeller::Finished);
    }
}

impl Message<Deposit> for Balance {
    type Reply = ();

    async fn handle(&mut self, Deposit(amount): Deposit, _: &mut Context<Self, ()>) {
        self.0 += amount;
    }
}

impl Message<GetBalance> for Balance {
    type Reply = i64;

    async fn handle(&mut self, _: GetBalance, _: &mut Context<Self, i64>) -> i64 {
        self.0
    }
}

impl Account<Spawning> for ActorRef<Balance> {
    fn transfer(&self, amount: i64, to: &Self, teller: &TellerRef) {
        let transfer = Transfer { amount, to: to.clone(), teller: teller.clone() };
        self.tell(transfer).try_send().expect("the account lives");
    }

    async fn balance(&self) -> i64 {
        self.ask(GetBalance).send().await.expect("an answer")
    }
}

/// Spawns on the runtime of the task that calls.
#[derive(Debug, Clone, Copy)]
pub struct Spawning;

impl Spawner for Spawning {
    type Address<B: Behaviour> = ActorRef<Carrier<B>>;
    type Account = ActorRef<Balance>;

    async fn spawn<B: Behaviour>(
        &self,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self::Address<B> {
        Carrier::spawn_with_mailbox(Carrier(make()), mailbox::unbounded())
    }

    async fn account(&self, balance: i64) -> ActorRef<Balance> {
        Balance::spawn_with_mailbox(Balance(balance), mailbox::unbounded())
    }
}

/// Kameo on one thread.
#[derive(Debug)]
pub struct Kameo(RuntimeThread);

impl Peer for Kameo {
    const NAME: &'static str = "kameo";
    const HAS_BOUNDED: bool = true;
    type Counter = ActorRef<Counter>;
    type Ring = ActorRef<Member>;
    type Spawner = Spawning;

    fn start() -> Self {
        Self(RuntimeThread::start())
    }

    fn counter(&self, mailbox: Mailbox) -> ActorRef<Counter> {
        self.0.run(async move {
            let mailbox = match mailbox {
                Mailbox::Wide => mailbox::unbounded(),
                Mailbox::Bounded => mailbox::bounded(CAPACITY),
            };
            let counter = Counter::spawn_with_mailbox(Counter { total: 0 }, mailbox);
            counter.wait_for_startup().await;
            counter
        })
    }

    fn in_actor(&self, job: Job) -> Sample {
        let driven = async { Driver::spawn(Driver).ask(Run(job)).send().await.expect("a reply").0 };
        self.0.run(driven)
    }

    fn in_task(&self, job: Job) -> Sample {
        self.0.run(job)
    }

    fn ring(&self, actors: usize) -> Self::Ring {
        self.0.run(async move {
            let spawn = |next| Member::spawn_with_mailbox(Member { next }, mailbox::unbounded());
            let first = spawn(None);
            let mut next = first.clone();
            for _ in 1..actors {
                next = spawn(Some(next));
            }
            first.ask(Link(next)).send().await.expect("linked");
            first
        })
    }

    fn spawner(&self) -> Spawning {
        Spawning
    }

    fn crowd(&self, actors: usize) -> Sample {
        self.0.run(async move {
            let (arrivals, all) = Arrivals::of(actors);
            let mut addresses = Vec::with_capacity(actors);
            let span = Span::begin();
            for _ in 0..actors {
                let mailbox = mailbox::bounded(CAPACITY);
                addresses.push(Idle::spawn_with_mailbox(arrivals.clone(), mailbox));
            }
            all.await.expect("all start");
            span.end()
        })
    }
}
