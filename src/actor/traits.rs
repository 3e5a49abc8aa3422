use std::{future::Future, time::Duration};

use super::{ActorOptions, BoxedEnvelope, Ctx, HandlerRow, StopReason, TopicRow, WireFns};
use crate::{
    error::BoxError,
    message::{Envelope, Message, RemoteDelivery},
};

/// A handler that time calls: `#[every("30s")]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The method.
    pub method: &'static str,
    /// How often.
    pub every: Duration,
}

/// What `#[handlers]` makes of an impl block: the messages of an actor and how they reach its
/// methods.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no `#[handlers]` block",
    label = "this is used as an actor",
    note = "write `#[handlers] impl {Self} {{ .. }}`; an actor without handlers has an empty one"
)]
pub trait Handlers: Sized + 'static {
    /// One of the actor's messages with the way back to its sender.
    type Inbox: Send + 'static;

    /// Runs a plain handler. Gives the message back when its handler is async.
    #[doc(hidden)]
    fn __step(&mut self, inbox: Self::Inbox, ctx: &mut Ctx<Self>) -> Option<Self::Inbox>;

    /// Runs an async handler.
    #[doc(hidden)]
    fn __handle(&mut self, inbox: Self::Inbox, ctx: &mut Ctx<Self>) -> impl Future<Output = ()>;

    /// Wraps a message whose handler stands outside the block.
    #[doc(hidden)]
    fn __boxed(envelope: Box<dyn BoxedEnvelope<Self>>) -> Self::Inbox;

    /// Wraps a message from another process.
    #[doc(hidden)]
    fn __remote(delivery: RemoteDelivery) -> Self::Inbox;

    /// Wraps the call of a timer.
    #[doc(hidden)]
    fn __tick(index: u64) -> Self::Inbox;

    /// The `#[started]` hook.
    #[doc(hidden)]
    fn __started(&mut self, ctx: &mut Ctx<Self>) -> impl Future<Output = Result<(), BoxError>> {
        let _ = ctx;
        std::future::ready(Ok(()))
    }

    /// The `#[stopped]` hook.
    #[doc(hidden)]
    fn __stopped(&mut self, ctx: &mut Ctx<Self>, why: &StopReason) -> impl Future<Output = ()> {
        let _ = (ctx, why);
        std::future::ready(())
    }

    /// The `#[every]` handlers; `__tick(i)` calls the i-th.
    #[doc(hidden)]
    fn __ticks() -> &'static [Tick] {
        &[]
    }

    /// A row per handler of the block.
    #[doc(hidden)]
    fn __table() -> Vec<HandlerRow<Self>> {
        Vec::new()
    }

    /// A row per `#[subscribe]`.
    #[doc(hidden)]
    fn __topics() -> &'static [TopicRow] {
        &[]
    }
}

/// An actor: its handlers, its name and its settings. Derive it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an actor",
    label = "this is spawned or served as an actor",
    note = "add `#[derive(Actor)]` to it"
)]
pub trait Actor: Handlers {
    /// The settings of `#[actor(..)]`.
    const OPTIONS: ActorOptions;
    /// The name of the type, unless `#[actor(name = "..")]` says otherwise.
    const NAME: &'static str;
}

/// That an actor handles a message. `#[handlers]` implements it for each method; by hand it adds a
/// handler outside the block, which can be called from the same process only.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Message)]
/// #[message(reply = usize)]
/// struct Length(String);
///
/// #[derive(Actor)]
/// struct Ruler;
/// #[handlers]
/// impl Ruler {}
///
/// impl Handler<Length> for Ruler {
///     async fn handle(&mut self, Length(text): Length, _: &mut Ctx<Self>) -> usize {
///         text.len()
///     }
/// }
/// ```
pub trait Handler<M: Message>: Handlers {
    /// Handles one message.
    fn handle(&mut self, message: M, ctx: &mut Ctx<Self>) -> impl Future<Output = M::Outcome>;

    /// Makes a message of the actor out of this one.
    #[doc(hidden)]
    fn __wrap(envelope: Envelope<M>) -> Self::Inbox {
        Self::__boxed(Box::new(envelope))
    }

    /// How it travels, if it can be sent from another process.
    #[doc(hidden)]
    fn __wire() -> Option<WireFns<M>> {
        None
    }
}

/// That a message is handled by an actor: [`Handler`], seen from the message, so that the compiler
/// looks at the argument before it looks for handlers.
#[diagnostic::on_unimplemented(
    message = "`{A}` does not handle `{Self}`",
    label = "no handler for this message",
    note = "add a `#[handle]` method that takes `{Self}` to the `#[handlers]` block of `{A}`"
)]
pub trait HandledBy<A: Handlers>: Message {
    /// Makes a message of the actor out of this one.
    #[doc(hidden)]
    fn __wrap(envelope: Envelope<Self>) -> A::Inbox;

    /// How it travels, if it can be sent from another process.
    #[doc(hidden)]
    fn __wire() -> Option<WireFns<Self>>;
}

#[diagnostic::do_not_recommend]
impl<A: Handler<M>, M: Message> HandledBy<A> for M {
    #[inline]
    fn __wrap(envelope: Envelope<M>) -> A::Inbox {
        <A as Handler<M>>::__wrap(envelope)
    }

    fn __wire() -> Option<WireFns<M>> {
        <A as Handler<M>>::__wire()
    }
}
