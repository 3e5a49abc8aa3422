use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    actor::Shared,
    mailbox::{Refusal, Ticket},
};

/// A place in the line for room in an actor's own mailbox. It waits as long as it takes, whatever
/// the mailbox does with the messages of others; the reference does not keep the actor alive.
pub(crate) struct Delivery<I: Send + 'static> {
    shared: Arc<Shared<I>>,
    ticket: Option<Ticket>,
}

impl<I: Send + 'static> Delivery<I> {
    pub(in crate::actor) fn new(shared: Arc<Shared<I>>) -> Self {
        Self { shared, ticket: None }
    }

    /// Puts a message of this size in once there is room; `make` runs only then. An error says that
    /// the mailbox takes no more, or never takes one of this size.
    pub(in crate::actor) fn poll_push(
        &mut self,
        size: usize,
        cx: &mut Context<'_>,
        make: impl FnOnce() -> I,
    ) -> Poll<Result<(), Refusal>> {
        let Self { shared, ticket } = self;
        let (wake_owner, now) = (|| shared.core.wake(), || shared.now());
        match shared.mailbox.push_or_wait_at(size, ticket, cx.waker(), wake_owner, now, make) {
            Ok(pushed) => {
                self.shared.after_push(pushed);
                Poll::Ready(Ok(()))
            }
            Err(Refusal::Full) => Poll::Pending,
            Err(refusal) => Poll::Ready(Err(refusal)),
        }
    }

    /// As [`poll_push`](Self::poll_push), to await.
    pub(in crate::actor) async fn push(
        &mut self,
        size: usize,
        make: impl FnOnce() -> I,
    ) -> Result<(), Refusal> {
        let mut make = Some(make);
        poll_fn(|cx| self.poll_push(size, cx, || (make.take().expect("a message is made once"))()))
            .await
    }

    /// Leaves the line.
    pub(in crate::actor) fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.mailbox.leave(ticket);
        }
    }

    pub(in crate::actor) fn shared(&self) -> &Arc<Shared<I>> {
        &self.shared
    }
}

impl<I: Send + 'static> Drop for Delivery<I> {
    fn drop(&mut self) {
        self.leave();
    }
}
