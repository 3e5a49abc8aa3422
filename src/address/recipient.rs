use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Addr, DelayedId, SendOptions, Target, TargetAsk, TargetDelayed, TargetTell,
    ask::ASK_TIMEOUT_BOUNDS,
};
use crate::{
    actor::{HandledBy, Handlers},
    error::{AskError, Failure, FailureKind, TellError},
    message::Message,
};

/// Something that takes messages of one type, whatever it is. Cloning it is cheap.
pub struct Recipient<M: Message>(Arc<dyn Target<M>>);

impl<M: Message> Recipient<M> {
    /// A recipient over any target.
    pub fn new(target: impl Target<M> + 'static) -> Self {
        Self(Arc::new(target))
    }

    /// A recipient that calls a function: a double for tests, or glue.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// #[derive(Message)]
    /// #[message(reply = u64)]
    /// struct Double(u64);
    ///
    /// #[tokio::main(flavor = "current_thread")]
    /// async fn main() {
    ///     let double = Recipient::from_fn(|Double(n)| n * 2);
    ///     assert_eq!(double.ask(Double(21)).await.unwrap(), 42);
    /// }
    /// ```
    pub fn from_fn(handle: impl Fn(M) -> M::Outcome + Send + Sync + 'static) -> Self {
        Self::new(Function(handle))
    }

    /// Sends; see [`Addr::tell`] and [`ServiceRef::tell`](crate::ServiceRef::tell) for what it waits
    /// for.
    pub fn tell(&self, message: M) -> RecipientTell<'_, M> {
        RecipientTell {
            target: &*self.0,
            options: SendOptions::default(),
            message: Some(message),
            sending: None,
        }
    }

    /// Sends at once.
    ///
    /// # Errors
    /// [`TellError`] hands the message back.
    pub fn try_tell(&self, message: M) -> Result<(), TellError<M>> {
        self.0.try_tell(message)
    }

    /// Takes a delayed message back, by what [`RecipientTell::delay`] gave. False when it is not there
    /// any more. Services only.
    ///
    /// # Errors
    /// [`FailureKind::Unsupported`] when this is no service; unavailable, and unknown, when the log did
    /// not answer.
    ///
    /// # Cancel safety
    /// Dropped, it may or may not have been taken back.
    pub async fn cancel_delayed(&self, id: &DelayedId) -> Result<bool, Failure> {
        self.0.cancel_delayed(id).await
    }

    /// Sends and waits for the reply.
    pub fn ask(&self, message: M) -> RecipientAsk<'_, M> {
        RecipientAsk {
            target: &*self.0,
            options: SendOptions::default(),
            message: Some(message),
            asking: None,
        }
    }
}

impl<A: Handlers, M: HandledBy<A>> From<Addr<A>> for Recipient<M> {
    fn from(addr: Addr<A>) -> Self {
        Self::new(addr)
    }
}

impl<A: Handlers, M: HandledBy<A>> From<&Addr<A>> for Recipient<M> {
    fn from(addr: &Addr<A>) -> Self {
        Self::new(addr.clone())
    }
}

impl<A: Handlers> Addr<A> {
    /// The actor as one that takes this message.
    pub fn recipient<M: HandledBy<A>>(&self) -> Recipient<M> {
        Recipient::new(self.clone())
    }
}

impl<M: Message> Target<M> for Recipient<M> {
    fn try_tell(&self, message: M) -> Result<(), TellError<M>> {
        self.0.try_tell(message)
    }

    fn tell_with(&self, message: M, options: SendOptions) -> TargetTell<'_, M> {
        self.0.tell_with(message, options)
    }

    fn ask_with(&self, message: M, options: SendOptions) -> TargetAsk<'_, M> {
        self.0.ask_with(message, options)
    }

    fn tell_later(
        &self,
        message: M,
        delay: Duration,
        options: SendOptions,
    ) -> TargetDelayed<'_, M> {
        self.0.tell_later(message, delay, options)
    }

    fn cancel_delayed<'a>(
        &'a self,
        id: &'a DelayedId,
    ) -> futures_core::future::BoxFuture<'a, Result<bool, Failure>> {
        self.0.cancel_delayed(id)
    }
}

impl<M: Message> Clone for Recipient<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Message> fmt::Debug for Recipient<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recipient").field(&M::NAME).finish()
    }
}

struct Function<F>(F);

impl<M: Message, F: Fn(M) -> M::Outcome + Send + Sync> Target<M> for Function<F> {
    fn try_tell(&self, message: M) -> Result<(), TellError<M>> {
        drop((self.0)(message));
        Ok(())
    }

    fn tell_with(&self, message: M, options: SendOptions) -> TargetTell<'_, M> {
        Box::pin(async move {
            match options.for_services_only() {
                Some(option) => Err(TellError::new(message, unsupported(option))),
                None => self.try_tell(message),
            }
        })
    }

    fn ask_with(&self, message: M, options: SendOptions) -> TargetAsk<'_, M> {
        Box::pin(async move {
            match options.for_services_only() {
                Some(option) => Err(AskError::Failed(unsupported(option))),
                None => M::into_result((self.0)(message)).map_err(AskError::Rejected),
            }
        })
    }
}

