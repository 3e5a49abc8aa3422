use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{Displaced, MailboxLimits, Overflow, Refusal, waiters::Waiters};

/// How often the log hears of displaced messages at most.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What stands under the lock.
// In this order: what each message needs comes first.
#[repr(C)]
pub(super) struct Queue<T> {
    /// The owner has taken all and is to be woken by whoever comes next.
    pub(super) parked: bool,
    pub(super) closed: bool,
    pub(super) items: VecDeque<T>,
    bytes: usize,
    aside: Option<Box<Aside>>,
    pub(super) limits: MailboxLimits,
    /// Bytes of the batch in hand: released as a whole when the batch is done.
    bytes_in_hand: usize,
    /// Not after the first of the items came; 0 when that is not known.
    oldest: u64,
    /// The same for the batch in hand.
    oldest_in_hand: u64,
}

/// What most mailboxes never need.
#[derive(Default)]
struct Aside {
    waiters: Waiters,
    /// The size of each item, and of each message of the batch when it was swapped out: kept only
    /// where the oldest may have to go.
    sizes: VecDeque<usize>,
    sizes_in_hand: VecDeque<usize>,
    displaced: u64,
    /// How many of them the log has heard of, and when.
    told: u64,
    told_at: Option<Instant>,
}

impl<T> Queue<T> {
    pub(super) fn new(limits: MailboxLimits) -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
            bytes_in_hand: 0,
            oldest: 0,
            oldest_in_hand: 0,
            parked: false,
            closed: false,
            limits,
            aside: None,
        }
    }

    /// Whether a message may go in now: there is room for it besides what was promised, and nobody
    /// else waits for that.
    #[inline]
    pub(super) fn admits(&self, in_hand: usize, size: usize) -> bool {
        match &self.aside {
            None => self.fits(in_hand, size, 0, 0),
            Some(aside) => aside.waiters.all_granted() && self.has_room(in_hand, size),
        }
    }

    /// Why a message of this size was not admitted.
    #[cold]
    pub(super) fn refusal(&self, size: usize) -> Refusal {
        match self.limits.bytes {
            limit if size > limit => Refusal::TooLarge { limit },
            _ => Refusal::Full,
        }
    }

    /// Whether there is room for a message besides what was promised.
    pub(super) fn has_room(&self, in_hand: usize, size: usize) -> bool {
        let (messages, bytes) = self.promised();
        self.fits(in_hand, size, messages, bytes)
    }

    #[inline]
    fn fits(&self, in_hand: usize, size: usize, promised: usize, promised_bytes: usize) -> bool {
        let messages = self.items.len() + in_hand + promised;
        let bytes = self.bytes + self.held(in_hand) + promised_bytes;
        messages < self.limits.capacity && bytes.saturating_add(size) <= self.limits.bytes
    }

    /// Bytes of the batch in hand, until all of it is worked off.
    #[inline]
    fn held(&self, in_hand: usize) -> usize {
        if in_hand == 0 { 0 } else { self.bytes_in_hand }
    }

    fn promised(&self) -> (usize, usize) {
        self.aside.as_ref().map_or((0, 0), |aside| aside.waiters.granted())
    }

    /// True when the owner has to be woken.
    // As a call it took 44 instructions, a third of them for being one.
    #[inline(always)]
    pub(super) fn push(&mut self, size: usize, now: impl FnOnce() -> u64, item: T) -> bool {
        if self.items.is_empty() {
            // It comes to the place that the one before left, which is in the cache.
            self.items.clear();
            self.oldest = now();
        }
        self.items.push_back(item);
        if self.limits.overflow == Overflow::DropOldest {
            self.aside().sizes.push_back(size);
        }
        self.bytes += size;
        std::mem::take(&mut self.parked)
    }

    /// Takes out as many of the oldest as have to go for a message of this size; none when that
    /// does not help.
    pub(super) fn displace(&mut self, in_hand: usize, size: usize) -> Displaced<T> {
        let Some((leaving, freed)) = self.leaving_for(in_hand, size) else {
            return Displaced::None;
        };
        self.bytes -= freed;
        let aside = self.aside();
        aside.displaced += leaving as u64;
        if leaving == 1 {
            aside.sizes.pop_front();
            return self.items.pop_front().map_or(Displaced::None, Displaced::One);
        }
        aside.sizes.drain(..leaving);
        Displaced::More(self.items.drain(..leaving).collect())
    }

    /// How many of the oldest have to go for a message of this size, and their bytes; nothing when
    /// that would not be enough, or when it is others who wait that keep it out.
    fn leaving_for(&self, in_hand: usize, size: usize) -> Option<(usize, usize)> {
        if self.limits.overflow != Overflow::DropOldest {
            return None;
        }
        let (promised, promised_bytes) = self.promised();
        let mut messages = self.items.len() + in_hand + promised;
        let mut bytes = self.bytes + self.held(in_hand) + promised_bytes;
        let sizes = &self.aside.as_ref()?.sizes;
        debug_assert_eq!(sizes.len(), self.items.len(), "a size for each item");
        let (mut leaving, mut freed) = (0, 0);
        while messages >= self.limits.capacity || bytes.saturating_add(size) > self.limits.bytes {
            let next = *sizes.get(leaving)?;
            (messages, bytes) = (messages - 1, bytes - next);
            (leaving, freed) = (leaving + 1, freed + next);
        }
        (leaving > 0).then_some((leaving, freed))
    }

    pub(super) fn displaced(&self) -> u64 {
        self.aside.as_ref().map_or(0, |aside| aside.displaced)
    }

    /// How many were displaced since this gave a number, if that is due again.
    pub(super) fn displaced_to_tell(&mut self, now: Instant) -> Option<u64> {
        let aside = self.aside.as_mut()?;
        let is_due = aside.told_at.is_none_or(|at| now.saturating_duration_since(at) >= TELL_EVERY);
        if !is_due || aside.displaced == aside.told {
            return None;
        }
        aside.told_at = Some(now);
        Some(aside.displaced - std::mem::replace(&mut aside.told, aside.displaced))
    }

    /// Gives everything to the owner, whose batch before is done. False when there is nothing.
    #[inline]
    pub(super) fn swap_out(&mut self, batch: &mut VecDeque<T>) -> bool {
        let found = !self.items.is_empty();
        // Within a branch: the compiler then loads the words of the queue one by one. Wide loads
        // right after the narrow stores of a push stall, for 7 ns a message.
        if found {
            std::mem::swap(batch, &mut self.items);
        }
        self.hand_over();
        found
    }

    /// Gives the only message to the owner, whose batch before is done.
    #[inline(always)]
    pub(super) fn take_only(&mut self) -> Option<T> {
        self.hand_over();
        self.items.pop_front()
    }

    /// Notes that what was queued is in hand.
    #[inline]
    fn hand_over(&mut self) {
        self.bytes_in_hand = std::mem::take(&mut self.bytes);
        self.oldest_in_hand = self.oldest;
        if let Some(aside) = &mut self.aside {
            std::mem::swap(&mut aside.sizes, &mut aside.sizes_in_hand);
            aside.sizes.clear();
        }
    }

    /// Takes back what is left of the batch, before what has come meanwhile.
    pub(super) fn take_back(&mut self, batch: &mut VecDeque<T>) {
        let in_hand = std::mem::take(&mut self.bytes_in_hand);
        if let Some(aside) = &mut self.aside
            && self.limits.overflow == Overflow::DropOldest
        {
            let finished = aside.sizes_in_hand.len().saturating_sub(batch.len());
            aside.sizes_in_hand.drain(..finished);
            self.bytes += aside.sizes_in_hand.iter().sum::<usize>();
            aside.sizes_in_hand.append(&mut aside.sizes);
            std::mem::swap(&mut aside.sizes, &mut aside.sizes_in_hand);
        } else if !batch.is_empty() {
            // How much of it is left nobody knows: the next batch releases it.
            self.bytes += in_hand;
        }
        if !batch.is_empty() {
            self.oldest = self.oldest_in_hand;
        }
        batch.append(&mut self.items);
        std::mem::swap(batch, &mut self.items);
    }

    /// Takes everything out, for an actor that ended.
    pub(super) fn take_all(&mut self) -> VecDeque<T> {
        (self.bytes, self.bytes_in_hand) = (0, 0);
        if let Some(aside) = &mut self.aside {
            aside.sizes.clear();
            aside.sizes_in_hand.clear();
        }
        std::mem::take(&mut self.items)
    }

    pub(super) fn oldest(&self, in_hand: usize) -> Option<u64> {
        let oldest = match (in_hand, self.items.is_empty()) {
            (1.., _) => self.oldest_in_hand,
            (0, false) => self.oldest,
            (0, true) => return None,
        };
        (oldest > 0).then_some(oldest)
    }

    /// Whether somebody stands in the line, with or without a grant.
    #[inline]
    pub(super) fn has_waiters(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| !aside.waiters.is_empty())
    }

    pub(super) fn waiters(&mut self) -> &mut Waiters {
        &mut self.aside().waiters
    }

    /// Takes promises back, the latest first, until what is left of them fits.
    pub(super) fn revoke(&mut self, in_hand: usize) {
        loop {
            let (messages, bytes) = self.promised();
            let fits = self.items.len() + in_hand + messages <= self.limits.capacity
                && self.bytes + self.held(in_hand) + bytes <= self.limits.bytes;
            if messages == 0 || fits {
                return;
            }
            self.waiters().revoke_last();
        }
    }

    fn aside(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }
}
