//! Actix: an actix system on a thread of its own.

use std::{
    future::Future,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use actix::{dev::SendError, prelude::*};

use crate::{
    peer::{
        self, Account, Arrivals, Behaviour, CAPACITY, CAPACITY_WIDE, Flow, Job, Mailbox, Peer,
        Ring, Spawner, Token, Yielding,
    },
    savina::bank::{Teller, ToTeller},
    span::{Sample, Span},
};

#[derive(Message)]
#[rtype(result = "u64")]
struct Add(u64);

#[derive(Message)]
#[rtype(result = "()")]
struct AddYielding(u64, Yielding);

/// Adds up what it is sent.
#[derive(Debug)]
pub struct Counter {
    total: u64,
    capacity: usize,
}

impl Actor for Counter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.capacity);
    }
}

impl Handler<Add> for Counter {
    type Result = u64;

    fn handle(&mut self, Add(n): Add, _: &mut Self::Context) -> u64 {
        self.total += n;
        self.total
    }
}

impl Handler<AddYielding> for Counter {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, AddYielding(n, how): AddYielding, _: &mut Self::Context) -> Self::Result {
        let adding = how.once().into_actor(self).map(move |(), actor, _| actor.total += n);
        AtomicResponse::new(Box::pin(adding))
    }
}

/// The address of a counting actor and how to tell it: `do_send` knows no bounds, so a mailbox that
/// has one is told by `try_send`.
#[derive(Debug, Clone)]
pub struct Address {
    addr: Addr<Counter>,
    mailbox: Mailbox,
}

impl peer::Counter for Address {
    #[inline]
    async fn tell(&self) {
        if self.mailbox == Mailbox::Wide {
            return self.addr.do_send(Add(1));
        }
        let mut message = Add(1);
        while let Err(SendError::Full(refused)) = self.addr.try_send(message) {
            message = refused;
            tokio::task::yield_now().await;
        }
    }

    #[inline]
    fn try_tell(&self) {
        self.addr.try_send(Add(1)).expect("room");
    }

    #[inline]
    async fn ask(&self) -> u64 {
        self.addr.send(Add(1)).await.expect("an answer")
    }

    #[inline]
    async fn tell_yielding(&self, how: Yielding) {
        self.addr.do_send(AddYielding(1, how));
    }
}

#[derive(Message)]
#[rtype(result = "Sample")]
struct Run(Job);

struct Driver;

impl Actor for Driver {
    type Context = Context<Self>;
}

impl Handler<Run> for Driver {
    type Result = AtomicResponse<Self, Sample>;

    fn handle(&mut self, Run(job): Run, _: &mut Self::Context) -> Self::Result {
        AtomicResponse::new(Box::pin(job.into_actor(self)))
    }
}

/// An actor of a ring.
#[derive(Debug)]
pub struct Member {
    next: Option<Addr<Self>>,
}

impl Actor for Member {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Pass(Token);

#[derive(Message)]
#[rtype(result = "()")]
struct Link(Addr<Member>);

impl Handler<Pass> for Member {
    type Result = ();

    fn handle(&mut self, Pass(token): Pass, _: &mut Self::Context) {
        match token.left.checked_sub(1) {
            Some(left) => {
                let next = self.next.as_ref().expect("the ring is closed");
                next.do_send(Pass(Token { left, ..token }));
            }
            None => token.done.send(()).expect("somebody waits for the token"),
        }
    }
}

impl Handler<Link> for Member {
    type Result = ();

    fn handle(&mut self, Link(next): Link, _: &mut Self::Context) {
        self.next = Some(next);
    }
}

impl Ring for Addr<Member> {
    fn start(&self, token: Token) {
        self.do_send(Pass(token));
    }
}

struct Idle(Arc<Arrivals>);

impl Actor for Idle {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.0.one();
    }
}

impl Handler<Add> for Idle {
    type Result = u64;

    fn handle(&mut self, Add(n): Add, _: &mut Self::Context) -> u64 {
        n
    }
}

/// Carries a behaviour.
pub struct Carrier<B>(B);

// Actix wants it of every actor; nobody pins what is carried.
impl<B> Unpin for Carrier<B> {}

impl<B: Behaviour> Actor for Carrier<B> {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Deliver<M>(M);

impl<B: Behaviour> Handler<Deliver<B::Message>> for Carrier<B> {
    type Result = ();

