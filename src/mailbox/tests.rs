use std::{
    sync::Arc,
    task::{Wake, Waker},
};

use super::*;

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn flag() -> (Arc<Flag>, Waker) {
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    (flag.clone(), Waker::from(flag))
}

fn mailbox(capacity: usize, overflow: Overflow) -> Mailbox<u32> {
    Mailbox::new(MailboxLimits { capacity, bytes: 1 << 20, overflow })
}

fn push(mailbox: &Mailbox<u32>, item: u32) -> Result<bool, Refusal> {
    mailbox.try_push(4, || item).map(|pushed| pushed.wake)
}

#[test]
fn only_the_first_message_after_parking_wakes() {
    let mailbox = mailbox(8, Overflow::Wait);
    let mut receiver = Receiver::new();
    assert!(!receiver.refill(&mailbox));
    assert_eq!(push(&mailbox, 1), Ok(true));
    assert_eq!(push(&mailbox, 2), Ok(false));
    assert!(receiver.refill(&mailbox));
    assert_eq!(receiver.pop(&mailbox), Some(1));
    assert_eq!(receiver.pop(&mailbox), Some(2));
    assert_eq!(receiver.pop(&mailbox), None);
}

#[test]
fn the_capacity_holds_for_queue_and_batch_together() {
    let mailbox = mailbox(2, Overflow::Reject);
    let mut receiver = Receiver::new();
    assert!(push(&mailbox, 1).is_ok());
    assert!(receiver.refill(&mailbox));
    assert!(push(&mailbox, 2).is_ok());
    assert_eq!(push(&mailbox, 3), Err(Refusal::Full), "one is queued and one in hand");
    assert_eq!(receiver.pop(&mailbox), Some(1));
    assert!(receiver.refill(&mailbox));
    assert!(push(&mailbox, 3).is_ok());
}

#[test]
fn the_capacity_in_bytes_holds() {
    let mailbox: Mailbox<u32> =
        Mailbox::new(MailboxLimits { capacity: 100, bytes: 10, overflow: Overflow::Wait });
    assert!(mailbox.try_push(6, || 1).is_ok());
    assert!(matches!(mailbox.try_push(6, || 2), Err(Refusal::Full)));
    assert!(matches!(mailbox.try_push(11, || 2), Err(Refusal::TooLarge { limit: 10 })));
    assert!(mailbox.try_push(4, || 2).is_ok());
    let mut receiver = Receiver::new();
    receiver.refill(&mailbox);
    assert!(matches!(mailbox.try_push(1, || 3), Err(Refusal::Full)), "the batch still counts");
    receiver.pop(&mailbox);
    receiver.pop(&mailbox);
    receiver.refill(&mailbox);
    assert!(mailbox.try_push(10, || 3).is_ok());
}

#[test]
fn the_oldest_goes_when_the_policy_says_so() {
    let mailbox = mailbox(2, Overflow::DropOldest);
    for item in 1..=2 {
        assert!(push(&mailbox, item).is_ok());
    }
    let pushed = mailbox.try_push(4, || 3).map_err(drop).expect("the oldest makes room");
    assert_eq!(pushed.displaced, Some(1));
    let mut receiver = Receiver::new();
    receiver.refill(&mailbox);
    assert_eq!(receiver.pop(&mailbox), Some(2));
    assert_eq!(receiver.pop(&mailbox), Some(3));
}

#[test]
fn those_who_wait_are_let_in_in_order_and_nobody_overtakes() {
    let mailbox = mailbox(1, Overflow::Wait);
    let mut receiver = Receiver::new();
    assert!(push(&mailbox, 0).is_ok());
    let ((first_woken, first_waker), (second_woken, second_waker)) = (flag(), flag());
    let (mut first, mut second) = (None, None);
    assert!(mailbox.push_or_wait(4, &mut first, &first_waker, || 1).is_err());
    assert!(mailbox.push_or_wait(4, &mut second, &second_waker, || 2).is_err());
    receiver.refill(&mailbox);
    receiver.pop(&mailbox);
    receiver.refill(&mailbox);
    assert!(first_woken.0.load(Ordering::SeqCst) && !second_woken.0.load(Ordering::SeqCst));
    assert_eq!(push(&mailbox, 9), Err(Refusal::Full), "the room is promised");
    assert!(mailbox.push_or_wait(4, &mut second, &second_waker, || 2).is_err());
    assert!(mailbox.push_or_wait(4, &mut first, &first_waker, || 1).is_ok());
    assert_eq!(first, None);
}

