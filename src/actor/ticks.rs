use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep};

use super::Tick;
use crate::time::Timer;

/// The `#[every]` timers of one incarnation.
///
/// A tick that comes late does not make up for those it missed: the next one is due a full period
/// after the last one was seen to be due, on the grid of the first.
#[derive(Debug)]
pub(super) struct Ticks {
    rows: &'static [Tick],
    due: Vec<Pin<Box<Sleep>>>,
}

impl Ticks {
    pub(super) fn start(rows: &'static [Tick], timer: &Timer) -> Option<Box<Self>> {
        if rows.is_empty() {
            return None;
        }
        let due = rows.iter().map(|row| Box::pin(timer.sleep(row.every))).collect();
        Some(Box::new(Self { rows, due }))
    }

    /// The index of a row that is due.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>) -> Option<u64> {
        for (at, sleep) in self.due.iter_mut().enumerate() {
            if sleep.as_mut().poll(cx) == Poll::Ready(()) {
                let every = self.rows[at].every;
                let mut next = sleep.deadline() + every;
                let now = Instant::now();
                if next <= now {
                    let missed = (now - next).as_nanos() / every.as_nanos().max(1) + 1;
                    next += every * u32::try_from(missed).unwrap_or(u32::MAX);
                }
                sleep.as_mut().reset(next);
                // Registers the waker for the new deadline.
                if sleep.as_mut().poll(cx) == Poll::Ready(()) {
                    cx.waker().wake_by_ref();
                }
                return u64::try_from(at).ok();
            }
        }
        None
    }
}
