use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use super::{
    Node, ServedBy, ServiceAsk, ServiceBroadcast, ServiceDelayedTell, ServiceTell, route::Route,
};
use crate::{
    address::{DelayedId, Recipient, SendOptions, Target, TargetAsk, TargetDelayed, TargetTell},
    bus::{Destination, Way},
    directory::ServiceHandle,
    error::{Failure, TellError},
    id::Name,
    message::Message,
};

/// A service by name: any of its instances, wherever they are. Cloning it is cheap.
///
/// `P` is the actor's type, or a protocol made by [`protocol!`](crate::protocol): it decides which
/// messages may be sent, at compile time.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Message, Serialize, Deserialize)]
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
/// async fn main(system: System) -> callboard::Result<()> {
///     system.serve("counter", Counter::default).await?;
///     let counter: ServiceRef<Counter> = system.service("counter");
///     assert_eq!(counter.ask(Add(2)).await?, 2);
///     Ok(())
/// }
/// ```
pub struct ServiceRef<P: ?Sized> {
    pub(super) target: Arc<ServiceTarget>,
    protocol: PhantomData<fn(&P)>,
}

/// What a reference points to, without the protocol.
pub(super) struct ServiceTarget {
    pub(super) node: Arc<Node>,
    /// As the user wrote it.
    pub(super) name: Box<str>,
    /// What it leads to, or why that is nothing.
    pub(super) found: Result<Found, Failure>,
}

/// A service by a good name.
pub(super) struct Found {
    pub(super) name: Name,
    /// Its entry in the cache.
    pub(super) handle: ServiceHandle,
    /// To its stream.
    pub(super) way: Way,
}

impl ServiceTarget {
    async fn cancel_delayed(&self, id: &DelayedId) -> Result<bool, Failure> {
        let found = self.found.as_ref().map_err(Clone::clone)?;
        self.node.bus().cancel_delayed(&found.name, id).await
    }
}

impl<P: ?Sized> ServiceRef<P> {
    pub(crate) fn new(node: &Arc<Node>, name: &str) -> Self {
        let found = super::node::checked(name).map(|name| {
            let handle = node.directory().handle(&name);
            let way = node.bus().way(Destination::Service(name.clone(), 0));
            Found { name, handle, way }
        });
        let target = ServiceTarget { node: node.clone(), name: name.into(), found };
        Self { target: Arc::new(target), protocol: PhantomData }
    }

    /// The service's name, as it was given.
    pub fn name(&self) -> &str {
        &self.target.name
    }

    /// Asks one instance: one of this process if there is any, else one of the others in turn. When
    /// it is certain that the instance did not take the message because it stops, stopped or left, the
    /// ask goes on to another within its time.
    ///
    /// # Errors
    /// [`AskError`](crate::AskError): the handler's own error, or why no answer came. When no answer
    /// came from another process the outcome is unknown, and the error says so.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message is not handled if no handler has begun with it.
    pub fn ask<M: ServedBy<P>>(&self, message: M) -> ServiceAsk<'_, M> {
        ServiceAsk::new(Route::new(&self.target, M::__service_wire()), message)
    }

    /// Tells the service: the message is put into its stream, and the next instance with room takes
    /// it. Resolves when the message is stored.
    ///
    /// # Errors
    /// [`TellError`] hands the message back. Check
    /// [`delivery`](crate::TellError::delivery): `Unknown` means that it may be stored all the same.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message may be stored or not.
    pub fn tell<M: ServedBy<P>>(&self, message: M) -> ServiceTell<'_, M> {
        ServiceTell::new(Route::new(&self.target, M::__service_wire()), message)
    }

    /// Puts a message on its way to the service's stream without waiting.
    ///
    /// # Errors
    /// [`TellError`] hands the message back. `Ok` means that it is in this process's buffer, as with
    /// `tell(..).buffered()`.
    pub fn try_tell<M: ServedBy<P>>(&self, message: M) -> Result<(), TellError<M>> {
        Route::new(&self.target, M::__service_wire()).try_tell(message)
    }

    /// Takes a delayed message back, by the id that [`ServiceTell::delay`] gave, in this process or any
    /// other. False when it is not there any more: it went into the stream, or was taken back before.
    ///
    /// # Errors
    /// [`Failure`] when the name breaks the rules; unavailable, and unknown, when the log did not answer.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may have been taken back or not.
    pub async fn cancel_delayed(&self, id: &DelayedId) -> Result<bool, Failure> {
        self.target.cancel_delayed(id).await
    }

    /// Tells every instance that is registered now, each through its process's inbox.
    ///
    /// # Errors
    /// [`BroadcastError`](crate::BroadcastError) when there is no instance, or when one of them could
    /// not be told; it names each outcome.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, any of them may have been told.
    pub fn broadcast<M: ServedBy<P>>(&self, message: M) -> ServiceBroadcast<'_, M> {
        ServiceBroadcast::new(Route::new(&self.target, M::__service_wire()), message)
    }

    /// The service as one that takes this message.
    pub fn recipient<M: ServedBy<P>>(&self) -> Recipient<M> {
        Recipient::new(MessageTarget { target: self.target.clone(), wire: M::__service_wire })
    }
}

impl<P: ?Sized> Clone for ServiceRef<P> {
    fn clone(&self) -> Self {
        Self { target: self.target.clone(), protocol: PhantomData }
    }
}

impl<P: ?Sized> fmt::Debug for ServiceRef<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceRef").field(&self.target.name).finish()
    }
}

impl<P: ?Sized, M: ServedBy<P>> Target<M> for ServiceRef<P> {
    fn try_tell(&self, message: M) -> Result<(), TellError<M>> {
        ServiceRef::try_tell(self, message)
    }

    fn tell_with(&self, message: M, options: SendOptions) -> TargetTell<'_, M> {
        Box::pin(self.tell(message).options(options))
    }

    fn ask_with(&self, message: M, options: SendOptions) -> TargetAsk<'_, M> {
        Box::pin(self.ask(message).options(options))
    }

    fn tell_later(
        &self,
        message: M,
        delay: Duration,
        options: SendOptions,
    ) -> TargetDelayed<'_, M> {
        Box::pin(self.tell(message).delay(delay).options(options))
    }

    fn cancel_delayed<'a>(&'a self, id: &'a DelayedId) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(self.target.cancel_delayed(id))
    }
}

/// A service for one message, without its protocol.
struct MessageTarget<M: Message> {
    target: Arc<ServiceTarget>,
    wire: fn() -> crate::actor::WireFns<M>,
}

impl<M: Message> MessageTarget<M> {
    fn route(&self) -> Route<'_, M> {
        Route::new(&self.target, (self.wire)())
    }
}

impl<M: Message> Target<M> for MessageTarget<M> {
    fn try_tell(&self, message: M) -> Result<(), TellError<M>> {
        self.route().try_tell(message)
    }

    fn tell_with(&self, message: M, options: SendOptions) -> TargetTell<'_, M> {
        Box::pin(ServiceTell::new(self.route(), message).options(options))
    }

    fn ask_with(&self, message: M, options: SendOptions) -> TargetAsk<'_, M> {
        Box::pin(ServiceAsk::new(self.route(), message).options(options))
    }

    fn tell_later(
        &self,
        message: M,
        delay: Duration,
        options: SendOptions,
    ) -> TargetDelayed<'_, M> {
        Box::pin(ServiceDelayedTell::new(self.route(), message, delay).options(options))
    }

    fn cancel_delayed<'a>(&'a self, id: &'a DelayedId) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(self.target.cancel_delayed(id))
    }
}
