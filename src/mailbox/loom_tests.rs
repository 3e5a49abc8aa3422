//! Models of the mailbox: what holds in every interleaving of its owner and its senders.
//!
//! `tests/run` starts them; by hand:
//! `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target-loom cargo test --release -p callboard --lib loom`
//! (with `LOOM_LOG=trace LOOM_LOCATION=1` loom tells what a failed one did). A model that ends in a
//! deadlock has lost a wake-up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

use loom::thread;

use super::*;
use crate::sync::{Bell, check, with_mutant};

/// A mailbox, its owner's bell, and what is truly in it: kept outside the model, so that counting
/// adds no interleavings.
struct Stage {
    mailbox: Mailbox<u32>,
    owner: Arc<Bell>,
    inside: AtomicUsize,
    /// What `inside` may be after a push.
    most: AtomicUsize,
}

impl Stage {
    fn new(capacity: usize, bytes: usize) -> Arc<Self> {
        let limits = MailboxLimits { capacity, bytes, overflow: Overflow::Wait };
        Arc::new(Self {
            mailbox: Mailbox::new(limits),
            owner: Arc::default(),
            inside: AtomicUsize::new(0),
            most: AtomicUsize::new(capacity),
        })
    }

    fn make(&self, item: u32) -> u32 {
        let inside = self.inside.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(inside <= self.most.load(Ordering::Relaxed), "the capacity is exceeded");
        item
    }

    fn after(&self, pushed: Result<Pushed<u32>, Refusal>) -> Result<(), Refusal> {
        pushed.map(|pushed| {
            if pushed.wake {
                self.owner.0.notify();
            }
        })
    }

    fn try_push(&self, item: u32) -> Result<(), Refusal> {
        self.after(self.mailbox.try_push(1, || self.make(item)))
    }

    fn push_once(
        &self,
        size: usize,
        item: u32,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Result<(), Refusal> {
        let wake_owner = || self.owner.0.notify();
        let mailbox = &self.mailbox;
        let make = || self.make(item);
        self.after(mailbox.push_or_wait_at(size, ticket, waker, wake_owner, || 0, make))
    }

    /// Waits in line until the message is in, or refused for another reason than want of room.
    fn push(&self, size: usize, item: u32) -> Result<(), Refusal> {
        let bell: Arc<Bell> = Arc::default();
        let (mut ticket, waker) = (None, Waker::from(bell.clone()));
        loop {
            match self.push_once(size, item, &mut ticket, &waker) {
                Err(Refusal::Full) => bell.0.wait(),
                pushed => return pushed,
            }
        }
    }

    fn pop(&self, receiver: &mut Receiver<u32>) -> Option<u32> {
        let item = receiver.pop(&self.mailbox);
        if item.is_some() {
            self.inside.fetch_sub(1, Ordering::Relaxed);
        }
        item
    }

    fn next(&self, receiver: &mut Receiver<u32>) -> Option<u32> {
        let item = receiver.next(&self.mailbox);
        if item.is_some() {
            self.inside.fetch_sub(1, Ordering::Relaxed);
        }
        item
    }

    /// As an owner: the next so many messages.
    fn receive(&self, receiver: &mut Receiver<u32>, count: usize) -> Vec<u32> {
        let mut items = Vec::new();
        while items.len() < count {
            match self.next(receiver) {
                Some(item) => items.push(item),
                None => self.owner.0.wait(),
            }
        }
        items
    }
}

impl Stage {
    /// As an owner that waits after each batch without another look.
    fn receive_by_wakes(&self, receiver: &mut Receiver<u32>, count: usize) -> Vec<u32> {
        let mut items = Vec::new();
        receiver.begin();
        while items.len() < count {
            if receiver.is_done() {
                receiver.finish(&self.mailbox);
            } else if let Some(item) = self.next(receiver) {
                items.push(item);
                continue;
            }
            self.owner.0.wait();
            receiver.begin();
        }
        items
    }
}

fn spawn<R: 'static>(
    stage: &Arc<Stage>,
    run: impl FnOnce(&Stage) -> R + 'static,
) -> thread::JoinHandle<R> {
    let stage = stage.clone();
    thread::spawn(move || run(&stage))
}

fn sorted(mut items: Vec<u32>) -> Vec<u32> {
    items.sort_unstable();
    items
}

/// A sender and an owner that goes to sleep meanwhile: the message is never left behind.
fn no_message_sleeps_in_the_mailbox() {
    check(|| {
        let stage = Stage::new(4, 100);
        let senders = [1, 2].map(|item| spawn(&stage, move |stage| stage.try_push(item)));
        let received = stage.receive(&mut Receiver::new(), 2);
        assert_eq!(sorted(received), [1, 2]);
        for sender in senders {
            assert_eq!(sender.join().expect("a sender"), Ok(()));
        }
    });
}

