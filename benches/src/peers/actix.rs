//! Actix: an actix system on a thread of its own.

use std::{
    future::Future,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use actix::{dev::SendError, prelude::*};

use crate::{
    peer::{self, Arrivals, CAPACITY, CAPACITY_WIDE, Job, Mailbox, Peer, Ring, Token, Yielding},
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
