use std::{fmt, future::Future, panic::Location, pin::pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::{TestSystem, watch::Restless};
use crate::{
    actor::Actor,
    address::Addr,
    bus::{Incoming, Offered, frame::Frame},
    error::Failure,
    letters::{RecordedMessage, Recording},
    message::{Conclusion, Content, DeliverySink, RemoteDelivery, RemoteFrame},
    service::{LocalActor, LocalActorOf, Table},
};

/// A recording that is about to be fed to an actor; see [`TestSystem::feed`].
#[derive(Debug)]
#[must_use = "nothing is fed until `to(..)` is awaited"]
pub struct Feed<'a> {
    test: &'a TestSystem,
    recording: Recording,
    /// The longest pause between two messages.
    gap_max: Duration,
}

/// What became of a recording that was fed to an actor.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Fed {
    /// Each message, in order.
    pub messages: Vec<FedMessage>,
}

/// One message that was fed to an actor.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FedMessage {
    /// The message.
    pub message: RecordedMessage,
    /// How it ended.
    pub outcome: FedOutcome,
}

/// How the handling of a message ended.
#[derive(Debug, Clone)]
pub enum FedOutcome {
    /// Its handler ran to its end, and the message does not call the outcome a failure.
    Handled,
    /// The message declares the outcome as a failure: in a service it would have been tried again.
    Failed,
    /// Its handler panicked.
    Panicked,
    /// Its handler was dropped before it ended.
    Abandoned,
    /// No handler saw it: it is not handled, can't be decoded, or the actor has stopped.
    NotTaken(Failure),
}

impl FedOutcome {
    /// Whether it was handled and not a failure.
    pub fn is_handled(&self) -> bool {
        matches!(self, Self::Handled)
    }
}

impl Fed {
    /// Those that were not handled, or failed.
    pub fn failures(&self) -> Vec<&FedMessage> {
        self.messages.iter().filter(|fed| !fed.outcome.is_handled()).collect()
    }
}

impl TestSystem {
    /// Feeds messages that were copied out of a log ([`Retained::record`], [`DeadLetters::record`]) to an
    /// actor of this test, so that what went wrong in production goes wrong here.
    ///
    /// They come in their order and with the times that lay between them, by the test's clock: an hour
    /// takes no time. They are decoded as messages from another process are. One that fails is not tried
    /// again.
    ///
    /// [`Retained::record`]: crate::letters::Retained::record
    /// [`DeadLetters::record`]: crate::letters::DeadLetters::record
    ///
    /// # Examples
    /// ```
    /// use callboard::{letters::Recording, prelude::*, testing::TestSystem};
    ///
    /// # #[derive(Message, Serialize, Deserialize)]
    /// # struct Add(u64);
    /// #[derive(Actor, Default)]
    /// struct Counter { total: u64 }
    /// # #[handlers]
    /// # impl Counter {
    /// #     #[handle]
    /// #     fn add(&mut self, Add(n): Add) { self.total += n; }
    /// # }
    ///
    /// # fn main() { callboard::__private::run_test_with_system(the_night_of_the_fourth); }
    /// # /*
    /// #[callboard::test]
    /// # */
    /// async fn the_night_of_the_fourth(test: TestSystem) {
    ///     # let path = std::env::temp_dir().join(format!("callboard-{}", std::process::id()));
    ///     # Recording::default().save(&path).unwrap();
    ///     let recording = Recording::load(&path).unwrap();
    ///     # std::fs::remove_file(&path).unwrap();
    ///     let counter = test.spawn(Counter::default).unwrap();
    ///     let fed = test.feed(&recording).to(&counter).await;
    ///     assert!(fed.failures().is_empty());
    /// }
    /// ```
    pub fn feed(&self, recording: &Recording) -> Feed<'_> {
        Feed { test: self, recording: recording.clone(), gap_max: Duration::MAX }
    }
}

