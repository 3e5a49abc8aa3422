use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use super::codec::Codec;
use crate::error::Failure;

const SHARDS: usize = 16;

/// The encoded outcome of an ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyBytes {
    /// How it is encoded.
    pub codec: Codec,
    /// The bytes.
    pub body: Bytes,
}

pub(crate) type Answer = Result<ReplyBytes, Failure>;

/// Who waits for which reply, by correlation id.
#[derive(Default)]
pub(crate) struct Waiters {
    shards: [Mutex<FxHashMap<u64, oneshot::Sender<Answer>>>; SHARDS],
    last: AtomicU64,
}

impl Waiters {
    /// A fresh correlation id and the end where its answer comes out.
    pub(crate) fn register(&self) -> (u64, oneshot::Receiver<Answer>) {
        let correlation = self.last.fetch_add(1, Relaxed) + 1;
        let (sender, receiver) = oneshot::channel();
        self.shard(correlation).lock().insert(correlation, sender);
        (correlation, receiver)
    }

    /// Hands an answer over. False when nobody waits (any more).
    pub(crate) fn complete(&self, correlation: u64, answer: Answer) -> bool {
        let sender = self.shard(correlation).lock().remove(&correlation);
        sender.is_some_and(|sender| sender.send(answer).is_ok())
    }

    pub(crate) fn forget(&self, correlation: u64) {
        // The sender is dropped after the lock: its drop may wake a task.
        let sender = self.shard(correlation).lock().remove(&correlation);
        drop(sender);
    }

    /// Lets everybody go without an answer.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let senders = std::mem::take(&mut *shard.lock());
            drop(senders);
        }
    }

    fn shard(&self, correlation: u64) -> &Mutex<FxHashMap<u64, oneshot::Sender<Answer>>> {
        &self.shards[correlation as usize % SHARDS]
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting: usize = self.shards.iter().map(|shard| shard.lock().len()).sum();
        f.debug_struct("Waiters").field("waiting", &waiting).finish_non_exhaustive()
    }
}
