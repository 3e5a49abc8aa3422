use std::{cell::Cell, fmt};

use super::Message;

/// Why a local ask gets no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReply {
    /// The actor stopped before it came to the message.
    Stopped,
    /// The actor never started.
    StartFailed,
    /// The mailbox made room for newer messages.
    Displaced,
    /// The handler panicked.
    Panicked,
    /// The handler was dropped, or dropped its reply.
    Unanswered,
}

/// The sender's end of a local ask, or nothing for a tell. One word wide.
///
/// Dropping it tells the asker [`NoReply::Stopped`]: that is what becomes of a message that stays in
/// the mailbox of an actor that ended; or [`NoReply::Displaced`] where a full mailbox drops it.
pub struct ReplyTo<M: Message>(Option<oneshot::Sender<Result<M::Outcome, NoReply>>>);

impl<M: Message> ReplyTo<M> {
    /// Nobody waits.
    pub const NOBODY: Self = Self(None);

    /// The asker behind this channel waits.
    pub fn asker(sender: oneshot::Sender<Result<M::Outcome, NoReply>>) -> Self {
        Self(Some(sender))
    }

    /// Whether this was an ask whose asker waits no more.
    pub fn is_abandoned(&self) -> bool {
        self.0.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// The channel.
    #[inline]
    pub fn into_asker(mut self) -> Option<oneshot::Sender<Result<M::Outcome, NoReply>>> {
        let asker = self.0.take();
        // Nothing is left in it to be dropped.
        std::mem::forget(self);
        asker
    }

    /// Answers that there will be no outcome.
    pub fn refuse(mut self, why: NoReply) {
        send(self.0.take(), Err(why));
    }
}

/// Sends to an asker who may have gone meanwhile: a reply that nobody waits for is dropped.
pub(crate) fn send<O>(
    asker: Option<oneshot::Sender<Result<O, NoReply>>>,
    outcome: Result<O, NoReply>,
) {
    if let Some(asker) = asker {
        drop(asker.send(outcome));
    }
}

impl<M: Message> Drop for ReplyTo<M> {
    fn drop(&mut self) {
        if self.0.is_some() {
            let why = match DISPLACING.get() {
                true => NoReply::Displaced,
                false => NoReply::Stopped,
            };
            send(self.0.take(), Err(why));
        }
    }
}

thread_local! {
    static DISPLACING: Cell<bool> = const { Cell::new(false) };
}

/// Drops messages that a full mailbox let go of, and tells their askers so. What kind of messages
/// they are the mailbox does not know: the ends for their askers learn it here, as they are dropped.
pub(crate) fn displace<D>(messages: D) {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            DISPLACING.set(self.0);
        }
    }
    let _before = Before(DISPLACING.replace(true));
    drop(messages);
}

impl<M: Message> fmt::Debug for ReplyTo<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyTo").field(&self.0.is_some()).finish()
    }
}

/// A message with the way back to its sender.
pub struct Envelope<M: Message> {
    /// The message.
    pub message: M,
    /// Who waits for the outcome.
    pub reply: ReplyTo<M>,
}

impl<M: Message> fmt::Debug for Envelope<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("message", &M::NAME).finish_non_exhaustive()
    }
}
