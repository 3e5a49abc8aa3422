use std::{fmt, time::Duration};

use redis::{ConnectionAddr, IntoConnectionInfo};

use crate::log::{CLAIM_GRACE, LogError};

/// Where Redis is, and how long to wait for it.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisOptions {
    /// `redis://[user:password@]host:port[/database]`, or `unix:///path`.
    pub url: String,
    /// How long a start may take in all, the first answer included. 5 s by default.
    pub connect_timeout: Duration,
    /// How long to wait for an answer to one call, beside the time for which it blocks. 2 s by default.
    pub call_timeout: Duration,
    /// For how long after the server's start no entries are claimed. [`CLAIM_GRACE`] by default.
    pub claim_grace: Duration,
}

impl RedisOptions {
    /// The default options for this server.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(2),
            claim_grace: CLAIM_GRACE,
        }
    }

    /// The client for this address, with the address as it may be shown.
    pub(super) fn client(&self) -> Result<(redis::Client, String), LogError> {
        let refuse = |why: &str| {
            LogError::Refused(format!(
                "the Redis address {:?} (CALLBOARD_REDIS or `.redis(..)`) {why}: write \
                 redis://host:port, with user:password@ before the host where Redis asks for them",
                self.shown()
            ))
        };
        let url = self.url.trim();
        if url.starts_with("rediss://") || url.starts_with("valkeys://") {
            return Err(refuse("asks for TLS, which this version does not speak"));
        }
        let info = url.into_connection_info().map_err(|_| refuse("can't be read"))?;
        let shown = match info.addr() {
            ConnectionAddr::Tcp(_, 0) => return Err(refuse("has no port")),
            ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
            ConnectionAddr::Unix(path) => path.display().to_string(),
            _ => return Err(refuse("asks for TLS, which this version does not speak")),
        };
        let client = redis::Client::open(info).map_err(|_| refuse("can't be used"))?;
        Ok((client, shown))
    }

    /// The address without what is secret in it.
    fn shown(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("url", &self.shown())
            .field("connect_timeout", &self.connect_timeout)
            .field("call_timeout", &self.call_timeout)
            .field("claim_grace", &self.claim_grace)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let options = RedisOptions::new("redis://user:se@cret@redis.example:6379/3?x=y");
        let shown = format!("{options:?}");
        assert!(shown.contains("redis://redis.example:6379/3"), "{shown}");
        assert!(!shown.contains("cret"), "{shown}");
    }

    #[test]
    fn what_can_be_no_address_is_refused_with_what_to_write() {
        for url in
            ["", "http://a:1", "redis://", "a:6379", "rediss://a:1", "redis://a:b@c:d@e:99999"]
        {
            let refused = RedisOptions::new(url).client().map(|(_, shown)| shown);
            let Err(LogError::Refused(why)) = refused else { panic!("{url:?}: {refused:?}") };
            assert!(why.contains("CALLBOARD_REDIS") && why.contains("redis://host:port"), "{why}");
        }
        let (_, shown) = RedisOptions::new(" redis://127.0.0.1:7 ").client().unwrap();
        assert_eq!(shown, "127.0.0.1:7");
    }
}
