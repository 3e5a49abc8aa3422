use std::{env, fmt};

use crate::{
    error::{Error, Result},
    id::Name,
};

/// Environment variables that a system reads.
pub(crate) const ENV_CLUSTER: &str = "CALLBOARD_CLUSTER";
pub(crate) const ENV_NODE: &str = "CALLBOARD_NODE";
pub(crate) const ENV_ETCD: &str = "CALLBOARD_ETCD";
pub(crate) const ENV_ETCD_USER: &str = "CALLBOARD_ETCD_USER";
pub(crate) const ENV_ETCD_PASSWORD: &str = "CALLBOARD_ETCD_PASSWORD";
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
    pub(crate) etcd_user: EtcdUser,
    pub(crate) redis: Option<String>,
}

/// Who asks etcd: both or none.
#[derive(Clone, Default)]
pub(crate) struct EtcdUser {
    pub(crate) name: Option<String>,
    pub(crate) password: Option<String>,
}

/// etcd's endpoints and user, and the address of Redis.
#[derive(Debug)]
#[cfg_attr(
    not(all(feature = "etcd", feature = "redis")),
    expect(dead_code, reason = "a build without them only says that they were asked for")
)]
pub(crate) struct Servers {
    pub(crate) etcd: Vec<String>,
    pub(crate) etcd_user: EtcdUser,
    pub(crate) redis: String,
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
            etcd_user: EtcdUser { name: read(ENV_ETCD_USER), password: read(ENV_ETCD_PASSWORD) },
            redis: read(ENV_REDIS),
        }
    }

    /// What is given here, and what the other says of the rest. Stores are taken together: one given
    /// in code is never joined with one from the environment, nor shown a user from there.
    pub(crate) fn or(self, other: Self) -> Self {
        let has_store = self.etcd.is_some() || self.redis.is_some();
        let (etcd, redis) =
            if has_store { (self.etcd, self.redis) } else { (other.etcd, other.redis) };
        let etcd_user =
            if has_store || self.etcd_user.is_given() { self.etcd_user } else { other.etcd_user };
        Self {
            cluster: self.cluster.or(other.cluster),
            node: self.node.or(other.node),
            etcd,
            etcd_user,
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

    /// Both servers; none to run embedded.
    pub(crate) fn servers(&self) -> Result<Option<Servers>> {
        self.etcd_user.check()?;
        match (&self.etcd, &self.redis) {
            (None, None) if self.etcd_user.is_given() => Err(Error::Setting {
                setting: ENV_ETCD.to_owned(),
                reason: format!(
                    "a user for etcd is given but no etcd: set {ENV_ETCD} and {ENV_REDIS} (or \
                     `.etcd(..)` and `.redis(..)`), or leave out {ENV_ETCD_USER} and \
                     {ENV_ETCD_PASSWORD} (or `.etcd_user(..)`) to run embedded"
                ),
            }),
            (None, None) => Ok(None),
            (Some(_), None) => Err(missing(ENV_REDIS, ".redis(..)", "etcd")),
            (None, Some(_)) => Err(missing(ENV_ETCD, ".etcd(..)", "Redis")),
            (Some(etcd), Some(redis)) => Ok(Some(Servers {
                etcd: etcd.clone(),
                etcd_user: self.etcd_user.clone(),
                redis: redis.clone(),
            })),
        }
    }
}

impl EtcdUser {
    fn is_given(&self) -> bool {
        self.name.is_some() || self.password.is_some()
    }

    fn check(&self) -> Result<()> {
        let has = |part: &Option<String>| part.as_ref().is_some_and(|part| !part.is_empty());
        let (given, missing) = match (has(&self.name), has(&self.password)) {
            (true, false) => ("a user for etcd", ENV_ETCD_PASSWORD),
            (false, true) => ("a password for etcd", ENV_ETCD_USER),
            (false, false) if self.is_given() => ("an empty user for etcd", ENV_ETCD_USER),
            _ => return Ok(()),
        };
        Err(Error::Setting {
            setting: missing.to_owned(),
            reason: format!(
                "{given} is given but this is not: set both {ENV_ETCD_USER} and \
                 {ENV_ETCD_PASSWORD} (or the builder's `.etcd_user(user, password)`), or neither \
                 where etcd asks for no user"
            ),
        })
    }
}

impl fmt::Debug for EtcdUser {
    /// Never with the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdUser").field("name", &self.name).finish_non_exhaustive()
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

    fn user(name: Option<&str>, password: Option<&str>) -> Settings {
        let (name, password) = (name.map(str::to_owned), password.map(str::to_owned));
        Settings { etcd_user: EtcdUser { name, password }, ..Settings::default() }
    }

    #[test]
    fn half_a_user_and_a_user_without_etcd_are_errors_that_name_the_setting_and_no_password() {
        for (name, password, setting) in [
            (Some("callboard"), None, ENV_ETCD_PASSWORD),
            (Some("callboard"), Some(""), ENV_ETCD_PASSWORD),
            (None, Some("secret"), ENV_ETCD_USER),
            (Some(""), Some("secret"), ENV_ETCD_USER),
            (Some(""), Some(""), ENV_ETCD_USER),
            (Some("callboard"), Some("secret"), ENV_ETCD),
        ] {
            match user(name, password).servers() {
                Err(Error::Setting { setting: named, reason }) => {
                    assert_eq!(named, setting, "{name:?} {reason}");
                    assert!(!reason.contains("secret"), "{reason}");
                }
                other => panic!("{name:?}: {other:?}"),
            }
        }
        let shown = format!("{:?}", user(Some("callboard"), Some("secret")));
        assert!(shown.contains("callboard") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_user_of_the_environment_is_not_shown_to_servers_given_in_code() {
        let servers = |etcd: &str| Settings {
            etcd: Some(vec![etcd.to_owned()]),
            redis: Some("redis://r".to_owned()),
            ..Settings::default()
        };
        let name = |settings: Settings| {
            settings.servers().expect("whole").expect("servers").etcd_user.name
        };
        let environment =
            Settings { etcd_user: user(Some("e"), Some("p")).etcd_user, ..servers("e") };
        assert_eq!(name(servers("c").or(environment.clone())), None);
        assert_eq!(name(Settings::default().or(environment.clone())).as_deref(), Some("e"));
        let both = user(Some("c"), Some("p")).or(environment);
        assert_eq!(both.etcd, Some(vec!["e".to_owned()]));
        assert_eq!(name(both).as_deref(), Some("c"));
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
