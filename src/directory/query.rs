//! Finding instances by what is known of them.

use std::{fmt, str::FromStr, sync::Arc};

use semver::{Version, VersionReq};

use super::{Directory, HealthState, InstanceRecord, ServiceView};
use crate::id::Name;

/// What instances are looked for by; each condition narrows it. Empty, it finds all.
///
/// # Examples
/// ```
/// use callboard::directory::Query;
/// # use callboard::prelude::*;
/// # async fn example(system: System) -> Result<(), Box<dyn std::error::Error>> {
/// let query = Query::new().capability("pdf").version(">=1.2, <2".parse()?).label("zone", "eu");
/// for found in system.directory().find(&query) {
///     println!("{} on {} is {}", found.record.service, found.record.node, found.health);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Query {
    service: Option<Name>,
    node: Option<Name>,
    capabilities: Vec<String>,
    version: Option<VersionRequirement>,
    labels: Vec<(String, Option<String>)>,
    health: Vec<HealthState>,
    message: Option<(String, Option<u32>)>,
}

/// Which versions of a program are meant: `^1.2`, `>=1.2, <2`, `=1.4.0`, as Cargo has them. Source:
/// the crate `semver`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRequirement(VersionReq);

impl FromStr for VersionRequirement {
    type Err = VersionRequirementError;
    fn from_str(text: &str) -> Result<Self, VersionRequirementError> {
        text.parse().map(Self).map_err(|error: semver::Error| VersionRequirementError {
            text: text.chars().take(128).collect(),
            reason: error.to_string(),
        })
    }
}

impl fmt::Display for VersionRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A text that says nothing about versions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no requirement on versions: {reason}; write for example \"^1.2\" or \">=1.2, <2\""
)]
pub struct VersionRequirementError {
    text: String,
    reason: String,
}

/// An instance that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Its record.
    pub record: Arc<InstanceRecord>,
    /// How it does.
    pub health: HealthState,
    /// Whether its registration vanished and it is kept for one more lease time.
    pub is_suspect: bool,
}

impl Query {
    /// One that finds all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Instances of this service.
    pub fn service(mut self, service: Name) -> Self {
        self.service = Some(service);
        self
    }

    /// Instances on this node.
    pub fn node(mut self, node: Name) -> Self {
        self.node = Some(node);
        self
    }

    /// Instances that have this capability, and those that were said before.
    pub fn capability(mut self, capability: impl Into<String>) -> Self {
        self.capabilities.push(capability.into());
        self
    }

    /// Instances whose version fulfils this. One without a version fulfils nothing.
    pub fn version(mut self, requirement: VersionRequirement) -> Self {
        self.version = Some(requirement);
        self
    }

    /// Instances with this label, and those that were said before.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), Some(value.into())));
        self
    }

    /// Instances that have a label with this key, whatever its value.
    pub fn has_label(mut self, key: impl Into<String>) -> Self {
        self.labels.push((key.into(), None));
        self
    }

    /// Instances in this state, or in another that was said before.
    pub fn health(mut self, state: HealthState) -> Self {
        self.health.push(state);
        self
    }

    /// Instances that handle this message, in this version or in any.
    pub fn handles(mut self, message: impl Into<String>, version: impl Into<Option<u32>>) -> Self {
        self.message = Some((message.into(), version.into()));
        self
    }

    fn matches(&self, record: &InstanceRecord, health: HealthState) -> bool {
        self.node.as_ref().is_none_or(|node| *node == record.node)
            && self.capabilities.iter().all(|wanted| record.capabilities.contains(wanted))
            && self.version.as_ref().is_none_or(|wanted| fulfils(record, wanted))
            && self.labels.iter().all(|(key, value)| has_label(record, key, value.as_deref()))
            && (self.health.is_empty() || self.health.contains(&health))
            && self.message.as_ref().is_none_or(|(name, version)| handles(record, name, *version))
    }
}

