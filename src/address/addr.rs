use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{Ask, RemoteMessage, RemoteSink, Tell, strong::Strong, with_context};
use crate::{
    actor::{ActorState, HandledBy, Handlers, Shared, StopReason, WireFns},
    error::{Failure, FailureKind, TellError},
    id::{ActorId, Incarnation},
    mailbox::Refusal,
    message::{Envelope, Message, ReplyTo},
};

/// The address of one actor. Cloning it is cheap; any thread may send through it.
///
/// It stays valid over restarts: the actor is built again behind it. After the actor has ended for
/// good, sends hand the message back.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Message)]
/// #[message(reply = u64)]
/// struct Add(u64);
///
/// #[derive(Actor, Default)]
/// struct Counter { total: u64 }
/// #[handlers]
/// impl Counter {
///     #[handle]
///     fn add(&mut self, Add(n): Add) -> u64 { self.total += n; self.total }
/// }
///
/// #[callboard::main]
/// async fn main() -> callboard::Result<()> {
///     let system = System::start().await?;
///     let counter = system.spawn(Counter::default)?;
///     counter.tell(Add(2)).await?;
///     assert_eq!(counter.ask(Add(1)).await?, 3);
///     system.shutdown().await
/// }
/// ```
pub struct Addr<A: Handlers> {
    pub(super) place: Place<A::Inbox>,
}

pub(super) enum Place<I: Send + 'static> {
    Here(Strong<I>),
    Elsewhere(Arc<dyn RemoteSink>),
}

impl<A: Handlers> Addr<A> {
    pub(crate) fn from_shared(shared: Arc<Shared<A::Inbox>>) -> Self {
        Self { place: Place::Here(Strong::new(shared)) }
    }

    /// The address of an actor in another process.
    pub(crate) fn from_remote(sink: Arc<dyn RemoteSink>) -> Self {
        Self { place: Place::Elsewhere(sink) }
    }

    pub(crate) fn shared(&self) -> Option<&Arc<Shared<A::Inbox>>> {
        match &self.place {
            Place::Here(shared) => Some(shared),
            Place::Elsewhere(_) => None,
        }
    }

    /// The actor's identity within its process.
    pub fn id(&self) -> ActorId {
        match &self.place {
            Place::Here(shared) => shared.id(),
            Place::Elsewhere(sink) => sink.identity().1,
        }
    }

    /// The process that the actor lives in, when that is another one.
    pub fn incarnation(&self) -> Option<Incarnation> {
        match &self.place {
            Place::Here(_) => None,
            Place::Elsewhere(sink) => Some(sink.identity().0),
        }
    }

    /// The actor's name.
    pub fn name(&self) -> String {
        match &self.place {
            Place::Here(shared) => shared.name().to_owned(),
            Place::Elsewhere(sink) => {
                let (incarnation, id) = sink.identity();
                format!("actor {id} of {incarnation}")
            }
        }
    }

    /// Sends a message, waiting for room if the mailbox is full and its policy is to wait (for 30 s
    /// at most).
    ///
    /// # Errors
    /// [`TellError`] hands the message back: the mailbox stayed full, or the actor has ended.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message was not sent.
    #[inline]
    pub fn tell<M: HandledBy<A>>(&self, message: M) -> Tell<'_, A, M> {
        Tell::new(self, message)
    }

    /// Sends a message at once.
    ///
    /// # Errors
    /// [`TellError`] hands the message back: there is no room now, or the actor has ended.
    #[inline]
    pub fn try_tell<M: HandledBy<A>>(&self, message: M) -> Result<(), TellError<M>> {
        match &self.place {
            Place::Here(shared) => try_push(shared, message, M::__wrap),
            Place::Elsewhere(sink) => try_tell_remote(&**sink, message, M::__wire()),
        }
    }

    /// Sends a message and waits for its reply, for 30 s unless told otherwise.
    ///
    /// # Errors
    /// [`AskError`](crate::AskError): the handler's own error, or why no answer came.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message is not handled if no handler has begun with it.
    #[inline]
    pub fn ask<M: HandledBy<A>>(&self, message: M) -> Ask<'_, A, M> {
        Ask::new(self, message)
    }

    /// Where the actor is in its life; nothing for an actor in another process.
    pub fn state(&self) -> Option<ActorState> {
        self.shared().map(|shared| shared.state())
    }

    /// Waits for the first start.
    ///
    /// # Errors
    /// [`FailureKind::StartFailed`], or [`FailureKind::Stopped`] when it was stopped before.
    ///
    /// # Cancel safety
    /// It only waits.
    pub async fn started(&self) -> Result<(), Failure> {
        match &self.place {
            Place::Here(shared) => shared.started().await,
            Place::Elsewhere(_) => Ok(()),
        }
    }

    /// Tells the actor to stop: it takes no more, works off what it had accepted (for 10 s unless
    /// its settings say otherwise) and ends.
    ///
    /// # Errors
    /// [`FailureKind::Unsupported`] for an actor in another process: its own process stops it.
    pub fn stop(&self) -> Result<(), Failure> {
        match &self.place {
            Place::Here(shared) => {
                shared.request_stop(StopReason::Requested, None);
                Ok(())
            }
            Place::Elsewhere(_) => Err(elsewhere("stop", &self.name())),
        }
    }

    /// Waits for the end of the actor and says why it ended.
    ///
    /// # Errors
    /// [`FailureKind::Unsupported`] for an actor in another process.
    ///
    /// # Cancel safety
    /// It only waits.
    pub async fn stopped(&self) -> Result<StopReason, Failure> {
        match &self.place {
            Place::Here(shared) => Ok(shared.stopped().await),
            Place::Elsewhere(_) => Err(elsewhere("stopped", &self.name())),
        }
    }

    /// Messages that wait in the mailbox; nothing for an actor in another process.
    pub fn depth(&self) -> Option<usize> {
        self.shared().map(|shared| shared.mailbox.depth())
    }
}

