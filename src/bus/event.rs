use std::{fmt, sync::Arc};

use crate::log::{EntryId, StreamName};

/// Something that an operator should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusEvent {
    /// The log has lost messages that it had acknowledged.
    AcknowledgedLoss {
        /// The stream.
        stream: StreamName,
        /// At most how many: of a stream that was deleted nobody knows what had been handled before.
        messages: u64,
    },
    /// An entry could not be decoded; it went whole to the dead letters.
    Unreadable {
        /// The stream.
        stream: StreamName,
        /// The entry.
        entry: EntryId,
        /// What is wrong with it.
        reason: String,
    },
    /// A message went to the dead letters.
    Buried {
        /// The stream.
        stream: StreamName,
        /// The entry it was in.
        entry: EntryId,
        /// Its wire name.
        message: String,
        /// Why.
        reason: String,
    },
    /// An entry that was being handled here belongs to another process now.
    Disowned {
        /// The stream.
        stream: StreamName,
        /// The entry.
        entry: EntryId,
    },
    /// An entry was taken over from another process.
    Claimed {
        /// The stream.
        stream: StreamName,
        /// The entry.
        entry: EntryId,
        /// Who had it.
        from: String,
    },
    /// Dead letters or retained messages were put into a stream again.
    Replayed {
        /// Where they lay.
        stream: StreamName,
        /// How many.
        messages: u64,
    },
    /// Dead letters were dropped.
    LettersDropped {
        /// Where they lay.
        stream: StreamName,
        /// How many.
        letters: u64,
    },
    /// What was in the inbox of a process that is gone was ended: tells were buried, asks refused.
    Swept {
        /// The inbox.
        stream: StreamName,
        /// How many entries.
        entries: u64,
    },
}

/// Who is told of events; called on the I/O runtime, it must not block.
pub type Observer = Arc<dyn Fn(BusEvent) + Send + Sync>;

/// An observer that may be missing. Events are always logged.
#[derive(Clone, Default)]
pub(crate) struct Events(pub(crate) Option<Observer>);

impl Events {
    pub(crate) fn tell(&self, event: BusEvent) {
        event.log();
        if let Some(observer) = &self.0 {
            observer(event);
        }
    }
}

impl BusEvent {
    fn log(&self) {
        match self {
            Self::AcknowledgedLoss { stream, messages } => {
                tracing::error!(%stream, messages, "the log lost messages that it had acknowledged");
            }
            Self::Unreadable { stream, entry, reason } => {
                tracing::warn!(%stream, %entry, reason, "an entry can't be read; buried");
            }
            Self::Buried { stream, entry, message, reason } => {
                tracing::warn!(%stream, %entry, message, reason, "a message was buried");
            }
            other => other.log_other(),
        }
    }

    fn log_other(&self) {
        match self {
            Self::Disowned { stream, entry } => {
                tracing::warn!(%stream, %entry, "an entry belongs to another process now");
            }
            Self::Claimed { stream, entry, from } => {
                tracing::info!(%stream, %entry, from, "an entry was taken over");
            }
            Self::Swept { stream, entries } => {
                tracing::warn!(%stream, entries, "the inbox of a process that is gone was swept");
            }
            Self::Replayed { stream, messages } => {
                tracing::info!(%stream, messages, "messages were replayed");
            }
            Self::LettersDropped { stream, letters } => {
                tracing::warn!(%stream, letters, "dead letters were dropped");
            }
            Self::AcknowledgedLoss { .. } | Self::Unreadable { .. } | Self::Buried { .. } => {}
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Events").field(&self.0.is_some()).finish()
    }
}