impl Feed<'_> {
    /// One message after the other, without the time between them.
    pub fn without_gaps(self) -> Self {
        self.gap_max(Duration::ZERO)
    }

    /// No longer pause between two messages than this.
    pub fn gap_max(mut self, gap_max: Duration) -> Self {
        self.gap_max = gap_max;
        self
    }

    /// Feeds it to this actor, and waits until each message has ended and nothing is left to do.
    ///
    /// # Panics
    /// Panics when the actor lives in another process, and as [`TestSystem::quiesce`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, part of it was fed.
    #[track_caller]
    pub fn to<A: Actor>(self, actor: &Addr<A>) -> impl Future<Output = Fed> {
        let caller = Location::caller();
        let (addr, context) = (actor.clone(), self.test.system().0.node.context());
        let Some(actor) = LocalActorOf::new(addr, Arc::new(Table::new()), context) else {
            panic!("only an actor of this process can be fed (at {caller})");
        };
        async move {
            match self.feed(&actor).await {
                Ok(fed) => fed,
                Err(restless) => panic!("{restless} (awaited at {caller})"),
            }
        }
    }

    async fn feed(self, actor: &dyn LocalActor) -> Result<Fed, Restless> {
        let messages = self.recording.messages();
        let outcomes = Outcomes::new(messages);
        let frame = RemoteFrame::new(outcomes.clone());
        let mut last_ms = messages.first().map_or(0, RecordedMessage::at_ms);
        for (message, index) in messages.iter().zip(0_u32..) {
            let gap = Duration::from_millis(message.at_ms().saturating_sub(last_ms));
            last_ms = message.at_ms();
            if !gap.min(self.gap_max).is_zero() {
                self.test.advance(gap.min(self.gap_max)).await;
            }
            let delivery = RemoteDelivery::new(frame.clone(), index);
            if let Some(incoming) = outcomes.incoming(index, delivery) {
                self.offer(actor, incoming).await?;
            }
        }
        self.test.watch().unless_restless(outcomes.ended()).await?;
        self.test.quiesce().await;
        let fed = |(message, outcome): (&RecordedMessage, FedOutcome)| FedMessage {
            message: message.clone(),
            outcome,
        };
        Ok(Fed { messages: messages.iter().zip(outcomes.take()).map(fed).collect() })
    }

    /// Offers a message until it is taken or refused.
    async fn offer(&self, actor: &dyn LocalActor, mut incoming: Incoming) -> Result<(), Restless> {
        loop {
            match actor.offer(incoming) {
                Offered::Taken => return Ok(()),
                Offered::Refused { message, failure } => {
                    message.delivery.conclude(Conclusion::NotTaken(failure));
                    return Ok(());
                }
                Offered::Full { message, room } => {
                    self.test.watch().unless_restless(room).await?;
                    incoming = *message;
                }
            }
        }
    }
}

/// The messages, and how each ended.
struct Outcomes {
    /// Each holds one; none of what can't be parsed, which a recording does not hold.
    frames: Vec<Option<Frame>>,
    ended: Mutex<Vec<Option<FedOutcome>>>,
    changed: Notify,
}

impl Outcomes {
    fn new(messages: &[RecordedMessage]) -> Arc<Self> {
        let frames = messages.iter().map(|one| Frame::parse(one.frame().clone()).ok()).collect();
        let ended = Mutex::new(messages.iter().map(|_| None).collect());
        Arc::new(Self { frames, ended, changed: Notify::new() })
    }

    fn frame(&self, index: u32) -> Option<&Frame> {
        self.frames.get(index as usize)?.as_ref()
    }

    /// A message as the bus would hand it on.
    fn incoming(&self, index: u32, delivery: RemoteDelivery) -> Option<Incoming> {
        let frame = self.frame(index)?;
        let (message, body) = frame.message(0)?;
        Some(Incoming {
            kind: message.kind,
            name: message.name.and_then(|name| frame.shared(name))?,
            version: message.version,
            topic: message.topic.and_then(|topic| frame.shared(topic)),
            codec: message.codec,
            body,
            target: None,
            key_hash: message.key_hash,
            attempt: 1,
            deadline: None,
            sender: frame.producer(),
            origin: message.moved.map(|moved| moved.origin).unwrap_or_default(),
            trace: message.trace,
            chain: Vec::new(),
            delivery,
            place: None,
        })
    }

    /// Resolves when each message has ended.
    async fn ended(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.ended.lock().iter().all(Option::is_some) {
                return;
            }
            changed.await;
        }
    }

    fn take(&self) -> Vec<FedOutcome> {
        std::mem::take(&mut *self.ended.lock()).into_iter().flatten().collect()
    }
}

impl DeliverySink for Outcomes {
    fn conclude(&self, index: u32, conclusion: Conclusion) {
        let outcome = match conclusion {
            Conclusion::Handled { failure: false, .. } => FedOutcome::Handled,
            Conclusion::Handled { failure: true, .. } => FedOutcome::Failed,
            Conclusion::Panicked => FedOutcome::Panicked,
            // Nobody takes a message back here.
            Conclusion::Abandoned | Conclusion::Cancelled => FedOutcome::Abandoned,
            Conclusion::NotTaken(failure) => FedOutcome::NotTaken(failure),
        };
        if let Some(ended) = self.ended.lock().get_mut(index as usize) {
            *ended = Some(outcome);
        }
        self.changed.notify_waiters();
    }

    fn is_cancelled(&self, _: u32) -> bool {
        false
    }

    fn wants_reply(&self, _: u32) -> bool {
        false
    }

    fn content(&self, index: u32) -> Option<Content<'_>> {
        let frame = self.frame(index)?;
        Some(Content { codec: frame.codec(0)?.to_byte(), body: frame.body(0)? })
    }

    fn deadline(&self, _: u32) -> Option<Instant> {
        None
    }
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes")
            .field("messages", &self.ended.lock().len())
            .finish_non_exhaustive()
    }
}
