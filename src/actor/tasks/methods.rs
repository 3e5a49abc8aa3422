use std::{future::Future, pin::pin, time::Duration};

use futures_core::Stream;
use futures_util::StreamExt;

use super::{Delivery, TaskHandle};
use crate::{
    actor::{Ctx, HandledBy, Handlers},
    mailbox::Refusal,
    message::{Envelope, ReplyTo},
};

impl<A: Handlers> Ctx<A> {
    /// Runs a future beside the handlers, on the actor's own thread, also while a handler awaits.
    ///
    /// It belongs to this incarnation: it is dropped when the actor is built again or has worked off
    /// its mailbox at its end. A panic in it fails the actor as one in a handler does. It need not be
    /// `Send`, and it does not borrow from the actor: what it finds out it tells, through
    /// [`addr`](Self::addr).
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// #[derive(Message)]
    /// struct Fetch;
    /// #[derive(Message)]
    /// struct Fetched(u64);
    /// #[derive(Message)]
    /// #[message(reply = u64)]
    /// struct Get;
    ///
    /// #[derive(Actor, Default)]
    /// struct Cache { value: u64 }
    /// #[handlers]
    /// impl Cache {
    ///     #[handle]
    ///     fn fetch(&mut self, _: Fetch, ctx: &mut Ctx<Self>) {
    ///         let me = ctx.addr();
    ///         ctx.spawn(async move {
    ///             tokio::time::sleep(Duration::from_millis(1)).await;
    ///             me.tell(Fetched(42)).await.ok();
    ///         });
    ///     }
    ///     #[handle]
    ///     fn fetched(&mut self, Fetched(value): Fetched) { self.value = value; }
    ///     #[handle]
    ///     fn get(&mut self, _: Get) -> u64 { self.value }
    /// }
    ///
    /// #[callboard::main]
    /// async fn main(system: System) -> callboard::Result<()> {
    ///     let cache = system.spawn(Cache::default)?;
    ///     cache.tell(Fetch).await?;
    ///     while cache.ask(Get).await? != 42 {
    ///         tokio::time::sleep(Duration::from_millis(1)).await;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) -> TaskHandle {
        self.tasks().spawn(future)
    }

    /// Tells the actor every item of a stream, in order. Each waits for room, for as long as it
    /// takes and also where others are refused, and the stream is not polled meanwhile.
    ///
    /// It belongs to this incarnation as what [`spawn`](Self::spawn) runs does, and it does not keep
    /// alive an actor that stops with its last address. An item that is larger than the mailbox's
    /// limit in bytes is logged and left out.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// #[derive(Message)]
    /// struct Line(&'static str);
    /// #[derive(Message)]
    /// #[message(reply = usize)]
    /// struct Count;
    ///
    /// #[derive(Actor, Default)]
    /// struct Reader { lines: usize }
    /// #[handlers]
    /// impl Reader {
    ///     #[started]
    ///     async fn started(&mut self, ctx: &mut Ctx<Self>) -> Result<(), BoxError> {
    ///         ctx.stream(futures_util::stream::iter(["one", "two"].map(Line)));
    ///         Ok(())
    ///     }
    ///     #[handle]
    ///     fn line(&mut self, _: Line) { self.lines += 1; }
    ///     #[handle]
    ///     fn count(&mut self, _: Count) -> usize { self.lines }
    /// }
    ///
    /// #[callboard::main]
    /// async fn main(system: System) -> callboard::Result<()> {
    ///     let reader = system.spawn(Reader::default)?;
    ///     while reader.ask(Count).await? < 2 {}
    ///     Ok(())
    /// }
    /// ```
    pub fn stream<S>(&mut self, stream: S) -> TaskHandle
    where
        S: Stream<Item: HandledBy<A>> + 'static,
    {
        let mut delivery = Delivery::new(self.shared().clone());
        self.spawn(async move {
            let mut stream = pin!(stream);
            while let Some(message) = stream.next().await {
                if let Err(Refusal::Closed) = deliver::<A, _>(&mut delivery, message).await {
                    return;
                }
            }
        })
    }

    /// Tells the actor a message of its own later: after this time, and once there is room. Aborting
    /// the handle takes it back until then.
    ///
    /// It belongs to this incarnation as what [`spawn`](Self::spawn) runs does, and it does not keep
    /// alive an actor that stops with its last address.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// #[derive(Message)]
    /// struct GiveUp;
    ///
    /// #[derive(Actor)]
    /// struct Patient;
    /// #[handlers]
    /// impl Patient {
    ///     #[started]
    ///     async fn started(&mut self, ctx: &mut Ctx<Self>) -> Result<(), BoxError> {
    ///         ctx.delay(Duration::from_millis(5), GiveUp);
    ///         Ok(())
    ///     }
    ///     #[handle]
    ///     fn give_up(&mut self, _: GiveUp, ctx: &mut Ctx<Self>) { ctx.stop(); }
    /// }
    ///
    /// #[callboard::main]
    /// async fn main(system: System) -> callboard::Result<()> {
    ///     let patient = system.spawn(|| Patient)?;
    ///     assert_eq!(patient.stopped().await?, StopReason::Finished);
    ///     Ok(())
    /// }
    /// ```
    pub fn delay<M: HandledBy<A>>(&mut self, delay: Duration, message: M) -> TaskHandle {
        let mut delivery = Delivery::new(self.shared().clone());
        let sleep = self.shared().timer().sleep(delay);
        self.spawn(async move {
            sleep.await;
            // An actor that takes no more, or refuses one of this size, has been logged.
            deliver::<A, _>(&mut delivery, message).await.ok();
        })
    }
}

async fn deliver<A: Handlers, M: HandledBy<A>>(
    delivery: &mut Delivery<A::Inbox>,
    message: M,
) -> Result<(), Refusal> {
    let size = message.size_bytes();
    let wrap = || M::__wrap(Envelope { message, reply: ReplyTo::NOBODY });
    let delivered = delivery.push(size, wrap).await;
    if let Err(Refusal::TooLarge { limit }) = delivered {
        let (actor, message) = (delivery.shared().name(), M::NAME);
        tracing::error!(actor, message, size, limit, "a message of the actor's own is too large");
    }
    delivered
}
