//! Handlers that block the thread which they share with others: they are named in the log, and do
//! not keep it for longer than they must.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration as StdDuration,
};

use callboard::prelude::*;
use tracing::subscriber::{DefaultGuard, set_default};

use crate::{
    events::Log,
    threads::{eventually, on_threads},
};

/// Blocks the thread.
#[derive(Message)]
struct Block;

/// Blocks the thread between two awaits.
#[derive(Message)]
struct BlockAmid;

/// Blocks the thread after an await, and then ends.
#[derive(Message)]
struct BlockAtLast;

/// Blocks the thread for no time worth a word.
#[derive(Message)]
struct Quick;

/// Awaits for long.
#[derive(Message)]
struct Nap;

/// Finds the following in its mailbox at once when its handler is over.
#[derive(Message)]
struct Batch(fn(&Addr<Mason>));

const BLOCK: StdDuration = StdDuration::from_millis(50);

/// The events of its thread go to the log as long as it lives.
#[derive(Actor)]
struct Mason {
    _log: DefaultGuard,
}

#[handlers]
impl Mason {
    #[handle]
    fn block(&mut self, _: Block) {
        thread::sleep(BLOCK);
    }

    #[handle]
    async fn block_amid(&mut self, _: BlockAmid) {
        tokio::task::yield_now().await;
        thread::sleep(BLOCK);
        tokio::task::yield_now().await;
    }

    #[handle]
    async fn block_at_last(&mut self, _: BlockAtLast) {
        tokio::task::yield_now().await;
        thread::sleep(BLOCK);
    }

    #[handle]
    fn quick(&mut self, _: Quick) {}

    #[handle]
    async fn nap(&mut self, _: Nap) {
        tokio::time::sleep(BLOCK).await;
    }

    #[handle(local)]
    fn batch(&mut self, Batch(send): Batch, ctx: &mut Ctx<Self>) {
        send(&ctx.addr());
    }
}

/// What the log says after an actor has handled these in one batch, and how often its thread was
/// held.
fn said(send: fn(&Addr<Mason>)) -> (Log, u32) {
    let log = Log::default();
    let mut held = 0;
    on_threads(1, async |system| {
        let factory = {
            let log = log.clone();
            move || Mason { _log: set_default(log.clone()) }
        };
        let mason = system.actor(factory).name("mason").spawn()?;
        mason.ask(Batch(send)).await?;
        mason.ask(Quick).await?;
        // What is said after a poll is said before the thread sleeps.
        eventually("the thread sleeps", || system.inspect().hosts[0].parked);
        held = mason.inspect().map_or(0, |report| report.long_polls);
        Ok(())
    });
    assert_eq!(log.named("mason").len(), held as usize, "what is counted is said");
    (log, held)
}

#[test]
fn a_plain_handler_that_blocks_is_named_once_whatever_follows_it() {
    let (log, _) = said(|mason| {
        mason.try_tell(Block).expect("there is room");
        for _ in 0..5 {
            mason.try_tell(Quick).expect("there is room");
        }
    });
    assert_eq!(log.count("mason", "Block"), 1, "{:?}", log.named("mason"));
}

#[test]
fn each_block_is_named() {
    let (log, _) = said(|mason| {
        for _ in 0..3 {
            mason.try_tell(Block).expect("there is room");
            mason.try_tell(Quick).expect("there is room");
        }
    });
    assert_eq!(log.count("mason", "Block"), 3, "{:?}", log.named("mason"));
}

#[test]
fn an_async_handler_that_blocks_is_named_once() {
    let (log, _) = said(|mason| {
        mason.try_tell(BlockAmid).expect("there is room");
        mason.try_tell(Quick).expect("there is room");
    });
    assert_eq!(log.count("mason", "BlockAmid"), 1, "{:?}", log.named("mason"));
}

#[test]
fn an_async_handler_that_blocks_before_it_ends_is_named_once_whatever_follows_it() {
    let (log, _) = said(|mason| {
        mason.try_tell(BlockAtLast).expect("there is room");
        mason.try_tell(Quick).expect("there is room");
    });
    assert_eq!(log.count("mason", "BlockAtLast"), 1, "{:?}", log.named("mason"));
}

#[test]
fn a_handler_that_awaits_is_not_named() {
    let (log, _) = said(|mason| {
        mason.try_tell(Nap).expect("there is room");
        mason.try_tell(Quick).expect("there is room");
    });
    assert_eq!(log.count("mason", "Nap"), 0, "{:?}", log.named("mason"));
}

#[test]
fn a_factory_that_blocks_is_named_as_the_start() {
    let log = Log::default();
    on_threads(1, async |system| {
        let factory = {
            let log = log.clone();
            move || {
                let _log = set_default(log.clone());
                thread::sleep(BLOCK);
                Mason { _log }
            }
        };
        let mason = system.actor(factory).name("mason").spawn()?;
        mason.ask(Quick).await?;
        eventually("the thread sleeps", || system.inspect().hosts[0].parked);
        Ok(())
    });
    assert_eq!(log.count("mason", "started"), 1, "{:?}", log.named("mason"));
}

/// Works for some milliseconds on each message, of which there is always another.
#[derive(Actor)]
struct Flooded {
    handled: Arc<AtomicUsize>,
}

#[derive(Message)]
struct Plain;

#[derive(Message)]
struct Async;

impl Flooded {
    fn work(&self) {
        thread::sleep(StdDuration::from_millis(3));
        self.handled.fetch_add(1, SeqCst);
    }
}

#[handlers]
impl Flooded {
    #[handle]
    fn plain(&mut self, _: Plain, ctx: &mut Ctx<Self>) {
        self.work();
        ctx.addr().try_tell(Plain).ok();
    }

    #[handle]
    async fn later(&mut self, _: Async, ctx: &mut Ctx<Self>) {
        self.work();
        ctx.addr().try_tell(Async).ok();
    }
}

/// How many messages the flooded actor handles while another one on its thread is asked, in the
/// mean: an ask that comes between two turns is answered at once, the next one waits for a turn.
fn handled_meanwhile(flood: impl Fn(&Addr<Flooded>)) -> usize {
    let mut meanwhile = Vec::new();
    on_threads(1, async |system| {
        let handled = Arc::new(AtomicUsize::new(0));
        let counted = handled.clone();
        let flooded = system.spawn(move || Flooded { handled: counted.clone() })?;
        let other = system.spawn(crate::support::Counter::default)?;
        other.started().await?;
        (0..64).for_each(|_| flood(&flooded));
        eventually("it works", || handled.load(SeqCst) > 3);
        for _ in 0..31 {
            let before = handled.load(SeqCst);
            other.ask(crate::support::Add(1)).await?;
            meanwhile.push(handled.load(SeqCst) - before);
        }
        Ok(())
    });
    meanwhile.iter().sum::<usize>() / meanwhile.len()
}

#[test]
fn a_flood_of_handlers_of_some_milliseconds_lets_others_have_their_turn() {
    let handled = handled_meanwhile(|flooded| flooded.try_tell(Plain).expect("there is room"));
    assert!(handled <= 5, "{handled} messages in a turn");
}

#[test]
fn a_flood_of_async_handlers_that_never_wait_lets_others_have_their_turn() {
    let handled = handled_meanwhile(|flooded| flooded.try_tell(Async).expect("there is room"));
    assert!(handled <= 5, "{handled} messages in a turn");
}
