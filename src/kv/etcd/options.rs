use std::{fmt, time::Duration};

use crate::kv::KvError;

/// The largest message that is taken from etcd unless options say otherwise.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
/// The keys of callboard.
const PREFIX: &str = "/callboard/";

/// Where etcd is, who asks, and how long to wait for it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EtcdOptions {
    /// One or more endpoints: `http://host:port`; without the scheme it is taken as `http`. Calls go
    /// to one of them as long as it answers, and then to the next.
    pub endpoints: Vec<String>,
    /// User and password, where etcd asks for them.
    pub user: Option<(String, String)>,
    /// The keys on which the user has rights: the start asks for them, so that a right that is
    /// missing shows there. `/callboard/` by default.
    pub prefix: String,
    /// How long a start may take in all, the first answer included. 5 s by default.
    pub connect_timeout: Duration,
    /// How long to wait for an answer to one call. 2 s by default. What may be asked twice is asked
    /// at another endpoint after half of it.
    pub call_timeout: Duration,
    /// The largest answer in bytes; a list or a watch that brings a larger one is an error. 1 GiB by
    /// default.
    pub message_bytes_max: usize,
}

impl EtcdOptions {
    /// The default options for these endpoints.
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            user: None,
            prefix: PREFIX.to_owned(),
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(2),
            message_bytes_max: MESSAGE_BYTES_MAX,
        }
    }

    /// Refuses what can't be an address.
    pub(super) fn check(&self) -> Result<Vec<String>, KvError> {
        let refuse = |endpoint: &str, why: &str| {
            Err(KvError::Refused(format!(
                "the etcd endpoint {endpoint:?} (CALLBOARD_ETCD or `.etcd(..)`) {why}: write \
                 http://host:port, several with commas between"
            )))
        };
        if self.endpoints.is_empty() {
            return refuse("", "is missing");
        }
        let mut endpoints = Vec::with_capacity(self.endpoints.len());
        for endpoint in &self.endpoints {
            let endpoint = endpoint.trim().trim_end_matches('/');
            if let Some((_, host)) = endpoint.rsplit_once('@') {
                // What is before it may be a password.
                return refuse(
                    host,
                    "has a user before it, which belongs into CALLBOARD_ETCD_USER and \
                     CALLBOARD_ETCD_PASSWORD or `.etcd_user(..)`",
                );
            }
            if endpoint.starts_with("https://") {
                return refuse(endpoint, "asks for TLS, which this version does not speak");
            }
            let address = endpoint.strip_prefix("http://").unwrap_or(endpoint);
            let is_address = address.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty()
                    && !host.contains(['/', ' '])
                    && port.parse::<u16>().is_ok_and(|port| port != 0)
            });
            if !is_address {
                return refuse(endpoint, "is no address with a port");
            }
            let endpoint = format!("http://{address}");
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        Ok(endpoints)
    }

    /// What etcd's word that a right is missing means to who set this up.
    pub(super) fn no_rights(&self, what: &str) -> KvError {
        let prefix = &self.prefix;
        let name = self.user.as_ref().map_or("", |(name, _)| name.as_str());
        KvError::Refused(format!(
            "the etcd user {name:?} may not {what}: permission denied; grant it with `etcdctl role \
             grant-permission <role> --prefix=true readwrite {prefix}` and `etcdctl user grant-role \
             {name} <role>`"
        ))
    }

    /// What it means that etcd does not know who asks.
    pub(super) fn no_user(&self, why: &str) -> KvError {
        KvError::Refused(match &self.user {
            None => format!(
                "etcd asks for a user: set CALLBOARD_ETCD_USER and CALLBOARD_ETCD_PASSWORD or \
                 `.etcd_user(..)` ({why})"
            ),
            Some((name, _)) => format!(
                "etcd refuses the user {name:?} or the password that is given for it \
                 (CALLBOARD_ETCD_USER and CALLBOARD_ETCD_PASSWORD or `.etcd_user(..)`): {why}"
            ),
        })
    }
}

impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdOptions")
            .field("endpoints", &self.endpoints)
            .field("user", &self.user.as_ref().map(|(user, _)| user))
            .field("prefix", &self.prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("call_timeout", &self.call_timeout)
            .field("message_bytes_max", &self.message_bytes_max)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused_with_the_settings_name() {
        for bad in ["", "etcd", "http://", "http://host", "host:0", "https://host:2379", "a b:1"] {
            let error = EtcdOptions::new([bad]).check().expect_err(bad).to_string();
            assert!(error.contains("CALLBOARD_ETCD"), "{error}");
        }
        let none: [&str; 0] = [];
        assert!(EtcdOptions::new(none).check().is_err());
        let good = ["127.0.0.1:2379", " http://[::1]:2379/ ", "http://127.0.0.1:2379"];
        let good = EtcdOptions::new(good).check();
        assert_eq!(good.expect("addresses"), ["http://127.0.0.1:2379", "http://[::1]:2379"]);
    }

    #[test]
    fn the_password_is_not_shown() {
        let mut options = EtcdOptions::new(["a:1"]);
        options.user = Some(("root".into(), "secret".into()));
        let shown = [
            format!("{options:?}"),
            options.no_rights("read").to_string(),
            options.no_user("it says so").to_string(),
        ];
        assert!(shown.iter().all(|text| text.contains("root")), "{shown:?}");
        assert!(!shown.iter().any(|text| text.contains("secret")), "{shown:?}");
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_shown() {
        let options = EtcdOptions::new(["http://root:secret@etcd:2379"]);
        let error = options.check().expect_err("a user in it").to_string();
        assert!(error.contains("CALLBOARD_ETCD_PASSWORD"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
