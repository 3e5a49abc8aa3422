//! Lanes: the way of messages from this process into one stream.
//!
//! Owns the open frame, the order of frames, resending and what a refusal means for the messages.
//! Knows nothing of what they are. A lane has a number; the log takes its frames in sequence only,
//! which is why a lost answer makes no duplicate and a lost frame breaks no order. When the log
//! knows the lane otherwise than we do, the rest goes on under a new number, from 1.

mod drive;
mod queue;
mod receipt;
mod verdict;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

pub use receipt::Receipt;
pub(crate) use receipt::Stored;

use self::{
    drive::Driver,
    queue::{Pending, Queue},
};
use super::{
    backoff::Backoff,
    event::Events,
    frame::Message,
    outgoing::{Body, Dedup},
    stats::{Counters, add},
    waiters::Waiters,
};
use crate::{
    error::Failure,
    id::Incarnation,
    log::{MessageLog, StreamKind, StreamName},
};

/// At most so many frames of a lane are on their way.
const FLIGHTS_MAX: usize = 2;
/// How far above its high water a lane takes what does not wait.
const FORCED_FACTOR: usize = 8;

/// What all lanes of a bus share.
#[derive(Debug)]
pub(crate) struct LaneContext {
    pub(crate) log: Arc<dyn MessageLog>,
    pub(crate) producer: Incarnation,
    pub(crate) counters: Arc<Counters>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) events: Events,
    pub(crate) last_number: AtomicU32,
    pub(crate) high_water_bytes: usize,
    pub(crate) call_timeout: Duration,
    pub(crate) backoff: Backoff,
}

impl LaneContext {
    fn next_number(&self) -> u32 {
        self.last_number.fetch_add(1, Relaxed).wrapping_add(1)
    }
}

/// One message on its way into a lane.
#[derive(Debug)]
pub(crate) struct Parcel<'m, 'b> {
    pub(crate) message: Message<'m>,
    pub(crate) body: Body<'b>,
    /// Goes into the delay set instead: its id there and when it is due on the log's clock.
    pub(crate) delayed: Option<(Arc<str>, u64)>,
    /// It is skipped if it was sent before under the same id.
    pub(crate) dedup: Option<Dedup>,
    /// Somebody waits for the answer to this correlation id.
    pub(crate) ask: Option<u64>,
}

/// Who may pass the high water mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// Only when there is room and nobody waits.
    Try,
    /// The first of those who wait.
    Next,
    /// Replies and cancels, which free room elsewhere: up to several times the mark.
    Forced,
}

/// Where a message is in its lane.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) receipt: Receipt,
    pub(crate) serial: u64,
    pub(crate) place: usize,
}

/// Why a lane did not take a message.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It holds as much as it may.
    Full,
    /// It was dropped in the meantime: look it up again.
    Closed,
    /// This message can't be sent.
    Failed(Failure),
}

/// The way into one stream.
#[derive(Debug)]
pub(crate) struct Lane {
    context: Arc<LaneContext>,
    stream: StreamName,
    /// 0 when there is no limit.
    backlog_max: AtomicU64,
    state: Mutex<Queue>,
    /// The driver has something to do.
    work: Notify,
    /// The first of those who wait may try.
    room: Notify,
    /// Those who wait for room, one at a time, in the order in which they came.
    turns: Semaphore,
    waiting: AtomicUsize,
    empty: Notify,
}

struct InLine<'a>(&'a AtomicUsize);

