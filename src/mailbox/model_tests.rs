//! Random operations against a reference that does the same in the plainest way.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

use fastrand::Rng;

use super::{tier, *};

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One that waits in line, in the order of joining.
struct Waiter {
    item: u64,
    size: usize,
    ticket: Option<Ticket>,
    flag: Arc<Flag>,
    waker: Waker,
}

/// The mailbox, and what must be in it. Items are numbers that rise with each try to push.
struct Run {
    rng: Rng,
    mailbox: Mailbox<u64>,
    receiver: Receiver<u64>,
    limits: MailboxLimits,
    closed: bool,
    queue: VecDeque<(u64, usize)>,
    batch: VecDeque<(u64, usize)>,
    /// Of the batch when it was swapped out: what the mailbox may still count.
    swapped: (usize, usize),
    /// Bytes of batches that were put back: the mailbox may count them in the queue.
    surplus: usize,
    line: Vec<Waiter>,
    displaced: u64,
    next: u64,
}

fn bytes(items: &VecDeque<(u64, usize)>) -> usize {
    items.iter().map(|(_, size)| size).sum()
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let overflow =
            *rng.choice(&[Overflow::Wait, Overflow::Reject, Overflow::DropOldest]).expect("one");
        let limits =
            MailboxLimits { capacity: rng.usize(1..100), bytes: rng.usize(1..400), overflow };
        Self {
            mailbox: Mailbox::new(limits),
            receiver: Receiver::new(),
            limits,
            rng,
            closed: false,
            queue: VecDeque::new(),
            batch: VecDeque::new(),
            swapped: (0, 0),
            surplus: 0,
            line: Vec::new(),
            displaced: 0,
            next: 0,
        }
    }

    fn item(&mut self) -> (u64, usize) {
        self.next += 1;
        let largest = if self.rng.u8(..) < 8 { 400 } else { 12 };
        (self.next, self.rng.usize(0..largest))
    }

    /// What a push must lead to.
    fn check_push(
        &mut self,
        (item, size): (u64, usize),
        pushed: Result<Pushed<u64>, Refusal>,
        waited: bool,
    ) {
        match pushed {
            Ok(pushed) => {
                assert!(!self.closed, "a closed mailbox accepts nothing");
                let displaced = match pushed.displaced {
                    Displaced::None => vec![],
                    Displaced::One(displaced) => vec![displaced],
                    Displaced::More(displaced) => displaced,
                };
                for displaced in displaced {
                    assert_eq!(self.limits.overflow, Overflow::DropOldest);
                    let oldest = self.queue.pop_front().map(|(item, _)| item);
                    assert_eq!(oldest, Some(displaced), "the oldest goes");
                    self.displaced += 1;
                }
                self.queue.push_back((item, size));
                assert!(self.queue.len() + self.batch.len() <= self.limits.capacity);
                assert!(bytes(&self.queue) + bytes(&self.batch) <= self.limits.bytes);
            }
            Err(Refusal::Closed) => assert!(self.closed),
            Err(Refusal::TooLarge { limit }) => {
                assert_eq!(limit, self.limits.bytes);
                assert!(size > limit && !self.closed);
            }
            Err(Refusal::Full) => self.check_refusal(size, waited),
        }
    }

    /// A refusal has a reason: others wait, or what the mailbox counts leaves no room.
    fn check_refusal(&self, size: usize, waited: bool) {
        assert!(!self.closed && size <= self.limits.bytes);
        let messages = self.queue.len() + self.batch.len().max(self.swapped.0) + self.line.len();
        let waiting: usize = self.line.iter().map(|waiter| waiter.size).sum();
        let bytes = bytes(&self.queue) + self.swapped.1 + self.surplus + waiting;
        let full = messages >= self.limits.capacity || bytes + size > self.limits.bytes;
        assert!(waited || full, "refused with room for it");
    }

    fn try_push(&mut self) {
        let (item, size) = self.item();
        let pushed = self.mailbox.try_push(size, || item);
        self.check_push((item, size), pushed, false);
    }

    fn join(&mut self) {
        let (item, size) = self.item();
        let flag: Arc<Flag> = Arc::default();
        let waker = Waker::from(flag.clone());
        let mut ticket = None;
        if self.rng.bool() {
            let ready = self.mailbox.poll_room(size, &mut ticket, &waker, || ()).is_ready();
            assert_eq!(ready, ticket.is_none(), "there is room, or it waits");
            if ready {
                return;
            }
        } else {
            let pushed = self.mailbox.push_or_wait(size, &mut ticket, &waker, || item);
            assert_eq!(matches!(pushed, Err(Refusal::Full)), ticket.is_some());
            self.check_push((item, size), pushed, false);
        }
        if ticket.is_some() {
            self.line.push(Waiter { item, size, ticket, flag, waker });
        }
    }

    /// Somebody in the line looks, woken or not.
    fn look(&mut self, at: usize) {
        let mut waiter = self.line.remove(at);
        let was_woken = waiter.flag.0.swap(false, Ordering::Relaxed);
        let Waiter { item, size, ticket, .. } = waiter;
        let pushed = self.mailbox.push_or_wait(size, &mut waiter.ticket, &waiter.waker, || item);
        let waits_on = matches!(pushed, Err(Refusal::Full));
        assert_eq!(waits_on, waiter.ticket.is_some());
        assert!(waits_on || was_woken, "nobody comes in, or is sent away, without a wake-up");
        self.check_push((item, size), pushed, true);
        if waits_on {
            // One that was sent away, and came back when the limit was higher again, joins anew.
            let place = if waiter.ticket == ticket { at } else { self.line.len() };
            self.line.insert(place, waiter);
        }
    }

    fn someone(&mut self, acts: fn(&mut Self, usize)) {
        let at = self.rng.usize(0..self.line.len());
        acts(self, at);
    }

    fn leave(&mut self, at: usize) {
        let waiter = self.line.remove(at);
        self.mailbox.leave(waiter.ticket.expect("who waits has a ticket"));
    }

    fn pop(&mut self) {
        let expected = self.batch.pop_front().map(|(item, _)| item);
        assert_eq!(self.receiver.pop(&self.mailbox), expected, "in order, none lost, none twice");
    }

    /// As an owner that has nothing in hand gets its next one.
    fn next(&mut self) {
        if self.batch.is_empty() {
            self.swap();
        }
        let expected = self.batch.pop_front().map(|(item, _)| item);
        assert_eq!(self.receiver.next(&self.mailbox), expected, "in order, none lost, none twice");
    }

    fn refill(&mut self) {
        while !self.batch.is_empty() {
            self.pop();
        }
        let found = self.receiver.refill(&self.mailbox);
        assert_eq!(found, !self.queue.is_empty());
        self.swap();
    }

    fn swap(&mut self) {
        std::mem::swap(&mut self.batch, &mut self.queue);
        self.swapped = (self.batch.len(), bytes(&self.batch) + std::mem::take(&mut self.surplus));
    }

    fn publish(&mut self) {
        self.receiver.publish_before_await(&self.mailbox);
        self.swapped.0 = self.batch.len();
        let depth = self.queue.len() + self.batch.len();
        assert_eq!(self.mailbox.depth(), depth);
    }

    fn put_back(&mut self) {
        self.receiver.put_back(&self.mailbox);
        let rest = bytes(&self.batch);
        if !self.batch.is_empty() && self.limits.overflow != Overflow::DropOldest {
            self.surplus += self.swapped.1 - rest;
        }
        self.batch.append(&mut self.queue);
        std::mem::swap(&mut self.batch, &mut self.queue);
        self.swapped = (0, 0);
        assert_eq!(self.mailbox.depth(), self.queue.len());
    }

    fn set_limits(&mut self) {
        let messages = self.rng.bool().then(|| self.rng.usize(1..100));
        let bytes = self.rng.bool().then(|| self.rng.usize(1..400));
        self.limits.capacity = messages.unwrap_or(self.limits.capacity);
        self.limits.bytes = bytes.unwrap_or(self.limits.bytes);
        self.mailbox.set_limits(messages, bytes);
        assert_eq!(self.mailbox.limits(), self.limits);
    }

    fn step(&mut self) {
        match self.rng.u32(0..100) {
            0..30 => self.try_push(),
            30..45 => self.join(),
            45..60 if !self.line.is_empty() => self.someone(Self::look),
            60..64 if !self.line.is_empty() => self.someone(Self::leave),
            64..75 => self.pop(),
            75..85 => self.next(),
            85..91 => self.refill(),
            91..95 => self.publish(),
            95..97 => self.put_back(),
            97..99 => self.set_limits(),
            99 if self.rng.u8(..) < 8 => {
                assert_eq!(self.mailbox.close(), !self.closed);
                self.closed = true;
            }
            _ => {}
        }
    }

    /// In the end everybody who waits is let in, in the order of the line, or sent away.
    fn finish(&mut self) {
        while !self.line.is_empty() {
            self.refill();
            self.refill();
            let first = self.line.first().is_some_and(|first| first.flag.0.load(Ordering::Relaxed));
            assert!(first, "an empty mailbox has room for the first who waits");
            self.look(0);
        }
        self.refill();
        self.refill();
        assert_eq!(self.mailbox.depth(), 0);
        assert_eq!(self.mailbox.displaced(), self.displaced);
        let pushed = self.mailbox.try_push(self.limits.bytes, || 0);
        assert_eq!(pushed.is_ok(), !self.closed, "an empty mailbox takes what it may hold");
    }
}

#[test]
fn the_mailbox_does_as_its_model() {
    let seed = tier::seed();
    let per_run = 1000;
    let operations = if cfg!(miri) { 2000 } else { tier::amount(100_000, 10_000_000) };
    for nth in 0..operations / per_run {
        let mut run = Run::new(seed.wrapping_add(nth));
        for _ in 0..per_run {
            run.step();
        }
        run.finish();
    }
}
