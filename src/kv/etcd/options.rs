use std::{fmt, time::Duration};

use crate::kv::KvError;

/// Where etcd is, and how long to wait for it.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdOptions {
    /// One or more endpoints: `http://host:port`; without the scheme it is taken as `http`.
    pub endpoints: Vec<String>,
    /// User and password, where etcd asks for them.
    pub user: Option<(String, String)>,
    /// How long a start may take in all, the first answer included. 5 s by default.
    pub connect_timeout: Duration,
    /// How long to wait for an answer to one call. 2 s by default.
    pub call_timeout: Duration,
}

impl EtcdOptions {
    /// The default options for these endpoints.
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            user: None,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(2),
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
            if endpoint.starts_with("https://") {
                return refuse(endpoint, "asks for TLS, which this version does not speak");
            }
            let address = endpoint.strip_prefix("http://").unwrap_or(endpoint);
            let is_address = address.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty()
                    && !host.contains(['/', ' ', '@'])
                    && port.parse::<u16>().is_ok_and(|port| port != 0)
            });
            if !is_address {
                return refuse(endpoint, "is no address with a port");
            }
            endpoints.push(format!("http://{address}"));
        }
        Ok(endpoints)
    }
}

impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdOptions")
            .field("endpoints", &self.endpoints)
            .field("user", &self.user.as_ref().map(|(user, _)| user))
            .field("connect_timeout", &self.connect_timeout)
            .field("call_timeout", &self.call_timeout)
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
        let good = EtcdOptions::new(["127.0.0.1:2379", " http://[::1]:2379/ "]).check();
        assert_eq!(good.expect("addresses"), ["http://127.0.0.1:2379", "http://[::1]:2379"]);
    }

    #[test]
    fn the_password_is_not_shown() {
        let mut options = EtcdOptions::new(["a:1"]);
        options.user = Some(("root".into(), "secret".into()));
        assert!(!format!("{options:?}").contains("secret"));
    }
}
