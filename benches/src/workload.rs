//! The loops, written once for all peers.

use std::{
    hint,
    num::NonZero,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    peer::{Counter, Job, Mailbox, Peer, Ring, Token, Yielding},
    span::{Sample, Span},
};

/// Messages between two looks at the receiver on one thread: fewer than a bounded mailbox holds.
const WINDOW: u64 = 1000;
/// The same across threads, where sender and receiver run at the same time.
const WINDOW_ACROSS: u64 = 50_000;
/// Actors in a ring.
const RING: usize = 64;
/// Asks under way at once.
const IN_FLIGHT: u64 = 64;

/// A job that runs its body for a tenth of the messages first, so that caches, queues and allocator
/// have settled when it counts. A macro because a future generic over an async closure is not `Send`.
macro_rules! job {
    ($counter:expr, $messages:expr, |$c:ident, $n:ident| $body:block) => {{
        let (counter, messages) = ($counter, $messages);
        let job: Job = Box::pin(async move {
            let $c = &counter;
            let $n = messages / 10;
            $body
            let span = Span::begin();
            let $n = messages;
            $body
            span.end()
        });
        job
    }};
}

fn tell_in_windows<C: Counter>(counter: C, messages: u64, window: u64) -> Job {
    job!(counter, messages, |counter, messages| {
        for _ in 0..messages / window {
            for _ in 0..window {
                counter.tell().await;
            }
            counter.ask().await;
        }
    })
}

fn tell_freely<C: Counter>(counter: C, messages: u64) -> Job {
    job!(counter, messages, |counter, messages| {
        for _ in 0..messages {
            counter.tell().await;
        }
        counter.ask().await;
    })
}

fn ask_in_turn<C: Counter>(counter: C, messages: u64) -> Job {
    job!(counter, messages, |counter, messages| {
        for _ in 0..messages {
            counter.ask().await;
        }
    })
}

/// Tells in windows that the mailbox holds, and waits for each to be handled.
pub fn tell<P: Peer>(peer: &P, messages: u64) -> Sample {
    peer.in_actor(tell_in_windows(peer.counter(Mailbox::Wide), messages, WINDOW))
}

/// Tells without a pause into a mailbox of 1024, waiting for room.
pub fn tell_bounded<P: Peer>(peer: &P, messages: u64) -> Sample {
    peer.in_actor(tell_freely(peer.counter(Mailbox::Bounded), messages))
}

/// As [`tell`], by the call that never waits, into a mailbox of 1024.
pub fn try_tell<P: Peer>(peer: &P, messages: u64) -> Sample {
    let job = job!(peer.counter(Mailbox::Bounded), messages, |counter, messages| {
        for _ in 0..messages / WINDOW {
            for _ in 0..WINDOW {
                counter.try_tell();
            }
            counter.ask().await;
        }
    });
    peer.in_actor(job)
}

/// Asks one after the other, from a task.
pub fn ask<P: Peer>(peer: &P, messages: u64) -> Sample {
    peer.in_task(ask_in_turn(peer.counter(Mailbox::Bounded), messages))
}

/// Asks one after the other, from a handler.
pub fn ask_from_actor<P: Peer>(peer: &P, messages: u64) -> Sample {
    peer.in_actor(ask_in_turn(peer.counter(Mailbox::Bounded), messages))
}

/// One token goes round a ring.
pub fn ring<P: Peer>(peer: &P, messages: u64) -> Sample {
    let ring = peer.ring(RING);
    peer.in_task(job!(ring, messages, |ring, messages| {
        let (done, over) = oneshot::channel();
        ring.start(Token { left: messages, done });
        over.await.expect("the token comes home");
    }))
}

/// As [`tell`], from another thread.
pub fn tell_across<P: Peer>(peer: &P, messages: u64) -> Sample {
    here(tell_in_windows(peer.counter(Mailbox::Wide), messages, WINDOW_ACROSS))
}

/// As [`tell_bounded`], from another thread.
pub fn tell_bounded_across<P: Peer>(peer: &P, messages: u64) -> Sample {
    here(tell_freely(peer.counter(Mailbox::Bounded), messages))
}

/// 64 tasks of another thread ask, each one after the other.
pub fn asks_in_flight<P: Peer>(peer: &P, messages: u64) -> Sample {
    here(job!(peer.counter(Mailbox::Bounded), messages, |counter, messages| {
        let mut askers = JoinSet::new();
        for _ in 0..IN_FLIGHT {
            let counter = counter.clone();
            askers.spawn(async move {
                for _ in 0..messages / IN_FLIGHT {
                    counter.ask().await;
                }
            });
        }
        askers.join_all().await;
    }))
}

/// Asks one after the other, from another thread.
pub fn ask_across<P: Peer>(peer: &P, messages: u64) -> Sample {
    here(ask_in_turn(peer.counter(Mailbox::Bounded), messages))
}

/// As [`ask_across`], while as many threads as there are cores are busy.
pub fn ask_across_loaded<P: Peer>(peer: &P, messages: u64) -> Sample {
    beside_load(|| ask_across(peer, messages))
}

/// As [`ask_from_actor`], from an actor on a second thread of the peer.
pub fn ask_between<P: Peer>(peer: &P, messages: u64) -> Sample {
    P::start().in_actor(ask_in_turn(peer.counter(Mailbox::Bounded), messages))
}

/// As [`ask_between`], while as many threads as there are cores are busy.
pub fn ask_between_loaded<P: Peer>(peer: &P, messages: u64) -> Sample {
    beside_load(|| ask_between(peer, messages))
}

fn beside_load(run: impl FnOnce() -> Sample) -> Sample {
    let is_over = AtomicBool::new(false);
    let keep_busy = || {
        while !is_over.load(Ordering::Relaxed) {
            hint::black_box(());
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(keep_busy);
        }
        let sample = run();
        is_over.store(true, Ordering::Relaxed);
        sample
    })
}

/// As [`tell`], to a handler that gives way once by waking itself.
pub fn yielding_bare<P: Peer>(peer: &P, messages: u64) -> Sample {
    yielding(peer, messages, Yielding::Bare)
}

/// As [`tell`], to a handler that calls `tokio::task::yield_now` once.
pub fn yielding_tokio<P: Peer>(peer: &P, messages: u64) -> Sample {
    yielding(peer, messages, Yielding::Tokio)
}

fn yielding<P: Peer>(peer: &P, messages: u64, how: Yielding) -> Sample {
    peer.in_actor(job!(peer.counter(Mailbox::Wide), messages, |counter, messages| {
        for _ in 0..messages / WINDOW {
            for _ in 0..WINDOW {
                counter.tell_yielding(how).await;
            }
            counter.ask().await;
        }
    }))
}

/// Spawns idle actors.
pub fn spawn<P: Peer>(peer: &P, actors: u64) -> Sample {
    peer.crowd(usize::try_from(actors).expect("a crowd fits into memory"))
}

/// Runs a job on the calling thread, which hosts no actors.
fn here(job: Job) -> Sample {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime for the sender").block_on(job)
}
