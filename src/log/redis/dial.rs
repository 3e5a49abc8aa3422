use std::{sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout, timeout_at},
};

use super::{
    advice::{Advice, advice},
    call::Call,
    error::meaning,
    link::Link,
    options::RedisOptions,
    parse,
};
use crate::log::LogError;

/// The oldest major version whose scripts can say what they need.
const MAJOR_MIN: u64 = 7;
/// What is gathered for one write to the socket, in bytes: several frames.
const WRITE_BYTES: usize = 256 * 1024;

/// Makes connections.
pub(super) struct Dial {
    client: Client,
    /// The address, without secrets.
    shown: String,
    connect_timeout: Duration,
    pub(super) call_timeout: Duration,
    /// Connections run here, whoever asks for them: the asker's runtime may end before them.
    runtime: Handle,
}

impl Dial {
    pub(super) fn new(options: &RedisOptions) -> Result<Self, LogError> {
        let (client, shown) = options.client()?;
        Ok(Self {
            client,
            shown,
            connect_timeout: options.connect_timeout,
            call_timeout: options.call_timeout,
            runtime: Handle::current(),
        })
    }

    /// Makes a connection, in the time of one call. It has no response timeout of its own: that would
    /// break blocked reads, and whoever calls has a time limit anyway.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<MultiplexedConnection, LogError> {
        let (dial, limit) = (Arc::clone(self), self.call_timeout);
        let connecting = self.runtime.spawn(async move {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(limit))
                .set_response_timeout(None)
                .set_write_backpressure_boundary(WRITE_BYTES);
            timeout(limit, dial.client.get_multiplexed_async_connection_with_config(&config)).await
        });
        match connecting.await {
            Ok(Ok(Ok(connection))) => Ok(connection),
            Ok(Ok(Err(error))) => Err(self.unreachable(error)),
            Ok(Err(_)) => Err(self.silent(limit)),
            Err(_) => Err(LogError::Unavailable {
                what: "Redis: connect: the runtime of its connections has ended".to_owned(),
                source: None,
            }),
        }
    }

    /// Sees that there is a Redis of a version that will do, waiting for as long as a start may take.
    pub(super) async fn check_server(&self, link: &Link) -> Result<(), LogError> {
        let deadline = Instant::now() + self.connect_timeout;
        let ask = || link.run(Call::new("ask for the version", "INFO"));
        let answer = loop {
            match timeout_at(deadline, ask()).await {
                Ok(Ok(answer)) => break answer,
                // A server that is loading its data, or not up yet.
                Ok(Err(LogError::Unavailable { .. })) if Instant::now() + RETRY < deadline => {
                    tokio::time::sleep(RETRY).await;
                }
                Ok(Err(error)) => return Err(self.at_start(error)),
                Err(_) => return Err(self.silent(self.connect_timeout)),
            }
        };
        let info = parse::info_text(&answer).unwrap_or_default();
        let version = parse::version(&info);
        let major = version.and_then(|version| version.split('.').next()?.parse().ok());
        match (version, major) {
            (_, Some(MAJOR_MIN..)) => {
                self.advise(&info);
                Ok(())
            }
            (Some(version), _) => {
                Err(self.refused(&format!("is Redis {version}, and 7.0 or newer is needed")))
            }
            (None, _) => Err(self.refused("does not say that it is a Redis")),
        }
    }

    fn advise(&self, info: &str) {
        let redis = &self.shown;
        for advice in advice(info) {
            match advice {
                Advice::Warning(text) => tracing::warn!(%redis, "{text}"),
                Advice::Note(text) => tracing::info!(%redis, "{text}"),
            }
        }
    }

    fn unreachable(&self, error: RedisError) -> LogError {
        match meaning("connect", error) {
            LogError::Unavailable { what, source } => {
                LogError::Unavailable { what: format!("{what} (at {})", self.place()), source }
            }
            error => self.at_start(error),
        }
    }

    fn at_start(&self, error: LogError) -> LogError {
        match error {
            LogError::Unavailable { what, source } if !what.contains(&self.shown) => {
                LogError::Unavailable { what: format!("{what} (at {})", self.place()), source }
            }
            LogError::Refused(why) if !why.contains(&self.shown) => {
                LogError::Refused(format!("{why} (at {})", self.place()))
            }
            LogError::Foreign { reason, .. } => self.refused(&format!("is no Redis: {reason}")),
            error => error,
        }
    }

    fn silent(&self, within: Duration) -> LogError {
        let what = format!("no Redis answers within {within:?} at {}", self.place());
        LogError::Unavailable { what, source: None }
    }

    fn refused(&self, why: &str) -> LogError {
        LogError::Refused(format!("the server at {} {why}", self.place()))
    }

    fn place(&self) -> String {
        format!("{}, CALLBOARD_REDIS or `.redis(..)`", self.shown)
    }
}

/// How long to wait before a start tries again.
const RETRY: Duration = Duration::from_millis(250);
