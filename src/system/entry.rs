//! What `#[callboard::main]` and `#[callboard::test]` call.

use std::{fmt, future::Future};

use super::System;
use crate::error::{Error, Result};

/// What a `main` or a test that takes a `System` may return.
pub trait Outcome: Sized {
    /// Adds how the shutdown went: an error of one's own counts first.
    #[must_use]
    fn and(self, shutdown: Result<()>) -> Self;
    /// The system could not start.
    fn not_started(error: Error) -> Self;
}

impl Outcome for () {
    fn and(self, shutdown: Result<()>) {
        if let Err(error) = shutdown {
            tracing::error!(%error, "the system did not shut down in order");
        }
    }

    fn not_started(error: Error) {
        panic!("the system could not start: {error}");
    }
}

impl<T, E: From<Error> + fmt::Debug> Outcome for std::result::Result<T, E> {
    fn and(self, shutdown: Result<()>) -> Self {
        match (self, shutdown) {
            (Ok(_), Err(error)) => Err(error.into()),
            (outcome, _) => outcome,
        }
    }

    fn not_started(error: Error) -> Self {
        Err(error.into())
    }
}

/// Runs the future of a `main` on an actix system of the main thread.
pub fn run_main<F: Future>(make: impl FnOnce() -> F) -> F::Output {
    install_subscriber();
    actix_rt::System::new().block_on(make())
}

/// As [`run_main`], with a system that is started before and shut down after.
pub fn run_main_with_system<F>(make: impl FnOnce(System) -> F) -> F::Output
where
    F: Future<Output: Outcome>,
{
    run_main(|| async {
        match System::start().await {
            Ok(system) => {
                let outcome = make(system.clone()).await;
                outcome.and(system.shutdown().await)
            }
            Err(error) => F::Output::not_started(error),
        }
    })
}

/// Shows warnings and errors of the framework (a panic that restarted an actor, say) unless
/// `RUST_LOG` says otherwise or the program has a subscriber of its own.
fn install_subscriber() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // An error means that there is one already, which is the user's choice.
    drop(tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init());
}

/// Runs the future of a test on one thread with a paused clock.
///
/// # Panics
/// Panics when no runtime can be built, and when the test does.
#[cfg(feature = "testing")]
pub fn run_test<F: Future>(make: impl FnOnce() -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime for the test");
    tokio::task::LocalSet::new().block_on(&runtime, async { make().await })
}

/// What a test may ask for.
#[cfg(feature = "testing")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that a test is given",
    note = "take a `System`, a `callboard::testing::TestSystem`, or nothing"
)]
pub trait Given: Sized {
    /// Makes it, on this thread.
    fn begin() -> impl Future<Output = Result<Self>>;
    /// The same once more.
    #[must_use]
    fn share(&self) -> Self;
    /// What there is to do and to check after the test.
    fn end(self) -> impl Future<Output = Result<()>>;
}

#[cfg(feature = "testing")]
impl Given for System {
    async fn begin() -> Result<Self> {
        Self::builder().current_thread().start().await
    }

    fn share(&self) -> Self {
        self.clone()
    }

    async fn end(self) -> Result<()> {
        self.shutdown().await
    }
}

/// As [`run_test`], with a system on the same thread.
#[cfg(feature = "testing")]
pub fn run_test_with_system<S, F>(make: impl FnOnce(S) -> F) -> F::Output
where
    S: Given,
    F: Future<Output: Outcome>,
{
    run_test(|| async {
        match S::begin().await {
            Ok(system) => {
                let outcome = make(system.share()).await;
                outcome.and(system.end().await)
            }
            Err(error) => F::Output::not_started(error),
        }
    })
}
