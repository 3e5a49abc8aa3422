//! The two processes with their servers.

use std::time::Duration;

use callboard::{
    Name, ServiceRef, System,
    log::{RedisLog, RedisOptions},
};

use super::{
    Result,
    actor::Sink,
    callee::{Callee, SERVICE, system},
    resp::Socket,
    sample::{Cpu, Sample, Timed, used_here},
};
use crate::servers::{EtcdServer, Persistence, RedisServer, RedisSetup, wait_until};

/// How long the service may take until the caller sees it.
const SEEN_MAX: Duration = Duration::from_secs(30);

/// The caller's side of everything, with servers of its own.
#[derive(Debug)]
pub struct Pair {
    /// The service in the other process.
    pub service: ServiceRef<Sink>,
    /// The other process.
    pub callee: Callee,
    /// For the bare loop.
    pub log: RedisLog,
    /// Tells so far, over all runs.
    pub told: u64,
    /// Bare runs so far.
    pub runs: u64,
    /// Messages of a frame in the last run of callboard's tells.
    pub per_frame: Option<f64>,
    /// The caller's own.
    pub system: System,
    socket: Socket,
    redis: RedisServer,
    _etcd: EtcdServer,
}

impl Pair {
    /// Starts servers and processes.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn start(persistence: Persistence) -> Result<Self> {
        let etcd = EtcdServer::start().await;
        let redis = RedisServer::with(RedisSetup { persistence, ..RedisSetup::default() }).await;
        let callee = Callee::start(&etcd.url(), &redis.url()).await?;
        let system = system("caller", &etcd.url(), &redis.url()).await?;
        let name = Name::new(SERVICE)?;
        wait_until("the service", SEEN_MAX, async || {
            !system.directory().resolve(&name).instances.is_empty()
        })
        .await?;
        Ok(Self {
            service: system.service(SERVICE),
            callee,
            log: RedisLog::connect(RedisOptions::new(redis.url())).await?,
            told: 0,
            runs: 0,
            per_frame: None,
            socket: Socket::connect(redis.port())?,
            system,
            redis,
            _etcd: etcd,
        })
    }

    /// Redis's port.
    pub fn port(&self) -> u16 {
        self.redis.port()
    }

    /// Runs something and takes what it used.
    ///
    /// # Errors
    /// Those of what is run.
    pub async fn sample(
        &mut self,
        messages: u64,
        run: impl AsyncFnOnce(&mut Self) -> Result<Timed>,
    ) -> Result<Sample> {
        let before = self.used().await?;
        let timed = run(self).await?;
        let cpu = self.used().await?.since(before);
        Ok(Sample { messages, timed, cpu })
    }

    async fn used(&mut self) -> Result<Cpu> {
        let callee = self.callee.used().await?;
        Ok(Cpu { caller: used_here(), callee, redis: self.socket.used_by_redis()? })
    }
}
