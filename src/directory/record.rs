//! What stands behind the keys, as JSON that a person can read.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::DirectoryError;
use crate::{
    id::{ActorId, Incarnation, Name},
    kv::VALUE_BYTES_MAX,
};

/// The name of one instance of a service: `<incarnation>-<number>`, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceName {
    incarnation: Incarnation,
    number: u64,
}

impl InstanceName {
    /// The name of the instance with this number in one life of a process.
    pub const fn new(incarnation: Incarnation, number: u64) -> Self {
        Self { incarnation, number }
    }

    /// The life of the process that it belongs to.
    pub const fn incarnation(self) -> Incarnation {
        self.incarnation
    }

    /// Its number there.
    pub const fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.incarnation, self.number)
    }
}

impl FromStr for InstanceName {
    type Err = InstanceNameError;
    fn from_str(text: &str) -> Result<Self, InstanceNameError> {
        let (incarnation, number) = text.split_once('-').ok_or(InstanceNameError)?;
        let parsed = Self {
            incarnation: incarnation.parse().map_err(|_| InstanceNameError)?,
            number: number.parse().map_err(|_| InstanceNameError)?,
        };
        // One spelling each: two keys must never stand for one instance.
        if parsed.to_string() == text { Ok(parsed) } else { Err(InstanceNameError) }
    }
}

impl TryFrom<String> for InstanceName {
    type Error = InstanceNameError;
    fn try_from(text: String) -> Result<Self, InstanceNameError> {
        text.parse()
    }
}

impl From<InstanceName> for String {
    fn from(name: InstanceName) -> Self {
        name.to_string()
    }
}

/// A text that is not the name of an instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name of an instance is an incarnation, a hyphen and a number")]
pub struct InstanceNameError;

/// One life of one process, as it stands under `node/<node>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The node's name.
    pub node: Name,
    /// This life of it.
    pub incarnation: Incarnation,
    /// The version of callboard that it runs.
    pub callboard: String,
    /// What the operator says of it: zone, machine type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A message that an instance takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageEntry {
    /// Its wire name.
    pub name: String,
    /// The version.
    pub version: u32,
}

/// One instance of a service, as it stands under `svc/<service>/<instance>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// The service.
    pub service: Name,
    /// Its name, unique in the cluster.
    pub instance: InstanceName,
    /// Where it lives.
    pub node: Name,
    /// The actor in that process.
    pub actor: ActorId,
    /// The version of the program: a semantic version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it can do beyond others of the service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// What the operator says of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its share of the calls against other instances: 0, which takes none, to 10 000; 1 by default.
    #[serde(default = "one")]
    pub weight: u32,
    /// What it handles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageEntry>,
}

impl InstanceRecord {
    /// A record without metadata, of weight 1.
    pub fn new(service: Name, instance: InstanceName, node: Name, actor: ActorId) -> Self {
        Self {
            service,
            instance,
            node,
            actor,
            version: None,
            capabilities: Vec::new(),
            labels: BTreeMap::new(),
            weight: one(),
            messages: Vec::new(),
        }
    }

    /// The life of the process that it belongs to.
    pub fn incarnation(&self) -> Incarnation {
        self.instance.incarnation()
    }

    /// Whether it handles this version of this message.
    pub fn handles(&self, message: &str, version: u32) -> bool {
        self.messages.iter().any(|entry| entry.name == message && entry.version == version)
    }
}

const fn one() -> u32 {
    1
}

/// How the messages of a service are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Whichever instance has room takes the next.
    #[default]
    Competing,
    /// Each key belongs to one partition, each partition to one instance.
    Keyed {
        /// How many partitions there are, 1 to 65 536.
        partitions: u32,
    },
}

/// When a message counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// When the log has it, as that log is configured.
    #[default]
    Stream,
    /// When so many replicas of the log have it as well.
    Replicated {
        /// How many, at least 1.
        replicas: u32,
    },
}

/// The shortest time for which handled messages are kept.
pub const RETAIN_MIN: Duration = Duration::from_secs(1);
/// The longest time for which handled messages are kept.
pub const RETAIN_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The highest bound of the entries that are kept.
pub const RETAIN_ENTRIES_MAX: u64 = 10_000_000;

/// What all instances of a service agree on, as it stands under `def/<service>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceDef {
    /// How messages are spread.
    pub mode: Mode,
    /// How long handled messages are kept, in milliseconds: [`RETAIN_MIN`] to [`RETAIN_MAX`]. Not at all
    /// when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain_ms: Option<u64>,
    /// The most entries of handled messages that are kept, each of up to 65 000 bytes and one or more
    /// messages: 1 to [`RETAIN_ENTRIES_MAX`].
    pub retain_max: u64,
    /// When a message counts as stored.
    pub durability: Durability,
    /// The most messages that may wait.
    pub backlog_max: u64,
    /// For how many milliseconds dedup ids are remembered, a second to a day.
    pub dedup_window_ms: u64,
}

