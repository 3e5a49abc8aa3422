use std::sync::atomic::Ordering;

use crate::sync::AtomicUsize;

/// How many messages the owner has swapped out and not worked off, and whether somebody waits for
/// room: one word, so that a sender who joins the line and an owner who makes room change it one
/// after the other. Whoever comes second sees what the first one did.
///
/// The count is changed by the owner alone, and raised under the lock only: it may count too many
/// for a while, never too few. The flag is changed under the lock only.
#[derive(Debug)]
pub(super) struct InHand(AtomicUsize);

const AWAITED: usize = 1;
const ONE: usize = 2;

impl InHand {
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    #[inline]
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed) / ONE
    }

    /// Owner, with the lock: so many are in hand now.
    #[inline]
    pub(super) fn set(&self, count: usize) {
        let flag = self.0.load(Ordering::Relaxed) & AWAITED;
        self.0.store((count * ONE) | flag, Ordering::Relaxed);
    }

    /// Owner, without the lock: so many fewer are in hand. True when somebody waits for that.
    #[inline]
    pub(super) fn release(&self, finished: usize) -> bool {
        let before = self.0.fetch_sub(finished * ONE, Ordering::AcqRel);
        debug_assert!(before / ONE >= finished, "no more is released than was in hand");
        before & AWAITED != 0
    }

    /// Owner, without the lock, when it will be woken by whoever has come meanwhile: nothing is in
    /// hand. True when somebody is known to wait for that; a flag that is set at this moment may get
    /// lost, until the owner [repairs](super::Mailbox::grant) it.
    #[inline]
    pub(super) fn clear(&self) -> bool {
        // Two plain accesses where `release` needs a locked one.
        let flag = self.0.load(Ordering::Relaxed) & AWAITED;
        self.0.store(flag, Ordering::Release);
        flag != 0
    }

    /// With the lock: whether somebody waits for room. Gives the count: what is released after it
    /// was read meets the flag.
    pub(super) fn set_awaited(&self, awaited: bool) -> usize {
        let before = match awaited {
            true => self.0.fetch_or(AWAITED, Ordering::AcqRel),
            false => self.0.fetch_and(!AWAITED, Ordering::AcqRel),
        };
        before / ONE
    }

    /// With the lock.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.load(Ordering::Relaxed) & AWAITED != 0
    }
}
