use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    directory::{DirectoryError, record::encode},
    id::Name,
};

/// The longest reason in bytes; more of it is cut.
const REASON_BYTES_MAX: usize = 300;

/// A value that does not fit the type that a program wants it as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RefusedConfig {
    /// Its version; none when the record itself can't be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What is wrong with it, in at most 300 bytes.
    pub reason: String,
}

impl RefusedConfig {
    pub(super) fn new(version: Option<u64>, mut reason: String) -> Self {
        if reason.len() > REASON_BYTES_MAX {
            reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        }
        Self { version, reason }
    }
}

/// What one node has applied of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppliedConfig {
    /// The node.
    pub node: Name,
    /// The version that it works with; none while it has no value. Where several places of a
    /// program use one configuration, the oldest of theirs.
    pub version: Option<u64>,
    /// The newest value, if the node refuses it.
    pub refused: Option<RefusedConfig>,
}

/// As it stands under `config/applied/<name>/<node>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<RefusedConfig>,
}

impl Report {
    /// What a node says whose places have applied this each; none without one.
    pub(super) fn merge(places: impl IntoIterator<Item = Self>) -> Option<Self> {
        places.into_iter().reduce(|all, one| Self {
            // None is the oldest.
            version: all.version.min(one.version),
            refused: all.refused.or(one.refused),
        })
    }

    pub(super) fn encode(&self) -> Result<Bytes, DirectoryError> {
        encode(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(version: Option<u64>, refused: Option<&str>) -> Report {
        let refused = refused.map(|reason| RefusedConfig::new(Some(9), reason.to_owned()));
        Report { version, refused }
    }

    #[test]
    fn a_node_is_as_far_as_the_last_of_its_places() {
        assert_eq!(Report::merge([]), None);
        let places =
            [report(Some(4), None), report(Some(3), Some("no rate")), report(Some(5), None)];
        assert_eq!(Report::merge(places), Some(report(Some(3), Some("no rate"))));
        let places = [report(Some(4), None), report(None, None)];
        assert_eq!(Report::merge(places), Some(report(None, None)));
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let refused = RefusedConfig::new(None, "ä".repeat(1000));
        assert_eq!(refused.reason.len(), REASON_BYTES_MAX);
        let refused = RefusedConfig::new(None, format!("x{}", "ä".repeat(1000)));
        assert_eq!(refused.reason.len(), REASON_BYTES_MAX - 1);
    }

    #[test]
    fn a_report_reads_as_people_would_write_it() {
        let json = report(Some(3), Some("no rate")).encode().expect("it is small");
        let expected = r#"{"version":3,"refused":{"version":9,"reason":"no rate"}}"#;
        assert_eq!(std::str::from_utf8(&json), Ok(expected));
        assert_eq!(std::str::from_utf8(&report(None, None).encode().expect("small")), Ok("{}"));
    }
}
