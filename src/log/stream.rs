use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::LogError;

/// The largest frame in bytes that a log must take: one message of the largest size, alone, with
/// its header.
pub const FRAME_BYTES_MAX: usize = 1_100_000;

/// The place of an entry in its stream: milliseconds of the log's clock, then a number within them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct EntryId {
    /// Milliseconds since 1970 on the log's clock.
    pub ms: u64,
    /// Number within the millisecond.
    pub seq: u64,
}

impl EntryId {
    /// Before every entry.
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// After every entry.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// The smallest id that comes after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.seq.checked_add(1) {
            Some(seq) => Self { ms: self.ms, seq },
            None => Self { ms: self.ms.saturating_add(1), seq: 0 },
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromStr for EntryId {
    type Err = LogError;
    fn from_str(text: &str) -> Result<Self, LogError> {
        let parts =
            text.split_once('-').and_then(|(ms, seq)| Some((ms.parse().ok()?, seq.parse().ok()?)));
        let (ms, seq) = parts.ok_or_else(|| {
            LogError::Refused(format!("{text:?} is not an entry id: write milliseconds-number"))
        })?;
        Ok(Self { ms, seq })
    }
}

/// What a stream is for; it decides what settling does and whether messages are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamKind {
    /// Durable tells of a service: settled entries are removed, messages are counted.
    Service,
    /// Asks and tells to one process incarnation: as a service's stream.
    Inbox,
    /// Replies to one process incarnation: no group, trimmed by its reader, not counted.
    Replies,
    /// A topic: each group has its own copy; settling acknowledges only; trimmed by age.
    Topic,
}

/// The name of a stream with everything that belongs to it (delay set, dead letters, fence, ...).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName {
    kind: StreamKind,
    unit: String,
}

impl StreamName {
    /// A stream. The unit names it within the cluster, as `cb:shop:{s:orders:0}`: what belongs
    /// together shares the part in braces and so sits in one slot of a Redis Cluster.
    pub fn new(kind: StreamKind, unit: impl Into<String>) -> Self {
        Self { kind, unit: unit.into() }
    }

    /// What it is for.
    pub fn kind(&self) -> StreamKind {
        self.kind
    }

    /// Its name, without the suffix of a part.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Whether the log counts its messages.
    pub fn is_counted(&self) -> bool {
        matches!(self.kind, StreamKind::Service | StreamKind::Inbox)
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.kind {
            StreamKind::Service | StreamKind::Inbox => "in",
            StreamKind::Replies => "rep",
            StreamKind::Topic => "log",
        };
        write!(f, "{}:{part}", self.unit)
    }
}
