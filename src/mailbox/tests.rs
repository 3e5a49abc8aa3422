use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
    time::Duration,
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
fn a_run_goes_in_as_far_as_there_is_room_and_wakes_once() {
    let mailbox = mailbox(5, Overflow::Wait);
    let mut receiver = Receiver::new();
    assert!(!receiver.refill(&mailbox));
    let run = |count| mailbox.push_run(count, |_| 4, || 0, |nth| nth);
    assert_eq!(run(3), Ok((3, true)));
    assert_eq!(run(9), Ok((2, false)));
    assert_eq!(run(9), Ok((0, false)), "it is full");
    assert!(receiver.refill(&mailbox));
    let taken: Vec<_> = std::iter::from_fn(|| receiver.pop(&mailbox)).collect();
    assert_eq!(taken, [0, 1, 2, 0, 1]);
    mailbox.close();
    assert_eq!(run(1), Err(Refusal::Closed));
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
    assert_eq!(pushed.displaced, Displaced::One(1));
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
        let displaced = item.checked_sub(2).map_or(Displaced::None, Displaced::One);
        assert_eq!(pushed.displaced, displaced);
    }
    let pushed = mailbox.try_push(10, || 100).expect("both make room");
    assert_eq!(pushed.displaced, Displaced::More(vec![98, 99]), "8 of 10 bytes were taken");
    assert_eq!(mailbox.displaced(), 100);
    let mut receiver = Receiver::new();
    receiver.refill(&mailbox);
    assert!(matches!(mailbox.try_push(1, || 0), Err(Refusal::Full)), "what is in hand stays");
    assert_eq!(mailbox.displaced(), 100);
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
        assert!(mailbox.poll_room(4, &mut second, &nosy(), || ()).is_pending());
        assert!(mailbox.poll_room(4, &mut second, &nosy(), || ()).is_pending());
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

#[test]
fn an_idle_mailbox_is_small() {
    assert!(size_of::<Mailbox<[u64; 4]>>() <= 128, "{}", size_of::<Mailbox<[u64; 4]>>());
    assert!(size_of::<Receiver<[u64; 4]>>() <= 48, "{}", size_of::<Receiver<[u64; 4]>>());
}

#[test]
fn the_log_hears_of_displaced_messages_once_per_second() {
    let mailbox = mailbox(1, Overflow::DropOldest);
    let start = Instant::now();
    assert_eq!(mailbox.displaced_to_tell(start), None);
    for item in 0..=10 {
        assert!(push(&mailbox, item).is_ok());
    }
    assert_eq!(mailbox.displaced_to_tell(start), Some(10));
    assert!(push(&mailbox, 11).is_ok());
    assert_eq!(mailbox.displaced_to_tell(start + Duration::from_millis(999)), None);
    assert!(push(&mailbox, 12).is_ok());
    assert_eq!(mailbox.displaced_to_tell(start + Duration::from_secs(1)), Some(2));
    assert_eq!(mailbox.displaced_to_tell(start + Duration::from_secs(9)), None, "nothing new");
}

fn drain(mailbox: &Mailbox<u32>, receiver: &mut Receiver<u32>) -> Vec<u32> {
    let mut drained = Vec::new();
    loop {
        drained.extend(std::iter::from_fn(|| receiver.pop(mailbox)));
        if !receiver.refill(mailbox) {
            return drained;
        }
    }
}

#[test]
fn a_batch_that_is_put_back_keeps_its_place() {
    for overflow in [Overflow::Wait, Overflow::DropOldest] {
        let mailbox = mailbox(8, overflow);
        let mut receiver = Receiver::new();
        for item in 0..4 {
            assert!(push(&mailbox, item).is_ok());
        }
        receiver.refill(&mailbox);
        assert_eq!(receiver.pop(&mailbox), Some(0));
        for item in 4..8 {
            assert!(push(&mailbox, item).is_ok());
        }
        receiver.put_back(&mailbox);
        assert!(receiver.is_empty());
        assert_eq!(mailbox.depth(), 7);
        assert_eq!(push(&mailbox, 8), Ok(false), "the owner comes back by itself");
        mailbox.close();
        assert_eq!(drain(&mailbox, &mut receiver), Vec::from_iter(1..=8));
    }
}

