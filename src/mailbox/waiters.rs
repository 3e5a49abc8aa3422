use std::{collections::VecDeque, task::Waker};

/// A place in the line of those who wait for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// What a ticket is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Room was granted to it.
    Granted,
    /// It stands in the line.
    Waiting,
    /// It was sent away: it stands there no more.
    Gone,
}

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
pub(super) struct Waiters {
    line: VecDeque<Waiter>,
    last_ticket: u64,
    granted: usize,
    granted_bytes: usize,
}

impl Waiters {
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Whether room was granted to everybody in the line: then nobody is overtaken by a sender for
    /// whom there is room besides.
    pub(super) fn all_granted(&self) -> bool {
        self.line.len() == self.granted
    }

    /// Room that was promised and not used yet, in messages and in bytes.
    pub(super) fn granted(&self) -> (usize, usize) {
        (self.granted, self.granted_bytes)
    }

    pub(super) fn join(&mut self, size: usize, waker: Option<Waker>) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.line.push_back(Waiter { ticket, size, waker, granted: false });
        ticket
    }

    /// Uses the grant of this ticket if it has one; while it waits, notes whom to wake, and gives
    /// back who was noted before.
    pub(super) fn claim(&mut self, ticket: Ticket, waker: &mut Option<Waker>) -> Standing {
        let standing = self.look(ticket, waker);
        if standing == Standing::Granted {
            let granted_to = self.leave(ticket);
            debug_assert!(granted_to.is_none(), "the waker went with the grant");
        }
        standing
    }

    /// What this ticket is worth; while it waits, notes whom to wake, and gives back who was noted
    /// before.
    pub(super) fn look(&mut self, ticket: Ticket, waker: &mut Option<Waker>) -> Standing {
        let Some(at) = self.place(ticket) else { return Standing::Gone };
        let waiter = &mut self.line[at];
        if waiter.granted {
            return Standing::Granted;
        }
        std::mem::swap(&mut waiter.waker, waker);
        Standing::Waiting
    }

    /// Returns the waker, to be dropped outside the lock.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let waiter = self.line.remove(self.place(ticket)?)?;
        if waiter.granted {
            self.granted -= 1;
            self.granted_bytes -= waiter.size;
        }
        waiter.waker
    }

    fn place(&self, ticket: Ticket) -> Option<usize> {
        self.line.binary_search_by_key(&ticket, |waiter| waiter.ticket).ok()
    }

    /// The size of the message that is next to be let in. Grants are given in order, so the first
    /// `granted` places of the line hold them.
    pub(super) fn next_size(&self) -> Option<usize> {
        self.line.get(self.granted).map(|waiter| waiter.size)
    }

    /// Returns whom to wake: nobody when it was woken before and has not looked since.
    pub(super) fn grant_next(&mut self) -> Option<Waker> {
        let waiter = self.line.get_mut(self.granted)?;
        debug_assert!(!waiter.granted, "grants stand at the front of the line");
        waiter.granted = true;
        self.granted += 1;
        self.granted_bytes += waiter.size;
        waiter.waker.take()
    }

    /// Takes the latest grant back. Whom it was given to was woken and will look.
    pub(super) fn revoke_last(&mut self) {
        let Some(last) = self.granted.checked_sub(1) else { return };
        let waiter = &mut self.line[last];
        waiter.granted = false;
        self.granted = last;
        self.granted_bytes -= waiter.size;
    }

    /// Sends away whoever would never be let in. Returns whom to wake.
    pub(super) fn send_away_above(&mut self, limit: usize) -> Vec<Waker> {
        let (mut granted, mut granted_bytes) = (self.granted, self.granted_bytes);
        let mut wakers = Vec::new();
        self.line.retain_mut(|waiter| {
            if waiter.size <= limit {
                return true;
            }
            if waiter.granted {
                granted -= 1;
                granted_bytes -= waiter.size;
            }
            wakers.extend(waiter.waker.take());
            false
        });
        (self.granted, self.granted_bytes) = (granted, granted_bytes);
        wakers
    }

    /// Sends everybody away. Returns whom to wake.
    pub(super) fn clear(&mut self) -> Vec<Waker> {
        self.granted = 0;
        self.granted_bytes = 0;
        self.line.drain(..).filter_map(|waiter| waiter.waker).collect()
    }
}