/// The same for an owner that waits after a batch without another look, and with a sender that
/// waits for the room that it makes.
fn an_owner_need_not_look_again() {
    check(|| {
        let stage = Stage::new(1, 100);
        assert!(stage.try_push(0).is_ok());
        let sender = spawn(&stage, |stage| stage.push(1, 1));
        let other = spawn(&stage, |stage| stage.push(1, 2));
        let received = stage.receive_by_wakes(&mut Receiver::new(), 3);
        assert_eq!(sorted(received), [0, 1, 2]);
        assert_eq!(sender.join().expect("a sender"), Ok(()));
        assert_eq!(other.join().expect("a sender"), Ok(()));
    });
}

/// The owner publishes room and turns to a long handler while somebody joins the line.
fn room_that_is_published_reaches_who_joins_the_line() {
    check(|| {
        let stage = Stage::new(2, 100);
        assert!(stage.try_push(1).is_ok() && stage.try_push(2).is_ok());
        let mut receiver = Receiver::new();
        assert!(receiver.refill(&stage.mailbox));
        let sender = spawn(&stage, |stage| stage.push(1, 3));
        assert_eq!(stage.pop(&mut receiver), Some(1));
        receiver.publish_before_await(&stage.mailbox);
        // The handler takes as long as the sender.
        assert_eq!(sender.join().expect("a sender"), Ok(()));
        assert_eq!(stage.receive(&mut receiver, 2), [2, 3]);
    });
}

/// Two who wait for one place, one after the other.
fn everybody_in_the_line_is_let_in() {
    check(|| {
        let stage = Stage::new(1, 100);
        assert!(stage.try_push(0).is_ok());
        let senders = [1, 2].map(|item| spawn(&stage, move |stage| stage.push(1, item)));
        let received = stage.receive(&mut Receiver::new(), 3);
        assert_eq!(sorted(received), [0, 1, 2]);
        for sender in senders {
            assert_eq!(sender.join().expect("a sender"), Ok(()));
        }
    });
}

/// One that waits gives up at any time, perhaps when room was just granted to it.
fn who_gives_up_passes_its_room_on() {
    check(|| {
        let stage = Stage::new(1, 100);
        assert!(stage.try_push(0).is_ok());
        let mut ticket = None;
        assert_eq!(stage.push_once(1, 1, &mut ticket, Waker::noop()), Err(Refusal::Full));
        let ticket = ticket.expect("a place in the line");
        let quitter = spawn(&stage, move |stage| stage.mailbox.leave(ticket));
        let sender = spawn(&stage, |stage| stage.push(1, 2));
        assert_eq!(stage.receive(&mut Receiver::new(), 2), [0, 2]);
        quitter.join().expect("a quitter");
        assert_eq!(sender.join().expect("a sender"), Ok(()));
    });
}

/// The owner comes back from a panic while others send and wait.
fn a_batch_that_is_put_back_keeps_order_and_capacity() {
    check(|| {
        let stage = Stage::new(2, 100);
        assert!(stage.try_push(1).is_ok() && stage.try_push(2).is_ok());
        let mut receiver = Receiver::new();
        assert!(receiver.refill(&stage.mailbox));
        let sender = spawn(&stage, |stage| stage.push(1, 3));
        assert_eq!(stage.pop(&mut receiver), Some(1));
        receiver.put_back(&stage.mailbox);
        assert_eq!(stage.receive(&mut receiver, 2), [2, 3]);
        assert_eq!(sender.join().expect("a sender"), Ok(()));
    });
}

/// Closed while one waits and one sends: nobody waits on, nothing is lost, nothing comes later.
fn closing_wakes_all_and_loses_nothing() {
    check(|| {
        let stage = Stage::new(1, 100);
        assert!(stage.try_push(0).is_ok());
        let waiting = spawn(&stage, |stage| stage.push(1, 1));
        let sender = spawn(&stage, |stage| stage.try_push(2));
        let mut receiver = Receiver::new();
        assert!(receiver.refill(&stage.mailbox));
        let mut taken = Vec::from_iter(stage.pop(&mut receiver));
        receiver.publish_before_await(&stage.mailbox);
        assert!(stage.mailbox.close());
        assert_eq!(stage.try_push(9), Err(Refusal::Closed));
        receiver.put_back(&stage.mailbox);
        taken.extend(stage.mailbox.take_all());
        let mut accepted = vec![0];
        for (item, sender) in [(1, waiting), (2, sender)] {
            match sender.join().expect("a sender") {
                Ok(()) => accepted.push(item),
                Err(refusal) => assert!(refusal == Refusal::Closed || item == 2),
            }
        }
        assert_eq!(sorted(taken), accepted);
        assert_eq!(stage.mailbox.depth(), 0, "nothing came after it was closed");
    });
}

/// Two who push whenever there is room, and an owner that swaps and pops.
fn the_capacity_is_never_exceeded() {
    check(|| {
        let stage = Stage::new(2, 100);
        assert!(stage.try_push(0).is_ok() && stage.try_push(0).is_ok());
        let senders = [1, 2].map(|item| {
            spawn(&stage, move |stage| (0..2).filter(|_| stage.try_push(item).is_ok()).count())
        });
        let mut receiver = Receiver::new();
        let mut received = 0;
        for _ in 0..2 {
            receiver.refill(&stage.mailbox);
            received += usize::from(stage.pop(&mut receiver).is_some());
            receiver.publish_before_await(&stage.mailbox);
            received += std::iter::from_fn(|| stage.pop(&mut receiver)).count();
        }
        let accepted: usize = senders.map(|sender| sender.join().expect("a sender")).iter().sum();
        received += stage.receive(&mut receiver, accepted + 2 - received).len();
        receiver.publish_before_await(&stage.mailbox);
        assert_eq!((received, stage.mailbox.depth()), (accepted + 2, 0));
    });
}

