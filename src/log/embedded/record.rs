use crate::log::{Attempt, Done, Progress, Recorded, Settle, Totals};

/// What is recorded of one entry, with what was moved out of it.
#[derive(Debug, Default, Clone)]
pub(super) struct Record {
    public: Recorded,
    /// Which of the done messages were buried and which postponed, so that saying it again is told
    /// from a contradiction.
    buried: Done,
    postponed: Done,
}

/// Where one message of an entry goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Bury,
    Postpone,
}

/// What a move of one message meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Fresh,
    Already,
    /// The message is done in another way.
    Contradiction,
}

impl Record {
    /// Of an entry with messages that nobody is to handle.
    pub(super) fn of_skipped(skip: &Done) -> Self {
        let cancelled = u32::try_from(skip.count()).unwrap_or(u32::MAX);
        let totals = Totals { cancelled, ..Totals::default() };
        let public = Recorded { totals, done: skip.clone(), attempt: None };
        Self { public, ..Self::default() }
    }

    pub(super) fn public(&self) -> &Recorded {
        &self.public
    }

    pub(super) fn totals(&self) -> Totals {
        self.public.totals
    }

    pub(super) fn done(&self) -> &Done {
        &self.public.done
    }

    pub(super) fn set_attempt(&mut self, attempt: Option<Attempt>) {
        if attempt.is_some() {
            self.public.attempt = attempt;
        }
    }

    /// Whether this progress may follow what is recorded of an entry of `count` messages.
    pub(super) fn admits(&self, progress: &Progress, count: u32) -> bool {
        let Progress { totals, done, .. } = progress;
        progress.count == count
            && done.count() == totals.sum()
            && highest(done).is_none_or(|index| index < u64::from(count))
            && self.grows_to(totals)
            && includes(done, &self.public.done)
    }

    /// Whether these totals may end an entry of `count` messages.
    pub(super) fn admits_end(&self, settle: &Settle, count: u32) -> bool {
        settle.count == count
            && settle.totals.sum() == u64::from(count)
            && self.grows_to(&settle.totals)
    }

    pub(super) fn advance(&mut self, totals: Totals, done: Done) {
        debug_assert_eq!(totals.sum(), done.count(), "as many marks as messages");
        self.public.totals = totals;
        self.public.done = done;
    }

    /// Whether a message can be moved this way, without moving it.
    pub(super) fn probe(&self, index: u32, to: Move) -> Moved {
        let moved = match to {
            Move::Bury => &self.buried,
            Move::Postpone => &self.postponed,
        };
        if moved.contains(index) {
            Moved::Already
        } else if self.public.done.contains(index) {
            Moved::Contradiction
        } else {
            Moved::Fresh
        }
    }

    /// Marks a message as moved that [`probe`](Self::probe) found fresh.
    pub(super) fn mark(&mut self, index: u32, to: Move) {
        let fresh = self.public.done.insert(index);
        debug_assert!(fresh, "a message is moved once");
        match to {
            Move::Bury => {
                self.buried.insert(index);
                self.public.totals.dead += 1;
            }
            Move::Postpone => {
                self.postponed.insert(index);
                self.public.totals.delayed += 1;
            }
        }
    }

    /// Totals only grow, and moved messages are counted by their move alone.
    fn grows_to(&self, new: &Totals) -> bool {
        let old = &self.public.totals;
        new.handled >= old.handled
            && new.expired >= old.expired
            && new.cancelled >= old.cancelled
            && new.dead == old.dead
            && new.delayed == old.delayed
    }
}

fn highest(done: &Done) -> Option<u64> {
    let (at, byte) = done.0.iter().enumerate().rev().find(|(_, byte)| **byte != 0)?;
    Some(at as u64 * 8 + u64::from(7 - byte.leading_zeros()))
}

fn includes(new: &Done, old: &Done) -> bool {
    let byte = |at: usize| new.0.get(at).copied().unwrap_or(0);
    old.0.iter().enumerate().all(|(at, old)| byte(at) & old == *old)
}
