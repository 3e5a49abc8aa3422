use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;

use super::{ActorState, StopReason};

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

/// A request to stop.
#[derive(Debug, Clone)]
pub(super) struct StopRequest {
    pub(super) reason: StopReason,
    pub(super) drain: Option<Duration>,
}

/// The lane past the mailbox: what is asked of an actor is seen at its next poll, also while a
/// handler awaits.
#[derive(Debug)]
pub(super) struct Control {
    signalled: AtomicBool,
    phase: AtomicU8,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: ActorState,
    request: Option<StopRequest>,
    /// What came after the actor's own request to stop, which a restart may answer.
    later: Option<StopRequest>,
    /// Set once, when the first start succeeded.
    started: bool,
    /// Set once, when the actor has ended for good.
    ended: Option<StopReason>,
    listeners: Vec<(u64, Waker)>,
    last_listener: u64,
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
        let seen = Seen { started: inner.started, ended: inner.ended.as_ref() };
        if let Some(picked) = (this.pick)(seen) {
            return Poll::Ready(picked);
        }
        let Some(fresh) = waker.take() else { return Poll::Pending };
        let noted = inner.listeners.iter_mut().find(|(id, _)| Some(*id) == this.listener);
        match noted {
            Some((_, noted)) => waker = Some(std::mem::replace(noted, fresh)),
            None => {
                inner.last_listener += 1;
                let id = inner.last_listener;
                inner.listeners.push((id, fresh));
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
        let at = inner.listeners.iter().position(|(id, _)| *id == listener);
        let forgotten = at.map(|at| inner.listeners.swap_remove(at));
        drop(inner);
        drop(forgotten);
    }
}

impl Control {
    pub(super) fn new() -> Self {
        Self {
            signalled: AtomicBool::new(false),
            phase: AtomicU8::new(Phase::Run as u8),
            inner: Mutex::new(Inner {
                state: ActorState::Starting,
                request: None,
                later: None,
                started: false,
                ended: None,
                listeners: Vec::new(),
                last_listener: 0,
            }),
        }
    }

    /// Asks the actor to stop. The first request counts, but for an actor that is built again after
    /// it stopped by itself. False when there was one, or it has ended.
    pub(super) fn request_stop(&self, request: StopRequest) -> bool {
        let mut inner = self.inner.lock();
        if inner.ended.is_some() {
            return false;
        }
        if let Some(standing) = &inner.request {
            if standing.reason == StopReason::Finished && inner.later.is_none() {
                inner.later = Some(request);
            }
            return false;
        }
        inner.request = Some(request);
        self.signalled.store(true, Ordering::Release);
        true
    }

    /// The request, if it came since the last call.
    #[inline]
    pub(super) fn take_signal(&self) -> Option<StopRequest> {
        if !self.signalled.load(Ordering::Relaxed) {
            return None;
        }
        self.signalled.store(false, Ordering::Relaxed);
        self.inner.lock().request.clone()
    }

    /// Whether a request came that was not taken yet.
    pub(super) fn is_signalled(&self) -> bool {
        self.signalled.load(Ordering::Relaxed)
    }

    /// The request that stands.
    pub(super) fn request(&self) -> Option<StopRequest> {
        self.inner.lock().request.clone()
    }

    /// Forgets a request that a restart answers; what came after it stands now.
    pub(super) fn clear_request(&self) {
        let mut inner = self.inner.lock();
        inner.request = inner.later.take().filter(|later| later.reason != StopReason::Finished);
        self.signalled.store(inner.request.is_some(), Ordering::Release);
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
            std::mem::take(&mut inner.listeners)
        };
        listeners.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(super) fn mark_started(&self) {
        let listeners = {
            let mut inner = self.inner.lock();
            if std::mem::replace(&mut inner.started, true) {
                return;
            }
            std::mem::take(&mut inner.listeners)
        };
        listeners.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(super) fn end(&self, reason: StopReason) {
        self.inner.lock().ended = Some(reason);
        self.set_state(ActorState::Stopped);
    }

    pub(super) fn ended(&self) -> Option<StopReason> {
        self.inner.lock().ended.clone()
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
            assert_eq!(control.inner.lock().listeners.len(), 1);
        }
        assert!(control.inner.lock().listeners.is_empty());
    }
}
