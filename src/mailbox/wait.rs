//! The senders that wait in line for room.

use std::task::{Poll, Waker};

use super::{Mailbox, Pushed, Queue, Refusal, Ticket, mutant, waiters::Standing, wake_all};

impl<T> Mailbox<T> {
    /// Without a clock, for tests that look at the mailbox by themselves.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn push_or_wait(
        &self,
        size: usize,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        make: impl FnOnce() -> T,
    ) -> Result<Pushed<T>, Refusal> {
        self.push_or_wait_at(size, ticket, waker, || (), || 0, make)
    }

    /// Puts a message in for a sender that waits in line: the first call takes a ticket, later ones
    /// use the room that was granted to it; `make` runs only when the message goes in. A later call must name the size of
    /// the first one: room is granted for that. The ticket is gone when this gives anything else
    /// than [`Refusal::Full`].
    ///
    /// `wake_owner` runs, outside the lock, when somebody joins the line while the owner is parked.
    pub(crate) fn push_or_wait_at(
        &self,
        size: usize,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        wake_owner: impl FnOnce(),
        now: impl FnOnce() -> u64,
        make: impl FnOnce() -> T,
    ) -> Result<Pushed<T>, Refusal> {
        // Cloned here and dropped after the lock is released: wakers are the senders' code.
        let mut waker = Some(waker.clone());
        let mut locked = self.queue.lock();
        let queue = &mut *locked;
        if queue.closed {
            *ticket = None;
            return Err(Refusal::Closed);
        }
        let limit = queue.limits.bytes;
        if size > limit {
            drop(locked);
            ticket.take().into_iter().for_each(|held| self.leave(held));
            return Err(Refusal::TooLarge { limit });
        }
        let standing =
            ticket.map_or(Standing::Gone, |held| queue.waiters().claim(held, &mut waker));
        let admitted = match standing {
            Standing::Granted => true,
            Standing::Waiting => return Err(Refusal::Full),
            Standing::Gone => queue.admits(self.in_hand.count(), size),
        };
        if admitted {
            *ticket = None;
            self.note_line(queue);
            let wake = queue.push(size, now, make());
            return Ok(Pushed::new(wake));
        }
        *ticket = Some(queue.waiters().join(size, waker.take()));
        let announced = self.announce(queue);
        drop(locked);
        announced.wake(wake_owner);
        Err(Refusal::Full)
    }

    /// Waits in the line without a message. Ready when room was granted to the ticket, which then
    /// has to be used by [`push_or_wait_at`](Self::push_or_wait_at) or given up; ready too, without a
    /// ticket, when there is room and no line, when the mailbox is closed, and when there never
    /// will be room for so many bytes.
    pub(crate) fn poll_room(
        &self,
        size: usize,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        wake_owner: impl FnOnce(),
    ) -> Poll<()> {
        // As in `push_or_wait_at`.
        let mut waker = Some(waker.clone());
        let mut locked = self.queue.lock();
        let queue = &mut *locked;
        if queue.closed {
            *ticket = None;
            return Poll::Ready(());
        }
        if size > queue.limits.bytes {
            drop(locked);
            ticket.take().into_iter().for_each(|held| self.leave(held));
            return Poll::Ready(());
        }
        match ticket.map_or(Standing::Gone, |held| queue.waiters().look(held, &mut waker)) {
            Standing::Granted => return Poll::Ready(()),
            Standing::Waiting => return Poll::Pending,
            Standing::Gone => *ticket = None,
        }
        if queue.admits(self.in_hand.count(), size) {
            return Poll::Ready(());
        }
        *ticket = Some(queue.waiters().join(size, waker.take()));
        let announced = self.announce(queue);
        drop(locked);
        announced.wake(wake_owner);
        Poll::Pending
    }

    /// Gives up a place in the line, and the room that was granted to it.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let (left, wakers) = {
            let mut queue = self.queue.lock();
            let left = queue.waiters().leave(ticket);
            let wakers = match mutant("mailbox: a grant is not passed on") {
                true => Vec::new(),
                false => self.grant(&mut queue),
            };
            (left, wakers)
        };
        drop(left);
        wake_all(wakers);
    }

    /// Tells the owner that somebody has joined the line, and looks once more for room: the owner
    /// may have published some between our look and this, and seen nobody who waits for it.
    ///
    /// One that is parked may be about to finish its batch, which it does without a look at the
    /// line: it is woken as by a message, and looks before it parks again.
    fn announce(&self, queue: &mut Queue<T>) -> Announced {
        let in_hand = self.in_hand.set_awaited(true);
        let owner = std::mem::take(&mut queue.parked) && !mutant("mailbox: no wake for a joiner");
        if mutant("mailbox: no second look") {
            return Announced { owner, wakers: Vec::new() };
        }
        Announced { owner, wakers: self.grant_with(queue, in_hand) }
    }

    /// Grants what room there is to those who wait longest. Returns whom to wake.
    pub(super) fn grant(&self, queue: &mut Queue<T>) -> Vec<Waker> {
        if !queue.has_waiters() {
            self.note_line(queue);
            return Vec::new();
        }
        self.grant_with(queue, self.in_hand.count())
    }

    fn grant_with(&self, queue: &mut Queue<T>, in_hand: usize) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(size) = queue.waiters().next_size() {
            if !queue.has_room(in_hand, size) {
                break;
            }
            wakers.extend(queue.waiters().grant_next());
        }
        self.note_line(queue);
        wakers
    }

    /// Keeps the flag for the owner true to the line.
    fn note_line(&self, queue: &Queue<T>) {
        if self.in_hand.is_awaited() != queue.has_waiters() {
            self.in_hand.set_awaited(queue.has_waiters());
        }
    }
}

/// Whom to wake, outside the lock, after somebody has joined the line.
#[must_use]
struct Announced {
    owner: bool,
    wakers: Vec<Waker>,
}

impl Announced {
    fn wake(self, wake_owner: impl FnOnce()) {
        wake_all(self.wakers);
        if self.owner {
            wake_owner();
        }
    }
}
