//! What stands behind the keys of a configuration, as JSON that a person can read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{CONFIG_BYTES_MAX, ConfigError};
use crate::{
    directory::record::encode,
    id::Name,
    kv::{KeyValue, Revision},
};

/// One version of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigRecord {
    /// The configuration.
    pub name: Name,
    /// Counts the writes of this name, from 1; never used twice while its history stands.
    pub version: u64,
    /// The node that wrote it, if it says so.
    pub node: Option<Name>,
    /// When it was written, by that node's clock.
    pub written_at: Option<SystemTime>,
    /// The earlier version that a rollback took this value from.
    pub restored: Option<u64>,
    /// Whether the configuration was removed by this version, which has no value then: its
    /// [`json`](Self::json) is `null`.
    pub removed: bool,
    /// Tells writes apart.
    write: String,
    json: String,
}

impl ConfigRecord {
    /// Versions from here on are refused as spoilt: JSON numbers are exact below.
    pub(super) const VERSION_END: u64 = 1 << 53;

    /// The value as it was written: JSON of at most [`CONFIG_BYTES_MAX`] bytes.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The value as a type of one's own.
    ///
    /// # Errors
    /// [`ConfigError::Parse`] when it does not fit.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        serde_json::from_str(&self.json).map_err(|error| ConfigError::Parse {
            name: self.name.clone(),
            version: self.version,
            source: error.into(),
        })
    }

    /// The value as it is written again.
    pub(super) fn raw(&self) -> Result<Box<RawValue>, ConfigError> {
        RawValue::from_string(self.json.clone()).map_err(|error| ConfigError::Parse {
            name: self.name.clone(),
            version: self.version,
            source: error.into(),
        })
    }

    /// Reads what stands in the store; else says what is wrong with it.
    pub(super) fn read(name: &Name, value: &[u8]) -> Result<Self, String> {
        let stored: Stored = serde_json::from_slice(value).map_err(|error| error.to_string())?;
        if !(1..Self::VERSION_END).contains(&stored.version) {
            return Err(format!("its version is {}, not a count from 1", stored.version));
        }
        let json = stored.value.get();
        if json.len() > CONFIG_BYTES_MAX {
            return Err(format!("its value has {} bytes, over {CONFIG_BYTES_MAX}", json.len()));
        }
        Ok(Self {
            name: name.clone(),
            version: stored.version,
            node: stored.node,
            written_at: stored
                .written_ms
                .and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
            restored: stored.restored,
            removed: stored.removed,
            write: stored.write,
            json: json.to_owned(),
        })
    }

    /// Reads what stands as the current value, which a removal can't.
    pub(super) fn standing(name: &Name, value: &[u8]) -> Result<Self, String> {
        let record = Self::read(name, value)?;
        if record.removed {
            return Err("it says that the configuration was removed".to_owned());
        }
        Ok(record)
    }

    /// Whether it was written by this write, and not by another one of the same value.
    pub(super) fn is_of(&self, draft: &Draft) -> bool {
        self.write == draft.write
    }
}

/// What the store holds for a name at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::directory) struct Entry {
    pub(in crate::directory) revision: Revision,
    /// The record, or what is wrong with it.
    pub(in crate::directory) record: Result<ConfigRecord, String>,
}

impl Entry {
    pub(in crate::directory) fn read(name: &Name, kv: &KeyValue) -> Self {
        Self { revision: kv.mod_revision, record: ConfigRecord::standing(name, &kv.value) }
    }
}

/// A version that is about to be written.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) name: Name,
    pub(super) value: Box<RawValue>,
    pub(super) node: Name,
    pub(super) restored: Option<u64>,
    /// Whether it takes the value away, and keeps that in the history.
    pub(super) removed: bool,
    /// Unique: a write whose answer was lost is found again by it.
    pub(super) write: String,
}

