use std::{collections::VecDeque, task::Waker};

/// A place in the line of those who wait for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    size: usize,
    waker: Waker,
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

    /// Room that was promised and not used yet.
    pub(crate) fn granted(&self) -> usize {
        self.granted
    }

    pub(crate) fn granted_bytes(&self) -> usize {
        self.granted_bytes
    }

    pub(crate) fn join(&mut self, size: usize, waker: Waker) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.line.push_back(Waiter { ticket, size, waker, granted: false });
        ticket
    }

    /// Uses the grant of this ticket if it has one; else notes whom to wake.
    pub(crate) fn claim(&mut self, ticket: Ticket, waker: &Waker) -> bool {
        let Ok(at) = self.line.binary_search_by_key(&ticket, |waiter| waiter.ticket) else {
            return false;
        };
        if !self.line[at].granted {
            self.line[at].waker.clone_from(waker);
            return false;
        }
        self.remove(at);
        true
    }

    /// Whether room was granted to this ticket; else notes whom to wake.
    pub(crate) fn is_granted(&mut self, ticket: Ticket, waker: &Waker) -> bool {
        let Ok(at) = self.line.binary_search_by_key(&ticket, |waiter| waiter.ticket) else {
            return true;
        };
        let waiter = &mut self.line[at];
        if !waiter.granted {
            waiter.waker.clone_from(waker);
        }
        waiter.granted
    }

    pub(crate) fn leave(&mut self, ticket: Ticket) {
        if let Ok(at) = self.line.binary_search_by_key(&ticket, |waiter| waiter.ticket) {
            self.remove(at);
        }
    }

    fn remove(&mut self, at: usize) {
        if let Some(waiter) = self.line.remove(at) {
            if waiter.granted {
                self.granted -= 1;
                self.granted_bytes -= waiter.size;
            }
        }
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
        Some(waiter.waker.clone())
    }

    /// Sends everybody away.
    pub(crate) fn clear(&mut self) -> Vec<Waker> {
        self.granted = 0;
        self.granted_bytes = 0;
        self.line.drain(..).map(|waiter| waiter.waker).collect()
    }
}
