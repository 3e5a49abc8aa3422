use std::{any::Any, fmt, sync::Arc, time::Duration};

use crate::kv::KeyValueStore;

/// How long things take on a backend.
///
/// The defaults fit a store that runs on the same machine and expires leases to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The shortest lease time that the store grants as asked; 2 s by default.
    pub ttl: Duration,
    /// How long after the end of a lease its keys may still be there; 3 s by default.
    pub expiry_slack: Duration,
    /// How long to wait for what must happen; 10 s by default.
    pub patience: Duration,
    /// How long to wait before it is believed that nothing happens; 300 ms by default.
    pub quiet: Duration,
    /// The most time that one case may take; 120 s by default.
    pub case: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(2),
            expiry_slack: Duration::from_secs(3),
            patience: Duration::from_secs(10),
            quiet: Duration::from_millis(300),
            case: Duration::from_secs(120),
        }
    }
}

/// Counts the open watches of a store.
type WatcherCount = Box<dyn Fn() -> usize + Send + Sync>;

/// A store under test, with what the suite must know of it.
pub struct Subject {
    pub(super) store: Arc<dyn KeyValueStore>,
    pub(super) timing: Timing,
    pub(super) watchers: Option<WatcherCount>,
    /// A server or folder that lives as long as the case.
    _keep: Option<Box<dyn Any + Send + Sync>>,
}

impl Subject {
    /// A store with the default timing.
    pub fn new(store: Arc<dyn KeyValueStore>) -> Self {
        Self { store, timing: Timing::default(), watchers: None, _keep: None }
    }

    /// Sets how long things take.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Says how many watches are open in the store; without it the suite sees a watch that stays
    /// behind only by its effects.
    #[must_use]
    pub fn with_watchers(mut self, count: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.watchers = Some(Box::new(count));
        self
    }

    /// Keeps something alive until the case is over: a server that stops when it is dropped.
    #[must_use]
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self._keep = Some(Box::new(guard));
        self
    }
}

impl<S: KeyValueStore> From<Arc<S>> for Subject {
    fn from(store: Arc<S>) -> Self {
        Self::new(store)
    }
}

impl From<Arc<dyn KeyValueStore>> for Subject {
    fn from(store: Arc<dyn KeyValueStore>) -> Self {
        Self::new(store)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("store", &self.store)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
