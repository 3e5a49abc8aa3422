use std::{fmt, sync::Weak};

use super::subscribers::Subscribers;
use crate::message::Message;

/// A place among the subscribers of a [`LocalTopic`](crate::LocalTopic); dropping it ends it.
#[must_use = "a subscription ends when it is dropped; `.keep()` leaves it as it is"]
pub struct Subscription {
    /// None once it is kept.
    topic: Option<Weak<dyn Unsubscribe>>,
    id: u64,
}

impl Subscription {
    pub(super) fn new(topic: Weak<dyn Unsubscribe>, id: u64) -> Self {
        Self { topic: Some(topic), id }
    }

    /// Leaves the subscriber subscribed until its actor has ended.
    pub fn keep(mut self) {
        self.topic = None;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(topic) = self.topic.as_ref().and_then(Weak::upgrade) {
            topic.unsubscribe(self.id);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A topic as its subscriptions see it, whatever its messages are.
pub(super) trait Unsubscribe: Send + Sync {
    fn unsubscribe(&self, id: u64);
}

impl<M: Message> Unsubscribe for Subscribers<M> {
    fn unsubscribe(&self, id: u64) {
        self.remove(id);
    }
}
