use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use super::{Pool, choice::hash};
use crate::{
    actor::{HandledBy, Handlers},
    address::{ASK_TIMEOUT_DEFAULT, Addr, Ask, Tell},
    error::{AskError, Failure, TellError},
    message::Message,
};

/// A message on its way to a member of a pool; see [`Pool::tell`].
#[must_use = "nothing is sent until it is awaited; try_tell sends at once"]
pub struct PoolTell<'a, A: Handlers, M: Message> {
    pool: &'a Pool<A>,
    key: Option<u64>,
    /// Until a member is chosen.
    message: Option<M>,
    sending: Option<(usize, Tell<'a, A, M>)>,
    tell: fn(&'a Addr<A>, M) -> Tell<'a, A, M>,
}

// The message is never pinned.
impl<A: Handlers, M: Message> Unpin for PoolTell<'_, A, M> {}

impl<'a, A: Handlers, M: HandledBy<A>> PoolTell<'a, A, M> {
    #[inline]
    pub(super) fn new(pool: &'a Pool<A>, message: M) -> Self {
        Self { pool, key: None, message: Some(message), sending: None, tell: Addr::tell }
    }
}

impl<A: Handlers, M: Message> PoolTell<'_, A, M> {
    /// Messages with the same key go to the same member, as long as that has not ended.
    pub fn key(self, key: impl AsRef<str>) -> Self {
        self.with_key(Some(key.as_ref()))
    }

    pub(super) fn with_key(mut self, key: Option<&str>) -> Self {
        self.key = key.map(hash);
        self
    }
}

impl<A: Handlers, M: Message> Future for PoolTell<'_, A, M> {
    type Output = Result<(), TellError<M>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            let (at, sending) = match &mut this.sending {
                Some(sending) => sending,
                none => {
                    let message = this.message.take().expect("a tell is polled until it is ready");
                    match this.pool.choose(this.key) {
                        Ok(at) => none.insert((at, (this.tell)(this.pool.member(at), message))),
                        Err(failure) => return Poll::Ready(Err(TellError::new(message, failure))),
                    }
                }
            };
            match Pin::new(sending).poll(cx) {
                Poll::Ready(Err(refused)) if this.pool.has_ended(*at, refused.failure()) => {
                    this.message = Some(refused.into_message());
                    this.sending = None;
                }
                polled => return polled,
            }
        }
    }
}

impl<A: Handlers, M: Message> fmt::Debug for PoolTell<'_, A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolTell").field("message", &M::NAME).finish_non_exhaustive()
    }
}

/// A message to a member of a pool whose reply is waited for; see [`Pool::ask`].
#[must_use = "nothing is sent until it is awaited"]
pub struct PoolAsk<'a, A: Handlers, M: Message> {
    pool: &'a Pool<A>,
    key: Option<u64>,
    timeout: Duration,
    /// Until a member is chosen.
    message: Option<M>,
    asking: Option<(usize, Ask<'a, A, M>)>,
    ask: fn(&'a Addr<A>, M) -> Ask<'a, A, M>,
}

// Neither message nor outcome is ever pinned.
impl<A: Handlers, M: Message> Unpin for PoolAsk<'_, A, M> {}

impl<'a, A: Handlers, M: HandledBy<A>> PoolAsk<'a, A, M> {
    #[inline]
    pub(super) fn new(pool: &'a Pool<A>, message: M) -> Self {
        let timeout = ASK_TIMEOUT_DEFAULT;
        Self { pool, key: None, timeout, message: Some(message), asking: None, ask: Addr::ask }
    }
}

impl<A: Handlers, M: Message> PoolAsk<'_, A, M> {
    /// Asks with the same key go to the same member, as long as that has not ended.
    pub fn key(self, key: impl AsRef<str>) -> Self {
        self.with_key(Some(key.as_ref()))
    }

    pub(super) fn with_key(mut self, key: Option<&str>) -> Self {
        self.key = key.map(hash);
        self
    }

    /// How long to wait, from the first poll on: 1 ms to one day; what is outside is brought to the
    /// bound.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Result<M::Outcome, Failure>> {
        loop {
            let (at, asking) = match &mut self.asking {
                Some(asking) => asking,
                none => {
                    let message = self.message.take().expect("an ask is polled until it is ready");
                    let at = match self.pool.choose(self.key) {
                        Ok(at) => at,
                        Err(failure) => return Poll::Ready(Err(failure)),
                    };
                    let ask = (self.ask)(self.pool.member(at), message).timeout(self.timeout);
                    none.insert((at, ask))
                }
            };
            let (failure, message) = match asking.poll_or_hand_back(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(outcome)) => return Poll::Ready(Ok(outcome)),
                Poll::Ready(Err((failure, None))) => return Poll::Ready(Err(failure)),
                Poll::Ready(Err((failure, Some(message)))) => (failure, message),
            };
            if !self.pool.has_ended(*at, &failure) {
                return Poll::Ready(Err(failure));
            }
            match self.pool.choose(self.key) {
                Ok(next) => {
                    *at = next;
                    asking.turn_to(self.pool.member(next), message);
                }
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
    }
}

impl<A: Handlers, M: Message> Future for PoolAsk<'_, A, M> {
    type Output = Result<M::Reply, AskError<M::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_outcome(cx).map(|outcome| match outcome {
            Ok(outcome) => M::into_result(outcome).map_err(AskError::Rejected),
            Err(failure) => Err(AskError::Failed(failure)),
        })
    }
}

impl<A: Handlers, M: Message> fmt::Debug for PoolAsk<'_, A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolAsk").field("message", &M::NAME).finish_non_exhaustive()
    }
}
