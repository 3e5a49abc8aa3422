use std::fmt;

use tokio::time::Instant;

use crate::{actor::Reply, message::Message};

/// A message that came to a [`Probe`](super::Probe), with the way back to its sender.
///
/// Dropped without a reply, its asker gets [`Unanswered`](crate::FailureKind::Unanswered).
#[non_exhaustive]
pub struct Received<M: Message> {
    /// The message.
    pub message: M,
    /// When it came, on the test's clock.
    pub at: Instant,
    /// Who waits, unless nobody does or the probe answered by itself.
    asker: Option<Reply<M>>,
}

impl<M: Message> Received<M> {
    pub(super) fn new(message: M, asker: Option<Reply<M>>) -> Self {
        Self { message, at: Instant::now(), asker }
    }

    /// Whether its sender waits for an answer: it was asked, not told, the probe has not answered
    /// by itself and the asker has not given up.
    pub fn is_waiting(&self) -> bool {
        self.asker.as_ref().is_some_and(|asker| !asker.is_abandoned())
    }

    /// Answers its sender and gives the message back. When nobody waits, as after a tell, the
    /// outcome is dropped.
    pub fn reply(self, outcome: M::Outcome) -> M {
        if let Some(asker) = self.asker {
            asker.send(outcome);
        }
        self.message
    }
}

/// Shows a message as its `Debug` does if it has one, else by its wire name.
pub(super) struct Shown<'a, M>(pub(super) &'a M);

impl<M: Message> fmt::Debug for Shown<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.__show(f)
    }
}

impl<M: Message> fmt::Debug for Received<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("message", &Shown(&self.message))
            .field("is_waiting", &self.is_waiting())
            .finish_non_exhaustive()
    }
}
