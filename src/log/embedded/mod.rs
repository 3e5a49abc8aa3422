//! The log in this process: nothing to install, the semantics of the contract for real.
//!
//! Owns its entries (they end with the last clone), the blocked reads and the clock, which is the
//! wall clock at its making plus what tokio's clock has moved since: a paused clock moves entry ids,
//! idle clocks and delays alike. Does not know what is inside a frame.
//!
//! Locks: one per stream, found through a sharded map, so that streams don't wait for each other.
//! Order: shard, then streams (two by name), then readers. None is held across an await.

mod adapter;
mod delay;
mod group;
mod lanes;
mod memory;
mod once;
mod part;
mod read;
mod record;
mod replay;
mod settle;
mod steps;
mod stream;
#[cfg(test)]
mod tests;
mod wait;

use std::{
    fmt,
    hash::BuildHasher,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::{Mutex, RwLock};
use rustc_hash::{FxBuildHasher, FxHashMap};
use tokio::time::Instant;

use self::{memory::Memory, stream::Stream, wait::Readers};
use super::{CLAIM_GRACE, StreamName, check};

const SHARDS: usize = 32;

/// The embedded log.
///
/// Clones are the same log; several systems and threads may share one.
#[derive(Clone)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
}

/// What can be chosen of an [`EmbeddedLog`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedLogOptions {
    /// How much memory entries may take, in bytes; above it appends are refused while everything
    /// that drains goes on. 1 GiB by default.
    pub memory_bytes_max: u64,
    /// For how long after its making the log answers [`Claim::Grace`](super::Claim::Grace).
    /// [`CLAIM_GRACE`] by default.
    pub claim_grace: Duration,
}

impl Default for EmbeddedLogOptions {
    fn default() -> Self {
        Self { memory_bytes_max: 1 << 30, claim_grace: CLAIM_GRACE }
    }
}

struct Shared {
    shards: [RwLock<FxHashMap<StreamName, Arc<Mutex<Stream>>>>; SHARDS],
    readers: Readers,
    read_ids: AtomicU64,
    memory: Arc<Memory>,
    claim_grace: Duration,
    wall_ms_at_start: u64,
    started: Instant,
}

/// One moment on both clocks.
#[derive(Debug, Clone, Copy)]
struct Now {
    instant: Instant,
    ms: u64,
}

impl EmbeddedLog {
    /// Makes an empty log with the default options.
    pub fn new() -> Self {
        Self::with_options(EmbeddedLogOptions::default())
    }

    /// Makes an empty log.
    pub fn with_options(options: EmbeddedLogOptions) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shared = Shared {
            shards: std::array::from_fn(|_| RwLock::default()),
            readers: Readers::default(),
            read_ids: AtomicU64::new(0),
            memory: Arc::new(Memory::new(options.memory_bytes_max)),
            claim_grace: options.claim_grace,
            wall_ms_at_start: u64::try_from(since_epoch.as_millis()).unwrap_or(0),
            started: Instant::now(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// How much memory the entries take, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.shared.memory.used()
    }
}

impl Default for EmbeddedLog {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streams: usize = self.shared.shards.iter().map(|shard| shard.read().len()).sum();
        f.debug_struct("EmbeddedLog")
            .field("streams", &streams)
            .field("memory_bytes", &self.memory_bytes())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn now(&self) -> Now {
        let instant = Instant::now();
        let elapsed = instant.saturating_duration_since(self.started).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        Now { instant, ms: self.wall_ms_at_start.saturating_add(elapsed) }
    }

    /// Does something to a stream that exists.
    fn with<R>(&self, name: &StreamName, act: impl FnOnce(&mut Stream) -> R) -> Option<R> {
        let stream = self.find(name)?;
        let mut stream = stream.lock();
        // A detached one was deleted a moment ago: that it is gone is a right answer too.
        self.end_if_over(&mut stream);
        (stream.exists && !stream.is_detached).then(|| act(&mut stream))
    }

    /// Does something to a stream that may be made by it.
    fn with_made<R>(&self, name: &StreamName, act: impl FnOnce(&mut Stream) -> R) -> R {
        loop {
            let stream = self.find_or_add(name);
            let mut stream = stream.lock();
            if stream.is_detached {
                continue;
            }
            self.end_if_over(&mut stream);
            let result = act(&mut stream);
            let is_vacant = is_vacant(&stream);
            drop(stream);
            if is_vacant {
                self.vacate(name);
            }
            return result;
        }
    }

    /// Takes a stream out of the map if neither an entry nor a blocked reader needs it.
    fn vacate(&self, name: &StreamName) {
        let mut shard = self.shard(name).write();
        if let Some(stream) = shard.get(name).cloned() {
            let mut stream = stream.lock();
            if is_vacant(&stream) {
                stream.is_detached = true;
                shard.remove(name);
            }
        }
    }

    fn delete(&self, name: &StreamName) -> bool {
        let existed = self.with(name, Stream::wipe).is_some();
        self.vacate(name);
        existed
    }

    fn names(&self) -> Vec<(StreamName, Arc<Mutex<Stream>>)> {
        let listed = |shard: &RwLock<FxHashMap<StreamName, Arc<Mutex<Stream>>>>| {
            let shard = shard.read();
            shard
                .iter()
                .map(|(name, stream)| (name.clone(), Arc::clone(stream)))
                .collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(listed).collect()
    }

    fn find(&self, name: &StreamName) -> Option<Arc<Mutex<Stream>>> {
        self.shard(name).read().get(name).cloned()
    }

    fn find_or_add(&self, name: &StreamName) -> Arc<Mutex<Stream>> {
        if let Some(stream) = self.find(name) {
            return stream;
        }
        let make = || Arc::new(Mutex::new(Stream::new(name.clone(), Arc::clone(&self.memory))));
        Arc::clone(self.shard(name).write().entry(name.clone()).or_insert_with(make))
    }

    fn shard(&self, name: &StreamName) -> &RwLock<FxHashMap<StreamName, Arc<Mutex<Stream>>>> {
        // The map within a shard uses the low bits of the same hash, so the shard uses high ones.
        let hash = FxBuildHasher.hash_one(name);
        &self.shards[(hash >> 40) as usize % SHARDS]
    }

    fn end_if_over(&self, stream: &mut Stream) {
        if stream.is_over(Instant::now()) {
            stream.wipe();
        }
    }
}

fn is_vacant(stream: &Stream) -> bool {
    !stream.exists && stream.waiters.is_empty()
}
