use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Received;
use crate::{
    actor::{
        Actor, ActorOptions, BoxedEnvelope, Ctx, Handler, HandlerRow, Handlers, Reply, WireFns,
    },
    message::{Envelope, Message, RemoteDelivery, ReplyTo},
};

/// Messages that a probe may hold before the test is told that it looks at none of them.
const HELD_MAX: usize = 1 << 20;

/// The answer that a probe gives by itself.
type Answer<M> = Arc<dyn Fn(&M) -> <M as Message>::Outcome + Send + Sync>;

/// What a probe and its actor share.
pub(super) struct Record<M: Message> {
    pub(super) held: Mutex<VecDeque<Received<M>>>,
    pub(super) answer: Mutex<Option<Answer<M>>>,
    pub(super) arrived: Notify,
    /// Whether a probe is left that could look.
    pub(super) is_watched: AtomicBool,
}

impl<M: Message> Record<M> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::default(),
            answer: Mutex::new(None),
            arrived: Notify::new(),
            is_watched: AtomicBool::new(true),
        })
    }

    fn take(&self, message: M, mut asker: Option<Reply<M>>) {
        let answer = self.answer.lock().clone();
        if let Some(answer) = answer {
            let outcome = answer(&message);
            if let Some(asker) = asker.take() {
                asker.send(outcome);
            }
        }
        if !self.is_watched.load(Ordering::Relaxed) {
            return;
        }
        let mut held = self.held.lock();
        assert!(
            held.len() < HELD_MAX,
            "the probe holds {HELD_MAX} of {} and nobody looks at them",
            M::NAME
        );
        held.push_back(Received::new(message, asker));
        drop(held);
        self.arrived.notify_waiters();
    }
}

/// The actor of a [`Probe`](super::Probe): takes one type of message and keeps what it gets.
pub struct ProbeActor<M: Message> {
    record: Arc<Record<M>>,
}

impl<M: Message> ProbeActor<M> {
    pub(super) fn new(record: Arc<Record<M>>) -> Self {
        Self { record }
    }
}

impl<M: Message> fmt::Debug for ProbeActor<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProbeActor").field(&M::NAME).finish()
    }
}

/// The one message of a [`ProbeActor`].
#[doc(hidden)]
pub enum ProbeInbox<M: Message> {
    Message(Envelope<M>),
    Boxed(Box<dyn BoxedEnvelope<ProbeActor<M>>>),
    Remote(RemoteDelivery),
}

impl<M: Message> fmt::Debug for ProbeInbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProbeInbox")
    }
}

#[diagnostic::do_not_recommend]
impl<M: Message> Handlers for ProbeActor<M> {
    type Inbox = ProbeInbox<M>;

    fn __step(&mut self, inbox: ProbeInbox<M>, ctx: &mut Ctx<Self>) -> Option<ProbeInbox<M>> {
        match inbox {
            ProbeInbox::Message(Envelope { message, reply }) => {
                let asker = reply.into_asker();
                let is_asked = asker.is_some();
                let reply = asker.map_or(ReplyTo::NOBODY, ReplyTo::asker);
                if let Some((message, replying)) = ctx.open(Envelope { message, reply }) {
                    let asker = replying.defer(ctx);
                    self.record.take(message, is_asked.then_some(asker));
                }
                None
            }
            ProbeInbox::Remote(delivery) => {
                let inbox = ctx.receive(delivery)?;
                self.__step(inbox, ctx)
            }
            boxed @ ProbeInbox::Boxed(_) => Some(boxed),
        }
    }

    async fn __handle(&mut self, inbox: ProbeInbox<M>, ctx: &mut Ctx<Self>) {
        if let ProbeInbox::Boxed(envelope) = inbox {
            envelope.handle(self, ctx).await;
        }
    }

    fn __boxed(envelope: Box<dyn BoxedEnvelope<Self>>) -> ProbeInbox<M> {
        ProbeInbox::Boxed(envelope)
    }

    fn __remote(delivery: RemoteDelivery) -> ProbeInbox<M> {
        ProbeInbox::Remote(delivery)
    }

    fn __tick(_: u64) -> ProbeInbox<M> {
        unreachable!("it has no timers")
    }

    fn __table() -> Vec<HandlerRow<Self>> {
        vec![HandlerRow::new::<M>("take", None)]
    }
}

impl<M: Message> Handler<M> for ProbeActor<M> {
    async fn handle(&mut self, message: M, _: &mut Ctx<Self>) -> M::Outcome {
        let (asker, outcome) = Reply::channel();
        self.record.take(message, Some(asker));
        outcome.await
    }

    fn __wrap(envelope: Envelope<M>) -> ProbeInbox<M> {
        ProbeInbox::Message(envelope)
    }

    fn __wire() -> Option<WireFns<M>> {
        None
    }
}

impl<M: Message> Actor for ProbeActor<M> {
    // Room for whatever a test sends before it lets the probe run.
    const OPTIONS: ActorOptions = ActorOptions::new().mailbox_capacity(HELD_MAX);
    const NAME: &'static str = "Probe";
}