#[test]
fn one_who_leaves_passes_its_room_on() {
    let mailbox = mailbox(1, Overflow::Wait);
    let mut receiver = Receiver::new();
    assert!(push(&mailbox, 0).is_ok());
    let ((_, first_waker), (second_woken, second_waker)) = (flag(), flag());
    let (mut first, mut second) = (None, None);
    assert!(mailbox.push_or_wait(4, &mut first, &first_waker, || 1).is_err());
    assert!(mailbox.push_or_wait(4, &mut second, &second_waker, || 2).is_err());
    receiver.refill(&mailbox);
    receiver.pop(&mailbox);
    receiver.refill(&mailbox);
    mailbox.leave(first.expect("the first has a ticket"));
    assert!(second_woken.0.load(Ordering::SeqCst));
    assert!(mailbox.push_or_wait(4, &mut second, &second_waker, || 2).is_ok());
}

#[test]
fn closing_sends_everybody_away_and_keeps_what_is_queued() {
    let mailbox = mailbox(1, Overflow::Wait);
    assert!(push(&mailbox, 0).is_ok());
    let (woken, waker) = flag();
    let mut ticket = None;
    assert!(mailbox.push_or_wait(4, &mut ticket, &waker, || 1).is_err());
    assert!(mailbox.close());
    assert!(!mailbox.close());
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(matches!(mailbox.push_or_wait(4, &mut ticket, &waker, || 1), Err(Refusal::Closed)));
    assert_eq!(push(&mailbox, 2), Err(Refusal::Closed));
    assert_eq!(mailbox.take_all(), [0]);
}

#[test]
fn room_is_published_within_a_long_batch() {
    let mailbox = mailbox(64, Overflow::Reject);
    for item in 0..64 {
        assert!(push(&mailbox, item).is_ok());
    }
    let mut receiver = Receiver::new();
    receiver.refill(&mailbox);
    assert_eq!(push(&mailbox, 99), Err(Refusal::Full));
    for _ in 0..40 {
        receiver.pop(&mailbox);
    }
    assert!(push(&mailbox, 99).is_ok());
}

#[test]
fn room_that_is_promised_and_not_used_keeps_nobody_out_of_the_rest() {
    let mailbox = mailbox(2, Overflow::Wait);
    let mut receiver = Receiver::new();
    assert!(push(&mailbox, 0).is_ok() && push(&mailbox, 1).is_ok());
    let (_, waker) = flag();
    let mut idle = None;
    assert!(mailbox.push_or_wait(4, &mut idle, &waker, || 2).is_err());
    while receiver.refill(&mailbox) {
        while receiver.pop(&mailbox).is_some() {}
    }
    assert_eq!(push(&mailbox, 3), Ok(true), "one place is promised, the other is free");
    assert_eq!(push(&mailbox, 4), Err(Refusal::Full));
    assert!(receiver.refill(&mailbox));
    assert_eq!(receiver.pop(&mailbox), Some(3));
    assert!(!receiver.refill(&mailbox));
    let (_, waker) = flag();
    let mut ticket = None;
    assert!(mailbox.push_or_wait(4, &mut ticket, &waker, || 5).is_ok(), "the owner sleeps");
}

#[test]
fn displaced_messages_do_not_use_up_the_bytes() {
    let mailbox: Mailbox<u32> =
        Mailbox::new(MailboxLimits { capacity: 2, bytes: 10, overflow: Overflow::DropOldest });
    for item in 0..100 {
        let pushed = mailbox.try_push(4, || item).expect("the oldest makes room");
        assert_eq!(pushed.displaced, item.checked_sub(2));
    }
    assert!(matches!(mailbox.try_push(10, || 0), Err(Refusal::Full)), "8 of 10 bytes are taken");
}

/// A waker that looks at the mailbox whenever anything is done with it.
struct Nosy(Arc<Mailbox<u32>>);

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        self.0.depth();
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.0.depth();
    }
}

#[test]
fn wakers_are_dropped_and_woken_outside_the_lock() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mailbox = Arc::new(mailbox(1, Overflow::Wait));
        let nosy = || Waker::from(Arc::new(Nosy(mailbox.clone())));
        let mut receiver = Receiver::new();
        assert!(push(&mailbox, 0).is_ok());
        let (mut first, mut second, mut third) = (None, None, None);
        assert!(mailbox.push_or_wait(4, &mut first, &nosy(), || 1).is_err());
        assert!(mailbox.push_or_wait(4, &mut first, &nosy(), || 1).is_err(), "moved to a new task");
        assert!(mailbox.poll_room(4, &mut second, &nosy()).is_pending());
        assert!(mailbox.poll_room(4, &mut second, &nosy()).is_pending());
        assert!(mailbox.push_or_wait(4, &mut third, &nosy(), || 3).is_err());
        mailbox.leave(second.expect("a ticket"));
        receiver.refill(&mailbox);
        receiver.pop(&mailbox);
        receiver.refill(&mailbox);
        assert!(mailbox.push_or_wait(4, &mut first, &nosy(), || 1).is_ok());
        mailbox.close();
        done.send(()).ok();
    });
    let finished = finished.recv_timeout(std::time::Duration::from_secs(10));
    finished.expect("no waker runs under the lock");
}
