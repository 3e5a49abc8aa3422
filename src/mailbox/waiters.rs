use std::{collections::VecDeque, task::Waker};

/// A place in the line of those who wait for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    size: usize,
    /// Taken out when room is granted. It moves in and out under the mailbox's lock and is cloned
    /// and dropped outside it.
    waker: Option<Waker>,
    granted: bool,
}

/// The line. Room is granted in order, so those with a grant stand in front.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    line: VecDeque<Waiter>,
    last_ticket: u64,
    granted: usize,
    granted_bytes: usize,
}

impl Waiters {
    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Whether room was granted to everybody in the line: then nobody is overtaken by a sender for
    /// whom there is room besides.
    pub(crate) fn all_granted(&self) -> bool {
        self.line.len() == self.granted
    }

    /// Room that was promised and not used yet.
    pub(crate) fn granted(&self) -> usize {
        self.granted
    }

    pub(crate) fn granted_bytes(&self) -> usize {
        self.granted_bytes
    }

    pub(crate) fn join(&mut self, size: usize, waker: Option<Waker>) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.line.push_back(Waiter { ticket, size, waker, granted: false });
        ticket
    }

    /// Uses the grant of this ticket if it has one; else notes whom to wake, and gives back who was
    /// noted before.
    pub(crate) fn claim(&mut self, ticket: Ticket, waker: &mut Option<Waker>) -> bool {
        let Ok(at) = self.line.binary_search_by_key(&ticket, |waiter| waiter.ticket) else {
            return false;
        };
        if !self.line[at].granted {
            std::mem::swap(&mut self.line[at].waker, waker);
            return false;
        }
        let granted_to = self.remove(at);
        debug_assert!(granted_to.is_none(), "the waker went with the grant");
        true
    }

    /// Whether room was granted to this ticket; else notes whom to wake, and gives back who was
    /// noted before.
    pub(crate) fn is_granted(&mut self, ticket: Ticket, waker: &mut Option<Waker>) -> bool {
        let Ok(at) = self.line.binary_search_by_key(&ticket, |waiter| waiter.ticket) else {
            return true;
        };
        let waiter = &mut self.line[at];
        if !waiter.granted {
            std::mem::swap(&mut waiter.waker, waker);
        }
        waiter.granted
    }

    /// Returns the waker, to be dropped outside the lock.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let at = self.line.binary_search_by_key(&ticket, |waiter| waiter.ticket).ok()?;
        self.remove(at)
    }

    fn remove(&mut self, at: usize) -> Option<Waker> {
        let waiter = self.line.remove(at)?;
        if waiter.granted {
            self.granted -= 1;
            self.granted_bytes -= waiter.size;
        }
        waiter.waker
    }

    /// The size of the message that is next to be let in. Grants are given in order, so the first
    /// `granted` places of the line hold them.
    pub(crate) fn next_size(&self) -> Option<usize> {
        self.line.get(self.granted).map(|waiter| waiter.size)
    }

    pub(crate) fn grant_next(&mut self) -> Option<Waker> {
        let waiter = self.line.get_mut(self.granted)?;
        debug_assert!(!waiter.granted, "grants stand at the front of the line");
        waiter.granted = true;
        self.granted += 1;
        self.granted_bytes += waiter.size;
        waiter.waker.take()
    }

    /// Sends everybody away.
    pub(crate) fn clear(&mut self) -> Vec<Waker> {
        self.granted = 0;
        self.granted_bytes = 0;
        self.line.drain(..).filter_map(|waiter| waiter.waker).collect()
    }
}
