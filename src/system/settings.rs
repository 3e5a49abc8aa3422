use std::env;

use crate::{
    error::{Error, Result},
    id::Name,
};

/// Environment variables that a system reads.
pub(crate) const ENV_CLUSTER: &str = "CALLBOARD_CLUSTER";
pub(crate) const ENV_NODE: &str = "CALLBOARD_NODE";
pub(crate) const ENV_ETCD: &str = "CALLBOARD_ETCD";
pub(crate) const ENV_REDIS: &str = "CALLBOARD_REDIS";

/// The most arbiters that a system starts.
pub(crate) const ARBITERS_MAX: usize = 1024;
const CLUSTER_DEFAULT: &str = "default";

/// Where a system finds directory and log, as the user said it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) cluster: Option<String>,
    pub(crate) node: Option<String>,
    pub(crate) etcd: Option<Vec<String>>,
    pub(crate) redis: Option<String>,
}

impl Settings {
    /// What the environment says.
    pub(crate) fn from_env() -> Self {
        let read = |name| env::var(name).ok().filter(|value: &String| !value.trim().is_empty());
        Self {
            cluster: read(ENV_CLUSTER),
            node: read(ENV_NODE),
            etcd: read(ENV_ETCD).map(|list| {
                list.split(',')
                    .map(|endpoint| endpoint.trim().to_owned())
                    .filter(|endpoint| !endpoint.is_empty())
                    .collect()
            }),
            redis: read(ENV_REDIS),
        }
    }

    /// What is given here, and what the other says of the rest. Stores are taken together: one given
    /// in code is never joined with one from the environment.
    pub(crate) fn or(self, other: Self) -> Self {
        let has_store = self.etcd.is_some() || self.redis.is_some();
        let (etcd, redis) =
            if has_store { (self.etcd, self.redis) } else { (other.etcd, other.redis) };
        Self {
            cluster: self.cluster.or(other.cluster),
            node: self.node.or(other.node),
            etcd,
            redis,
        }
    }

    pub(crate) fn cluster(&self) -> Result<Name> {
        name(
            "the cluster's name (builder `.cluster(..)`, CALLBOARD_CLUSTER)",
            self.cluster.as_deref(),
        )
        .unwrap_or_else(|| Ok(Name::new(CLUSTER_DEFAULT)?))
    }

    pub(crate) fn node(&self) -> Result<Name> {
        name("the node's name (builder `.node(..)`, CALLBOARD_NODE)", self.node.as_deref())
            .unwrap_or_else(|| Ok(default_node()?))
    }

    /// The endpoints of etcd and the address of Redis; none to run embedded.
    pub(crate) fn servers(&self) -> Result<Option<(Vec<String>, String)>> {
        match (&self.etcd, &self.redis) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(missing(ENV_REDIS, ".redis(..)", "etcd")),
            (None, Some(_)) => Err(missing(ENV_ETCD, ".etcd(..)", "Redis")),
            (Some(etcd), Some(redis)) => Ok(Some((etcd.clone(), redis.clone()))),
        }
    }
}

fn name(setting: &str, value: Option<&str>) -> Option<Result<Name>> {
    value.map(|value| {
        Name::new(value).map_err(|error| Error::Setting {
            setting: setting.to_owned(),
            reason: error.to_string(),
        })
    })
}

fn missing(variable: &str, method: &str, given: &str) -> Error {
    Error::Setting {
        setting: variable.to_owned(),
        reason: format!(
            "{given} is given but this is not: set both {ENV_ETCD} and {ENV_REDIS} (or the \
             builder's `{method}`) for a cluster, or neither to run embedded"
        ),
    }
}

/// Host name and process id, with what a name may not hold replaced.
fn default_node() -> Result<Name, crate::id::NameError> {
    let host = env::var("HOSTNAME").ok().or_else(read_hostname).unwrap_or_default();
    let host: String = host
        .trim()
        .to_ascii_lowercase()
        .chars()
        .take(64)
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' })
        .collect();
    let host = host.trim_matches('-');
    let host = if host.is_empty() { "node" } else { host };
    Name::new(format!("{host}-{}", std::process::id()))
}

fn read_hostname() -> Option<String> {
    std::fs::read_to_string("/etc/hostname").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_cluster_is_an_error_that_names_the_other_half() {
        let etcd =
            Settings { etcd: Some(vec!["http://127.0.0.1:2379".into()]), ..Settings::default() };
        let error = etcd.servers().expect_err("redis is missing").to_string();
        assert!(error.contains(ENV_REDIS), "{error}");
        let redis = Settings { redis: Some("redis://127.0.0.1".into()), ..Settings::default() };
        let error = redis.servers().expect_err("etcd is missing").to_string();
        assert!(error.contains(ENV_ETCD), "{error}");
        assert!(Settings::default().servers().expect("neither is fine").is_none());
    }

    #[test]
    fn the_default_node_has_a_valid_name() {
        default_node().expect("made of what a name may hold");
    }

    #[test]
    fn a_bad_name_is_refused_with_the_settings_name() {
        let settings = Settings { cluster: Some("a/b".into()), ..Settings::default() };
        let error = settings.cluster().expect_err("a slash").to_string();
        assert!(error.contains("CALLBOARD_CLUSTER"), "{error}");
    }
}
