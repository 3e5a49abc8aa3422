//! The configuration: values that the nodes of a cluster share, with their versions.
//!
//! Owns the keys below `config/` and how they are written, and hands values to the places that use
//! them. Does not know what the values mean, and does not follow the store itself: the cache does.
//!
//! The history is kept in keys of its own, because a store forgets its own history at a compaction.

mod applied;
mod configs;
mod error;
mod record;
mod typed;
mod write;

use std::panic::resume_unwind;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::time::timeout;

use self::{
    applied::Report,
    record::Draft,
    write::{Written, version_of},
};
pub use self::{
    applied::{AppliedConfig, RefusedConfig},
    error::ConfigError,
    record::ConfigRecord,
    typed::{Config, ConfigEvent, Versioned},
};
pub(super) use self::{configs::Configs, record::Entry};
use super::{Directory, DirectoryError, record::decode};
use crate::id::Name;

/// The largest value of a configuration, in bytes of JSON.
pub const CONFIG_BYTES_MAX: usize = 64 * 1024;
/// The versions of a configuration that are kept, the current one among them.
pub const CONFIG_HISTORY_MAX: u64 = 100;

/// The configuration of a cluster: named values in JSON, with their versions.
///
/// Everything here asks the store, and fails within some 20 s when it does not answer, except
/// [`names`](Self::names). What is read often is read through [`Config`]. Cloning it is cheap.
///
/// A name is a [`Name`]; a value is whatever serde writes as JSON in at most [`CONFIG_BYTES_MAX`]
/// bytes. In the store they stand under `/callboard/<cluster>/config/`, for `etcdctl get --prefix`.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[callboard::main]
/// async fn main(system: System) -> callboard::Result<()> {
///     let configuration = system.configuration();
///     assert_eq!(configuration.set("greeting", "hello").await?, 1);
///     assert_eq!(configuration.set_if("greeting", "good day", 1).await?, 2);
///     assert_eq!(configuration.rollback("greeting", 1).await?, 3);
///     let greeting = configuration.get("greeting").await?.expect("it was set");
///     assert_eq!((greeting.version, greeting.json()), (3, "\"hello\""));
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Configuration {
    directory: Directory,
}