#[test]
fn what_is_put_back_after_the_mailbox_was_closed_is_there_for_the_end() {
    let mailbox = mailbox(8, Overflow::Wait);
    let mut receiver = Receiver::new();
    for item in 0..3 {
        assert!(push(&mailbox, item).is_ok());
    }
    receiver.refill(&mailbox);
    receiver.pop(&mailbox);
    mailbox.close();
    receiver.put_back(&mailbox);
    assert_eq!(push(&mailbox, 9), Err(Refusal::Closed));
    assert!(!mailbox.is_empty());
    assert_eq!(mailbox.take_all(), [1, 2]);
    assert_eq!(mailbox.depth(), 0);
}

#[test]
fn the_bytes_of_what_was_put_back_are_counted_until_it_is_done() {
    let limits = |overflow| MailboxLimits { capacity: 100, bytes: 10, overflow };
    let mut receiver = Receiver::new();
    let mailbox: Mailbox<u32> = Mailbox::new(limits(Overflow::Wait));
    assert!(mailbox.try_push(6, || 1).is_ok() && mailbox.try_push(4, || 2).is_ok());
    receiver.refill(&mailbox);
    receiver.pop(&mailbox);
    receiver.put_back(&mailbox);
    assert!(matches!(mailbox.try_push(1, || 3), Err(Refusal::Full)), "as before it was put back");
    assert_eq!(drain(&mailbox, &mut receiver), [2]);
    assert!(mailbox.try_push(10, || 3).is_ok(), "all of it was released");
    assert_eq!(drain(&mailbox, &mut receiver), [3]);

    let mailbox: Mailbox<u32> = Mailbox::new(limits(Overflow::DropOldest));
    assert!(mailbox.try_push(6, || 1).is_ok() && mailbox.try_push(4, || 2).is_ok());
    receiver.refill(&mailbox);
    receiver.pop(&mailbox);
    receiver.put_back(&mailbox);
    let pushed = mailbox.try_push(6, || 3).expect("6 bytes are free");
    assert!(pushed.displaced.is_none());
    let pushed = mailbox.try_push(1, || 4).expect("the oldest makes room");
    assert_eq!(pushed.displaced, Displaced::One(2), "the one that was put back is the oldest");
    assert_eq!(drain(&mailbox, &mut receiver), [3, 4]);
    assert!(mailbox.try_push(10, || 3).is_ok());
}

#[test]
fn a_batch_that_is_put_back_without_a_rest_makes_room_at_once() {
    let mailbox = mailbox(1, Overflow::Wait);
    let mut receiver = Receiver::new();
    assert!(push(&mailbox, 0).is_ok());
    receiver.refill(&mailbox);
    let (woken, waker) = flag();
    let mut ticket = None;
    assert!(mailbox.push_or_wait(4, &mut ticket, &waker, || 1).is_err());
    receiver.pop(&mailbox);
    receiver.put_back(&mailbox);
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(mailbox.push_or_wait(4, &mut ticket, &waker, || 1).is_ok());
}

#[test]
fn more_capacity_lets_those_in_who_wait_in_their_order() {
    let mailbox = mailbox(1, Overflow::Wait);
    assert!(push(&mailbox, 0).is_ok());
    let mut line: Vec<_> = (1..=3).map(|item| (item, None, flag())).collect();
    for (item, ticket, (_, waker)) in &mut line {
        assert!(mailbox.push_or_wait(4, ticket, waker, || *item).is_err());
    }
    mailbox.set_capacity(3);
    let woken: Vec<_> =
        line.iter().map(|(.., (woken, _))| woken.0.load(Ordering::SeqCst)).collect();
    assert_eq!(woken, [true, true, false]);
    for (item, ticket, (_, waker)) in &mut line[..2] {
        assert!(mailbox.push_or_wait(4, ticket, waker, || *item).is_ok());
    }
    mailbox.set_capacity(4);
    assert!(line[2].2.0.0.load(Ordering::SeqCst));
}