impl Draft {
    /// The value as JSON, unless it is too large.
    pub(super) fn encode<T: Serialize + ?Sized>(
        name: &Name,
        value: &T,
    ) -> Result<Box<RawValue>, ConfigError> {
        let json = serde_json::value::to_raw_value(value)
            .map_err(|error| ConfigError::Encode { name: name.clone(), source: error.into() })?;
        let bytes = json.get().len();
        if bytes > CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLarge { name: name.clone(), bytes });
        }
        Ok(json)
    }

    /// What goes into the store as this version.
    pub(super) fn record(&self, version: u64, now: SystemTime) -> Result<Bytes, ConfigError> {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(encode(&Stored {
            version,
            written_ms: Some(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)),
            node: Some(self.node.clone()),
            restored: self.restored,
            removed: self.removed,
            write: self.write.clone(),
            value: self.value.clone(),
        })?)
    }
}

/// As it stands under `config/current/<name>` and `config/history/<name>/<version>`.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    written_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restored: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    #[serde(default)]
    write: String,
    value: Box<RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name::new("limits").expect("a name")
    }

    fn draft(value: &impl Serialize) -> Draft {
        Draft {
            name: name(),
            value: Draft::encode(&name(), value).expect("it is small"),
            node: Name::new("n1").expect("a name"),
            restored: None,
            removed: false,
            write: "w".to_owned(),
        }
    }

    #[test]
    fn a_removal_is_a_version_that_can_not_stand() {
        let removal = Draft { removed: true, ..draft(&()) };
        let stored = removal.record(3, UNIX_EPOCH).expect("it is small");
        let record = ConfigRecord::read(&name(), &stored).expect("a record");
        assert_eq!((record.version, record.removed, record.json()), (3, true, "null"));
        assert!(ConfigRecord::standing(&name(), &stored).is_err());
        let value = draft(&()).record(4, UNIX_EPOCH).expect("it is small");
        assert!(!ConfigRecord::standing(&name(), &value).expect("a record").removed);
    }

    #[test]
    fn a_version_reads_as_people_would_write_it() {
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let stored = draft(&serde_json::json!({"rate": 10})).record(3, at).expect("it is small");
        assert_eq!(
            std::str::from_utf8(&stored),
            Ok(
                r#"{"version":3,"written_ms":1700000000123,"node":"n1","write":"w","value":{"rate":10}}"#
            )
        );
        let record = ConfigRecord::read(&name(), &stored).expect("a record");
        assert_eq!((record.version, record.written_at), (3, Some(at)));
        assert_eq!(record.json(), r#"{"rate":10}"#);
    }

    #[test]
    fn a_record_that_a_person_wrote_needs_only_version_and_value() {
        let record = ConfigRecord::read(&name(), br#" {"value": [1, 2], "version": 7, "x": 0} "#);
        let record = record.expect("a record");
        assert_eq!((record.version, record.json()), (7, "[1, 2]"));
        assert_eq!((record.node, record.written_at), (None, None));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let value = u128::MAX;
        let stored = draft(&value).record(1, UNIX_EPOCH).expect("it is small");
        let record = ConfigRecord::read(&name(), &stored).expect("a record");
        assert_eq!(record.value::<u128>().expect("the same type"), value);
    }

    #[test]
    fn what_is_no_record_is_named() {
        let large = format!(r#"{{"version":1,"value":"{}"}}"#, "x".repeat(CONFIG_BYTES_MAX));
        for bad in [
            "",
            "5",
            r#"{"rate":10}"#,
            r#"{"version":0,"value":1}"#,
            r#"{"version":18446744073709551615,"value":1}"#,
            r#"{"version":-1,"value":1}"#,
            r#"{"version":1,"node":"A B","value":1}"#,
            "{\"version\":1,\"value\":\"\u{0}\"}",
            &large,
        ] {
            let error = ConfigRecord::read(&name(), bad.as_bytes()).expect_err(bad);
            assert!(!error.is_empty() && error.len() < 500, "{error}");
        }
        assert!(ConfigRecord::read(&name(), b"\xff\xfe").is_err());
        // Any time is a time.
        let late = br#"{"version":1,"written_ms":18446744073709551615,"value":1}"#;
        assert!(ConfigRecord::read(&name(), late).is_ok());
    }

    #[test]
    fn a_value_over_the_bound_is_refused_with_its_size() {
        let fits = "x".repeat(CONFIG_BYTES_MAX - 2);
        assert!(Draft::encode(&name(), &fits).is_ok());
        let error = Draft::encode(&name(), &format!("{fits}x")).expect_err("a byte too much");
        assert!(error.to_string().contains("65537 bytes"), "{error}");
    }
}