    fn handle(&mut self, Deliver(message): Deliver<B::Message>, ctx: &mut Self::Context) {
        if self.0.on(message) == Flow::Ends {
            ctx.stop();
        }
    }
}

impl<B: Behaviour> peer::Address<B::Message> for Addr<Carrier<B>> {
    fn send(&self, message: B::Message) {
        self.do_send(Deliver(message));
    }
}

/// An account of the bank.
pub struct Balance(i64);

impl Actor for Balance {
    type Context = Context<Self>;
}

type TellerAddr = Addr<Carrier<Teller<Starter>>>;

#[derive(Message)]
#[rtype(result = "()")]
struct Transfer {
    amount: i64,
    to: Addr<Balance>,
    teller: TellerAddr,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Deposit(i64);

#[derive(Message)]
#[rtype(result = "i64")]
struct GetBalance;

impl Handler<Transfer> for Balance {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, transfer: Transfer, _: &mut Self::Context) -> Self::Result {
        let Transfer { amount, to, teller } = transfer;
        self.0 -= amount;
        let transferring = async move {
            to.send(Deposit(amount)).await.expect("an answer");
            peer::Address::send(&teller, ToTeller::Finished);
        };
        AtomicResponse::new(Box::pin(transferring.into_actor(self)))
    }
}

impl Handler<Deposit> for Balance {
    type Result = ();

    fn handle(&mut self, Deposit(amount): Deposit, _: &mut Self::Context) {
        self.0 += amount;
    }
}

impl Handler<GetBalance> for Balance {
    type Result = i64;

    fn handle(&mut self, _: GetBalance, _: &mut Self::Context) -> i64 {
        self.0
    }
}

impl Account<Starter> for Addr<Balance> {
    fn transfer(&self, amount: i64, to: &Self, teller: &TellerAddr) {
        self.do_send(Transfer { amount, to: to.clone(), teller: teller.clone() });
    }

    async fn balance(&self) -> i64 {
        self.send(GetBalance).await.expect("an answer")
    }
}

/// Starts actors on the arbiter of the task that calls.
#[derive(Debug, Clone, Copy)]
pub struct Starter;

impl Spawner for Starter {
    type Address<B: Behaviour> = Addr<Carrier<B>>;
    type Account = Addr<Balance>;

    async fn spawn<B: Behaviour>(
        &self,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self::Address<B> {
        Carrier(make()).start()
    }

    async fn account(&self, balance: i64) -> Addr<Balance> {
        Balance(balance).start()
    }
}

/// An actix system.
#[derive(Debug)]
pub struct Actix {
    system: System,
    thread: Option<JoinHandle<()>>,
}

impl Actix {
    /// Runs a future on the system's thread and waits for it.
    fn run<T: Send + 'static, F: Future<Output = T> + 'static>(
        &self,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> T {
        let (done, outcome) = mpsc::channel();
        self.system.arbiter().spawn_fn(move || {
            actix::spawn(async move { done.send(make().await).expect("the caller waits") });
        });
        outcome.recv().expect("the task comes to its end")
    }
}

impl Peer for Actix {
    const NAME: &'static str = "actix";
    const HAS_BOUNDED: bool = true;
    type Counter = Address;
    type Ring = Addr<Member>;
    type Spawner = Starter;

    fn start() -> Self {
        let (ready, started) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runner = System::new();
            ready.send(System::current()).expect("the caller waits");
            runner.run().expect("the system runs until it is stopped");
        });
        Self { system: started.recv().expect("it starts"), thread: Some(thread) }
    }

    fn counter(&self, mailbox: Mailbox) -> Address {
        let capacity = match mailbox {
            Mailbox::Wide => CAPACITY_WIDE,
            Mailbox::Bounded => CAPACITY,
        };
        self.run(move || async move {
            let addr = Counter { total: 0, capacity }.start();
            // Answered after the start hook, which sets the capacity.
            addr.send(Add(0)).await.expect("an answer");
            Address { addr, mailbox }
        })
    }

    fn in_actor(&self, job: Job) -> Sample {
        self.run(|| async { Driver.start().send(Run(job)).await.expect("an answer") })
    }

    fn in_task(&self, job: Job) -> Sample {
        self.run(|| job)
    }

    fn ring(&self, actors: usize) -> Self::Ring {
        self.run(move || async move {
            let first = Member { next: None }.start();
            let mut next = first.clone();
            for _ in 1..actors {
                next = Member { next: Some(next) }.start();
            }
            first.send(Link(next)).await.expect("linked");
            first
        })
    }

    fn spawner(&self) -> Starter {
        Starter
    }

    fn crowd(&self, actors: usize) -> Sample {
        self.run(move || async move {
            let (arrivals, all) = Arrivals::of(actors);
            let mut addresses = Vec::with_capacity(actors);
            let span = Span::begin();
            for _ in 0..actors {
                addresses.push(Idle(arrivals.clone()).start());
            }
            all.await.expect("all start");
            span.end()
        })
    }
}

impl Drop for Actix {
    fn drop(&mut self) {
        self.system.stop();
        let thread = self.thread.take().expect("the thread is joined once");
        assert!(thread.join().is_ok(), "the system's thread panicked");
    }
}
