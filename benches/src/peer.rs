//! What a workload needs of a peer.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::oneshot;

use crate::{savina::bank::Teller, span::Sample};

/// A workload under way on some thread.
pub type Job = Pin<Box<dyn Future<Output = Sample> + Send>>;

/// What the mailbox of a counting actor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mailbox {
    /// More than any workload queues: unbounded where the peer has that.
    Wide,
    /// 1024 messages.
    Bounded,
}

/// Messages in a bounded mailbox.
pub const CAPACITY: usize = 1024;
/// Messages in a wide mailbox of a peer without unbounded ones.
pub const CAPACITY_WIDE: usize = 1 << 20;

/// How a handler gives way once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yielding {
    /// Wakes its own waker and returns pending: what the framework itself costs.
    Bare,
    /// `tokio::task::yield_now`, which defers the wake-up until the runtime has looked for I/O.
    Tokio,
}

impl Yielding {
    /// Gives way once.
    pub async fn once(self) {
        match self {
            Self::Bare => bare_yield().await,
            Self::Tokio => tokio::task::yield_now().await,
        }
    }
}

fn bare_yield() -> impl Future<Output = ()> {
    let mut has_yielded = false;
    std::future::poll_fn(move |cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
}

/// The address of an actor that adds up what it is sent, one message at a time.
pub trait Counter: Clone + Send + Sync + 'static {
    /// Sends one; waits for room where the peer can.
    fn tell(&self) -> impl Future<Output = ()> + Send;
    /// Sends one at once; there is room.
    fn try_tell(&self);
    /// Sends one and waits for the total.
    fn ask(&self) -> impl Future<Output = u64> + Send;
    /// Sends one to a handler that gives way once before it adds, while no other runs.
    fn tell_yielding(&self, how: Yielding) -> impl Future<Output = ()> + Send;
}

/// Travels round a ring of actors.
#[derive(Debug)]
pub struct Token {
    /// Hops to go.
    pub left: u64,
    /// Told at the end.
    pub done: oneshot::Sender<()>,
}

/// One actor of a ring, as seen from outside.
pub trait Ring: Send + Sync + 'static {
    /// Hands a token to this actor.
    fn start(&self, token: Token);
}

/// Counts the actors of a crowd that have started.
#[derive(Debug)]
pub struct Arrivals {
    left: AtomicUsize,
    done: std::sync::Mutex<Option<oneshot::Sender<()>>>,
}

impl Arrivals {
    /// For so many actors; the receiver is told when the last has started.
    pub fn of(actors: usize) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (done, all) = oneshot::channel();
        let arrivals = Self { left: AtomicUsize::new(actors), done: Some(done).into() };
        (Arc::new(arrivals), all)
    }

    /// Called by each actor when it starts.
    pub fn one(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let done = self.done.lock().expect("nobody panics here").take();
            done.expect("there is one last").send(()).expect("the workload waits");
        }
    }
}

/// What an actor of a Savina workload does: written once, carried by an actor of each peer.
pub trait Behaviour: Send + 'static {
    /// What it is sent.
    type Message: Send + 'static;

    /// Handles one message.
    fn on(&mut self, message: Self::Message) -> Flow;
}

/// Whether an actor goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It waits for the next message.
    Goes,
    /// It has done its part and ends.
    Ends,
}

/// Where an actor that carries a [`Behaviour`] is reached.
pub trait Address<M>: Clone + Send + Sync + 'static {
    /// Sends a message at once; there is room.
    fn send(&self, message: M);
}

/// Spawns actors from a task on the actors' thread.
pub trait Spawner: Clone + Send + Sync + 'static {
    /// Reaches an actor that carries a behaviour.
    type Address<B: Behaviour>: Address<B::Message>;
    /// Reaches an account of the bank: its handler waits for another's answer, which every peer
    /// writes its own way.
    type Account: Account<Self>;

    /// Spawns an actor that carries what is made.
    fn spawn<B: Behaviour>(
        &self,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> impl Future<Output = Self::Address<B>> + Send;
    /// Spawns an account.
    fn account(&self, balance: i64) -> impl Future<Output = Self::Account> + Send;
}

/// An account of a bank.
pub trait Account<S: Spawner>: Clone + Send + Sync + 'static {
    /// Tells it to take so much from its balance, to ask another account to add that, and then to
    /// tell the teller. It handles nothing else meanwhile.
    fn transfer(&self, amount: i64, to: &Self, teller: &S::Address<Teller<S>>);
    /// Asks for its balance.
    fn balance(&self) -> impl Future<Output = i64> + Send;
}

/// A peer with one thread on which its actors live. Dropping it ends the thread.
pub trait Peer: Sized {
    /// As the table names it.
    const NAME: &'static str;
    /// Whether a full mailbox refuses, or makes the sender wait.
    const HAS_BOUNDED: bool;
    /// Its counting actor.
    type Counter: Counter;
    /// Its ring.
    type Ring: Ring;
    /// What spawns the actors of the Savina workloads.
    type Spawner: Spawner;

    /// Starts the thread.
    fn start() -> Self;
    /// Spawns a counting actor on that thread.
    fn counter(&self, mailbox: Mailbox) -> Self::Counter;
    /// Runs a job on that thread, in a handler of an actor.
    fn in_actor(&self, job: Job) -> Sample;
    /// Runs a job on that thread, in a task that is no actor.
    fn in_task(&self, job: Job) -> Sample;
    /// Spawns a ring on that thread.
    fn ring(&self, actors: usize) -> Self::Ring;
    /// Spawns idle actors from a task on that thread and waits until all have started.
    fn crowd(&self, actors: usize) -> Sample;
    /// Spawns from jobs that run on that thread.
    fn spawner(&self) -> Self::Spawner;
}
