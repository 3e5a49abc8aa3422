use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use oneshot::AsyncReceiver;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{Terminated, ties::Tied};
use crate::{
    actor::{Shared, tasks::Delivery},
    id::ActorId,
    mailbox::Refusal,
    message::{Envelope, Message, NoReply, ReplyTo},
};

/// What an actor keeps for the actors that it watches. It outlives a restart.
pub(in crate::actor) struct Watching<I> {
    pub(super) id: ActorId,
    pub(super) notices: Arc<Notices>,
    pub(super) wrap: fn(Envelope<Terminated>) -> I,
}

/// The notices of ends on their way into the mailbox of the actor that watches.
///
/// Those whose end comes put them here, on their own threads; a future beside the watching actor
/// carries them on as there is room. A notice that a mailbox drops for newer messages comes again.
#[derive(Default)]
pub(super) struct Notices {
    inner: Mutex<Inner>,
    /// The future that carries them.
    waker: AtomicWaker,
}

#[derive(Default)]
struct Inner {
    /// Those whose end has not come.
    watched: FxHashMap<ActorId, Weak<dyn Tied>>,
    /// To be put into the mailbox, in the order of the ends.
    due: VecDeque<Terminated>,
    /// In the mailbox. Dropping the receiver takes a notice back.
    sent: Vec<(Terminated, Handled)>,
}

type Handled = AsyncReceiver<Result<(), NoReply>>;

impl Notices {
    /// Notes an actor that is watched from now on. False when it is already, or its notice is on
    /// its way.
    pub(super) fn expect(&self, id: ActorId, watched: Weak<dyn Tied>) -> bool {
        let mut inner = self.inner.lock();
        let is_known = inner.watched.contains_key(&id)
            || inner.due.iter().any(|notice| notice.id == id)
            || inner.sent.iter().any(|(notice, _)| notice.id == id);
        if !is_known {
            inner.watched.insert(id, watched);
        }
        !is_known
    }

    /// The end of a watched actor. One that is not watched any more is ignored.
    pub(super) fn put(&self, terminated: &Terminated) {
        let mut inner = self.inner.lock();
        let Some(watched) = inner.watched.remove(&terminated.id) else { return };
        inner.due.push_back(terminated.clone());
        drop(inner);
        drop(watched);
        self.waker.wake();
    }

    /// Forgets an actor: its notice does not come any more, also when it is in the mailbox already.
    pub(super) fn forget(&self, id: ActorId) {
        let mut inner = self.inner.lock();
        let watched = inner.watched.remove(&id);
        inner.due.retain(|notice| notice.id != id);
        let at = inner.sent.iter().position(|(notice, _)| notice.id == id);
        let sent = at.map(|at| inner.sent.swap_remove(at));
        drop(inner);
        drop((watched, sent));
    }

    /// Looks at the notices in the mailbox: those that were handled are done with, those that had to
    /// go for newer messages are due again.
    fn review(&self, cx: &mut Context<'_>) {
        let mut displaced = Vec::new();
        let mut inner = self.inner.lock();
        inner.sent.retain_mut(|(notice, handled)| match Pin::new(handled).poll(cx) {
            Poll::Pending => true,
            Poll::Ready(Ok(Err(NoReply::Stopped | NoReply::Displaced))) => {
                displaced.push(notice.clone());
                false
            }
            Poll::Ready(_) => false,
        });
        for notice in displaced.into_iter().rev() {
            inner.due.push_front(notice);
        }
    }

    fn next(&self) -> Option<Terminated> {
        self.inner.lock().due.front().cloned()
    }

    /// Only the actor itself takes notices out of the front: it is the one that was put in.
    fn sent(&self, notice: Terminated, handled: Handled) {
        let mut inner = self.inner.lock();
        let first = inner.due.pop_front();
        debug_assert_eq!(first.as_ref(), Some(&notice), "notices go in order");
        inner.sent.push((notice, handled));
    }
}

impl<I: Send + 'static> Watching<I> {
    pub(super) fn new(id: ActorId, wrap: fn(Envelope<Terminated>) -> I) -> Self {
        Self { id, notices: Arc::default(), wrap }
    }

    /// Carries notices into the mailbox, until that is closed.
    pub(super) fn carry(&self, shared: Arc<Shared<I>>) -> Carry<I> {
        Carry { notices: self.notices.clone(), wrap: self.wrap, delivery: Delivery::new(shared) }
    }
}

impl<I> Drop for Watching<I> {
    /// The actor has ended: nobody need tell it any more.
    fn drop(&mut self) {
        let watched = std::mem::take(&mut self.notices.inner.lock().watched);
        for watched in watched.into_values().filter_map(|watched| watched.upgrade()) {
            watched.ties().remove_watcher(self.id);
        }
    }
}

impl<I> fmt::Debug for Watching<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The future that carries notices into the mailbox.
pub(super) struct Carry<I: Send + 'static> {
    notices: Arc<Notices>,
    wrap: fn(Envelope<Terminated>) -> I,
    delivery: Delivery<I>,
}

impl<I: Send + 'static> Future for Carry<I> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { notices, wrap, delivery } = &mut *self;
        // First the waker, then the look.
        notices.waker.register(cx.waker());
        loop {
            // Also registers the waker with those that were put in just now.
            notices.review(cx);
            let Some(notice) = notices.next() else {
                delivery.leave();
                return Poll::Pending;
            };
            let (asker, handled) = oneshot::async_channel();
            let message = notice.clone();
            let make = || wrap(Envelope { message, reply: ReplyTo::asker(asker) });
            match delivery.poll_push(notice.size_bytes(), cx, make) {
                Poll::Ready(Ok(())) => notices.sent(notice, handled),
                Poll::Ready(Err(Refusal::Closed)) => return Poll::Ready(()),
                Poll::Ready(Err(refusal)) => {
                    tracing::error!(
                        ?refusal,
                        actor = delivery.shared().name(),
                        "a notice of an end is refused"
                    );
                    notices.forget(notice.id);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