fn unsupported(option: &str) -> Failure {
    FailureKind::Unsupported { option: option.to_owned(), target: "a function".to_owned() }.into()
}

/// A message on its way to a [`Recipient`].
#[must_use = "nothing is sent until it is awaited; try_tell sends at once"]
pub struct RecipientTell<'a, M: Message> {
    target: &'a dyn Target<M>,
    options: SendOptions,
    message: Option<M>,
    sending: Option<TargetTell<'a, M>>,
}

// The message is never pinned.
impl<M: Message> Unpin for RecipientTell<'_, M> {}

impl<'a, M: Message> RecipientTell<'a, M> {
    /// Messages with the same key go to the same place. Services and pools only.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.options.key = Some(key.into());
        self
    }

    /// Handles it this much later, up to [`DELAY_MAX`](crate::DELAY_MAX), and gives what takes it back.
    /// Services only.
    pub fn delay(self, delay: Duration) -> RecipientDelayedTell<'a, M> {
        let Self { target, options, message, .. } = self;
        RecipientDelayedTell { target, options, delay, message, sending: None }
    }

    /// Skips it if it was told before under the same id. Services only; see
    /// [`ServiceTell::dedup_id`](crate::ServiceTell::dedup_id).
    pub fn dedup_id(mut self, id: impl Into<String>) -> Self {
        self.options.dedup_id = Some(id.into());
        self
    }

    /// Resolves as soon as the message is on its way out. Services only.
    pub fn buffered(mut self) -> Self {
        self.options.buffered = true;
        self
    }
}

impl<M: Message> Future for RecipientTell<'_, M> {
    type Output = Result<(), TellError<M>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(message) = this.message.take() {
            this.sending = Some(this.target.tell_with(message, std::mem::take(&mut this.options)));
        }
        let sending = this.sending.as_mut().expect("a tell is polled until it is ready");
        sending.as_mut().poll(cx)
    }
}

impl<M: Message> fmt::Debug for RecipientTell<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecipientTell").field(&M::NAME).finish()
    }
}

/// A message on its way to a [`Recipient`] that handles it later: a future of the
/// [`DelayedId`] that takes it back.
#[must_use = "nothing is sent until it is awaited"]
pub struct RecipientDelayedTell<'a, M: Message> {
    target: &'a dyn Target<M>,
    options: SendOptions,
    delay: Duration,
    message: Option<M>,
    sending: Option<TargetDelayed<'a, M>>,
}

// The message is never pinned.
impl<M: Message> Unpin for RecipientDelayedTell<'_, M> {}

impl<M: Message> RecipientDelayedTell<'_, M> {
    /// Messages with the same key go to the same place.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.options.key = Some(key.into());
        self
    }

    /// Tells it once, as [`ServiceTell::dedup_id`](crate::ServiceTell::dedup_id) does. When the id is
    /// known nothing is stored, and there is nothing to be taken back.
    pub fn dedup_id(mut self, id: impl Into<String>) -> Self {
        self.options.dedup_id = Some(id.into());
        self
    }
}

impl<M: Message> Future for RecipientDelayedTell<'_, M> {
    type Output = Result<DelayedId, TellError<M>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(message) = this.message.take() {
            let options = std::mem::take(&mut this.options);
            this.sending = Some(this.target.tell_later(message, this.delay, options));
        }
        let sending = this.sending.as_mut().expect("a tell is polled until it is ready");
        sending.as_mut().poll(cx)
    }
}

impl<M: Message> fmt::Debug for RecipientDelayedTell<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecipientDelayedTell").field(&M::NAME).finish()
    }
}

/// A message to a [`Recipient`] whose reply is waited for.
#[must_use = "nothing is sent until it is awaited"]
pub struct RecipientAsk<'a, M: Message> {
    target: &'a dyn Target<M>,
    options: SendOptions,
    message: Option<M>,
    asking: Option<TargetAsk<'a, M>>,
}

// The message is never pinned.
impl<M: Message> Unpin for RecipientAsk<'_, M> {}

impl<M: Message> RecipientAsk<'_, M> {
    /// How long to wait: 1 ms to one day; what is outside is brought to the bound.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout.clamp(ASK_TIMEOUT_BOUNDS.0, ASK_TIMEOUT_BOUNDS.1));
        self
    }

    /// Asks with the same key go to the same instance. Services and pools only.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.options.key = Some(key.into());
        self
    }
}

impl<M: Message> Future for RecipientAsk<'_, M> {
    type Output = Result<M::Reply, AskError<M::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(message) = this.message.take() {
            this.asking = Some(this.target.ask_with(message, std::mem::take(&mut this.options)));
        }
        let asking = this.asking.as_mut().expect("an ask is polled until it is ready");
        asking.as_mut().poll(cx)
    }
}

impl<M: Message> fmt::Debug for RecipientAsk<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecipientAsk").field(&M::NAME).finish()
    }
}
