//! The lock and the atomics of what is checked by models: parking_lot's and the standard library's,
//! and under `cfg(loom)` those of [loom](https://docs.rs/loom), which runs a model under every
//! interleaving that they allow.
//!
//! Only code that has models takes its lock and its atomics from here. A build with `--cfg loom` is
//! for `cargo test --lib loom` alone: outside a model loom's types panic.

#[cfg(not(loom))]
pub(crate) use parking_lot::Mutex;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU8, AtomicUsize};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicUsize};
#[cfg(loom)]
pub(crate) use model::Mutex;
#[cfg(all(test, loom))]
pub(crate) use model::with_mutant;

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
