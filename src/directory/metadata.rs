//! What may be said of an instance or a node. Every bound is checked by whoever writes; what others
//! have written is read whatever its size.

use std::collections::BTreeMap;

use super::{DirectoryError, InstanceRecord};
use crate::id::{Name, check_message_name};

/// The most labels of an instance or a node.
pub const LABELS_MAX: usize = 64;
/// The longest key of a label in bytes.
pub const LABEL_KEY_BYTES_MAX: usize = 128;
/// The longest value of a label in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// The most capabilities of an instance.
pub const CAPABILITIES_MAX: usize = 64;
/// The highest weight of an instance.
pub const WEIGHT_MAX: u32 = 10_000;
/// Version, capabilities and labels of an instance together, in bytes.
pub const METADATA_BYTES_MAX: usize = 8 * 1024;

/// The longest version in bytes.
const VERSION_BYTES_MAX: usize = 128;

impl InstanceRecord {
    /// Refuses what a reader would not believe, or what is too much for a directory.
    pub(super) fn check(&self) -> Result<(), DirectoryError> {
        for message in &self.messages {
            check_message_name(&message.name).map_err(|error| refused(error.to_string()))?;
        }
        self.check_metadata()
    }

    /// Refuses metadata out of bounds.
    pub(crate) fn check_metadata(&self) -> Result<(), DirectoryError> {
        if let Some(version) = &self.version {
            check_version(version)?;
        }
        if self.weight > WEIGHT_MAX {
            return Err(refused(format!("its weight is {}; give 0 to {WEIGHT_MAX}", self.weight)));
        }
        check_capabilities(&self.capabilities)?;
        check_labels(&self.labels)?;
        let labels = self.labels.iter().map(|(key, value)| key.len() + value.len());
        let capabilities = self.capabilities.iter().map(String::len);
        let version = self.version.iter().map(String::len);
        let bytes: usize = labels.chain(capabilities).chain(version).sum();
        if bytes > METADATA_BYTES_MAX {
            return Err(refused(format!(
                "its version, capabilities and labels have {bytes} bytes, over {METADATA_BYTES_MAX}; \
                 every process of the cluster keeps them, so put what is large elsewhere"
            )));
        }
        Ok(())
    }
}

fn check_version(version: &str) -> Result<(), DirectoryError> {
    if version.len() > VERSION_BYTES_MAX {
        return Err(refused(format!(
            "its version has {} bytes, over {VERSION_BYTES_MAX}",
            version.len()
        )));
    }
    let parsed = semver::Version::parse(version).map(drop);
    parsed.map_err(|error| {
        refused(format!("its version {version:?} is not a semantic version such as 1.4.0: {error}"))
    })
}

fn check_capabilities(capabilities: &[String]) -> Result<(), DirectoryError> {
    if capabilities.len() > CAPABILITIES_MAX {
        let given = capabilities.len();
        return Err(refused(format!("it has {given} capabilities, over {CAPABILITIES_MAX}")));
    }
    for capability in capabilities {
        Name::new(capability).map_err(|error| refused(format!("a capability: {error}")))?;
    }
    Ok(())
}

/// Refuses labels out of bounds.
pub(super) fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), DirectoryError> {
    if labels.len() > LABELS_MAX {
        return Err(refused(format!("it has {} labels, over {LABELS_MAX}", labels.len())));
    }
    for (key, value) in labels {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        if key.is_empty() || key.len() > LABEL_KEY_BYTES_MAX || !key.chars().all(is_allowed) {
            return Err(refused(format!(
                "the key of its label {:?} is refused; use letters, digits, '.', '_', '-' or '/', at \
                 most {LABEL_KEY_BYTES_MAX} bytes",
                shown(key)
            )));
        }
        if value.len() > LABEL_VALUE_BYTES_MAX || value.contains(char::is_control) {
            return Err(refused(format!(
                "the value of its label {key} is refused: {:?}; use at most \
                 {LABEL_VALUE_BYTES_MAX} bytes without control characters",
                shown(value)
            )));
        }
    }
    Ok(())
}

/// As much of a text as an error needs.
fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(64)]
}

fn refused(text: String) -> DirectoryError {
    DirectoryError::Record(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        directory::InstanceName,
        id::{ActorId, Incarnation},
    };

    fn record() -> InstanceRecord {
        let name = |name| Name::new(name).expect("a name");
        let instance = InstanceName::new(Incarnation::from_u128(1), 1);
        InstanceRecord::new(name("s"), instance, name("n"), ActorId::from_u64(1))
    }

    fn refusal(change: impl FnOnce(&mut InstanceRecord)) -> String {
        let mut record = record();
        change(&mut record);
        record.check().expect_err("it is out of bounds").to_string()
    }

    fn label(key: &str, value: &str) -> BTreeMap<String, String> {
        [(key.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn metadata_within_its_bounds_is_taken() {
        let mut record = record();
        record.version = Some("1.4.0-rc.1+build.7".to_owned());
        record.capabilities = vec!["pdf".to_owned(); CAPABILITIES_MAX];
        record.labels = (0..LABELS_MAX).map(|n| (format!("zone/{n}"), "eu west".into())).collect();
        record.weight = WEIGHT_MAX;
        record.check().expect("it is within the bounds");
    }

    #[test]
    fn metadata_out_of_bounds_is_refused_by_what_it_is() {
        assert!(refusal(|r| r.version = Some("1.4".into())).contains("semantic version"));
        assert!(refusal(|r| r.version = Some("1".repeat(200))).contains("200 bytes"));
        assert!(refusal(|r| r.weight = WEIGHT_MAX + 1).contains("10001"));
        assert!(refusal(|r| r.capabilities = vec!["a/b".into()]).contains("a/b"));
        assert!(refusal(|r| r.capabilities = vec!["a".into(); 65]).contains("65"));
        assert!(refusal(|r| r.labels = label("a b", "c")).contains("a b"));
        assert!(refusal(|r| r.labels = label("", "c")).contains("label"));
        assert!(refusal(|r| r.labels = label("a", "\u{1b}[2J")).contains("label a"));
        assert!(refusal(|r| r.labels = label("a", &"ä".repeat(129))).contains("label a"));
        let many = |n| (0..n).map(|n| (format!("l{n}"), String::new())).collect();
        assert!(refusal(|r| r.labels = many(65)).contains("65 labels"));
        let large = (0..45).map(|n| (format!("l{n}"), "x".repeat(230))).collect();
        assert!(refusal(|r| r.labels = large).contains("over 8192"));
    }
}
