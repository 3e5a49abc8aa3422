//! The door to ordinary actix actors, in both directions.

use std::{fmt, future::poll_fn, pin::pin};

use actix::{
    Actor as ActixActor, Context, Handler as ActixHandler,
    dev::{MessageResponse, OneshotSender},
};

use super::{Service, System};
use crate::{
    actor::{
        Actor, ActorOptions, BoxedEnvelope, Ctx, HandledBy, Handler, HandlerRow, Handlers, WireFns,
    },
    address::Addr,
    error::Result,
    message::{Envelope, Message, RemoteDelivery, Wire},
    service::Serves,
};

impl System {
    /// Serves an existing actix actor: callboard's senders reach it by the service's name.
    ///
    /// `M` is a message of both: its actix result is its callboard outcome. Messages are handed over
    /// one after the other; when the actix actor gives no answer, the asker gets
    /// [`Unanswered`](crate::FailureKind::Unanswered) and a tell is tried again.
    ///
    /// # Errors
    /// As for [`serve`](Self::serve).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the service may be served or not.
    pub async fn serve_actix<M>(
        &self,
        name: impl Into<String>,
        recipient: actix::Recipient<M>,
    ) -> Result<Service<ActixService<M>>>
    where
        M: Wire + actix::Message<Result = <M as Message>::Outcome>,
    {
        self.serve(name, move || ActixService { recipient: recipient.clone() }).await
    }

    /// A callboard actor as an actix recipient, for actors that know only actix. An ordinary actix
    /// relay actor is started for it and lives as long as the recipient is held.
    ///
    /// When the actor gives no answer, the sender sees [`actix::MailboxError::Closed`].
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// # Panics
    /// Panics in a system that runs on the calling thread (of a test) outside its `LocalSet`.
    pub fn actix_recipient<A, M>(&self, addr: &Addr<A>) -> Result<actix::Recipient<M>>
    where
        A: Actor,
        M: HandledBy<A> + actix::Message<Result = <M as Message>::Outcome>,
    {
        self.check_is_up()?;
        let relay = Relay { addr: addr.clone() };
        let started = match self.0.runtime.arbiter() {
            Some(arbiter) => Relay::start_in_arbiter(arbiter, move |_| relay),
            None => relay.start(),
        };
        Ok(started.recipient())
    }
}

/// An actix actor that knows a callboard actor.
struct Relay<A: Actor> {
    addr: Addr<A>,
}

impl<A: Actor> ActixActor for Relay<A> {
    type Context = Context<Self>;
}

impl<A, M> ActixHandler<M> for Relay<A>
where
    A: Actor,
    M: HandledBy<A> + actix::Message<Result = <M as Message>::Outcome>,
{
    type Result = Relayed<A, M>;

    fn handle(&mut self, message: M, _: &mut Context<Self>) -> Relayed<A, M> {
        Relayed { addr: self.addr.clone(), message }
    }
}

/// An ask under way. Without an outcome the sender's channel is dropped, which is how actix says
/// that there is no answer.
struct Relayed<A: Actor, M> {
    addr: Addr<A>,
    message: M,
}

impl<A, M> MessageResponse<Relay<A>, M> for Relayed<A, M>
where
    A: Actor,
    M: HandledBy<A> + actix::Message<Result = <M as Message>::Outcome>,
{
    fn handle(self, _: &mut Context<Relay<A>>, asker: Option<OneshotSender<M::Result>>) {
        let Self { addr, message } = self;
        actix_rt::spawn(async move {
            let mut ask = pin!(addr.ask(message));
            match poll_fn(|cx| ask.as_mut().get_mut().poll_outcome(cx)).await {
                // An error means that the sender waits no more.
                Ok(outcome) => drop(asker.map(|asker| asker.send(outcome))),
                Err(failure) => {
                    tracing::warn!(actor = addr.name(), %failure, "an actix sender gets no answer");
                }
            }
        });
    }
}

