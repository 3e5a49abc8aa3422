//! Waiting for the moment at which nothing is left to do.
//!
//! The runtime parks its thread exactly then: no task is ready, no actor is due, and what remains
//! waits for the clock or for the world outside. Parked and paused, tokio would move the clock to
//! the next timer at once; a blocking task holds it while it runs. So a blocking task looks at the
//! runtime until it is parked, and its end is what wakes the test.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant as RealInstant},
};

use tokio::{
    runtime::{Handle, RuntimeMetrics},
    task::yield_now,
    time::Instant,
};

use super::watch::{Restless, Watch};

/// How long, by a real clock, a runtime may take to come to rest.
const REAL_TIME_MAX: Duration = Duration::from_secs(60);
/// Looks without a pause in between; most runtimes are at rest by then.
const EAGER_LOOKS: u32 = 64;
const BETWEEN_LOOKS: Duration = Duration::from_micros(20);

/// Timers go off at whole milliseconds.
const TICK: Duration = Duration::from_millis(1);

/// Waits until nothing is left to do, without moving the clock.
///
/// # Errors
/// [`Restless`] when that does not come.
///
/// # Cancel safety
/// It only waits.
pub(super) async fn rest(watch: &Watch) -> Result<(), Restless> {
    watch.unless_restless(rest_unwatched()).await?
}

async fn rest_unwatched() -> Result<(), Restless> {
    // Fires the timers that are due. From here on none comes due while the clock stands, so that a
    // parked runtime is one at rest.
    yield_now().await;
    let is_over = Cancelled(Arc::new(AtomicBool::new(false)));
    let (metrics, cancelled) = (Handle::current().metrics(), is_over.0.clone());
    let parked = tokio::task::spawn_blocking(move || await_park(&metrics, &cancelled)).await;
    match parked {
        Ok(true) => Ok(()),
        Ok(false) => Err(Restless::new(format!(
            "something never comes to rest: after {REAL_TIME_MAX:?} the runtime is still busy, by a \
             task that is no actor or a handler that does not return"
        ))),
        // The runtime is shutting down: nothing will be done any more.
        Err(_) => Ok(()),
    }
}

/// Ends the blocking task when nobody waits for it any more.
struct Cancelled(Arc<AtomicBool>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Looks until the runtime is parked. False when that takes too long, or is not wanted any more.
fn await_park(metrics: &RuntimeMetrics, cancelled: &AtomicBool) -> bool {
    let begun = RealInstant::now();
    let mut looks = 0_u32;
    // Odd while the thread of the runtime is parked.
    while metrics.worker_park_unpark_count(0).is_multiple_of(2) {
        if cancelled.load(Ordering::Relaxed) || begun.elapsed() > REAL_TIME_MAX {
            return false;
        }
        looks = looks.saturating_add(1);
        if looks < EAGER_LOOKS {
            thread::yield_now();
        } else {
            thread::sleep(BETWEEN_LOOKS);
        }
    }
    true
}

/// Moves the clock, instant by instant: whatever is due on the way is done at its own time. Then
/// waits until nothing is left to do.
///
/// `epoch` is an instant at which the runtime's timers tick.
pub(super) async fn advance(
    watch: &Watch,
    epoch: Instant,
    duration: Duration,
) -> Result<(), Restless> {
    let target = Instant::now() + duration;
    let left = || target.saturating_duration_since(Instant::now());
    let since_tick = Instant::now().saturating_duration_since(epoch).subsec_nanos() % 1_000_000;
    if since_tick > 0 {
        jump(watch, left().min(TICK - Duration::from_nanos(since_tick.into()))).await?;
    }
    let whole = left().as_millis();
    if whole > 0 {
        let whole = Duration::from_millis(u64::try_from(whole).unwrap_or(u64::MAX));
        // The runtime goes from timer to timer by itself whenever nothing else is left to do.
        watch.unless_restless(tokio::time::sleep(whole)).await?;
    }
    if !left().is_zero() {
        jump(watch, left()).await?;
    }
    rest(watch).await
}

/// Moves the clock by less than a tick: there is no timer within.
async fn jump(watch: &Watch, duration: Duration) -> Result<(), Restless> {
    rest(watch).await?;
    tokio::time::advance(duration).await;
    Ok(())
}