fn fulfils(record: &InstanceRecord, wanted: &VersionRequirement) -> bool {
    let version = record.version.as_deref().and_then(|version| Version::parse(version).ok());
    version.is_some_and(|version| wanted.0.matches(&version))
}

fn has_label(record: &InstanceRecord, key: &str, value: Option<&str>) -> bool {
    let there = record.labels.get(key);
    there.is_some_and(|there| value.is_none_or(|value| there == value))
}

fn handles(record: &InstanceRecord, name: &str, version: Option<u32>) -> bool {
    let mut messages = record.messages.iter().filter(|entry| entry.name == name);
    messages.any(|entry| version.is_none_or(|version| entry.version == version))
}

impl Directory {
    /// The instances that a query finds, by service and name, as this node's cache has them. It looks
    /// at every instance, or at those of the service that the query names: for people and decisions
    /// that are made now and then, not for each message.
    pub fn find(&self, query: &Query) -> Vec<Found> {
        let services = match &query.service {
            Some(service) => vec![service.clone()],
            None => self.services(),
        };
        let mut found = Vec::new();
        for service in services {
            let view: Arc<ServiceView> = self.resolve(&service);
            for record in &view.instances {
                let health = view.health_of(record.instance);
                if query.matches(record, health) {
                    let is_suspect = view.is_suspect(record.instance);
                    found.push(Found { record: Arc::clone(record), health, is_suspect });
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        directory::{InstanceName, MessageEntry},
        id::{ActorId, Incarnation},
    };

    fn record() -> InstanceRecord {
        let name = |name| Name::new(name).expect("a name");
        let instance = InstanceName::new(Incarnation::from_u128(1), 1);
        let mut record = InstanceRecord::new(name("s"), instance, name("n"), ActorId::from_u64(1));
        record.version = Some("1.4.2".into());
        record.capabilities = vec!["pdf".into(), "color".into()];
        record.labels = [("zone".into(), "eu".into())].into();
        record.messages = vec![MessageEntry { name: "print".into(), version: 2 }];
        record
    }

    fn finds(query: Query) -> bool {
        query.matches(&record(), HealthState::Degraded)
    }

    fn version(text: &str) -> Query {
        Query::new().version(text.parse().expect("a requirement"))
    }

    #[test]
    fn each_condition_narrows() {
        let name = |name| Name::new(name).expect("a name");
        let q = Query::new;
        assert!(finds(q()) && finds(q().node(name("n"))) && !finds(q().node(name("m"))));
        assert!(finds(q().capability("pdf").capability("color")));
        assert!(!finds(q().capability("pdf").capability("fax")));
        assert!(finds(q().label("zone", "eu")) && finds(q().has_label("zone")));
        assert!(!finds(q().label("zone", "us")) && !finds(q().has_label("rack")));
        assert!(finds(q().health(HealthState::Passing).health(HealthState::Degraded)));
        assert!(!finds(q().health(HealthState::Passing)));
        assert!(finds(q().handles("print", 2)) && finds(q().handles("print", None)));
        assert!(!finds(q().handles("print", 1)) && !finds(q().handles("scan", None)));
        assert!(!finds(q().capability("pdf").label("zone", "us")));
    }

    #[test]
    fn versions_are_compared_as_versions() {
        for (text, expected) in [
            ("^1.2", true),
            (">=1.4.10", false),
            ("=1.4.2", true),
            (">=1.2, <2", true),
            ("<1.4", false),
        ] {
            assert_eq!(finds(version(text)), expected, "{text}");
        }
        let mut none = record();
        none.version = None;
        let mut foreign = record();
        foreign.version = Some("tuesday".into());
        for record in [none, foreign] {
            assert!(!version("*").matches(&record, HealthState::Passing));
        }
        let error = "1.x.y!".parse::<VersionRequirement>().expect_err("no requirement");
        assert!(error.to_string().contains(">=1.2, <2"), "{error}");
    }
}
