use std::{fmt, sync::Arc};

use futures_util::future::join_all;

use super::{
    PoolAsk, PoolTell, Routing,
    choice::{Choice, hash},
};
use crate::{
    actor::{HandledBy, Handlers, StopReason},
    address::{
        ASK_TIMEOUT_DEFAULT, Addr, Recipient, SendOptions, Target, TargetAsk, TargetTell, send_each,
    },
    error::{AskError, Failure, FailureKind, TellError},
};

/// Several actors of one type behind one handle; see [`System::pool`](crate::System::pool).
///
/// Every message goes to one of them, chosen by the pool's [`Routing`]. A member that has failed is
/// built again behind its place; one that has ended for good is passed over. Cloning a pool is
/// cheap; dropping it leaves the members as they are.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Message)]
/// #[message(reply = u64)]
/// struct Square(u64);
///
/// #[derive(Actor, Default)]
/// struct Worker;
/// #[handlers]
/// impl Worker {
///     #[handle]
///     fn square(&mut self, Square(n): Square) -> u64 { n * n }
/// }
///
/// #[callboard::main]
/// async fn main(system: System) -> callboard::Result<()> {
///     let pool: Pool<Worker> = system.pool(Worker::default).size(4).spawn()?;
///     assert_eq!(pool.ask(Square(7)).await?, 49);
///     assert_eq!(pool.ask(Square(8)).key("always the same worker").await?, 64);
///     pool.stop();
///     pool.stopped().await;
///     Ok(())
/// }
/// ```
pub struct Pool<A: Handlers>(Arc<Inner<A>>);

struct Inner<A: Handlers> {
    name: String,
    members: Box<[Addr<A>]>,
    choice: Choice,
}

impl<A: Handlers> Pool<A> {
    /// A pool of these actors of this process, at least one.
    pub(crate) fn new(name: String, members: Vec<Addr<A>>, routing: Routing) -> Self {
        debug_assert!(!members.is_empty(), "a pool has members");
        let choice = Choice::new(routing, members.len());
        Self(Arc::new(Inner { name, members: members.into(), choice }))
    }

    /// The pool's name; its members are called by it and their number.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How it chooses.
    pub fn routing(&self) -> Routing {
        self.0.choice.routing()
    }

    /// The addresses of all members, in order; also of those that have ended.
    pub fn members(&self) -> Vec<Addr<A>> {
        self.0.members.to_vec()
    }

    /// How many members it was made with.
    #[allow(clippy::len_without_is_empty)] // It never is.
    pub fn len(&self) -> usize {
        self.0.members.len()
    }

