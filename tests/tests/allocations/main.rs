//! What a message allocates on its way through a mailbox, counted exactly.
//!
//! A binary of its own, because counting needs the global allocator; it counts by thread, so that
//! tests beside each other do not disturb, and the whole system runs on the thread of its test.

use allocation_counter::{AllocationInfo, measure};
use callboard::prelude::*;
use tokio::{
    runtime::{Builder, Runtime},
    task::LocalSet,
};

/// Messages that are counted, after as many that are not.
const MESSAGES: u64 = 10_000;
/// Tells before a look at the actor: fewer than its mailbox holds.
const WINDOW: u64 = 500;
/// What one ask allocates: the channel of its reply, which both ends share.
const PER_ASK: u64 = 1;
/// What the runtime may allocate by itself in all that time: growth of its own queues.
const SLACK: u64 = 16;

#[derive(Message)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Message)]
#[message(reply = u64)]
struct AddLater(u64);

#[derive(Message)]
#[message(reply = u64)]
struct AddOutside(u64);

/// With its way back it is larger than what lies in the mailbox as it is.
#[derive(Message)]
#[message(reply = u64)]
struct AddLarge([u64; 8]);

#[derive(Actor, Default)]
struct Counter {
    total: u64,
}

#[handlers]
impl Counter {
    #[handle]
    fn add(&mut self, Add(n): Add) -> u64 {
        self.total += n;
        self.total
    }

    #[handle]
    async fn add_later(&mut self, AddLater(n): AddLater) -> u64 {
        tokio::task::yield_now().await;
        self.total += n;
        self.total
    }

    #[handle]
    fn add_large(&mut self, AddLarge(ns): AddLarge) -> u64 {
        self.total += ns.iter().sum::<u64>();
        self.total
    }
}

impl Handler<AddOutside> for Counter {
    async fn handle(&mut self, AddOutside(n): AddOutside, _: &mut Ctx<Self>) -> u64 {
        self.total += n;
        self.total
    }
}

/// A system and a counting actor on the thread of the test.
struct Stage {
    runtime: Runtime,
    local: LocalSet,
    system: System,
    counter: Addr<Counter>,
}

impl Stage {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
        let (runtime, local) = (runtime.expect("a runtime"), LocalSet::new());
        let (system, counter) = local.block_on(&runtime, async {
            let system = System::builder().node("one").current_thread().start().await;
            let system = system.expect("it starts");
            let counter = system.spawn(Counter::default).expect("it is up");
            counter.started().await.expect("it starts");
            (system, counter)
        });
        Self { runtime, local, system, counter }
    }

    /// Allocations of a workload that has run once before.
    fn count(&self, workload: impl AsyncFn(&Addr<Counter>)) -> u64 {
        let run = || self.local.block_on(&self.runtime, workload(&self.counter));
        run();
        let AllocationInfo { count_total, .. } = measure(run);
        count_total
    }

    fn tells<M: HandledBy<Counter>>(&self, message: impl Fn() -> M) -> u64 {
        let counted = self.count(async |counter| {
            for _ in 0..MESSAGES / WINDOW {
                for _ in 0..WINDOW {
                    counter.tell(message()).await.expect("room");
                }
                counter.ask(Add(0)).await.expect("an answer");
            }
        });
        counted.saturating_sub(MESSAGES / WINDOW * PER_ASK)
    }

    fn asks<M: HandledBy<Counter>>(&self, message: impl Fn() -> M) -> u64 {
        self.count(async |counter| {
            for _ in 0..MESSAGES {
                assert!(counter.ask(message()).await.is_ok());
            }
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let shutdown = self.local.block_on(&self.runtime, self.system.shutdown());
        assert!(shutdown.is_ok() || std::thread::panicking(), "{shutdown:?}");
    }
}

#[track_caller]
fn assert_each(counted: u64, each: u64) {
    let (low, high) = (each * MESSAGES, each * MESSAGES + SLACK);
    assert!(
        (low..=high).contains(&counted),
        "{counted} allocations for {MESSAGES} messages, where each should take {each}"
    );
}

#[test]
fn a_tell_to_a_plain_handler_allocates_nothing() {
    assert_each(Stage::new().tells(|| Add(1)), 0);
}

#[test]
fn a_tell_to_an_async_handler_allocates_nothing() {
    assert_each(Stage::new().tells(|| AddLater(1)), 0);
}

#[test]
fn an_ask_allocates_its_reply_channel() {
    assert_each(Stage::new().asks(|| Add(1)), PER_ASK);
}

#[test]
fn an_ask_of_an_async_handler_allocates_nothing_more() {
    assert_each(Stage::new().asks(|| AddLater(1)), PER_ASK);
}

#[test]
fn a_large_message_is_boxed_once() {
    assert_each(Stage::new().tells(|| AddLarge([1; 8])), 1);
}

/// The envelope for the queue, and the future of the handler, whose type only the handler knows.
#[test]
fn a_handler_outside_the_block_takes_two_boxes() {
    assert_each(Stage::new().tells(|| AddOutside(1)), 2);
}
