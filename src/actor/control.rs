use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;

use super::{ActorState, Histogram, StopReason, core::name_hash};
use crate::time::Registration;

/// What the loop of an actor has to do, besides handling messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// Go on.
    Run = 0,
    /// Work off what is there, then end.
    Drain = 1,
    /// End at once and keep what is queued: another incarnation will handle it.
    Leave = 2,
    /// End at once.
    Kill = 3,
}

/// A request to stop came that was not taken yet.
const STOP: u8 = 1;
/// The actor has something beside its handlers.
const BESIDE: u8 = 2;

/// A request to stop.
#[derive(Debug, Clone)]
pub(super) struct StopRequest {
    pub(super) reason: StopReason,
    pub(super) drain: Option<Duration>,
}

/// The lane past the mailbox: what is asked of an actor is seen at its next poll, also while a
/// handler awaits.
// In this order: see [`Core`](super::Core).
#[derive(Debug)]
#[repr(C)]
pub(super) struct Control {
    /// What the cell has to look at: bits of the constants below.
    signals: AtomicU8,
    phase: AtomicU8,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: ActorState,
    /// Set once, when the first start succeeded.
    started: bool,
    /// What most actors do without for most of their life.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Default)]
struct Rare {
    request: Option<StopRequest>,
    /// What came after the actor's own request to stop, which a restart may answer.
    later: Option<StopRequest>,
    /// Set once, when the actor has ended for good.
    ended: Option<StopReason>,
    listeners: Vec<(u64, Waker)>,
    last_listener: u64,
    /// Names of messages whose handlers stand outside the block.
    foreign_names: Vec<&'static str>,
    /// How long its handlers took.
    times: Option<Arc<Histogram>>,
    /// The actor's place in the timer.
    alarm: Option<Registration>,
}

impl Inner {
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn ended(&self) -> Option<&StopReason> {
        self.rare.as_ref()?.ended.as_ref()
    }

    fn request(&self) -> Option<&StopRequest> {
        self.rare.as_ref()?.request.as_ref()
    }

    fn take_listeners(&mut self) -> Vec<(u64, Waker)> {
        self.rare.as_mut().map(|rare| std::mem::take(&mut rare.listeners)).unwrap_or_default()
    }
}

/// What a waiter may look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) started: bool,
    pub(super) ended: Option<&'a StopReason>,
}

/// A future of something that happens to an actor. Dropped, it waits no more.
pub(super) struct Listening<'a, F> {
    control: &'a Control,
    pick: F,
    listener: Option<u64>,
}

impl<T, F: Fn(Seen<'_>) -> Option<T> + Unpin> Future for Listening<'_, F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        // Cloned here, and who was noted before is dropped after the lock is released.
        let mut waker = Some(cx.waker().clone());
        let mut inner = this.control.inner.lock();
        let seen = Seen { started: inner.started, ended: inner.ended() };
        if let Some(picked) = (this.pick)(seen) {
            return Poll::Ready(picked);
        }
        let Some(fresh) = waker.take() else { return Poll::Pending };
        let rare = inner.rare();
        let noted = rare.listeners.iter_mut().find(|(id, _)| Some(*id) == this.listener);
        match noted {
            Some((_, noted)) => waker = Some(std::mem::replace(noted, fresh)),
            None => {
                rare.last_listener += 1;
                let id = rare.last_listener;
                rare.listeners.push((id, fresh));
                this.listener = Some(id);
            }
        }
        drop(inner);
        drop(waker);
        Poll::Pending
    }
}

impl<F> Drop for Listening<'_, F> {
    fn drop(&mut self) {
        let Some(listener) = self.listener else { return };
        let mut inner = self.control.inner.lock();
        let rare = inner.rare();
        let at = rare.listeners.iter().position(|(id, _)| *id == listener);
        let forgotten = at.map(|at| rare.listeners.swap_remove(at));
        drop(inner);
        drop(forgotten);
    }
}

impl Control {
    pub(super) fn new() -> Self {
        Self {
            signals: AtomicU8::new(0),
            phase: AtomicU8::new(Phase::Run as u8),
            inner: Mutex::new(Inner { state: ActorState::Starting, started: false, rare: None }),
        }
    }

    /// Asks the actor to stop. The first request counts, but for an actor that is built again after
    /// it stopped by itself. False when there was one, or it has ended.
    pub(super) fn request_stop(&self, request: StopRequest) -> bool {
        let mut inner = self.inner.lock();
        if inner.ended().is_some() {
            return false;
        }
        let rare = inner.rare();
        if let Some(standing) = &rare.request {
            if standing.reason == StopReason::Finished && rare.later.is_none() {
                rare.later = Some(request);
            }
            return false;
        }
        rare.request = Some(request);
        self.signals.fetch_or(STOP, Ordering::Release);
        true
    }

    /// The request, if it came since the last call.
    #[inline]
    pub(super) fn take_signal(&self) -> Option<StopRequest> {
        if self.signals.load(Ordering::Relaxed) & STOP == 0 {
            return None;
        }
        self.signals.fetch_and(!STOP, Ordering::Relaxed);
        self.request()
    }

