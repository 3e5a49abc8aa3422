//! Callboard: a system with one arbiter.

use std::{future::Future, sync::Arc};

use callboard::{Addr, System};

use self::actors::{
    Add, AddYielding, Balance, Carrier, Counter, CounterWide, Deliver, Driver, GetBalance, Idle,
    Link, Member, Pass, RunHere, RunInTask, TellerAddr, Transfer,
};
use crate::{
    peer::{
        self, Account, Arrivals, Behaviour, Job, Mailbox, Peer, Ring, Spawner, Token, Yielding,
    },
    span::{Sample, Span},
};

#[path = "callboard_actors.rs"]
mod actors;

/// The address of a counting actor.
#[derive(Debug, Clone)]
pub enum Address {
    /// With room for all that is queued.
    Wide(Addr<CounterWide>),
    /// With room for 1024 messages.
    Bounded(Addr<Counter>),
}

impl peer::Counter for Address {
    #[inline]
    async fn tell(&self) {
        match self {
            Self::Wide(addr) => addr.tell(Add(1)).await.expect("the actor lives"),
            Self::Bounded(addr) => addr.tell(Add(1)).await.expect("the actor lives"),
        }
    }

    #[inline]
    fn try_tell(&self) {
        match self {
            Self::Wide(addr) => addr.try_tell(Add(1)).expect("room"),
            Self::Bounded(addr) => addr.try_tell(Add(1)).expect("room"),
        }
    }

    #[inline]
    async fn ask(&self) -> u64 {
        match self {
            Self::Wide(addr) => addr.ask(Add(1)).await.expect("an answer"),
            Self::Bounded(addr) => addr.ask(Add(1)).await.expect("an answer"),
        }
    }

    #[inline]
    async fn tell_yielding(&self, how: Yielding) {
        match self {
            Self::Wide(addr) => addr.tell(AddYielding(1, how)).await.expect("the actor lives"),
            Self::Bounded(addr) => addr.tell(AddYielding(1, how)).await.expect("the actor lives"),
        }
    }
}

impl Ring for Addr<Member> {
    fn start(&self, token: Token) {
        self.try_tell(Pass(token)).expect("the ring lives");
    }
}

impl<B: Behaviour> peer::Address<B::Message> for Addr<Carrier<B>> {
    fn send(&self, message: B::Message) {
        assert!(self.try_tell(Deliver::<B>(message)).is_ok(), "there is room");
    }
}

impl Account<System> for Addr<Balance> {
    fn transfer(&self, amount: i64, to: &Self, teller: &TellerAddr) {
        let transfer = Transfer { amount, to: to.clone(), teller: teller.clone() };
        assert!(self.try_tell(transfer).is_ok(), "there is room");
    }

    async fn balance(&self) -> i64 {
        self.ask(GetBalance).await.expect("an answer")
    }
}

impl Spawner for System {
    type Address<B: Behaviour> = Addr<Carrier<B>>;
    type Account = Addr<Balance>;

    async fn spawn<B: Behaviour>(
        &self,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self::Address<B> {
        Self::spawn(self, move || Carrier(make())).expect("the system is up")
    }

    async fn account(&self, balance: i64) -> Addr<Balance> {
        Self::spawn(self, move || Balance(balance)).expect("the system is up")
    }
}

/// A callboard system; whether its host spins before it parks.
#[derive(Debug)]
pub struct Callboard<const SPIN: bool> {
    system: System,
    /// Runs what starts and stops the system; hosts no actors.
    outside: tokio::runtime::Runtime,
}

impl<const SPIN: bool> Callboard<SPIN> {
    fn spawn<A, F>(&self, factory: F) -> Addr<A>
    where
        A: callboard::Actor,
        F: Fn() -> A + Send + Sync + 'static,
    {
        let addr = self.system.spawn(factory).expect("the system is up");
        self.wait(addr.started()).expect("it starts");
        addr
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.outside.block_on(future)
    }
}

impl<const SPIN: bool> Peer for Callboard<SPIN> {
    const NAME: &'static str = if SPIN { "callboard" } else { "callboard (no spin)" };
    const HAS_BOUNDED: bool = true;
    type Counter = Address;
    type Ring = Addr<Member>;
    type Spawner = System;

    fn start() -> Self {
        let outside = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let outside = outside.expect("a runtime");
        let builder = System::builder().arbiters(1);
        #[cfg(feature = "spin")]
        let builder = builder.spin(SPIN);
        let system = outside.block_on(builder.start()).expect("it starts");
        Self { system, outside }
    }

    fn counter(&self, mailbox: Mailbox) -> Address {
        match mailbox {
            Mailbox::Wide => Address::Wide(self.spawn(CounterWide::default)),
            Mailbox::Bounded => Address::Bounded(self.spawn(Counter::default)),
        }
    }

    fn in_actor(&self, job: Job) -> Sample {
        let driver = self.spawn(|| Driver);
        self.wait(driver.ask(RunHere(job))).expect("an answer")
    }

    fn in_task(&self, job: Job) -> Sample {
        let driver = self.spawn(|| Driver);
        self.wait(driver.ask(RunInTask(job))).expect("an answer")
    }

    fn ring(&self, actors: usize) -> Self::Ring {
        let first = self.spawn(Member::default);
        let mut last = first.clone();
        for _ in 1..actors {
            let member = self.spawn(Member::default);
            self.wait(last.ask(Link(member.clone()))).expect("linked");
            last = member;
        }
        self.wait(last.ask(Link(first.clone()))).expect("linked");
        first
    }

    fn spawner(&self) -> System {
        self.system.clone()
    }

    fn crowd(&self, actors: usize) -> Sample {
        let system = self.system.clone();
        self.in_task(Box::pin(async move {
            let (arrivals, all) = Arrivals::of(actors);
            let mut addresses = Vec::with_capacity(actors);
            let span = Span::begin();
            for _ in 0..actors {
                let arrivals = Arc::clone(&arrivals);
                let idle = system.spawn(move || Idle(arrivals.clone()));
                addresses.push(idle.expect("the system is up"));
            }
            all.await.expect("all start");
            span.end()
        }))
    }
}

impl<const SPIN: bool> Drop for Callboard<SPIN> {
    fn drop(&mut self) {
        self.outside.block_on(self.system.shutdown()).expect("it stops in order");
    }
}