/// A service whose messages an actix actor handles; see [`System::serve_actix`].
pub struct ActixService<M>
where
    M: Wire + actix::Message<Result = <M as Message>::Outcome>,
{
    recipient: actix::Recipient<M>,
}

impl<M> fmt::Debug for ActixService<M>
where
    M: Wire + actix::Message<Result = <M as Message>::Outcome>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActixService").field(&<M as Message>::NAME).finish()
    }
}

/// The one message of an [`ActixService`].
#[doc(hidden)]
pub enum ActixInbox<M>
where
    M: Wire + actix::Message<Result = <M as Message>::Outcome>,
{
    Message(Envelope<M>),
    Boxed(Box<dyn BoxedEnvelope<ActixService<M>>>),
    Remote(RemoteDelivery),
}

impl<M> fmt::Debug for ActixInbox<M>
where
    M: Wire + actix::Message<Result = <M as Message>::Outcome>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActixInbox")
    }
}

#[diagnostic::do_not_recommend]
impl<M> Handlers for ActixService<M>
where
    M: Wire + actix::Message<Result = <M as Message>::Outcome>,
{
    type Inbox = ActixInbox<M>;

    fn __step(&mut self, inbox: ActixInbox<M>, ctx: &mut Ctx<Self>) -> Option<ActixInbox<M>> {
        match inbox {
            ActixInbox::Remote(delivery) => ctx.receive(delivery),
            other => Some(other),
        }
    }

    async fn __handle(&mut self, inbox: ActixInbox<M>, ctx: &mut Ctx<Self>) {
        match inbox {
            ActixInbox::Message(envelope) => {
                let Some((message, replying)) = ctx.open(envelope) else { return };
                match self.recipient.send(message).await {
                    Ok(outcome) => replying.finish(ctx, outcome),
                    Err(error) => {
                        tracing::warn!(%error, "an actix actor gave no answer");
                        drop(replying);
                        ctx.drop_received();
                    }
                }
            }
            ActixInbox::Boxed(envelope) => envelope.handle(self, ctx).await,
            // Taken out of its wrapping by `__step`.
            ActixInbox::Remote(delivery) => drop(delivery),
        }
    }

    fn __boxed(envelope: Box<dyn BoxedEnvelope<Self>>) -> ActixInbox<M> {
        ActixInbox::Boxed(envelope)
    }

    fn __remote(delivery: RemoteDelivery) -> ActixInbox<M> {
        ActixInbox::Remote(delivery)
    }

    fn __tick(_: u64) -> ActixInbox<M> {
        unreachable!("it has no timers")
    }

    fn __table() -> Vec<HandlerRow<Self>> {
        vec![HandlerRow::new::<M>("handle", Some(WireFns::new()))]
    }
}

impl<M> Handler<M> for ActixService<M>
where
    M: Wire + actix::Message<Result = <M as Message>::Outcome>,
{
    async fn handle(&mut self, message: M, _: &mut Ctx<Self>) -> <M as Message>::Outcome {
        match self.recipient.send(message).await {
            Ok(outcome) => outcome,
            // There is nothing to return: the caller's own deadline ends this.
            Err(_) => std::future::pending().await,
        }
    }

    fn __wrap(envelope: Envelope<M>) -> ActixInbox<M> {
        ActixInbox::Message(envelope)
    }

    fn __wire() -> Option<WireFns<M>> {
        Some(WireFns::new())
    }
}

impl<M> Serves<M> for ActixService<M>
where
    M: Wire + actix::Message<Result = <M as Message>::Outcome>,
{
    fn __wire() -> WireFns<M> {
        WireFns::new()
    }
}

impl<M> Actor for ActixService<M>
where
    M: Wire + actix::Message<Result = <M as Message>::Outcome>,
{
    const OPTIONS: ActorOptions = ActorOptions::new();
    const NAME: &'static str = "ActixService";
}
