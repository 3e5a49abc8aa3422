//! The mailbox under real threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
    thread::{self, Thread},
};

use fastrand::Rng;

use super::{tier, *};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn waker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// A mailbox with its owner's waker, and what is truly in it: counted as a message goes in, under the
/// lock, and after it came out.
struct Stage<T> {
    mailbox: Mailbox<T>,
    owner: Waker,
    messages: AtomicUsize,
    bytes: AtomicUsize,
    /// The most that may be there.
    most: MailboxLimits,
}

impl<T: Send> Stage<T> {
    fn new(limits: MailboxLimits) -> Self {
        let (messages, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { mailbox: Mailbox::new(limits), owner: waker(), messages, bytes, most: limits }
    }

    fn entered(&self, size: usize) {
        let messages = self.messages.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(messages <= self.most.capacity, "{messages} messages");
        let bytes = self.bytes.fetch_add(size, Ordering::SeqCst) + size;
        assert!(bytes <= self.most.bytes, "{bytes} bytes");
    }

    fn left(&self, size: usize) {
        self.messages.fetch_sub(1, Ordering::SeqCst);
        self.bytes.fetch_sub(size, Ordering::SeqCst);
    }

    fn after(&self, pushed: Result<Pushed<T>, Refusal>) -> Result<(), Refusal> {
        pushed.map(|pushed| {
            assert!(pushed.displaced.is_none());
            if pushed.wake {
                self.owner.wake_by_ref();
            }
        })
    }

    /// Waits in line; gives up after so many looks.
    fn push(&self, size: usize, looks: u32, waker: &Waker, message: T) -> Result<(), Refusal> {
        let (mut ticket, mut message) = (None, Some(message));
        for look in 0.. {
            let wake_owner = || self.owner.wake_by_ref();
            let make = || {
                self.entered(size);
                message.take().expect("a message is moved once")
            };
            let (mailbox, place) = (&self.mailbox, &mut ticket);
            let pushed = mailbox.push_or_wait_at(size, place, waker, wake_owner, || 0, make);
            let pushed = self.after(pushed);
            match pushed {
                Err(Refusal::Full) if look < looks => thread::park(),
                Err(Refusal::Full) => {
                    ticket.into_iter().for_each(|held| self.mailbox.leave(held));
                    return pushed;
                }
                pushed => return pushed,
            }
        }
        unreachable!("a sender looks until it is done")
    }
}

/// Tells when the last sender is done, so that the owner looks once more.
struct Done<'a>(&'a AtomicUsize, &'a Waker);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        self.1.wake_by_ref();
    }
}

#[test]
fn a_mailbox_of_16_holds_16_however_many_send() {
    let (senders, each) = (4, if cfg!(miri) { 50 } else { 50_000 });
    let bytes = 16 * 1024;
    let stage = Stage::new(MailboxLimits { capacity: 16, bytes, overflow: Overflow::Wait });
    let (stage, over) = (&stage, &AtomicBool::new(false));
    let mut next = vec![0; senders];
    thread::scope(|scope| {
        for sender in 0..senders {
            scope.spawn(move || {
                let waker = waker();
                for nth in 0..each {
                    let mut message = vec![0_u8; 1024];
                    message[..8].copy_from_slice(&u64::to_le_bytes(nth));
                    message[8] = u8::try_from(sender).expect("a small number");
                    assert_eq!(stage.push(1024, u32::MAX, &waker, message), Ok(()));
                }
            });
        }
        scope.spawn(move || {
            while !over.load(Ordering::SeqCst) {
                let depth = stage.mailbox.depth();
                assert!(depth <= 16, "a depth of {depth} was seen");
                thread::yield_now();
            }
        });
        let mut receiver = Receiver::new();
        let mut received = 0;
        while received < each * senders as u64 {
            let Some(message) = receiver.next(&stage.mailbox) else {
                thread::park();
                continue;
            };
            stage.left(1024);
            received += 1;
            let (nth, rest) = message.split_first_chunk().expect("it is longer");
            let next: &mut u64 = &mut next[usize::from(rest[0])];
            assert_eq!(u64::from_le_bytes(*nth), *next, "in the order of its sender");
            *next += 1;
        }
        over.store(true, Ordering::SeqCst);
    });
    assert!(next.iter().all(|count| *count == each), "nothing was lost: {next:?}");
}