impl<'a> InLine<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Relaxed);
        Self(waiting)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Lane {
    /// A lane and the future that drives it.
    pub(crate) fn new(
        context: Arc<LaneContext>,
        stream: StreamName,
        backlog_max: Option<u64>,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + use<>) {
        let number = context.next_number();
        let lane = Arc::new(Self {
            context,
            stream,
            backlog_max: AtomicU64::new(backlog_max.unwrap_or(0)),
            state: Mutex::new(Queue::new(Instant::now())),
            work: Notify::new(),
            room: Notify::new(),
            turns: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
            empty: Notify::new(),
        });
        let driver = Driver::new(lane.clone(), number);
        (lane, driver.run())
    }

    pub(crate) fn set_backlog_max(&self, backlog_max: Option<u64>) {
        self.backlog_max.store(backlog_max.unwrap_or(0), Relaxed);
    }

    /// Encodes a message into the open frame.
    pub(crate) fn push(
        &self,
        parcel: &mut Parcel<'_, '_>,
        entrance: Entrance,
    ) -> Result<Placed, Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        let over = state.bytes >= self.context.high_water_bytes;
        let full = match entrance {
            Entrance::Try => over || self.waiting.load(Relaxed) > 0,
            Entrance::Next => over,
            Entrance::Forced => state.bytes >= self.context.high_water_bytes * FORCED_FACTOR,
        };
        if full {
            return Err(Refused::Full);
        }
        let placed = state.write(parcel, &self.context.waiters).map_err(Refused::Failed)?;
        // What waits behind as many frames as may be on their way is taken when one has landed.
        let due = state.flying == 0 || (state.flying < FLIGHTS_MAX && !state.ready.is_empty());
        drop(state);
        add(&self.context.counters.messages_queued, 1);
        if due {
            self.work.notify_one();
        }
        Ok(placed)
    }

    /// Waits for room, in order of arrival, then pushes.
    ///
    /// Cancel safe: who goes away leaves the line, and nothing was pushed.
    pub(crate) async fn send(&self, parcel: &mut Parcel<'_, '_>) -> Result<Placed, Refused> {
        match self.push(parcel, Entrance::Try) {
            Err(Refused::Full) => {}
            done => return done,
        }
        let _in_line = InLine::new(&self.waiting);
        let _turn = self.turns.acquire().await.map_err(|_| Refused::Closed)?;
        loop {
            match self.push(parcel, Entrance::Next) {
                Err(Refused::Full) => self.room.notified().await,
                done => return done,
            }
        }
    }

    /// Takes a message out of a frame that was not sent yet. False when it was.
    pub(crate) fn withdraw(&self, serial: u64, place: usize) -> bool {
        let mut state = self.state.lock();
        let Queue { open, ready, .. } = &mut *state;
        let found = open.iter_mut().chain(ready).find(|pending| pending.serial == serial);
        found.map(|pending| pending.builder.withdraw(place)).is_some()
    }

    /// Resolves when everything that was pushed before has been stored or refused.
    pub(crate) async fn flushed(&self) {
        loop {
            let mut empty = std::pin::pin!(self.empty.notified());
            empty.as_mut().enable();
            if self.state.lock().is_empty() {
                return;
            }
            empty.await;
        }
    }

    /// Ends the lane if it has been empty for so long. Nobody else may hold it meanwhile.
    pub(crate) fn close_if_idle(&self, now: Instant, idle: Duration) -> bool {
        let mut state = self.state.lock();
        let unused = now.saturating_duration_since(state.used) >= idle;
        if !state.is_empty() || !unused || self.waiting.load(Relaxed) > 0 {
            return false;
        }
        state.closed = true;
        drop(state);
        self.work.notify_one();
        true
    }

    /// Ends the lane at once; what it still holds fails.
    pub(crate) fn abort(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let dropped = (state.open.take(), std::mem::take(&mut state.ready));
        drop(state);
        // Promises wake tasks: outside the lock.
        drop(dropped);
        self.turns.close();
        self.room.notify_waiters();
        self.room.notify_one();
        self.work.notify_one();
        self.empty.notify_waiters();
    }

    /// The next frame to send. An open one leaves only when nothing is on its way.
    fn take(&self, nothing_on_its_way: bool) -> Option<Pending> {
        let mut state = self.state.lock();
        let pending = match state.ready.pop_front() {
            Some(pending) => pending,
            None if nothing_on_its_way => {
                state.open.take_if(|pending| pending.builder.count() > 0)?
            }
            None => return None,
        };
        state.flying += 1;
        Some(pending)
    }

    /// A frame is done with.
    fn landed(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.flying -= 1;
        state.used = Instant::now();
        state.bytes = state.bytes.saturating_sub(bytes);
        let (room, empty) = (state.bytes < self.context.high_water_bytes, state.is_empty());
        drop(state);
        if room && self.waiting.load(Relaxed) > 0 {
            self.room.notify_one();
        }
        if empty {
            self.empty.notify_waiters();
        }
    }

    fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    fn must_exist(&self) -> bool {
        // These two are made by their reader alone: one that is gone must stay so.
        matches!(self.stream.kind(), StreamKind::Inbox | StreamKind::Replies)
    }

    fn backlog_max(&self) -> Option<u64> {
        Some(self.backlog_max.load(Relaxed)).filter(|max| *max > 0)
    }
}