#[test]
fn more_bytes_let_those_in_who_wait() {
    let mailbox: Mailbox<u32> =
        Mailbox::new(MailboxLimits { capacity: 100, bytes: 10, overflow: Overflow::Wait });
    assert!(mailbox.try_push(8, || 0).is_ok());
    let (woken, waker) = flag();
    let mut ticket = None;
    assert!(mailbox.push_or_wait(8, &mut ticket, &waker, || 1).is_err());
    mailbox.set_bytes(15);
    assert!(!woken.0.load(Ordering::SeqCst));
    mailbox.set_bytes(16);
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(mailbox.push_or_wait(8, &mut ticket, &waker, || 1).is_ok());
}

#[test]
fn a_capacity_below_the_depth_loses_nothing_and_accepts_nothing() {
    let mailbox = mailbox(8, Overflow::Wait);
    let mut receiver = Receiver::new();
    for item in 0..8 {
        assert!(push(&mailbox, item).is_ok());
    }
    mailbox.set_capacity(2);
    assert_eq!(push(&mailbox, 9), Err(Refusal::Full));
    receiver.refill(&mailbox);
    for item in 0..6 {
        assert_eq!(receiver.pop(&mailbox), Some(item));
        receiver.publish_before_await(&mailbox);
        assert_eq!(push(&mailbox, 9), Err(Refusal::Full));
    }
    assert_eq!(receiver.pop(&mailbox), Some(6));
    receiver.publish_before_await(&mailbox);
    assert!(push(&mailbox, 9).is_ok(), "one is left, two may be there");
    assert_eq!(push(&mailbox, 10), Err(Refusal::Full));
    assert_eq!(drain(&mailbox, &mut receiver), [7, 9]);
}

#[test]
fn a_lower_capacity_takes_back_what_was_promised() {
    let mailbox = mailbox(2, Overflow::Wait);
    let mut receiver = Receiver::new();
    assert!(push(&mailbox, 0).is_ok() && push(&mailbox, 1).is_ok());
    let (first, second) = (flag(), flag());
    let mut tickets = [None, None];
    assert!(mailbox.push_or_wait(4, &mut tickets[0], &first.1, || 2).is_err());
    assert!(mailbox.push_or_wait(4, &mut tickets[1], &second.1, || 3).is_err());
    assert_eq!(drain(&mailbox, &mut receiver), [0, 1]);
    assert!(first.0.0.load(Ordering::SeqCst) && second.0.0.swap(false, Ordering::SeqCst));
    mailbox.set_capacity(1);
    assert!(mailbox.push_or_wait(4, &mut tickets[1], &second.1, || 3).is_err(), "taken back");
    assert!(mailbox.push_or_wait(4, &mut tickets[0], &first.1, || 2).is_ok());
    assert_eq!(mailbox.depth(), 1);
    assert!(!second.0.0.load(Ordering::SeqCst));
    assert_eq!(drain(&mailbox, &mut receiver), [2]);
    assert!(second.0.0.load(Ordering::SeqCst), "it kept its place in the line");
    assert!(mailbox.push_or_wait(4, &mut tickets[1], &second.1, || 3).is_ok());
}

