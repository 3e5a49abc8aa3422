use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::future::BoxFuture;

use super::{
    Addr, RemoteSink,
    addr::{Place, encode_for, refused},
    waiting::has_passed,
};
use crate::{
    actor::{HandledBy, Handlers, Shared, WireFns},
    error::{Failure, TellError},
    mailbox::{Overflow, Refusal, Ticket},
    message::{Envelope, Message, ReplyTo},
    time::Deadline,
};

/// How long a tell waits for room.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// A message on its way into a mailbox; see [`Addr::tell`].
#[must_use = "nothing is sent until it is awaited; try_tell sends at once"]
pub struct Tell<'a, A: Handlers, M: Message> {
    addr: &'a Addr<A>,
    message: Option<M>,
    wrap: fn(Envelope<M>) -> A::Inbox,
    wire: fn() -> Option<WireFns<M>>,
    state: State,
}

enum State {
    New,
    Waiting(Box<Waiting>),
    Remote(BoxFuture<'static, Result<(), Failure>>),
}

/// A place in the line for room.
pub(super) struct Waiting {
    pub(super) ticket: Option<Ticket>,
    /// As the message said when it joined: room is promised for that.
    size: usize,
    limit: Deadline,
}

// The message is never pinned.
impl<A: Handlers, M: Message> Unpin for Tell<'_, A, M> {}

impl<'a, A: Handlers, M: HandledBy<A>> Tell<'a, A, M> {
    #[inline]
    pub(super) fn new(addr: &'a Addr<A>, message: M) -> Self {
        Self { addr, message: Some(message), wrap: M::__wrap, wire: M::__wire, state: State::New }
    }
}

impl<A: Handlers, M: Message> Tell<'_, A, M> {
    /// Gives up the place in the line, if there is one.
    #[inline]
    fn leave(&mut self) {
        if let (State::Waiting(waiting), Place::Here(shared)) = (&mut self.state, &self.addr.place)
            && let Some(ticket) = waiting.ticket.take()
        {
            shared.mailbox.leave(ticket);
        }
    }

    fn refuse(&mut self, failure: Failure) -> Poll<Result<(), TellError<M>>> {
        self.leave();
        let message = self.message.take().expect("a refused message was not moved");
        Poll::Ready(Err(TellError::new(message, failure)))
    }

    #[cold]
    fn wait(
        &mut self,
        shared: &Arc<Shared<A::Inbox>>,
        size: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TellError<M>>> {
        if let State::New = self.state {
            if may_not_wait(shared, cx) {
                return self.push_now(shared, size);
            }
            let limit = Deadline::new();
            self.state = State::Waiting(Box::new(Waiting { ticket: None, size, limit }));
        }
        let State::Waiting(waiting) = &mut self.state else {
            unreachable!("a tell that waits is in the line");
        };
        let (message, wrap) = (&mut self.message, self.wrap);
        let (ticket, now) = (&mut waiting.ticket, || shared.now());
        let wake_owner = || shared.core.wake();
        let waker = cx.waker();
        let pushed = shared.mailbox.push_or_wait_at(size, ticket, waker, wake_owner, now, || {
            let message = message.take().expect("a message is moved once");
            wrap(Envelope { message, reply: ReplyTo::NOBODY })
        });
        match pushed {
            Ok(pushed) => {
                shared.after_push(pushed);
                Poll::Ready(Ok(()))
            }
            Err(Refusal::Full)
                if !has_passed(&mut waiting.limit, shared.timer(), SEND_TIMEOUT, cx) =>
            {
                Poll::Pending
            }
            Err(refusal) => self.refuse(refused(shared, refusal, size)),
        }
    }

    /// Where it may not wait: the oldest messages go for it, or it is refused.
    fn push_now(
        &mut self,
        shared: &Shared<A::Inbox>,
        size: usize,
    ) -> Poll<Result<(), TellError<M>>> {
        let (message, wrap) = (&mut self.message, self.wrap);
        let pushed = shared.mailbox.push_now(
            size,
            || shared.now(),
            || {
                let message = message.take().expect("a message is moved once");
                wrap(Envelope { message, reply: ReplyTo::NOBODY })
            },
        );
        match pushed {
            Ok(pushed) => {
                shared.after_push(pushed);
                Poll::Ready(Ok(()))
            }
            Err(refusal) => self.refuse(refused(shared, refusal, size)),
        }
    }

    fn poll_remote(
        &mut self,
        sink: &Arc<dyn RemoteSink>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TellError<M>>> {
        if let State::New = self.state {
            let message = self.message.as_ref().expect("a tell is polled until it is ready");
            match encode_for(&**sink, message, (self.wire)()) {
                Ok(encoded) => self.state = State::Remote(sink.tell(encoded)),
                Err(failure) => return self.refuse(failure),
            }
        }
        let State::Remote(sending) = &mut self.state else {
            unreachable!("a remote tell is under way");
        };
        match sending.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(failure)) => self.refuse(failure),
        }
    }
}

/// Whether a full mailbox refuses at once: by its policy, or because its own actor is the sender
/// and would wait for itself.
pub(super) fn may_not_wait<I: Send + 'static>(shared: &Arc<Shared<I>>, cx: &Context<'_>) -> bool {
    let is_own = std::ptr::eq(cx.waker().data(), Arc::as_ptr(shared).cast());
    is_own || shared.mailbox.limits().overflow != Overflow::Wait
}

impl<A: Handlers, M: Message> Future for Tell<'_, A, M> {
    type Output = Result<(), TellError<M>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let addr = this.addr;
        let shared = match &addr.place {
            Place::Here(shared) => shared,
            Place::Elsewhere(sink) => return this.poll_remote(sink, cx),
        };
        if let State::Waiting(waiting) = &this.state {
            let size = waiting.size;
            return this.wait(shared, size, cx);
        }
        let size = this.message.as_ref().expect("a tell is polled until it is ready").size_bytes();
        match shared.mailbox.room(size) {
            Ok(room) => {
                let message = this.message.take().expect("a message is moved once");
                let inbox = (this.wrap)(Envelope { message, reply: ReplyTo::NOBODY });
                shared.wake_if(room.put(|| shared.now(), inbox));
                Poll::Ready(Ok(()))
            }
            Err(Refusal::Full) => this.wait(shared, size, cx),
            Err(refusal) => this.refuse(refused(shared, refusal, size)),
        }
    }
}

impl<A: Handlers, M: Message> Drop for Tell<'_, A, M> {
    #[inline]
    fn drop(&mut self) {
        self.leave();
    }
}

impl<A: Handlers, M: Message> fmt::Debug for Tell<'_, A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tell").field("message", &M::NAME).finish_non_exhaustive()
    }
}
