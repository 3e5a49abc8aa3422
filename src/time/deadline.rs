use std::{cell::RefCell, task::Waker, time::Duration};

use super::{
    Registration, Timer,
    clock::{TICK, nanoseconds},
};

/// Below this the exact clock says when the waiting began.
const EXACT_BELOW: Duration = Duration::from_millis(100);
/// Registrations that a thread keeps for whoever waits next.
const KEPT: usize = 64;

/// How long one future waits. Passes at its time or up to some milliseconds later; earlier only by as
/// long as the I/O thread, which moves the coarse clock, was held up when the waiting began.
///
/// Waiting costs little when the same task waits again and again, which is what asks do: a task's
/// place in the timer is not given up when the waiting ends but kept on the thread, and fits every
/// later deadline of the same task. Until it fires it holds that task's waker, at most 64 of them
/// per thread.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    /// In nanoseconds; zero before the waiting has begun.
    at: u64,
    held: Option<Held>,
}

/// A place in the timer with the identity of its waker.
#[derive(Debug)]
struct Held {
    waker: (usize, usize),
    registration: Registration,
}

thread_local! {
    static IDLE: RefCell<[Option<Held>; KEPT]> = const { RefCell::new([const { None }; KEPT]) };
}

impl Deadline {
    /// A deadline that begins with its first poll.
    pub(crate) const fn new() -> Self {
        Self { at: 0, held: None }
    }

    /// Begins the waiting. False when it had begun before.
    #[inline]
    pub(crate) fn begin(&mut self, timer: &Timer, timeout: Duration) -> bool {
        if self.at != 0 {
            return false;
        }
        let clock = timer.clock();
        let start = if timeout < EXACT_BELOW || clock.is_exact() {
            clock.now()
        } else {
            // The coarse clock is late by up to a tick.
            clock.coarse() + nanoseconds(TICK)
        };
        self.at = start.saturating_add(nanoseconds(timeout));
        true
    }

    /// When it passes, on the timer's clock; zero before it has begun.
    #[inline]
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Whether it has begun and passed.
    pub(crate) fn has_passed(&self, timer: &Timer) -> bool {
        self.at != 0 && timer.clock().now() >= self.at
    }

    /// Sees to it that the timer wakes a task by then.
    pub(crate) fn wait(&mut self, timer: &Timer, waker: &Waker) {
        let identity = (waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr());
        let fits = |held: &Held| {
            held.waker == identity
                && held.registration.fires <= self.at
                && held.registration.is_of(timer)
                && held.registration.is_live()
        };
        if self.held.as_ref().is_some_and(fits) {
            return;
        }
        let kept = take(identity).filter(fits);
        let held = kept.unwrap_or_else(|| Held {
            waker: identity,
            registration: timer.register(self.at, waker.clone()),
        });
        let outgrown = self.held.replace(held);
        drop(outgrown);
    }

    /// Ends the waiting.
    #[inline]
    pub(crate) fn end(&mut self) {
        self.at = 0;
        if let Some(held) = self.held.take() {
            keep(held);
        }
    }
}

impl Drop for Deadline {
    #[inline]
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            keep(held);
        }
    }
}

fn place(identity: (usize, usize)) -> usize {
    identity.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58
}

fn take(identity: (usize, usize)) -> Option<Held> {
    let taken = IDLE.try_with(|idle| idle.try_borrow_mut().ok()?[place(identity)].take());
    taken.ok().flatten()
}

/// Keeps a place for the next one of the same task. What stood there is given up.
fn keep(held: Held) {
    let at = place(held.waker);
    let mut held = Some(held);
    // Dropped outside the borrow: a waker is its owner's code.
    let before = IDLE.try_with(|idle| {
        let mut idle = idle.try_borrow_mut().ok()?;
        std::mem::replace(&mut idle[at], held.take())
    });
    drop(before);
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
        task::{Poll, Wake},
    };

    use tokio::{runtime::Handle, time::Instant};

    use super::*;
    use crate::time::Clock;

    fn timer() -> Timer {
        Timer::new(Handle::current(), Clock::of_tokio())
    }

    async fn passes(deadline: &mut Deadline, timer: &Timer, timeout: Duration) {
        deadline.begin(timer, timeout);
        poll_fn(|cx| {
            if deadline.has_passed(timer) {
                return Poll::Ready(());
            }
            deadline.wait(timer, cx.waker());
            Poll::Pending
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_passes_at_its_time_whatever_its_length() {
        let timer = timer();
        for timeout in [1, 7, 99, 100, 3000, 30_000, 86_400_000].map(Duration::from_millis) {
            let start = Instant::now();
            passes(&mut Deadline::new(), &timer, timeout).await;
            let late = start.elapsed() - timeout;
            assert!(late <= Duration::from_millis(5), "{timeout:?} was late by {late:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_was_kept_is_too_late_for_a_shorter_deadline() {
        let timer = timer();
        let start = Instant::now();
        let mut long = Deadline::new();
        long.begin(&timer, Duration::from_secs(30));
        poll_fn(|cx| {
            long.wait(&timer, cx.waker());
            Poll::Ready(())
        })
        .await;
        drop(long);
        passes(&mut Deadline::new(), &timer, Duration::from_millis(10)).await;
        assert!(start.elapsed() < Duration::from_millis(20));
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_deadline_of_a_task_takes_the_place_that_was_kept() {
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let timer = timer();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        for _ in 0..1000 {
            let mut deadline = Deadline::new();
            assert!(deadline.begin(&timer, Duration::from_secs(1)));
            deadline.wait(&timer, &waker);
            deadline.end();
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "one place was enough");
    }

    #[tokio::test]
    async fn the_clock_of_a_process_keeps_deadlines_too() {
        let timer = Timer::new(Handle::current(), Clock::new());
        for timeout in [1, 20, 150].map(Duration::from_millis) {
            let start = std::time::Instant::now();
            passes(&mut Deadline::new(), &timer, timeout).await;
            assert!(start.elapsed() >= timeout, "{timeout:?} passed after {:?}", start.elapsed());
        }
    }
}
