use std::{
    sync::{Arc, OnceLock},
    task::Wake,
    time::{Duration, Instant},
};

use super::{
    Actor, ActorOptions, ActorState, Core, Look, RemoteSide, StopReason, control::StopRequest,
    core::Kind, references::References, watch::Ties,
};
use crate::{
    error::{Failure, FailureKind},
    host::{self, HostShared, Resident},
    id::ActorId,
    mailbox::{Displaced, Mailbox, Pushed},
    time::Timer,
};

/// An actor as its addresses see it: mailbox, control lane, waker and place in one allocation.
// In this order: what its own thread writes for each message stands at one end, in one cache line or
// two, and the mailbox, which is written by senders, at the other.
#[repr(C)]
pub(crate) struct Shared<I> {
    pub(crate) core: Core,
    pub(super) ties: Ties,
    references: References,
    /// Set when it becomes reachable from other processes.
    remote_side: OnceLock<Arc<dyn RemoteSide<I>>>,
    pub(crate) mailbox: Mailbox<I>,
}

impl<I: Send + 'static> Shared<I> {
    pub(super) fn new<A: Actor<Inbox = I>>(
        name: Option<Box<str>>,
        host: Arc<HostShared>,
        options: &ActorOptions,
        references: References,
    ) -> Arc<Self> {
        Arc::new(Self {
            core: Core::new(const { &Kind::of::<A>() }, name, host, options.drain),
            ties: Ties::default(),
            references,
            remote_side: OnceLock::new(),
            mailbox: Mailbox::new(options.limits()),
        })
    }

    pub(crate) fn id(&self) -> ActorId {
        self.core.id()
    }

    pub(crate) fn name(&self) -> &str {
        self.core.name()
    }

    pub(crate) fn host(&self) -> &Arc<HostShared> {
        self.core.host()
    }

    #[inline]
    pub(crate) fn timer(&self) -> &Timer {
        self.core.timer()
    }

    /// The time for the age of a message, on the coarse clock.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.core.timer().clock().coarse()
    }

    /// Makes it reachable from other processes. What came first stands.
    pub(crate) fn set_remote_side(&self, side: Arc<dyn RemoteSide<I>>) {
        self.remote_side.get_or_init(|| side);
    }

    pub(crate) fn remote_side(&self) -> Option<&Arc<dyn RemoteSide<I>>> {
        self.remote_side.get()
    }

    /// Does what a push left to do outside the lock.
    #[inline]
    pub(crate) fn after_push(&self, pushed: Pushed<I>) {
        self.wake_if(pushed.wake);
        if !pushed.displaced.is_none() {
            self.displaced(pushed.displaced);
        }
    }

    /// Wakes it if the push said so.
    #[inline]
    pub(crate) fn wake_if(&self, wake: bool) {
        if wake {
            self.core.wake();
        }
    }

    /// As [`wake_if`](Self::wake_if), for an asker that is about to look for the answer: an actor of
    /// its own thread that was idle works on it at once.
    #[inline]
    pub(crate) fn wake_for_asker(&self, wake: bool) {
        if wake
            && let Some(slot) = self.core.slot()
            && host::poll_directly(self.core.host().id(), slot)
        {
            return;
        }
        self.wake_if(wake);
    }

    #[cold]
    fn displaced(&self, messages: Displaced<I>) {
        if let Some(count) = self.mailbox.displaced_to_tell(Instant::now()) {
            tracing::warn!(
                actor = self.name(),
                messages = count,
                "a full mailbox dropped its oldest messages"
            );
        }
        crate::message::displace(messages);
    }

    pub(crate) fn references(&self) -> &References {
        &self.references
    }

    /// What the actor has before it: the messages that wait and the one in hand.
    pub(crate) fn load(&self) -> usize {
        self.mailbox.depth() + usize::from(self.core.is_busy())
    }

    pub(crate) fn state(&self) -> ActorState {
        self.core.state()
    }

    /// Asks the actor to stop, after it has worked off what it accepted.
    pub(crate) fn request_stop(&self, reason: StopReason, drain: Option<Duration>) {
        // Its own request may be answered by a restart: that is for the cell to see.
        let is_for_good = reason != StopReason::Finished;
        if self.core.control.request_stop(StopRequest { reason, drain }) {
            if is_for_good {
                self.mailbox.close();
            }
            self.core.wake();
        }
    }

    /// Why it takes no more messages.
    pub(crate) fn stopped_failure(&self) -> Failure {
        let actor = self.name().to_owned();
        match self.core.ended() {
            Some(StopReason::StartFailed(reason)) => FailureKind::StartFailed { actor, reason },
            _ => FailureKind::Stopped { actor },
        }
        .into()
    }

    pub(crate) async fn started(&self) -> Result<(), Failure> {
        let listening = self.core.control.listen(|seen| match seen.ended {
            Some(_) => Some(true),
            None => seen.started.then_some(false),
        });
        let ended = listening.await;
        if ended { Err(self.stopped_failure()) } else { Ok(()) }
    }

    pub(crate) async fn stopped(&self) -> StopReason {
        self.core.control.listen(|seen| seen.ended.cloned()).await
    }
}

impl<I: Send + 'static> Wake for Shared<I> {
    fn wake(self: Arc<Self>) {
        self.core.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.core.wake();
    }
}

impl<I: Send + 'static> Resident for Shared<I> {
    fn leave(&self) {
        self.request_stop(StopReason::Shutdown, None);
    }

    fn core(&self) -> &Core {
        &self.core
    }

    fn look(&self) -> Look {
        let limits = self.mailbox.limits();
        Look {
            depth: self.mailbox.depth(),
            capacity: limits.capacity,
            bytes: limits.bytes,
            oldest: self.mailbox.oldest(),
            displaced: self.mailbox.displaced(),
        }
    }
}
