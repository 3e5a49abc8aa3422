use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::future::BoxFuture;
use oneshot::AsyncReceiver;

use super::{
    Addr, RemoteReply, RemoteSink,
    addr::{Place, encode_for, refused},
    tell::may_not_wait,
    waiting::has_passed,
    with_context,
};
use crate::{
    actor::{ActorState, HandledBy, Handlers, Shared, WireFns},
    error::{AskError, Delivery, Failure, FailureKind},
    host,
    mailbox::{Refusal, Ticket},
    message::{Envelope, Message, NoReply, ReplyTo},
    time::Deadline,
};

/// How long an ask waits unless it is told otherwise.
pub(crate) const ASK_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Bounds of the time an ask may wait.
pub(crate) const ASK_TIMEOUT_BOUNDS: (Duration, Duration) =
    (Duration::from_millis(1), Duration::from_secs(86_400));

/// A message whose reply is waited for; see [`Addr::ask`].
#[must_use = "nothing is sent until it is awaited"]
pub struct Ask<'a, A: Handlers, M: Message> {
    addr: &'a Addr<A>,
    message: Option<M>,
    wrap: fn(Envelope<M>) -> A::Inbox,
    wire: fn() -> Option<WireFns<M>>,
    timeout: Duration,
    deadline: Deadline,
    /// The actor in whose handler it was asked; zero for none.
    asked_by: u64,
    state: State<M>,
}

type Answer<M> = Result<<M as Message>::Outcome, NoReply>;