/// One sender's part of the stress: numbers that rise, by every way into the mailbox. Gives those
/// that were accepted.
fn send(stage: &Stage<(usize, u64, usize)>, sender: usize, seed: u64, count: u64) -> Vec<u64> {
    let (mut rng, waker) = (Rng::with_seed(seed), waker());
    let mut accepted = Vec::new();
    for nth in 0..count {
        let size = rng.usize(0..64);
        let message = (sender, nth, size);
        let sent = match rng.u32(0..4) {
            0 => stage.after(stage.mailbox.try_push(size, || {
                stage.entered(size);
                message
            })),
            // Gives up at once.
            1 => stage.push(size, 0, &waker, message),
            _ => stage.push(size, u32::MAX, &waker, message),
        };
        match sent {
            Ok(()) => accepted.push(nth),
            Err(Refusal::Full) => {}
            Err(Refusal::TooLarge { limit }) => assert!(size > limit),
            Err(Refusal::Closed) => break,
        }
    }
    accepted
}

/// The owner's part: pops, publishes, puts back. Ends when nobody sends any more and nothing is left,
/// or closes the mailbox before that.
fn receive(
    stage: &Stage<(usize, u64, usize)>,
    mut rng: Rng,
    sending: &AtomicUsize,
    close_after: u64,
) -> Vec<(usize, u64)> {
    let mut receiver = Receiver::new();
    let mut received = Vec::new();
    loop {
        if received.len() as u64 == close_after {
            stage.mailbox.close();
        }
        match rng.u32(0..64) {
            0 => receiver.publish_before_await(&stage.mailbox),
            1 => receiver.put_back(&stage.mailbox),
            _ => {}
        }
        let done = sending.load(Ordering::SeqCst) == 0;
        match receiver.next(&stage.mailbox) {
            Some((sender, nth, size)) => {
                stage.left(size);
                received.push((sender, nth));
            }
            None if done => return received,
            None => thread::park(),
        }
    }
}

fn stress(seed: u64, count: u64, closes: bool) {
    let limits = MailboxLimits { capacity: 24, bytes: 400, overflow: Overflow::Wait };
    let stage = Stage::new(limits);
    let (stage, senders) = (&stage, 3);
    let sending = &AtomicUsize::new(senders);
    let close_after = if closes { count } else { u64::MAX };
    let (accepted, received) = thread::scope(|scope| {
        let handles: Vec<_> = (0..senders)
            .map(|sender| {
                scope.spawn(move || {
                    let _done = Done(sending, &stage.owner);
                    send(stage, sender, seed.wrapping_add(sender as u64), count)
                })
            })
            .collect();
        // Limits go up and down, never above the most.
        scope.spawn(move || {
            let mut rng = Rng::with_seed(!seed);
            while sending.load(Ordering::SeqCst) > 0 {
                let messages = rng.bool().then(|| rng.usize(1..=limits.capacity));
                let bytes = rng.bool().then(|| rng.usize(32..=limits.bytes));
                stage.mailbox.set_limits(messages, bytes);
                thread::yield_now();
            }
        });
        let received = receive(stage, Rng::with_seed(seed ^ 1), sending, close_after);
        let accepted: Vec<_> =
            handles.into_iter().map(|sender| sender.join().expect("a sender")).collect();
        (accepted, received)
    });
    for (sender, accepted) in accepted.iter().enumerate() {
        let received = received.iter().filter(|(from, _)| *from == sender).map(|(_, nth)| *nth);
        assert!(received.eq(accepted.iter().copied()), "none lost, none twice, in order");
    }
    assert_eq!(stage.messages.load(Ordering::SeqCst), 0);
}

#[test]
fn threads_that_send_wait_give_up_resize_and_close_lose_nothing() {
    let seed = tier::seed();
    let count = if cfg!(miri) { 60 } else { tier::amount(30_000, 3_000_000) };
    stress(seed, count / 2, false);
    stress(seed, count / 2, true);
}