pub(super) fn elsewhere(option: &str, target: &str) -> Failure {
    FailureKind::Unsupported {
        option: format!("`{option}`"),
        target: format!("{target}, which lives in another process"),
    }
    .into()
}

#[inline]
pub(super) fn try_push<I: Send + 'static, M: Message>(
    shared: &Shared<I>,
    message: M,
    wrap: fn(Envelope<M>) -> I,
) -> Result<(), TellError<M>> {
    let size = message.size_bytes();
    match shared.mailbox.room(size) {
        Ok(room) => {
            let inbox = wrap(Envelope { message, reply: ReplyTo::NOBODY });
            shared.wake_if(room.put(|| shared.now(), inbox));
            Ok(())
        }
        Err(refusal) => push_now(shared, message, wrap, size, refusal),
    }
}

/// There was no room for it.
#[cold]
fn push_now<I: Send + 'static, M: Message>(
    shared: &Shared<I>,
    message: M,
    wrap: fn(Envelope<M>) -> I,
    size: usize,
    refusal: Refusal,
) -> Result<(), TellError<M>> {
    let mut message = Some(message);
    let mut make = || {
        let message = message.take().expect("a message is moved once");
        wrap(Envelope { message, reply: ReplyTo::NOBODY })
    };
    let pushed = match refusal {
        Refusal::Full => shared.mailbox.push_now(size, || shared.now(), &mut make),
        refusal => Err(refusal),
    };
    match pushed {
        Ok(pushed) => {
            shared.after_push(pushed);
            Ok(())
        }
        Err(refusal) => {
            let message = message.take().expect("a refused message was not moved");
            Err(TellError::new(message, refused(shared, refusal, size)))
        }
    }
}

#[cold]
pub(super) fn refused<I: Send + 'static>(
    shared: &Shared<I>,
    refusal: Refusal,
    size: usize,
) -> Failure {
    match refusal {
        Refusal::Full => Failure::new(FailureKind::MailboxFull {
            actor: shared.name().to_owned(),
            retry_after: None,
        }),
        Refusal::TooLarge { limit } => Failure::new(FailureKind::TooLarge { size, limit }),
        Refusal::Closed => shared.stopped_failure(),
    }
}

fn try_tell_remote<M: Message>(
    sink: &dyn RemoteSink,
    message: M,
    wire: Option<WireFns<M>>,
) -> Result<(), TellError<M>> {
    let sent = encode_for(sink, &message, wire).and_then(|encoded| sink.try_tell(encoded));
    sent.map_err(|failure| TellError::new(message, failure))
}

pub(super) fn encode_for<M: Message>(
    sink: &dyn RemoteSink,
    message: &M,
    wire: Option<WireFns<M>>,
) -> Result<RemoteMessage, Failure> {
    let Some(wire) = wire else {
        let (incarnation, id) = sink.identity();
        return Err(FailureKind::NotHandled {
            target: format!("actor {id} of {incarnation}"),
            message: M::NAME.to_owned(),
            how: "for senders in other processes: its handler is local".to_owned(),
        }
        .into());
    };
    with_context(&sink.context(), || RemoteMessage::encode(wire, message))
}

impl<A: Handlers> Clone for Addr<A> {
    #[inline]
    fn clone(&self) -> Self {
        Self {
            place: match &self.place {
                Place::Here(shared) => Place::Here(shared.clone()),
                Place::Elsewhere(sink) => Place::Elsewhere(sink.clone()),
            },
        }
    }
}

impl<A: Handlers> PartialEq for Addr<A> {
    fn eq(&self, other: &Self) -> bool {
        (self.incarnation(), self.id()) == (other.incarnation(), other.id())
    }
}

impl<A: Handlers> Eq for Addr<A> {}

impl<A: Handlers> Hash for Addr<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.incarnation(), self.id()).hash(state);
    }
}

impl<A: Handlers> fmt::Debug for Addr<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addr").field("name", &self.name()).field("id", &self.id()).finish()
    }
}
