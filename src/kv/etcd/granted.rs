use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::kv::LeaseId;

/// Below this many there is nothing to clean up.
const CLEAN_FROM: usize = 64;

/// The times that leases were granted for, which the answer to a keep-alive does not show.
#[derive(Debug, Default)]
pub(super) struct Granted {
    leases: HashMap<LeaseId, (Duration, Instant)>,
    clean_at: usize,
}

impl Granted {
    /// A lease was granted or renewed for this time.
    pub(super) fn note(&mut self, lease: LeaseId, ttl: Duration, now: Instant) {
        // Most are never renewed nor revoked: they explain for a minute why something is gone.
        if self.leases.len() >= self.clean_at.max(CLEAN_FROM) {
            self.leases.retain(|_, (_, until)| *until > now);
            self.clean_at = self.leases.len() * 2;
        }
        // Longer than it lives: an entry that is gone too early costs a question.
        self.leases.insert(lease, (ttl, now + ttl * 2));
    }

    pub(super) fn get(&self, lease: LeaseId) -> Option<Duration> {
        self.leases.get(&lease).map(|(ttl, _)| *ttl)
    }

    pub(super) fn forget(&mut self, lease: LeaseId) {
        self.leases.remove(&lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_that_nobody_renews_are_forgotten_and_others_are_not() {
        let mut granted = Granted::default();
        let (mut now, minute) = (Instant::now(), Duration::from_secs(60));
        for n in 0..10_000 {
            granted.note(LeaseId(n), minute, now);
            granted.note(LeaseId(-1), minute, now);
            now += Duration::from_secs(5);
        }
        assert!(granted.leases.len() <= 2 * CLEAN_FROM, "{}", granted.leases.len());
        assert_eq!(granted.get(LeaseId(-1)), Some(minute));
        granted.forget(LeaseId(-1));
        assert_eq!(granted.get(LeaseId(-1)), None);
    }
}
