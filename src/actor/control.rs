use std::{
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
    /// Set once, when the actor has ended for good.
    ended: Option<StopReason>,
    listeners: Vec<Waker>,
}

impl Control {
    pub(super) fn new() -> Self {
        Self {
            signalled: AtomicBool::new(false),
            phase: AtomicU8::new(Phase::Run as u8),
            inner: Mutex::new(Inner {
                state: ActorState::Starting,
                request: None,
                ended: None,
                listeners: Vec::new(),
            }),
        }
    }

    /// Asks the actor to stop. The first request counts. False when there was one, or it has ended.
    pub(super) fn request_stop(&self, request: StopRequest) -> bool {
        let mut inner = self.inner.lock();
        if inner.request.is_some() || inner.ended.is_some() {
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

    /// The request that stands.
    pub(super) fn request(&self) -> Option<StopRequest> {
        self.inner.lock().request.clone()
    }

    /// Forgets a request that a restart has answered.
    pub(super) fn clear_request(&self) {
        self.inner.lock().request = None;
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
        listeners.into_iter().for_each(Waker::wake);
    }

    pub(super) fn end(&self, reason: StopReason) {
        self.inner.lock().ended = Some(reason);
        self.set_state(ActorState::Stopped);
    }

    pub(super) fn ended(&self) -> Option<StopReason> {
        self.inner.lock().ended.clone()
    }

    /// Waits for a state for which `pick` gives something.
    pub(super) fn poll_state<T>(
        &self,
        cx: &Context<'_>,
        pick: impl FnOnce(ActorState, Option<&StopReason>) -> Option<T>,
    ) -> Poll<T> {
        let mut inner = self.inner.lock();
        match pick(inner.state, inner.ended.as_ref()) {
            Some(picked) => Poll::Ready(picked),
            None => {
                if !inner.listeners.iter().any(|waker| waker.will_wake(cx.waker())) {
                    inner.listeners.push(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}
