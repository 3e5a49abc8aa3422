//! How well an instance does, as its owner and its operators say it, and what that means for who is
//! called.
//!
//! Owns the states, what stands in the store, and the weights of routing. Does not run checks.

mod maintenance;
mod routing;

use serde::{Deserialize, Serialize};

pub(super) use self::maintenance::Places;
pub use self::{
    maintenance::{Maintenance, MaintenanceScope},
    routing::Routing,
};

/// The longest reason of a state in bytes; more of it is cut.
pub const HEALTH_REASON_BYTES_MAX: usize = 300;

/// How well an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthState {
    /// It passes its checks, or has none that could fail. The only state that is not written down.
    Passing,
    /// Some checks fail or are slow: it gets a quarter of its share.
    Degraded,
    /// Its first checks have not passed yet: it is not called.
    Starting,
    /// Its checks fail: it is not called, unless more than half of the service fail (see
    /// [`ServiceView::is_panicking`](super::ServiceView::is_panicking)).
    Critical,
    /// It is being stopped: it is not called and takes no stored message; what it has it handles.
    Draining,
    /// An operator or its own program took it out for a while: as draining, until it is taken in again.
    Maintenance,
}

impl HealthState {
    /// Quarters of its weight that an instance in this state is called with.
    pub(super) const fn quarters(self) -> u32 {
        match self {
            Self::Passing => 4,
            Self::Degraded => 1,
            _ => 0,
        }
    }

    /// Whether somebody wants it to be left alone, so that what its checks say does not count.
    pub(super) const fn is_withdrawn(self) -> bool {
        matches!(self, Self::Draining | Self::Maintenance)
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Degraded => "degraded",
            Self::Starting => "starting",
            Self::Critical => "critical",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
        }
    }
}

impl std::fmt::Display for HealthState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The health of an instance, as it stands under `health/<service>/<instance>` while it is not
/// [`Passing`](HealthState::Passing). Written on a transition only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HealthRecord {
    /// How well it does.
    pub state: HealthState,
    /// Since when, in milliseconds of Unix time by the clock of its owner; for people, nothing is
    /// decided by it. 0 when it is not known.
    #[serde(default)]
    pub since_ms: u64,
    /// Why, in at most [`HEALTH_REASON_BYTES_MAX`] bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl HealthRecord {
    /// A record of this state; the reason is cut to its bound, control characters are taken out.
    pub fn new(state: HealthState, since_ms: u64, reason: impl Into<String>) -> Self {
        Self { state, since_ms, reason: plain(reason.into()) }
    }

    /// The record with a reason within its bound, whatever was put there since it was made.
    pub(super) fn bounded(self) -> Self {
        Self { reason: plain(self.reason), ..self }
    }

    /// The health of an instance of which nothing is written down.
    pub const fn passing() -> Self {
        Self { state: HealthState::Passing, since_ms: 0, reason: String::new() }
    }
}

/// A text as a person can be shown it: one line within the bound.
fn plain(text: String) -> String {
    let is_plain = text.len() <= HEALTH_REASON_BYTES_MAX && !text.contains(char::is_control);
    if is_plain {
        return text;
    }
    let mut plain = text.replace(char::is_control, " ");
    plain.truncate(plain.floor_char_boundary(HEALTH_REASON_BYTES_MAX));
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::record::{decode, encode};

    #[test]
    fn a_record_reads_as_people_would_write_it() {
        let record = HealthRecord::new(HealthState::Critical, 5, "db: refused");
        let json = encode(&record).expect("it is small");
        let expected = r#"{"state":"critical","since_ms":5,"reason":"db: refused"}"#;
        assert_eq!(std::str::from_utf8(&json), Ok(expected));
        let read: HealthRecord = decode(br#"{"state":"degraded","later":1}"#).expect("a record");
        assert_eq!(read, HealthRecord::new(HealthState::Degraded, 0, ""));
        assert!(decode::<HealthRecord>(br#"{"state":"splendid"}"#).is_none());
    }

    #[test]
    fn a_reason_is_one_line_within_its_bound() {
        let record = HealthRecord::new(HealthState::Critical, 0, "a\u{1b}[2Jb\nc");
        assert_eq!(record.reason, "a [2Jb c");
        let record = HealthRecord::new(HealthState::Critical, 0, "ä".repeat(1000));
        assert_eq!(record.reason.len(), HEALTH_REASON_BYTES_MAX);
    }
}
