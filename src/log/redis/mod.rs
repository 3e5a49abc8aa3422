//! The log on Redis Streams.
//!
//! Owns the connections, the scripts and what Redis's answers mean to the port. Does not know what is
//! inside a frame, and retries nothing that may have been done: a call whose answer did not come is
//! [`LogError::Unavailable`](super::LogError::Unavailable), and the bus decides.
//!
//! Each entry has two fields: `n`, the number of its messages, and `b`, the frame; a third, `s`, where
//! some of them are to be skipped. A stream `U:in` has
//! beside it `U:hw` (kind, lanes, counters), `U:prog` (what is done of entries), `U:dlq` (dead letters),
//! `U:log` (retained), `U:delay` with `U:delay:b` and `U:delay:id`, `U:fence`, `U:gone` (lanes of the
//! gone) and `U:once` (dedup ids); see [`keys`].
//!
//! Known of Redis 7 and its client, and looked after here: a response timeout breaks blocked reads (they
//! have connections of their own, without one); a stopped server holds every call for ever (so there is a
//! time limit round each, and the connection is given up with it); a restarted one has forgotten the
//! scripts; one that is out of memory refuses every script that does not say otherwise; idle clocks go
//! on while the server is down.

mod adapter;
mod advice;
mod blocked;
mod call;
mod dial;
mod error;
mod keys;
mod link;
mod moves;
mod options;
mod parse;
mod readers;
mod replay;
mod script;

use std::{fmt, sync::Arc};

pub use options::RedisOptions;

use self::{blocked::Blocked, call::Call, dial::Dial, link::Link, readers::Readers};
use super::LogError;

/// A [`MessageLog`](super::MessageLog) on one Redis 7.0 or later. Clones share connections.
///
/// A reader's name (see [`unblock`](super::MessageLog::unblock)) is known within this log and its
/// clones.
#[derive(Clone)]
pub struct RedisLog {
    shared: Arc<Shared>,
}

struct Shared {
    options: RedisOptions,
    /// Writes and acknowledgements.
    writes: Link,
    /// All else that does not block, so that a long list does not hold up an append.
    administration: Link,
    blocked: Blocked,
    readers: Readers,
}

impl RedisLog {
    /// Connects and sees that it is a Redis that will do. Runs its connections on the calling runtime,
    /// also those that it makes later.
    ///
    /// # Errors
    /// [`LogError::Refused`] for an address, a user or a server that can't be right,
    /// [`LogError::Unavailable`] when no Redis answered in time; both name the address and the setting.
    ///
    /// # Cancel safety
    /// Dropped, nothing is left.
    pub async fn connect(options: RedisOptions) -> Result<Self, LogError> {
        let dial = Arc::new(Dial::new(&options)?);
        let writes = Link::new(Arc::clone(&dial));
        dial.check_server(&writes).await?;
        let shared = Shared {
            administration: Link::new(Arc::clone(&dial)),
            blocked: Blocked::new(dial),
            readers: Readers::default(),
            writes,
            options,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    async fn write(&self, call: Call) -> Result<redis::Value, LogError> {
        self.shared.writes.run(call).await
    }

    async fn ask(&self, call: Call) -> Result<redis::Value, LogError> {
        self.shared.administration.run(call).await
    }
}

impl fmt::Debug for RedisLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLog").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
