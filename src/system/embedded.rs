use crate::{
    kv::EmbeddedKv,
    log::{EmbeddedLog, EmbeddedLogOptions},
};

/// The store of embedded systems: a directory and a message log in the memory of one process.
///
/// Each [`System`](crate::System) has one of its own unless several are given the same, with
/// [`SystemBuilder::embedded`](crate::SystemBuilder::embedded): then they form a cluster within the
/// process. Cloning it is cheap and gives the same store.
#[derive(Debug, Clone)]
pub struct Embedded {
    pub(crate) kv: EmbeddedKv,
    pub(crate) log: EmbeddedLog,
}

impl Embedded {
    /// An empty store.
    pub fn new() -> Self {
        Self { kv: EmbeddedKv::new(), log: EmbeddedLog::new() }
    }

    /// An empty store that takes new messages only while those it holds are under so many bytes;
    /// above, sends fail as `Unavailable` until consumers have drained it.
    pub fn with_memory_limit(bytes: u64) -> Self {
        let options =
            EmbeddedLogOptions { memory_bytes_max: bytes, ..EmbeddedLogOptions::default() };
        Self { kv: EmbeddedKv::new(), log: EmbeddedLog::with_options(options) }
    }

    /// The store as the key-value port.
    pub fn kv(&self) -> EmbeddedKv {
        self.kv.clone()
    }

    /// The store as the log port.
    pub fn log(&self) -> EmbeddedLog {
        self.log.clone()
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}