enum State<M: Message> {
    New,
    /// In the line for room, with the size that the message had when it joined.
    Waiting(Option<Ticket>, usize),
    /// In the mailbox, or in the handler.
    Sent(AsyncReceiver<Answer<M>>),
    Remote(BoxFuture<'static, Result<RemoteReply, Failure>>),
}

// Neither message nor outcome is ever pinned.
impl<A: Handlers, M: Message> Unpin for Ask<'_, A, M> {}

impl<'a, A: Handlers, M: HandledBy<A>> Ask<'a, A, M> {
    #[inline]
    pub(super) fn new(addr: &'a Addr<A>, message: M) -> Self {
        Self {
            addr,
            message: Some(message),
            wrap: M::__wrap,
            wire: M::__wire,
            timeout: ASK_TIMEOUT_DEFAULT,
            deadline: Deadline::new(),
            asked_by: 0,
            state: State::New,
        }
    }
}

type Outcome<M> = Result<<M as Message>::Outcome, Failure>;

impl<A: Handlers, M: Message> Ask<'_, A, M> {
    /// How long to wait, from the first poll on: 1 ms to one day; what is outside is brought to the
    /// bound.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(ASK_TIMEOUT_BOUNDS.0, ASK_TIMEOUT_BOUNDS.1);
        self
    }

    /// Sends it. Notes who waits for whom, when a handler asks by itself: an ask of a task, or of a
    /// future with a waker of its own, holds up no handler.
    #[inline]
    fn begin(
        &mut self,
        shared: &Arc<Shared<A::Inbox>>,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let asker = host::current(cx.waker(), |asker| {
            let core = asker.core();
            core.begin_ask(&shared.core).map(|()| core.id().to_u64())
        });
        self.asked_by = asker.transpose()?.unwrap_or(0);
        let size = self.message.as_ref().expect("an ask is polled until it is ready").size_bytes();
        let (asker, answer) = oneshot::async_channel();
        match shared.mailbox.room(size) {
            Ok(room) => {
                let message = self.message.take().expect("a message is moved once");
                let inbox = (self.wrap)(Envelope { message, reply: ReplyTo::asker(asker) });
                shared.wake_for_asker(room.put(|| shared.now(), inbox));
                self.state = State::Sent(answer);
                Ok(())
            }
            Err(Refusal::Full) if may_not_wait(shared, cx) => {
                let (message, wrap) = (&mut self.message, self.wrap);
                let pushed = shared.mailbox.push_now(
                    size,
                    || shared.now(),
                    || {
                        let message = message.take().expect("a message is moved once");
                        wrap(Envelope { message, reply: ReplyTo::asker(asker) })
                    },
                );
                let pushed = pushed.map_err(|refusal| refused(shared, refusal, size))?;
                shared.after_push(pushed);
                self.state = State::Sent(answer);
                Ok(())
            }
            Err(Refusal::Full) => {
                self.state = State::Waiting(None, size);
                self.push_or_wait(shared, cx)
            }
            Err(refusal) => Err(refused(shared, refusal, size)),
        }
    }

    /// Uses its place in the line, or takes one.
    #[cold]
    fn push_or_wait(
        &mut self,
        shared: &Arc<Shared<A::Inbox>>,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let State::Waiting(ticket, size) = &mut self.state else { return Ok(()) };
        let size = *size;
        let (asker, answer) = oneshot::async_channel();
        let (message, wrap) = (&mut self.message, self.wrap);
        let (waker, wake_owner, now) = (cx.waker(), || shared.core.wake(), || shared.now());
        let pushed = shared.mailbox.push_or_wait_at(size, ticket, waker, wake_owner, now, || {
            let message = message.take().expect("a message is moved once");
            wrap(Envelope { message, reply: ReplyTo::asker(asker) })
        });
        match pushed {
            Ok(pushed) => {
                shared.after_push(pushed);
                self.state = State::Sent(answer);
                Ok(())
            }
            Err(Refusal::Full) => Ok(()),
            Err(refusal) => Err(refused(shared, refusal, size)),
        }
    }

    #[inline]
    fn poll_here(
        &mut self,
        shared: &Arc<Shared<A::Inbox>>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<M>> {
        let sent = match self.state {
            State::Sent(_) => Ok(()),
            State::New => self.begin(shared, cx),
            _ => self.push_or_wait(shared, cx),
        };
        if let Err(failure) = sent {
            return Poll::Ready(Err(failure));
        }
        if let State::Sent(answer) = &mut self.state
            && let Poll::Ready(answer) = Pin::new(answer).poll(cx)
        {
            let outcome = answer.unwrap_or(Err(NoReply::Unanswered));
            return Poll::Ready(outcome.map_err(|why| no_outcome(shared, why)));
        }
        self.poll_deadline(shared, cx)
    }

    /// Looks at the deadline, while there is no answer.
    fn poll_deadline(
        &mut self,
        shared: &Arc<Shared<A::Inbox>>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<M>> {
        if !has_passed(&mut self.deadline, shared.timer(), self.timeout, cx) {
            return Poll::Pending;
        }
        let delivery = match self.state {
            State::Sent(_) => Delivery::Unknown,
            _ => Delivery::NotDelivered,
        };
        let kind = FailureKind::DeadlinePassed { after: self.timeout };
        Poll::Ready(Err(Failure::with_delivery(kind, delivery)))
    }

    fn poll_remote(
        &mut self,
        sink: &Arc<dyn RemoteSink>,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<M>> {
        if let State::New = self.state {
            let message = self.message.take().expect("an ask is polled until it is ready");
            match encode_for(&**sink, &message, (self.wire)()) {
                Ok(encoded) => self.state = State::Remote(sink.ask(encoded, self.timeout)),
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
        let State::Remote(asking) = &mut self.state else {
            unreachable!("a remote ask is under way");
        };
        asking.as_mut().poll(cx).map(|reply| {
            let wire = (self.wire)().expect("only a message with a wire form was sent");
            reply.and_then(|reply| with_context(&sink.context(), || reply.decode::<M>(wire)))
        })
    }
}

/// What the asker is told when there is no outcome.
pub(crate) fn no_outcome<I: Send + 'static>(shared: &Shared<I>, why: NoReply) -> Failure {
    let actor = || shared.name().to_owned();
    match why {
        NoReply::Panicked => FailureKind::Panicked.into(),
        NoReply::Unanswered => FailureKind::Unanswered.into(),
        NoReply::Displaced => FailureKind::MailboxFull { actor: actor(), retry_after: None }.into(),
        // Dropped unhandled by an actor that lives: it had to make room.
        NoReply::Stopped if shared.state() != ActorState::Stopped => {
            no_outcome(shared, NoReply::Displaced)
        }
        NoReply::Stopped | NoReply::StartFailed => shared.stopped_failure(),
    }
}

impl<A: Handlers, M: Message> Ask<'_, A, M> {
    /// Lets go of everything, whether this future is dropped now or kept: its place in the line,
    /// and the end by which the actor sees that nobody waits any more.
    #[inline]
    fn end(&mut self) {
        self.deadline.end();
        self.let_go();
    }

    #[inline]
    fn let_go(&mut self) {
        self.release_asker();
        let state = std::mem::replace(&mut self.state, State::New);
        if let (State::Waiting(Some(ticket), _), Place::Here(shared)) = (state, &self.addr.place) {
            shared.mailbox.leave(ticket);
        }
        self.message = None;
    }

    /// The handler that asked waits no more. When it is over already, it has noted that itself.
    #[inline]
    fn release_asker(&mut self) {
        let asker = std::mem::take(&mut self.asked_by);
        if asker != 0 {
            host::with_current(|resident| {
                let core = resident.core();
                if core.id().to_u64() == asker {
                    core.end_ask();
                }
            });
        }
    }

    /// The outcome as the handler returned it.
    #[inline]
    pub(crate) fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<M>> {
        let polled = self.poll_place(cx);
        if polled.is_ready() {
            self.end();
        }
        polled
    }

    /// As [`poll_outcome`](Self::poll_outcome); hands the message back when the actor did not accept
    /// it.
    pub(crate) fn poll_or_hand_back(&mut self, cx: &mut Context<'_>) -> Poll<OrHandedBack<M>> {
        self.poll_place(cx).map(|outcome| {
            let message = self.message.take();
            // But for the time that is left: another actor may be asked in that.
            self.let_go();
            outcome.map_err(|failure| (failure, message))
        })
    }

    #[inline]
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<M>> {
        let addr = self.addr;
        match &addr.place {
            Place::Here(shared) => self.poll_here(shared, cx),
            Place::Elsewhere(sink) => self.poll_remote(sink, cx),
        }
    }
}

/// An actor as whoever may turn to another one asks it.
pub(crate) trait LocalAsk<M: Message>: Send + Sync {
    /// Asks; hands the message back when the actor did not accept it.
    fn ask(&self, message: M, timeout: Duration) -> BoxFuture<'_, OrHandedBack<M>>;
}

/// An outcome, or why there is none, with the message if it was not accepted.
pub(crate) type OrHandedBack<M> = Result<<M as Message>::Outcome, (Failure, Option<M>)>;

impl<'a, A: Handlers, M: Message> Ask<'a, A, M> {
    /// Asks another actor, in the time that is left, after this one handed the message back.
    pub(crate) fn turn_to(&mut self, addr: &'a Addr<A>, message: M) {
        debug_assert!(matches!(self.state, State::New), "it has ended at the actor before");
        self.addr = addr;
        self.message = Some(message);
    }
}

impl<A: Handlers, M: HandledBy<A>> LocalAsk<M> for Addr<A> {
    fn ask(&self, message: M, timeout: Duration) -> BoxFuture<'_, OrHandedBack<M>> {
        let mut ask = Addr::ask(self, message).timeout(timeout);
        Box::pin(async move {
            let outcome = poll_fn(|cx| ask.poll_place(cx)).await;
            outcome.map_err(|failure| (failure, ask.message.take()))
        })
    }
}

impl<A: Handlers, M: Message> Future for Ask<'_, A, M> {
    type Output = Result<M::Reply, AskError<M::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_outcome(cx).map(|outcome| match outcome {
            Ok(outcome) => M::into_result(outcome).map_err(AskError::Rejected),
            Err(failure) => Err(AskError::Failed(failure)),
        })
    }
}

impl<A: Handlers, M: Message> Drop for Ask<'_, A, M> {
    #[inline]
    fn drop(&mut self) {
        self.release_asker();
        if let (State::Waiting(Some(ticket), _), Place::Here(shared)) =
            (&self.state, &self.addr.place)
        {
            shared.mailbox.leave(*ticket);
        }
    }
}

impl<A: Handlers, M: Message> fmt::Debug for Ask<'_, A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("message", &M::NAME).finish_non_exhaustive()
    }
}
