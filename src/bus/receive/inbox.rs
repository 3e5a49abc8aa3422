use std::{collections::VecDeque, pin::pin, sync::Arc};

use futures_util::future::{BoxFuture, Either, select};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{
    intake::{Incoming, Intake, Offered, Run},
    reader::{Deliver, leaving, offer, overdue},
    source::Source,
};
use crate::{
    error::{Failure, FailureKind},
    id::ActorId,
    message::Conclusion,
};

/// The inbox: an actor without room does not hold up the others. What it can't take waits beside it,
/// within bounds; beyond them tells are postponed and asks are refused.
pub(super) struct BySideQueue(Arc<SideQueues>);

struct SideQueues {
    intake: Arc<dyn Intake>,
    /// One for each actor that had no room, until its queue has been taken; it may be empty while
    /// its last message is being offered.
    queues: Mutex<FxHashMap<Option<ActorId>, Queue>>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Incoming>,
    bytes: usize,
}

impl BySideQueue {
    pub(super) fn new(intake: Arc<dyn Intake>) -> Self {
        Self(Arc::new(SideQueues { intake, queues: Mutex::default() }))
    }
}

impl Deliver for BySideQueue {
    const ENTRIES_MAX: usize = 16;
    // Its process is the only one that ever reads it.
    const EMPTIES: bool = true;
    const BUDGETED: bool = false;

    fn deliver_run(&self, _: &Run<'_>) -> u32 {
        // What comes here is for one actor each, and may have to wait beside it.
        0
    }

    async fn deliver(&self, source: &Arc<Source>, message: Incoming) {
        if source.is_stopping() {
            return message.delivery.conclude(Conclusion::NotTaken(leaving()));
        }
        let Some(message) = self.0.queue_behind(source, message) else { return };
        let target = message.target;
        match offer(&*self.0.intake, message) {
            Offered::Taken => {}
            Offered::Refused { message, failure } => {
                message.delivery.conclude(Conclusion::NotTaken(failure));
            }
            Offered::Full { message, room } => {
                let bytes = message.body.len();
                let queue = Queue { messages: VecDeque::from([*message]), bytes };
                self.0.queues.lock().insert(target, queue);
                source.core.spawn(self.0.clone().pump(source.clone(), target, room));
            }
        }
    }
}

impl SideQueues {
    /// Puts a message behind others for the same actor; gives it back when none wait.
    fn queue_behind(&self, source: &Source, message: Incoming) -> Option<Incoming> {
        let mut queues = self.queues.lock();
        let Some(queue) = queues.get_mut(&message.target) else { return Some(message) };
        let limits = &source.core.limits;
        let full = queue.messages.len() >= limits.side_queue_messages_max
            || queue.bytes + message.body.len() > limits.side_queue_bytes_max;
        if !full {
            queue.bytes += message.body.len();
            queue.messages.push_back(message);
            return None;
        }
        drop(queues);
        let failure = mailbox_full(message.target);
        message.delivery.conclude(Conclusion::NotTaken(failure));
        None
    }

    /// Offers what waits for one actor whenever it has room, until nothing does.
    async fn pump(
        self: Arc<Self>,
        source: Arc<Source>,
        target: Option<ActorId>,
        mut room: BoxFuture<'static, ()>,
    ) {
        loop {
            if let Either::Right(_) = select(room, pin!(source.stopped())).await {
                return self.turn_away(target);
            }
            // Room that is there at once, again and again, must not starve the other tasks.
            tokio::task::yield_now().await;
            match self.offer_all(target) {
                Some(next) => room = next,
                None => return,
            }
        }
    }

    /// Offers until one is not taken (and says when to go on) or none is left.
    fn offer_all(&self, target: Option<ActorId>) -> Option<BoxFuture<'static, ()>> {
        while let Some(message) = self.pop(target) {
            if let Some(late) = overdue(&message) {
                message.delivery.conclude(late);
                continue;
            }
            match offer(&*self.intake, message) {
                Offered::Taken => {}
                Offered::Refused { message, failure } => {
                    message.delivery.conclude(Conclusion::NotTaken(failure));
                }
                Offered::Full { message, room } => {
                    let mut queues = self.queues.lock();
                    let queue = queues.entry(target).or_default();
                    queue.bytes += message.body.len();
                    queue.messages.push_front(*message);
                    return Some(room);
                }
            }
        }
        None
    }

    /// The first that waits. Ends the queue when there is none.
    fn pop(&self, target: Option<ActorId>) -> Option<Incoming> {
        let mut queues = self.queues.lock();
        let queue = queues.get_mut(&target)?;
        let Some(message) = queue.messages.pop_front() else {
            queues.remove(&target);
            return None;
        };
        queue.bytes = queue.bytes.saturating_sub(message.body.len());
        Some(message)
    }

    fn turn_away(&self, target: Option<ActorId>) {
        let queue = self.queues.lock().remove(&target).unwrap_or_default();
        for message in queue.messages {
            message.delivery.conclude(Conclusion::NotTaken(leaving()));
        }
    }
}

fn mailbox_full(target: Option<ActorId>) -> Failure {
    let actor = target.map_or_else(|| "the service".to_owned(), |actor| format!("actor {actor}"));
    FailureKind::MailboxFull { actor, retry_after: None }.into()
}