/// For how many milliseconds dedup ids are remembered unless a definition says otherwise.
pub const DEDUP_WINDOW_MS_DEFAULT: u64 = 600_000;
/// The shortest and the longest time for which dedup ids may be remembered, in milliseconds.
pub const DEDUP_WINDOW_MS_BOUNDS: (u64, u64) = (1_000, 86_400_000);

impl Default for ServiceDef {
    fn default() -> Self {
        Self {
            mode: Mode::Competing,
            retain_ms: None,
            retain_max: 1_000_000,
            durability: Durability::Stream,
            backlog_max: 1_000_000,
            dedup_window_ms: DEDUP_WINDOW_MS_DEFAULT,
        }
    }
}

impl ServiceDef {
    /// Refuses what can't work.
    pub(super) fn check(&self) -> Result<(), DirectoryError> {
        let (shortest, longest) = DEDUP_WINDOW_MS_BOUNDS;
        let flaw = match (self.mode, self.durability, self.backlog_max) {
            (Mode::Keyed { partitions: 0 | 65_537.. }, _, _) => "partitions is 1 to 65536",
            (_, Durability::Replicated { replicas: 0 }, _) => "replicas is at least 1",
            (_, _, 0) => "backlog_max is at least 1",
            _ if !self.retains_within_bounds() => {
                "retain_ms is 1000 (1 s) to 31536000000 (a year), retain_max is 1 to 10000000"
            }
            _ if !(shortest..=longest).contains(&self.dedup_window_ms) => {
                "dedup_window is a second to a day"
            }
            _ => return Ok(()),
        };
        Err(DirectoryError::Record(flaw.to_owned()))
    }
}

impl ServiceDef {
    fn retains_within_bounds(&self) -> bool {
        let fits = |ms: u64| (RETAIN_MIN..=RETAIN_MAX).contains(&Duration::from_millis(ms));
        self.retain_ms.is_none_or(fits) && (1..=RETAIN_ENTRIES_MAX).contains(&self.retain_max)
    }
}

/// Writes a record as it goes into the store.
pub(super) fn encode(record: &impl Serialize) -> Result<Bytes, DirectoryError> {
    let json = serde_json::to_vec(record).map_err(|e| DirectoryError::Record(e.to_string()))?;
    if json.len() > VALUE_BYTES_MAX {
        let text = format!("it has {} bytes, over {VALUE_BYTES_MAX}", json.len());
        return Err(DirectoryError::Record(text));
    }
    Ok(json.into())
}

/// Reads a record; what does not parse is nothing.
pub(super) fn decode<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_reads_as_people_would_write_it() {
        let name: InstanceName =
            "0000000000000000000000000000002a-3".parse().expect("a name of an instance");
        let service = Name::new("orders").expect("a name");
        let node = Name::new("n1").expect("a name");
        let record = InstanceRecord::new(service, name, node, ActorId::from_u64(9));
        let json = String::from_utf8(encode(&record).expect("it is small").to_vec());
        assert_eq!(
            json.expect("JSON is text"),
            r#"{"service":"orders","instance":"0000000000000000000000000000002a-3","node":"n1","actor":9,"weight":1}"#
        );
    }

    #[test]
    fn a_record_of_a_later_version_is_read_as_far_as_it_is_known() {
        let json = r#"{"service":"a","instance":"0000000000000000000000000000002a-3","node":"n",
            "actor":1,"later":{"x":1}}"#;
        let record: InstanceRecord = decode(json.as_bytes()).expect("a record");
        assert_eq!(record.weight, 1);
        let definition: ServiceDef =
            decode(br#"{"mode":{"keyed":{"partitions":4}}}"#).expect("a definition");
        assert_eq!(definition.mode, Mode::Keyed { partitions: 4 });
        assert_eq!(definition.backlog_max, 1_000_000);
    }

    #[test]
    fn instance_names_have_one_spelling() {
        for bad in ["", "1-1", "0000000000000000000000000000002A-3", "x"] {
            assert!(bad.parse::<InstanceName>().is_err(), "{bad}");
        }
        let padded = format!("{}-03", Incarnation::from_u128(42));
        assert!(padded.parse::<InstanceName>().is_err());
    }

    #[test]
    fn definitions_that_cannot_work_are_refused() {
        let good = ServiceDef::default();
        assert!(good.check().is_ok());
        for bad in [
            ServiceDef { mode: Mode::Keyed { partitions: 0 }, ..good.clone() },
            ServiceDef { durability: Durability::Replicated { replicas: 0 }, ..good.clone() },
            ServiceDef { backlog_max: 0, ..good.clone() },
            ServiceDef { retain_ms: Some(999), ..good.clone() },
            ServiceDef { retain_ms: Some(31_536_000_001), ..good.clone() },
            ServiceDef { retain_max: 0, ..good.clone() },
            ServiceDef { retain_max: RETAIN_ENTRIES_MAX + 1, ..good },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
