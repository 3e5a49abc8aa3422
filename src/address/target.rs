use std::time::Duration;

use futures_core::future::BoxFuture;

use super::{Addr, DelayedId, ask::ASK_TIMEOUT_DEFAULT};
use crate::{
    actor::{HandledBy, Handlers},
    error::{AskError, Failure, FailureKind, TellError},
    message::Message,
};

/// How a message is sent, besides the message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOptions {
    /// Messages with the same key go to the same place; see
    /// [`ServiceRef::tell`](crate::ServiceRef::tell).
    pub key: Option<String>,
    /// Handle it this much later.
    pub delay: Option<Duration>,
    /// Skip it if it was sent before under this id; see
    /// [`ServiceTell::dedup_id`](crate::ServiceTell::dedup_id).
    pub dedup_id: Option<String>,
    /// Do not wait until the message is stored, only until it is on its way out.
    pub buffered: bool,
    /// How long an ask waits.
    pub timeout: Option<Duration>,
}

impl SendOptions {
    /// The first option that a target without a stream behind it can't honour.
    pub(crate) fn for_services_only(&self) -> Option<&'static str> {
        if self.key.is_some() {
            Some("`.key(..)`")
        } else if self.delay.is_some() {
            Some("`.delay(..)`")
        } else if self.dedup_id.is_some() {
            Some("`.dedup_id(..)`")
        } else if self.buffered {
            Some("`.buffered()`")
        } else {
            None
        }
    }
}

/// What a tell to a [`Target`] gives.
pub type TargetTell<'a, M> = BoxFuture<'a, Result<(), TellError<M>>>;
/// What a delayed tell to a [`Target`] gives.
pub type TargetDelayed<'a, M> = BoxFuture<'a, Result<DelayedId, TellError<M>>>;
/// What an ask of a [`Target`] gives.
pub type TargetAsk<'a, M> =
    BoxFuture<'a, Result<<M as Message>::Reply, AskError<<M as Message>::Error>>>;

/// Whatever takes messages of one type: an [`Addr`], a [`ServiceRef`](crate::ServiceRef), a
/// [`Recipient`](crate::Recipient) or a double in a test.
///
/// # Contract
/// - A refused tell MUST hand the message back.
/// - An option that the target can't honour MUST be refused with
///   [`FailureKind::Unsupported`], never ignored.
pub trait Target<M: Message>: Send + Sync {
    /// Sends at once, or hands the message back.
    ///
    /// # Errors
    /// [`TellError`] with the message.
    fn try_tell(&self, message: M) -> Result<(), TellError<M>>;

    /// Sends, waiting where the target waits.
    fn tell_with(&self, message: M, options: SendOptions) -> TargetTell<'_, M>;

    /// Sends and waits for the reply.
    fn ask_with(&self, message: M, options: SendOptions) -> TargetAsk<'_, M>;

    /// Sends so that it is handled this much later, and gives what takes it back. A target without a
    /// stream behind it refuses; that is what happens unless it is implemented.
    fn tell_later(
        &self,
        message: M,
        delay: Duration,
        options: SendOptions,
    ) -> TargetDelayed<'_, M> {
        drop((delay, options));
        let refused = unsupported("`.delay(..)`", "this target");
        Box::pin(std::future::ready(Err(TellError::new(message, refused))))
    }

    /// Takes a delayed message back. Refused unless it is implemented, as
    /// [`tell_later`](Self::tell_later).
    fn cancel_delayed<'a>(&'a self, id: &'a DelayedId) -> BoxFuture<'a, Result<bool, Failure>> {
        let refused = unsupported(&format!("`cancel_delayed({id})`"), "this target");
        Box::pin(std::future::ready(Err(refused)))
    }
}

impl<A: Handlers, M: HandledBy<A>> Target<M> for Addr<A> {
    fn try_tell(&self, message: M) -> Result<(), TellError<M>> {
        Addr::try_tell(self, message)
    }

    fn tell_with(&self, message: M, options: SendOptions) -> TargetTell<'_, M> {
        Box::pin(async move {
            if let Some(option) = options.for_services_only() {
                return Err(TellError::new(message, unsupported(option, &self.name())));
            }
            self.tell(message).await
        })
    }

    fn ask_with(&self, message: M, options: SendOptions) -> TargetAsk<'_, M> {
        Box::pin(async move {
            if let Some(option) = options.for_services_only() {
                return Err(AskError::Failed(unsupported(option, &self.name())));
            }
            self.ask(message).timeout(options.timeout.unwrap_or(ASK_TIMEOUT_DEFAULT)).await
        })
    }
}

fn unsupported(option: &str, target: &str) -> Failure {
    FailureKind::Unsupported { option: option.to_owned(), target: target.to_owned() }.into()
}