    /// Whether there is anything that the cell has to look at.
    #[inline]
    pub(super) fn is_signalled(&self) -> bool {
        self.signals.load(Ordering::Relaxed) != 0
    }

    /// Notes that the actor has something beside its handlers.
    pub(super) fn note_beside(&self) {
        self.signals.fetch_or(BESIDE, Ordering::Relaxed);
    }

    /// Whether that came since the last call.
    pub(super) fn take_beside(&self) -> bool {
        self.signals.load(Ordering::Relaxed) & BESIDE != 0
            && self.signals.fetch_and(!BESIDE, Ordering::Relaxed) & BESIDE != 0
    }

    /// The request that stands.
    pub(super) fn request(&self) -> Option<StopRequest> {
        self.inner.lock().request().cloned()
    }

    /// The request that stands and that a restart does not answer, as it answers the actor's own
    /// when it is built again always.
    pub(super) fn standing_request(&self, answers_own: bool) -> Option<StopRequest> {
        let request = self.request()?;
        if request.reason == StopReason::Finished && answers_own {
            self.clear_request();
            return self.request();
        }
        Some(request)
    }

    /// Why the actor ends, when it ends in order.
    pub(super) fn reason_of_stop(&self) -> StopReason {
        self.request().map_or(StopReason::Finished, |request| request.reason)
    }

    /// Forgets a request that a restart answers; what came after it stands now.
    fn clear_request(&self) {
        let mut inner = self.inner.lock();
        let rare = inner.rare();
        rare.request = rare.later.take().filter(|later| later.reason != StopReason::Finished);
        let signals = if rare.request.is_some() { STOP } else { 0 };
        self.signals.fetch_and(!STOP, Ordering::Relaxed);
        self.signals.fetch_or(signals, Ordering::Release);
        drop(inner);
        self.phase.store(Phase::Run as u8, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Run,
            1 => Phase::Drain,
            2 => Phase::Leave,
            _ => Phase::Kill,
        }
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(super) fn state(&self) -> ActorState {
        self.inner.lock().state
    }

    pub(super) fn set_state(&self, state: ActorState) {
        let listeners = {
            let mut inner = self.inner.lock();
            inner.state = state;
            inner.take_listeners()
        };
        listeners.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// The first start succeeded, or another one.
    pub(super) fn started(&self) {
        self.mark_started();
        if self.phase() == Phase::Run {
            self.set_state(ActorState::Running);
        }
    }

    fn mark_started(&self) {
        let listeners = {
            let mut inner = self.inner.lock();
            if std::mem::replace(&mut inner.started, true) {
                return;
            }
            inner.take_listeners()
        };
        listeners.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Whether the first start succeeded.
    pub(super) fn has_started(&self) -> bool {
        self.inner.lock().started
    }

    pub(super) fn end(&self, reason: StopReason) {
        let alarm = {
            let mut inner = self.inner.lock();
            inner.rare().ended = Some(reason);
            inner.rare().alarm.take()
        };
        drop(alarm);
        self.set_state(ActorState::Stopped);
    }

    pub(super) fn ended(&self) -> Option<StopReason> {
        self.inner.lock().ended().cloned()
    }

    /// Notes how long a handler took.
    #[cold]
    pub(super) fn sample(&self, nanoseconds: u64) {
        self.inner.lock().rare().times.get_or_insert_default().record(nanoseconds);
    }

    pub(super) fn times(&self) -> Option<Arc<Histogram>> {
        self.inner.lock().rare.as_ref()?.times.clone()
    }

    /// Keeps the actor's place in the timer. What it had before is given up.
    pub(super) fn keep_alarm(&self, alarm: Registration) {
        let before = self.inner.lock().rare().alarm.replace(alarm);
        drop(before);
    }

    /// Notes the name of a message that the actor's tables do not have.
    #[cold]
    pub(super) fn note_foreign_name(&self, name: &'static str) {
        let mut inner = self.inner.lock();
        let names = &mut inner.rare().foreign_names;
        if !names.contains(&name) {
            names.push(name);
        }
    }

    /// The name with this hash among those.
    pub(super) fn foreign_name(&self, hash: u32) -> Option<&'static str> {
        let inner = self.inner.lock();
        let names = &inner.rare.as_ref()?.foreign_names;
        names.iter().copied().find(|name| name_hash(name) == hash)
    }

    /// Waits until `pick` gives something.
    pub(super) fn listen<T, F>(&self, pick: F) -> Listening<'_, F>
    where
        F: Fn(Seen<'_>) -> Option<T> + Unpin,
    {
        Listening { control: self, pick, listener: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_gives_up_is_forgotten() {
        let control = Control::new();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            let mut listening = control.listen(|seen| seen.ended.cloned());
            assert!(Pin::new(&mut listening).poll(&mut cx).is_pending());
            assert!(Pin::new(&mut listening).poll(&mut cx).is_pending());
            assert_eq!(control.inner.lock().rare().listeners.len(), 1);
        }
        assert!(control.inner.lock().rare().listeners.is_empty());
    }
}
