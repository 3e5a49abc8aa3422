//! Ractor: actors as tasks of a current-thread runtime. Its mailboxes know no bounds.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use super::thread::RuntimeThread;
use crate::{
    peer::{self, Arrivals, Job, Mailbox, Peer, Ring, Token, Yielding},
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
