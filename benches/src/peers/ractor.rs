//! Ractor: actors as tasks of a current-thread runtime. Its mailboxes know no bounds.

use std::{marker::PhantomData, sync::Arc};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use super::thread::RuntimeThread;
use crate::{
    peer::{
        self, Account, Address, Arrivals, Behaviour, Flow, Job, Mailbox, Peer, Ring, Spawner,
        Token, Yielding,
    },
    savina::bank::ToTeller,
    span::{Sample, Span},
};

/// What a counting actor is sent.
#[derive(Debug)]
pub enum Count {
    /// Adds.
    Add(u64),
    /// Gives way, then adds.
    AddYielding(u64, Yielding),
    /// Adds and answers with the total.
    Ask(u64, RpcReplyPort<u64>),
}

struct Counter;

impl Actor for Counter {
    type Msg = Count;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Count>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(
        &self,
        _: ActorRef<Count>,
        message: Count,
        total: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Count::Add(n) => *total += n,
            Count::AddYielding(n, how) => {
                how.once().await;
                *total += n;
            }
            Count::Ask(n, reply) => {
                *total += n;
                reply.send(*total)?;
            }
        }
        Ok(())
    }
}

impl peer::Counter for ActorRef<Count> {
    #[inline]
    async fn tell(&self) {
        self.cast(Count::Add(1)).expect("the actor lives");
    }

    #[inline]
    fn try_tell(&self) {
        self.cast(Count::Add(1)).expect("the actor lives");
    }

    #[inline]
    async fn ask(&self) -> u64 {
        let answered = self.call(|reply| Count::Ask(1, reply), None).await;
        answered.expect("the actor lives").expect("an answer")
    }

    #[inline]
    async fn tell_yielding(&self, how: Yielding) {
        self.cast(Count::AddYielding(1, how)).expect("the actor lives");
    }
}

struct Run(Job, RpcReplyPort<Sample>);

struct Driver;

impl Actor for Driver {
    type Msg = Run;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Run>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Run>,
        Run(job, reply): Run,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        reply.send(job.await)?;
        Ok(())
    }
}

/// What an actor of a ring is sent.
#[derive(Debug)]
pub enum Step {
    /// The token.
    Pass(Token),
    /// Who comes next.
    Link(ActorRef<Step>),
}

struct Member;

impl Actor for Member {
    type Msg = Step;
    type State = Option<ActorRef<Step>>;
    type Arguments = Option<ActorRef<Step>>;

    async fn pre_start(
        &self,
        _: ActorRef<Step>,
        next: Option<ActorRef<Step>>,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(next)
    }

    async fn handle(
        &self,
        _: ActorRef<Step>,
        step: Step,
        next: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match step {
            Step::Link(linked) => *next = Some(linked),
            Step::Pass(token) => match token.left.checked_sub(1) {
                Some(left) => {
                    let next = next.as_ref().expect("the ring is closed");
                    next.cast(Step::Pass(Token { left, ..token })).expect("the ring lives");
                }
                None => token.done.send(()).expect("somebody waits for the token"),
            },
        }
        Ok(())
    }
}

impl Ring for ActorRef<Step> {
    fn start(&self, token: Token) {
        self.cast(Step::Pass(token)).expect("the ring lives");
    }
}

struct Idle;

impl Actor for Idle {
    type Msg = u64;
    type State = u64;
    type Arguments = Arc<Arrivals>;

    async fn pre_start(
        &self,
        _: ActorRef<u64>,
        arrivals: Arc<Arrivals>,
    ) -> Result<u64, ActorProcessingErr> {
        arrivals.one();
        Ok(0)
    }
}

struct Carrier<B>(PhantomData<fn() -> B>);

impl<B: Behaviour> Actor for Carrier<B> {
    type Msg = B::Message;
    type State = B;
    type Arguments = B;

    async fn pre_start(
        &self,
        _: ActorRef<B::Message>,
        behaviour: B,
    ) -> Result<B, ActorProcessingErr> {
        Ok(behaviour)
    }

    async fn handle(
        &self,
        me: ActorRef<B::Message>,
        message: B::Message,
        behaviour: &mut B,
    ) -> Result<(), ActorProcessingErr> {
        if behaviour.on(message) == Flow::Ends {
            me.stop(None);
        }
        Ok(())
    }
}