/// The capacity is lowered while two wait, perhaps when room was granted to both.
fn a_lower_capacity_holds_and_forgets_nobody() {
    check(|| {
        let stage = Stage::new(2, 100);
        assert!(stage.try_push(0).is_ok() && stage.try_push(0).is_ok());
        let senders = [1, 2].map(|item| spawn(&stage, move |stage| stage.push(1, item)));
        let mut receiver = Receiver::new();
        assert!(receiver.refill(&stage.mailbox));
        assert_eq!((stage.pop(&mut receiver), stage.pop(&mut receiver)), (Some(0), Some(0)));
        receiver.publish_before_await(&stage.mailbox);
        stage.mailbox.set_capacity(1);
        // Whatever is accepted from here on finds the lower capacity.
        stage.most.store(stage.inside.load(Ordering::Relaxed).max(1), Ordering::Relaxed);
        assert_eq!(sorted(stage.receive(&mut receiver, 2)), [1, 2]);
        for sender in senders {
            assert_eq!(sender.join().expect("a sender"), Ok(()));
        }
    });
}

/// The bytes are lowered below what one waits with; one behind it waits with less.
fn a_lower_limit_in_bytes_sends_away_who_is_too_large() {
    check(|| {
        let stage = Stage::new(9, 10);
        assert!(stage.push(6, 0).is_ok());
        let large = spawn(&stage, |stage| stage.push(8, 1));
        let small = spawn(&stage, |stage| stage.push(5, 2));
        let mut receiver = Receiver::new();
        stage.mailbox.set_bytes(6);
        let too_large = Refusal::TooLarge { limit: 6 };
        assert_eq!(large.join().expect("a sender"), Err(too_large), "6 of 10 bytes were taken");
        assert_eq!(stage.receive(&mut receiver, 2), [0, 2]);
        assert_eq!(small.join().expect("a sender"), Ok(()));
    });
}

macro_rules! holds {
    ($($model:ident),+ $(,)?) => {
        mod holds {
            $(
                #[test]
                fn $model() {
                    super::$model();
                }
            )+
        }
    };
}

holds! {
    no_message_sleeps_in_the_mailbox,
    an_owner_need_not_look_again,
    room_that_is_published_reaches_who_joins_the_line,
    everybody_in_the_line_is_let_in,
    who_gives_up_passes_its_room_on,
    a_batch_that_is_put_back_keeps_order_and_capacity,
    closing_wakes_all_and_loses_nothing,
    the_capacity_is_never_exceeded,
    a_lower_capacity_holds_and_forgets_nobody,
    a_lower_limit_in_bytes_sends_away_who_is_too_large,
}

/// A fault in the code, the model that must find it, and what that says then.
macro_rules! finds {
    ($($test:ident: $mutant:literal by $model:ident, $says:expr;)+) => {
        mod finds {
            $(
                #[test]
                fn $test() {
                    let said = super::with_mutant($mutant, super::$model);
                    let said = said.expect("the model finds the fault");
                    assert!(said.contains($says), "it found something else: {said}");
                }
            )+
        }
    };
}

/// Of loom, when nobody can go on.
const ASLEEP: &str = "deadlock";
const OVERFULL: &str = "the capacity is exceeded";

finds! {
    a_sender_that_does_not_look_twice:
        "mailbox: no second look" by room_that_is_published_reaches_who_joins_the_line, super::ASLEEP;
    an_owner_that_parks_too_late:
        "mailbox: parked outside the critical section" by no_message_sleeps_in_the_mailbox, super::ASLEEP;
    a_swap_that_does_not_park:
        "mailbox: not parked by a swap" by an_owner_need_not_look_again, super::ASLEEP;
    a_joiner_that_does_not_wake_a_parked_owner:
        "mailbox: no wake for a joiner" by an_owner_need_not_look_again, super::ASLEEP;
    a_close_that_wakes_nobody:
        "mailbox: close wakes nobody" by closing_wakes_all_and_loses_nothing, super::ASLEEP;
    a_batch_that_is_counted_too_late:
        "mailbox: the batch is counted too late" by the_capacity_is_never_exceeded, super::OVERFULL;
    a_grant_that_is_not_passed_on:
        "mailbox: a grant is not passed on" by who_gives_up_passes_its_room_on, super::ASLEEP;
    promises_that_outlive_a_lower_limit:
        "mailbox: promises outlive a lower limit" by a_lower_capacity_holds_and_forgets_nobody, super::OVERFULL;
    one_sent_away_who_is_not_woken:
        "mailbox: who is sent away is not woken" by a_lower_limit_in_bytes_sends_away_who_is_too_large, super::ASLEEP;
}
