use std::{fmt, sync::Arc};

use super::{
    Subscription,
    subscribers::{Entry, Subscribers},
    subscription::Unsubscribe,
};
use crate::{
    address::{Recipient, send_each},
    error::{FailureKind, TellError},
    message::Message,
};

/// A topic within this process: each event goes to everybody who is subscribed now, and nothing is
/// stored. Cloning it is cheap; a clone is the same topic.
///
/// A subscriber is an actor's address or any other [`Recipient`]; it hears the events of one
/// publisher in order. One whose actor has ended is removed at the next event. Where events are to
/// reach other processes, or to wait for who is away, use
/// [`System::publish`](crate::System::publish).
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Message, Clone)]
/// struct Price(u64);
/// #[derive(Message)]
/// #[message(reply = u64)]
/// struct Last;
///
/// #[derive(Actor, Default)]
/// struct Screen { last: u64 }
/// #[handlers]
/// impl Screen {
///     #[handle]
///     fn price(&mut self, Price(price): Price) { self.last = price; }
///     #[handle]
///     fn last(&mut self, _: Last) -> u64 { self.last }
/// }
///
/// #[callboard::main]
/// async fn main(system: System) -> callboard::Result<()> {
///     let prices = LocalTopic::new("prices");
///     let screen = system.spawn(Screen::default)?;
///     let subscription = prices.subscribe(&screen);
///     assert_eq!(prices.publish(Price(42)).await, 1);
///     assert_eq!(screen.ask(Last).await?, 42);
///     drop(subscription);
///     assert_eq!(prices.publish(Price(43)).await, 0);
///     Ok(())
/// }
/// ```
pub struct LocalTopic<M: Message> {
    name: Arc<str>,
    subscribers: Arc<Subscribers<M>>,
}

/// What became of an event that was published at once; see [`LocalTopic::try_publish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Subscribers that took it.
    pub reached: usize,
    /// Subscribers that did not, because they have no room now.
    pub refused: usize,
}

impl<M: Message<Reply = ()> + Clone> LocalTopic<M> {
    /// A topic without subscribers. Its name is for people: two topics of one name are two topics.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into().into(), subscribers: Arc::new(Subscribers::new()) }
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Subscribes an address or another recipient, until the subscription is dropped. To subscribe
    /// twice is to hear everything twice. An actor that stops with its last address is kept alive by
    /// its subscriptions.
    pub fn subscribe(&self, subscriber: impl Into<Recipient<M>>) -> Subscription {
        let id = self.subscribers.add(subscriber.into());
        let subscribers: Arc<dyn Unsubscribe> = self.subscribers.clone();
        Subscription::new(Arc::downgrade(&subscribers), id)
    }

    /// How many are subscribed; those whose actor has ended since the last event count too.
    pub fn subscribers(&self) -> usize {
        self.subscribers.len()
    }

    /// Tells every subscriber and gives the number of those that took the event.
    ///
    /// It waits for room in each mailbox whose policy is to wait, in all at the same time and for
    /// 30 s at most; a subscriber that still has no room then misses the event, which is logged.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, some subscribers may have got the event.
    pub async fn publish(&self, event: M) -> usize {
        let subscribers = self.subscribers.current();
        // In a list: a borrow of the event may not be held over an await, it need not be `Sync`.
        let sends: Vec<_> =
            subscribers.iter().map(|entry| entry.recipient.tell(event.clone())).collect();
        let told = send_each(sends).await;
        self.count(&subscribers, told).reached
    }

    /// Tells every subscriber that has room now.
    pub fn try_publish(&self, event: M) -> Published {
        let subscribers = self.subscribers.current();
        let told = subscribers.iter().map(|entry| entry.recipient.try_tell(event.clone()));
        self.count(&subscribers, told)
    }

    fn count(
        &self,
        subscribers: &[Entry<M>],
        told: impl IntoIterator<Item = Result<(), TellError<M>>>,
    ) -> Published {
        let mut published = Published::default();
        for (entry, told) in subscribers.iter().zip(told) {
            match told {
                Ok(()) => published.reached += 1,
                Err(refused) => match refused.failure().kind() {
                    FailureKind::Stopped { .. } | FailureKind::StartFailed { .. } => {
                        self.subscribers.remove(entry.id);
                    }
                    _ => {
                        published.refused += 1;
                        tracing::warn!(
                            topic = &*self.name,
                            event = M::NAME,
                            %refused,
                            "a subscriber missed an event"
                        );
                    }
                },
            }
        }
        published
    }
}

impl<M: Message> Clone for LocalTopic<M> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), subscribers: self.subscribers.clone() }
    }
}

impl<M: Message> fmt::Debug for LocalTopic<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTopic")
            .field("name", &self.name)
            .field("event", &M::NAME)
            .field("subscribers", &self.subscribers.len())
            .finish()
    }
}