impl<M: Send + 'static> Address<M> for ActorRef<M> {
    fn send(&self, message: M) {
        assert!(self.cast(message).is_ok(), "the actor lives");
    }
}

type TellerRef = ActorRef<ToTeller<Spawning>>;

/// What an account is sent.
pub enum ToAccount {
    /// Takes so much, asks the other to add it, tells the teller.
    Transfer {
        /// How much.
        amount: i64,
        /// Whose it is then.
        to: ActorRef<ToAccount>,
        /// Whom to tell.
        teller: TellerRef,
    },
    /// Adds so much.
    Deposit(i64, RpcReplyPort<()>),
    /// Answers with the balance.
    Balance(RpcReplyPort<i64>),
}

struct Balance;

impl Actor for Balance {
    type Msg = ToAccount;
    type State = i64;
    type Arguments = i64;

    async fn pre_start(
        &self,
        _: ActorRef<ToAccount>,
        balance: i64,
    ) -> Result<i64, ActorProcessingErr> {
        Ok(balance)
    }

    async fn handle(
        &self,
        _: ActorRef<ToAccount>,
        message: ToAccount,
        balance: &mut i64,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ToAccount::Transfer { amount, to, teller } => {
                *balance -= amount;
                let added = to.call(|reply| ToAccount::Deposit(amount, reply), None).await?;
                added.expect("an answer");
                teller.send(ToTeller::Finished);
            }
            ToAccount::Deposit(amount, reply) => {
                *balance += amount;
                reply.send(())?;
            }
            ToAccount::Balance(reply) => reply.send(*balance)?,
        }
        Ok(())
    }
}

impl Account<Spawning> for ActorRef<ToAccount> {
    fn transfer(&self, amount: i64, to: &Self, teller: &TellerRef) {
        self.send(ToAccount::Transfer { amount, to: to.clone(), teller: teller.clone() });
    }

    async fn balance(&self) -> i64 {
        let answered = self.call(ToAccount::Balance, None).await;
        answered.expect("the account lives").expect("an answer")
    }
}

/// Spawns on the runtime of the task that calls.
#[derive(Debug, Clone, Copy)]
pub struct Spawning;

impl Spawner for Spawning {
    type Address<B: Behaviour> = ActorRef<B::Message>;
    type Account = ActorRef<ToAccount>;

    async fn spawn<B: Behaviour>(
        &self,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self::Address<B> {
        spawn(Carrier(PhantomData), make()).await
    }

    async fn account(&self, balance: i64) -> ActorRef<ToAccount> {
        spawn(Balance, balance).await
    }
}

/// Ractor on one thread.
#[derive(Debug)]
pub struct Ractor(RuntimeThread);

async fn spawn<A: Actor>(actor: A, arguments: A::Arguments) -> ActorRef<A::Msg> {
    let (address, task) = Actor::spawn(None, actor, arguments).await.expect("it starts");
    // Not joined: it ends with its runtime.
    drop(task);
    address
}

impl Peer for Ractor {
    const NAME: &'static str = "ractor";
    const HAS_BOUNDED: bool = false;
    type Counter = ActorRef<Count>;
    type Ring = ActorRef<Step>;
    type Spawner = Spawning;

    fn start() -> Self {
        Self(RuntimeThread::start())
    }

    fn counter(&self, _: Mailbox) -> ActorRef<Count> {
        self.0.run(spawn(Counter, ()))
    }

    fn in_actor(&self, job: Job) -> Sample {
        self.0.run(async move {
            let driver = spawn(Driver, ()).await;
            let answered = driver.call(|reply| Run(job, reply), None).await;
            answered.expect("the actor lives").expect("an answer")
        })
    }

    fn in_task(&self, job: Job) -> Sample {
        self.0.run(job)
    }

    fn ring(&self, actors: usize) -> Self::Ring {
        self.0.run(async move {
            let first = spawn(Member, None).await;
            let mut next = first.clone();
            for _ in 1..actors {
                next = spawn(Member, Some(next)).await;
            }
            first.cast(Step::Link(next)).expect("linked");
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
                addresses.push(spawn(Idle, arrivals.clone()).await);
            }
            all.await.expect("all start");
            span.end()
        })
    }
}