impl Configuration {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory }
    }

    /// Writes a new version, whatever stands; gives its number. Resolves when it is in the store, and
    /// this node's [`Config`]s have it or the store could not be followed for
    /// [`DirectoryOptions::patience`](super::DirectoryOptions::patience).
    ///
    /// # Errors
    /// [`ConfigError::Name`], [`ConfigError::Encode`], [`ConfigError::TooLarge`],
    /// [`ConfigError::Contended`] when others wrote a hundred times meanwhile, and
    /// [`ConfigError::Directory`], after which the version may have been written.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the version is written.
    pub async fn set<T: Serialize + ?Sized>(
        &self,
        name: impl AsRef<str>,
        value: &T,
    ) -> Result<u64, ConfigError> {
        let name = Name::new(name)?;
        let json = Draft::encode(&name, value)?;
        let draft = self.draft(name, json);
        self.write(draft, None).await
    }

    /// Writes a new version if this one stands; 0 is for a configuration that has none. Gives the
    /// number of the new one.
    ///
    /// Of many that read, change and write so, no update is lost. A write whose answer was lost is
    /// found again, and is no conflict with itself.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] when another version stands, [`ConfigError::Unreadable`] when what
    /// stands has no version, else as for [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As for [`set`](Self::set).
    pub async fn set_if<T: Serialize + ?Sized>(
        &self,
        name: impl AsRef<str>,
        value: &T,
        expected: u64,
    ) -> Result<u64, ConfigError> {
        let name = Name::new(name)?;
        let json = Draft::encode(&name, value)?;
        let draft = self.draft(name, json);
        self.write(draft, Some(expected)).await
    }

    /// Removes the value, whatever stands; gives the number of the version that says so, or none when
    /// there was nothing to remove. Resolves as [`set`](Self::set) does.
    ///
    /// Programs keep the last value that they have, and are told
    /// [`ConfigEvent::Removed`]. The history stays, with the removal as its newest version: a later
    /// write counts on from there, and [`rollback`](Self::rollback) brings a value back.
    ///
    /// # Errors
    /// [`ConfigError::Name`], [`ConfigError::Contended`], and [`ConfigError::Directory`], after which
    /// it may have been removed.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it is removed.
    pub async fn remove(&self, name: impl AsRef<str>) -> Result<Option<u64>, ConfigError> {
        self.take_out(Name::new(name)?, None).await
    }

    /// Removes the value if this version stands; 0 is for a configuration that has none, where there is
    /// nothing to do. Gives what [`remove`](Self::remove) does.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`] when another version stands, [`ConfigError::Unreadable`] when what
    /// stands has no version, else as for [`remove`](Self::remove).
    ///
    /// # Cancel safety
    /// As for [`remove`](Self::remove).
    pub async fn remove_if(
        &self,
        name: impl AsRef<str>,
        expected: u64,
    ) -> Result<Option<u64>, ConfigError> {
        self.take_out(Name::new(name)?, Some(expected)).await
    }

    /// Writes the value of an earlier version as a new one, whatever stands; gives its number.
    ///
    /// # Errors
    /// [`ConfigError::Name`], [`ConfigError::NoSuchVersion`] for one that never was, can't be read, is
    /// a removal, or is not among the last [`CONFIG_HISTORY_MAX`]; else as for [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As for [`set`](Self::set).
    pub async fn rollback(&self, name: impl AsRef<str>, version: u64) -> Result<u64, ConfigError> {
        let name = Name::new(name)?;
        let key = self.directory.inner.keys.config_version(&name, version);
        let found = self
            .run(move |directory| async move { directory.inner.read_config(&key).await })
            .await?;
        let record = found.and_then(|kv| ConfigRecord::read(&name, &kv.value).ok());
        let has_value = |record: &ConfigRecord| record.version == version && !record.removed;
        let Some(record) = record.filter(has_value) else {
            return Err(ConfigError::NoSuchVersion { name, version });
        };
        let draft = Draft { restored: Some(version), ..self.draft(name, record.raw()?) };
        self.write(draft, None).await
    }

    /// The version that stands; none for a configuration that was never set, or was removed.
    ///
    /// # Errors
    /// [`ConfigError::Name`], [`ConfigError::Unreadable`], [`ConfigError::Directory`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn get(&self, name: impl AsRef<str>) -> Result<Option<ConfigRecord>, ConfigError> {
        let name = Name::new(name)?;
        self.run(move |directory| async move {
            let inner = &directory.inner;
            let found = inner.read_config(&inner.keys.config(&name)).await?;
            let record = found.map(|kv| ConfigRecord::standing(&name, &kv.value)).transpose();
            record.map_err(|reason| ConfigError::Unreadable { name, reason })
        })
        .await
    }

    /// The versions that are kept, oldest first, removals among them: the last
    /// [`CONFIG_HISTORY_MAX`]. Those that can't be read are left out, with a warning.
    ///
    /// # Errors
    /// [`ConfigError::Name`], [`ConfigError::Directory`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn history(&self, name: impl AsRef<str>) -> Result<Vec<ConfigRecord>, ConfigError> {
        let name = Name::new(name)?;
        self.run(move |directory| async move {
            let inner = &directory.inner;
            let kvs = inner.list_config(&inner.keys.config_history(&name)).await?;
            let records = kvs.iter().filter_map(|kv| {
                let record = ConfigRecord::read(&name, &kv.value).ok();
                let record = record.filter(|record| version_of(&kv.key) == Some(record.version));
                if record.is_none() {
                    let key = kv.key.escape_debug();
                    tracing::warn!(%key, "a version of a configuration that can't be read is left out");
                }
                record
            });
            Ok(records.collect())
        })
        .await
    }

    /// The configurations that have a value, sorted, as this node's cache has them: a look-up in
    /// memory.
    pub fn names(&self) -> Vec<Name> {
        self.directory.inner.cache.configs().names()
    }

    /// What the nodes that use a configuration have applied of it, by the nodes' names. A node that
    /// is gone is listed until its lease ends.
    ///
    /// # Errors
    /// [`ConfigError::Name`], [`ConfigError::Directory`].
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn applied(&self, name: impl AsRef<str>) -> Result<Vec<AppliedConfig>, ConfigError> {
        let name = Name::new(name)?;
        self.run(move |directory| async move {
            let inner = &directory.inner;
            let prefix = inner.keys.config_applied(&name);
            let kvs = inner.list_config(&prefix).await?;
            let applied = kvs.iter().filter_map(|kv| {
                let node = Name::new(kv.key.strip_prefix(&prefix)?).ok()?;
                let Report { version, refused } = decode(&kv.value)?;
                Some(AppliedConfig { node, version, refused })
            });
            Ok(applied.collect())
        })
        .await
    }

    fn draft(&self, name: Name, value: Box<RawValue>) -> Draft {
        let node = self.directory.node().clone();
        let write = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        Draft { name, value, node, restored: None, removed: false, write }
    }

    async fn take_out(
        &self,
        name: Name,
        expected: Option<u64>,
    ) -> Result<Option<u64>, ConfigError> {
        let nothing = Draft::encode(&name, &())?;
        let draft = Draft { removed: true, ..self.draft(name, nothing) };
        let version = self.write(draft, expected).await?;
        Ok(Some(version).filter(|version| *version > 0))
    }

    async fn write(&self, draft: Draft, expected: Option<u64>) -> Result<u64, ConfigError> {
        self.run(move |directory| async move {
            let inner = &directory.inner;
            inner.registration.check_open()?;
            let Written { version, revision } = inner.write_config(&draft, expected).await?;
            // It is written, whether this node's cache can be brought to know it or not.
            match timeout(inner.options.patience, inner.seen(revision)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => tracing::warn!(
                    config = %draft.name, version, removed = draft.removed,
                    "the configuration was written, but this node can't follow the store"
                ),
            }
            Ok(version)
        })
        .await
    }

    /// Runs on the directory's own runtime, which has timers, whatever the caller runs on.
    async fn run<T, F>(&self, call: impl FnOnce(Directory) -> F) -> Result<T, ConfigError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ConfigError>> + Send + 'static,
    {
        let running = self.directory.inner.runtime.spawn(call(self.directory.clone()));
        match running.await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(DirectoryError::Closed.into()),
            },
        }
    }
}

impl Directory {
    /// The configuration of the cluster.
    pub fn configuration(&self) -> Configuration {
        Configuration::new(self.clone())
    }

    /// A configuration as a type of one's own, which follows the store. It has what this node's cache
    /// has when this returns.
    ///
    /// # Errors
    /// [`ConfigError::Name`] when the name breaks the rules.
    pub fn config<T>(&self, name: impl AsRef<str>) -> Result<Config<T>, ConfigError>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        Ok(Config::new(self.inner.cache.configs(), Name::new(name)?))
    }
}
