use std::{
    fmt,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::{
    applied::{RefusedConfig, Report},
    configs::{Configs, Place, Seat},
    record::{ConfigRecord, Entry},
};
use crate::id::Name;

/// A configuration as a type of one's own, which follows the store.
///
/// It starts with what this node's cache has, and goes on by itself: through an outage of the store,
/// a compaction and a loss of its data. A value that does not fit `T` is refused, reported as a
/// warning and in [`Configuration::applied`](super::Configuration::applied), and the last good one
/// stays; so it does when the configuration is removed. While it lives, the node says which version
/// it has applied; clone it rather than making another.
///
/// `T`'s `Deserialize` runs on the thread that follows the directory, and must not block. That it
/// checks bounds (`#[serde(try_from = "..")]`) is what keeps a wrong value out of the program.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Deserialize)]
/// struct Limits {
///     per_second: u32,
/// }
///
/// #[callboard::main]
/// async fn main(system: System) -> callboard::Result<()> {
///     let limits = system.config::<Limits>("limits")?;
///     let per_second = limits.current().map_or(100, |limits| limits.per_second);
///     assert_eq!(per_second, 100);
///     Ok(())
/// }
/// ```
pub struct Config<T> {
    name: Name,
    state: watch::Receiver<State<T>>,
    seat: Arc<Seat>,
}

/// A value with the version that it is of. Reads as the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    version: u64,
    value: T,
}

/// What became of a configuration.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigEvent<T> {
    /// This value is the current one from now on.
    Applied(Arc<Versioned<T>>),
    /// The newest value does not fit and is not used; the current one is the one before.
    Refused(Arc<RefusedConfig>),
    /// The configuration was removed, by [`Configuration::remove`](super::Configuration::remove) or by
    /// hand; the current value is the last one.
    Removed,
}

/// What one place has applied.
struct State<T> {
    /// The last step that was taken in.
    step: Option<u64>,
    current: Option<Arc<Versioned<T>>>,
    newest: Newest,
    closed: bool,
}

/// What the store holds, as far as this place is concerned.
#[derive(Debug, Clone)]
enum Newest {
    Absent,
    Applied,
    Refused(Arc<RefusedConfig>),
}

/// Where values come in.
struct Cell<T> {
    name: Name,
    state: watch::Sender<State<T>>,
}

impl<T: DeserializeOwned + Send + Sync + 'static> Config<T> {
    pub(super) fn new(configs: &Arc<Configs>, name: Name) -> Self {
        let state = State { step: None, current: None, newest: Newest::Absent, closed: false };
        let cell = Arc::new(Cell { name: name.clone(), state: watch::Sender::new(state) });
        let place: Arc<dyn Place> = Arc::clone(&cell) as Arc<dyn Place>;
        let seat = Arc::new(configs.seat(&name, place));
        // After the first offer, which is no change.
        Self { name, state: cell.state.subscribe(), seat }
    }
}

impl<T> Config<T> {
    /// The name of the configuration.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The newest value that fits; none before the first. A read of memory that never waits for the
    /// store (a lock that is held for some instructions, and a count).
    pub fn current(&self) -> Option<Arc<Versioned<T>>> {
        self.state.borrow().current.clone()
    }

    /// The newest value in the store, if it was refused.
    pub fn refused(&self) -> Option<Arc<RefusedConfig>> {
        match &self.state.borrow().newest {
            Newest::Refused(refused) => Some(Arc::clone(refused)),
            Newest::Absent | Newest::Applied => None,
        }
    }

    /// Waits until something happened to the configuration that this handle has not been told of;
    /// none when the system was shut down.
    ///
    /// Of several changes at once only the last may be told. What was there when the handle was made
    /// is no change; a clone has been told of what its original was.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn changed(&mut self) -> Option<ConfigEvent<T>> {
        if self.state.borrow().closed {
            return None;
        }
        // An error means that nothing will come any more.
        self.state.changed().await.ok()?;
        let state = self.state.borrow_and_update();
        if state.closed {
            return None;
        }
        match (&state.newest, &state.current) {
            (Newest::Refused(refused), _) => Some(ConfigEvent::Refused(Arc::clone(refused))),
            (Newest::Applied, Some(value)) => Some(ConfigEvent::Applied(Arc::clone(value))),
            (Newest::Applied | Newest::Absent, _) => Some(ConfigEvent::Removed),
        }
    }
}

impl<T> Clone for Config<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), state: self.state.clone(), seat: Arc::clone(&self.seat) }
    }
}

impl<T> fmt::Debug for Config<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("name", &self.name)
            .field("version", &self.current().map(|value| value.version))
            .finish_non_exhaustive()
    }
}

impl<T> Versioned<T> {
    /// Which version it is, from 1.
    pub fn version(&self) -> u64 {
        self.version
    }
}

impl<T> Deref for Versioned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Place for Cell<T> {
    fn offer(&self, step: u64, entry: Option<&Entry>) {
        let outcome = entry.map(|entry| match &entry.record {
            Ok(record) => parse(record),
            Err(reason) => Err(RefusedConfig::new(None, reason.clone())),
        });
        let mut replaced = None;
        let mut told = None;
        self.state.send_if_modified(|state| {
            if state.step.is_some_and(|last| last >= step) {
                return false;
            }
            state.step = Some(step);
            match outcome {
                None => state.newest = Newest::Absent,
                Some(Ok(value)) => {
                    replaced = state.current.replace(Arc::new(value));
                    state.newest = Newest::Applied;
                }
                Some(Err(refused)) => {
                    let refused = Arc::new(refused);
                    told = Some((Arc::clone(&refused), state.version()));
                    state.newest = Newest::Refused(refused);
                }
            }
            true
        });
        // Not within: the drop of a value and what listens to traces are code of the user.
        drop(replaced);
        if let Some((refused, used)) = told {
            tracing::warn!(
                config = %self.name, version = ?refused.version, reason = %refused.reason, ?used,
                "a configuration is refused and the last good one stays; set one that fits, or roll \
                 back"
            );
        }
    }

    fn report(&self) -> Report {
        let state = self.state.borrow();
        let refused = match &state.newest {
            Newest::Refused(refused) => Some(RefusedConfig::clone(refused)),
            Newest::Absent | Newest::Applied => None,
        };
        Report { version: state.version(), refused }
    }

    fn close(&self) {
        self.state.send_modify(|state| state.closed = true);
    }
}

impl<T> State<T> {
    fn version(&self) -> Option<u64> {
        self.current.as_ref().map(|value| value.version)
    }
}

/// The value as the type of the user, whose code may panic.
fn parse<T: DeserializeOwned>(record: &ConfigRecord) -> Result<Versioned<T>, RefusedConfig> {
    let version = record.version;
    let refuse = |reason| RefusedConfig::new(Some(version), reason);
    match catch_unwind(AssertUnwindSafe(|| serde_json::from_str(record.json()))) {
        Ok(Ok(value)) => Ok(Versioned { version, value }),
        Ok(Err(error)) => Err(refuse(error.to_string())),
        Err(_) => Err(refuse("its `Deserialize` panicked".to_owned())),
    }
}

impl<T> fmt::Debug for Cell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("name", &self.name).finish_non_exhaustive()
    }
}