#[test]
fn whoever_waits_with_more_than_a_lower_limit_is_sent_away() {
    let mailbox: Mailbox<u32> =
        Mailbox::new(MailboxLimits { capacity: 100, bytes: 100, overflow: Overflow::Wait });
    let mut receiver = Receiver::new();
    assert!(mailbox.try_push(60, || 0).is_ok());
    let (large, room, small) = (flag(), flag(), flag());
    let mut tickets = [None, None, None];
    assert!(mailbox.push_or_wait(50, &mut tickets[0], &large.1, || 1).is_err());
    assert!(mailbox.poll_room(50, &mut tickets[1], &room.1, || ()).is_pending());
    assert!(mailbox.push_or_wait(5, &mut tickets[2], &small.1, || 2).is_err());
    mailbox.set_bytes(40);
    assert!(large.0.0.load(Ordering::SeqCst) && room.0.0.load(Ordering::SeqCst));
    let refused = mailbox.push_or_wait(50, &mut tickets[0], &large.1, || 1).map(drop);
    assert_eq!((refused, tickets[0]), (Err(Refusal::TooLarge { limit: 40 }), None));
    assert!(mailbox.poll_room(50, &mut tickets[1], &room.1, || ()).is_ready());
    assert!(tickets[1].is_none(), "there never will be room");
    assert!(!small.0.0.load(Ordering::SeqCst), "60 bytes are there still");
    assert_eq!(drain(&mailbox, &mut receiver), [0]);
    assert!(small.0.0.load(Ordering::SeqCst));
    assert!(mailbox.push_or_wait(5, &mut tickets[2], &small.1, || 2).is_ok());
}

#[test]
fn one_sent_away_who_comes_when_the_limit_is_higher_again_is_let_in() {
    let mailbox: Mailbox<u32> =
        Mailbox::new(MailboxLimits { capacity: 1, bytes: 100, overflow: Overflow::Wait });
    let mut receiver = Receiver::new();
    assert!(mailbox.try_push(1, || 0).is_ok());
    let (woken, waker) = flag();
    let mut ticket = None;
    assert!(mailbox.push_or_wait(50, &mut ticket, &waker, || 1).is_err());
    mailbox.set_bytes(10);
    mailbox.set_bytes(100);
    assert!(woken.0.swap(false, Ordering::SeqCst));
    assert!(mailbox.push_or_wait(50, &mut ticket, &waker, || 1).is_err(), "it joins anew");
    assert_eq!(drain(&mailbox, &mut receiver), [0]);
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(mailbox.push_or_wait(50, &mut ticket, &waker, || 1).is_ok());
}

#[test]
fn a_lower_capacity_makes_the_next_message_displace_as_many_as_it_needs() {
    let mailbox = mailbox(8, Overflow::DropOldest);
    for item in 0..8 {
        assert!(push(&mailbox, item).is_ok());
    }
    mailbox.set_capacity(3);
    assert_eq!(mailbox.depth(), 8, "nothing goes before something comes");
    let pushed = mailbox.try_push(4, || 8).expect("the oldest make room");
    assert_eq!(pushed.displaced, Displaced::More((0..6).collect()));
    assert_eq!(mailbox.depth(), 3);
}

#[test]
fn the_age_of_the_oldest_is_never_too_low() {
    let mailbox = mailbox(8, Overflow::Wait);
    let mut receiver = Receiver::new();
    let push_at = |now, item| assert!(mailbox.push_now(4, || now, || item).is_ok());
    assert_eq!(mailbox.oldest(), None);
    push_at(10, 0);
    assert!(mailbox.push_now(4, || panic!("no clock for a queue"), || 1).is_ok());
    assert_eq!(mailbox.oldest(), Some(10));
    receiver.refill(&mailbox);
    push_at(30, 2);
    assert_eq!(mailbox.oldest(), Some(10), "the batch in hand is older");
    receiver.pop(&mailbox);
    receiver.put_back(&mailbox);
    assert_eq!(mailbox.oldest(), Some(10));
    assert_eq!(drain(&mailbox, &mut receiver), [1, 2]);
    assert_eq!(mailbox.oldest(), None);
    let mut ticket = None;
    let pushed = mailbox.push_or_wait_at(4, &mut ticket, Waker::noop(), || (), || 40, || 3);
    assert!(pushed.is_ok());
    assert_eq!(mailbox.oldest(), Some(40));
    receiver.refill(&mailbox);
    receiver.pop(&mailbox);
    receiver.publish_before_await(&mailbox);
    assert_eq!(mailbox.oldest(), None, "the handler has it");
    assert!(push(&mailbox, 4).is_ok());
    assert_eq!(mailbox.oldest(), None, "its sender brought no clock");
}