    /// Sends to one member. It waits for room there if the mailbox is full and its policy is to
    /// wait; when the member ends meanwhile the message goes on to another one.
    ///
    /// # Errors
    /// [`TellError`] hands the message back: the member's mailbox stayed full, all members have
    /// ended, or there is no key and the pool routes by key ([`FailureKind::KeyMissing`]).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message was not sent.
    #[inline]
    pub fn tell<M: HandledBy<A>>(&self, message: M) -> PoolTell<'_, A, M> {
        PoolTell::new(self, message)
    }

    /// Sends to one member at once. When its mailbox is full it is the turn of the others.
    ///
    /// # Errors
    /// [`TellError`] hands the message back: no member has room now, all have ended, or the pool
    /// routes by key; then send to [`by_key`](Self::by_key).
    pub fn try_tell<M: HandledBy<A>>(&self, message: M) -> Result<(), TellError<M>> {
        let mut message = message;
        loop {
            let at = match self.choose(None) {
                Ok(at) => at,
                Err(failure) => return Err(TellError::new(message, failure)),
            };
            match self.member(at).try_tell(message) {
                Ok(()) => return Ok(()),
                Err(refused) if self.has_ended(at, refused.failure()) => {
                    message = refused.into_message();
                }
                Err(refused) => return self.try_others(at, refused),
            }
        }
    }

    #[cold]
    fn try_others<M: HandledBy<A>>(
        &self,
        first: usize,
        refused: TellError<M>,
    ) -> Result<(), TellError<M>> {
        if !matches!(refused.failure().kind(), FailureKind::MailboxFull { .. }) {
            return Err(refused);
        }
        let (mut message, failure) = refused.into_parts();
        for at in self.0.choice.from(first).filter(|at| *at != first) {
            match self.member(at).try_tell(message) {
                Ok(()) => return Ok(()),
                Err(refused) => message = refused.into_message(),
            }
        }
        Err(TellError::new(message, failure))
    }

    /// Sends to one member and waits for its reply, for 30 s unless told otherwise.
    ///
    /// # Errors
    /// [`AskError`]: the handler's own error, or why no answer came; without a key where the pool
    /// routes by key it is [`FailureKind::KeyMissing`].
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the message is not handled if no handler has begun with it.
    #[inline]
    pub fn ask<M: HandledBy<A>>(&self, message: M) -> PoolAsk<'_, A, M> {
        PoolAsk::new(self, message)
    }

    /// Tells every member that has not ended, waiting for room in each. Gives the number of those
    /// that took the message.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, some members may have got the message.
    pub async fn broadcast<M: HandledBy<A> + Clone>(&self, message: M) -> usize {
        let going = self.0.choice.from(0).map(|at| self.member(at).tell(message.clone()));
        let told = send_each(going.collect()).await;
        told.iter().filter(|told| told.is_ok()).count()
    }

    /// The member that a key leads to now, whatever the pool's routing; none when all have ended.
    pub fn by_key(&self, key: impl AsRef<str>) -> Option<Addr<A>> {
        let ended = |at: &usize| self.member(*at).state() == Some(crate::ActorState::Stopped);
        loop {
            let at = self.0.choice.choose(Some(hash(key.as_ref())), |_| 0)?;
            if !ended(&at) {
                return Some(self.member(at).clone());
            }
            self.0.choice.note_ended(at);
        }
    }

    /// The pool as one that takes this message.
    pub fn recipient<M: HandledBy<A>>(&self) -> Recipient<M> {
        Recipient::new(self.clone())
    }

    /// Tells every member to stop: each takes no more, works off what it had accepted and ends.
    pub fn stop(&self) {
        for member in &self.0.members {
            // Members are actors of this process, which can be told to stop.
            member.stop().ok();
        }
    }

    /// Waits for the end of all members and says why each ended, in order.
    ///
    /// # Cancel safety
    /// It only waits.
    pub async fn stopped(&self) -> Vec<StopReason> {
        let ends = join_all(self.0.members.iter().map(|member| member.stopped())).await;
        // As in `stop`.
        ends.into_iter().flatten().collect()
    }

    pub(super) fn member(&self, at: usize) -> &Addr<A> {
        &self.0.members[at]
    }

    /// The member for the next message.
    pub(super) fn choose(&self, key: Option<u64>) -> Result<usize, Failure> {
        if key.is_none() && self.routing() == Routing::ByKey {
            return Err(FailureKind::KeyMissing { target: self.0.name.clone() }.into());
        }
        let load = |at: usize| self.member(at).shared().map_or(0, |shared| shared.load());
        let chosen = self.0.choice.choose(key, load);
        chosen.ok_or_else(|| FailureKind::Stopped { actor: self.0.name.clone() }.into())
    }

    /// Whether this refusal says that the member takes no more; it is passed over then.
    pub(super) fn has_ended(&self, at: usize, failure: &Failure) -> bool {
        let has_ended =
            matches!(failure.kind(), FailureKind::Stopped { .. } | FailureKind::StartFailed { .. });
        if has_ended {
            self.0.choice.note_ended(at);
        }
        has_ended
    }

    /// The first option that a pool can't honour.
    fn refuse(&self, options: &SendOptions) -> Option<Failure> {
        let option = match options {
            SendOptions { delay: Some(_), .. } => "`.delay(..)`",
            SendOptions { buffered: true, .. } => "`.buffered()`",
            _ => return None,
        };
        let target = format!("the pool {}", self.0.name);
        Some(FailureKind::Unsupported { option: option.to_owned(), target }.into())
    }
}

impl<A: Handlers, M: HandledBy<A>> Target<M> for Pool<A> {
    fn try_tell(&self, message: M) -> Result<(), TellError<M>> {
        Pool::try_tell(self, message)
    }

    fn tell_with(&self, message: M, options: SendOptions) -> TargetTell<'_, M> {
        Box::pin(async move {
            match self.refuse(&options) {
                Some(failure) => Err(TellError::new(message, failure)),
                None => self.tell(message).with_key(options.key.as_deref()).await,
            }
        })
    }

    fn ask_with(&self, message: M, options: SendOptions) -> TargetAsk<'_, M> {
        Box::pin(async move {
            if let Some(failure) = self.refuse(&options) {
                return Err(AskError::Failed(failure));
            }
            let timeout = options.timeout.unwrap_or(ASK_TIMEOUT_DEFAULT);
            self.ask(message).with_key(options.key.as_deref()).timeout(timeout).await
        })
    }
}

impl<A: Handlers, M: HandledBy<A>> From<Pool<A>> for Recipient<M> {
    fn from(pool: Pool<A>) -> Self {
        Self::new(pool)
    }
}

impl<A: Handlers> Clone for Pool<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Handlers> fmt::Debug for Pool<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.0.name)
            .field("len", &self.len())
            .field("routing", &self.routing())
            .finish()
    }
}
