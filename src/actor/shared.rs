use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::Wake,
    time::Duration,
};

use super::{
    ActorState, StopReason,
    control::{Control, StopRequest},
    references::References,
    watch::Ties,
};
use crate::{
    error::{Failure, FailureKind},
    host::{HostShared, Resident, Slot},
    id::ActorId,
    mailbox::{Mailbox, MailboxLimits, Pushed},
    time::Timer,
};

/// An actor as its addresses see it: mailbox, control lane, waker and place in one allocation.
pub(crate) struct Shared<I> {
    id: ActorId,
    type_name: &'static str,
    name: Option<Box<str>>,
    host: Arc<HostShared>,
    slot: AtomicU32,
    pub(super) control: Control,
    pub(super) ties: Ties,
    references: References,
    /// An async handler is under way.
    is_busy: AtomicBool,
    pub(crate) mailbox: Mailbox<I>,
}

const NO_SLOT: u32 = u32::MAX;

impl<I: Send + 'static> Shared<I> {
    pub(super) fn new(
        type_name: &'static str,
        name: Option<Box<str>>,
        host: Arc<HostShared>,
        limits: MailboxLimits,
        references: References,
    ) -> Arc<Self> {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: ActorId::from_u64(LAST_ID.fetch_add(1, Ordering::Relaxed) + 1),
            type_name,
            name,
            host,
            slot: AtomicU32::new(NO_SLOT),
            control: Control::new(),
            ties: Ties::default(),
            references,
            is_busy: AtomicBool::new(false),
            mailbox: Mailbox::new(limits),
        })
    }

    pub(crate) fn id(&self) -> ActorId {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.type_name)
    }

    pub(crate) fn host(&self) -> &Arc<HostShared> {
        &self.host
    }

    pub(crate) fn timer(&self) -> &Timer {
        self.host.timer()
    }

    pub(super) fn settle_in(&self, slot: Slot) {
        self.slot.store(slot.0, Ordering::Release);
    }

    /// Makes the host poll this actor.
    #[inline]
    pub(crate) fn wake_actor(&self) {
        let slot = self.slot.load(Ordering::Acquire);
        // An actor without a slot will be polled when it gets one.
        if slot != NO_SLOT {
            self.host.wake(Slot(slot));
        }
    }

    /// Does what a push left to do outside the lock.
    #[inline]
    pub(crate) fn after_push(&self, pushed: Pushed<I>) {
        if pushed.wake {
            self.wake_actor();
        }
        if pushed.displaced.is_some() {
            self.displaced(pushed.displaced);
        }
    }

    #[cold]
    fn displaced(&self, message: Option<I>) {
        tracing::warn!(actor = self.name(), "a full mailbox dropped its oldest message");
        drop(message);
    }

    pub(crate) fn references(&self) -> &References {
        &self.references
    }

    #[inline]
    pub(super) fn set_busy(&self, is_busy: bool) {
        self.is_busy.store(is_busy, Ordering::Relaxed);
    }

    /// What the actor has before it: the messages that wait and the one in an async handler.
    pub(crate) fn load(&self) -> usize {
        self.mailbox.depth() + usize::from(self.is_busy.load(Ordering::Relaxed))
    }

    pub(crate) fn state(&self) -> ActorState {
        self.control.state()
    }

    /// Asks the actor to stop, after it has worked off what it accepted.
    pub(crate) fn request_stop(&self, reason: StopReason, drain: Option<Duration>) {
        if self.control.request_stop(StopRequest { reason, drain }) {
            self.wake_actor();
        }
    }

    /// Why it takes no more messages.
    pub(crate) fn stopped_failure(&self) -> Failure {
        let actor = self.name().to_owned();
        match self.control.ended() {
            Some(StopReason::StartFailed(reason)) => FailureKind::StartFailed { actor, reason },
            _ => FailureKind::Stopped { actor },
        }
        .into()
    }

    pub(crate) async fn started(&self) -> Result<(), Failure> {
        let listening = self.control.listen(|seen| match seen.ended {
            Some(_) => Some(true),
            None => seen.started.then_some(false),
        });
        let ended = listening.await;
        if ended { Err(self.stopped_failure()) } else { Ok(()) }
    }

    pub(crate) async fn stopped(&self) -> StopReason {
        self.control.listen(|seen| seen.ended.cloned()).await
    }
}

impl<I: Send + 'static> Wake for Shared<I> {
    fn wake(self: Arc<Self>) {
        self.wake_actor();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_actor();
    }
}

impl<I: Send + 'static> Resident for Shared<I> {
    fn leave(&self) {
        self.request_stop(StopReason::Shutdown, None);
    }
}
