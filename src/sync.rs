//! The lock and the atomics of what is on the way of every message, which is also what is checked by
//! models: [spin](https://docs.rs/spin)'s and the standard library's, and under `cfg(loom)` those of
//! [loom](https://docs.rs/loom), which runs a model under every interleaving that they allow.
//!
//! A lock here is held for some tens of instructions, and no user code runs under it. One that can put
//! its waiters to sleep pays for that at each release, by a locked operation that only tells it that
//! nobody sleeps; one that spins is released by a plain store. That was a tenth of what a message
//! cost. Everything else in the crate locks by parking_lot.
//!
//! Only code that has models takes its lock and its atomics from here. A build with `--cfg loom` is
//! for `cargo test --lib loom` alone: outside a model loom's types panic.

#[cfg(loom)]
pub(crate) use loom::sync::{
    MutexGuard,
    atomic::{AtomicU64, AtomicUsize},
};
#[cfg(loom)]
pub(crate) use model::Mutex;
#[cfg(all(test, loom))]
pub(crate) use model::{Bell, check, with_mutant};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize};
#[cfg(not(loom))]
pub(crate) use waiting::{Mutex, MutexGuard};

/// How a thread waits for a lock.
#[cfg(not(loom))]
mod waiting {
    use std::{cell::Cell, hint, thread, time::Duration};

    use spin::{
        RelaxStrategy,
        mutex::{SpinMutex, SpinMutexGuard},
    };

    pub(crate) type Mutex<T> = SpinMutex<T, Patience>;
    pub(crate) type MutexGuard<'a, T> = SpinMutexGuard<'a, T, Patience>;

    /// After so many looks in vain a thread lets others run: whoever holds the lock for that long has
    /// lost its core.
    const YIELD_EVERY: u32 = 64;
    /// After so many it sleeps: letting others run is of no help where whoever holds the lock has a
    /// lower priority.
    const SLEEP_EVERY: u32 = 1024;
    const SLEEP: Duration = Duration::from_micros(50);

    thread_local! {
        /// How often this thread looked in vain. Never begun anew: what counts is that it goes on.
        static LOOKS: Cell<u32> = const { Cell::new(0) };
    }

    /// Spins, lets others run, sleeps: none of them for long.
    #[derive(Debug)]
    pub(crate) struct Patience;

    impl RelaxStrategy for Patience {
        fn relax() {
            let looks = LOOKS.get().wrapping_add(1);
            LOOKS.set(looks);
            if looks.is_multiple_of(SLEEP_EVERY) {
                thread::sleep(SLEEP);
            } else if looks.is_multiple_of(YIELD_EVERY) {
                thread::yield_now();
            } else {
                hint::spin_loop();
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn whoever_holds_it_long_keeps_the_others_waiting_and_no_more() {
            let counted = Mutex::new(0);
            let (threads, each) = (4, if cfg!(miri) { 20 } else { 20_000 });
            thread::scope(|scope| {
                for nth in 0..threads {
                    let counted = &counted;
                    scope.spawn(move || {
                        for at in 0..each {
                            let mut counted = counted.lock();
                            if nth == 0 && at % (each / 4) == 0 {
                                // As one that is taken off its core with the lock in hand.
                                thread::sleep(Duration::from_millis(3));
                            }
                            *counted += 1;
                        }
                    });
                }
            });
            assert_eq!(*counted.lock(), threads * each);
        }
    }
}

/// Whether this fault is to be there: a model that can't find it proves nothing. Always false but
/// in a model that was started to find it.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) const fn mutant(_: &'static str) -> bool {
    false
}

#[cfg(loom)]
pub(crate) use model::mutant;

#[cfg(loom)]
mod model {
    use std::cell::Cell;

    /// loom's, with parking_lot's way to lock: a panic ends the model, so poison means nothing.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    thread_local! {
        // A model runs all its threads on the thread that started it.
        static MUTANT: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    pub(crate) fn mutant(name: &'static str) -> bool {
        MUTANT.get() == Some(name)
    }

    /// What a thread of a model sleeps on. Not `thread::park`: loom's `join` takes an `unpark` that
    /// comes too late for its own.
    #[cfg(test)]
    #[derive(Default)]
    pub(crate) struct Bell(pub(crate) loom::sync::Notify);

    #[cfg(test)]
    impl std::task::Wake for Bell {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.notify();
        }
    }

    /// Runs a model in every interleaving of few preemptions: faults of our kind show with them; more
    /// only take longer.
    #[cfg(test)]
    pub(crate) fn check(model: fn()) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(Some(3));
        builder.check(model);
    }

    /// Runs a model with this fault in the code. Gives what it said when it found it.
    #[cfg(test)]
    pub(crate) fn with_mutant(name: &'static str, model: fn()) -> Option<String> {
        MUTANT.set(Some(name));
        let outcome = std::panic::catch_unwind(model);
        MUTANT.set(None);
        let panic = outcome.err()?;
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref().cloned()).or_else(|| Some("no text".to_owned()))
    }
}
