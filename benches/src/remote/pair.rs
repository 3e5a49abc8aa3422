//! The two processes with their servers.

use std::time::Duration;

use callboard::{
    Name, ServiceRef, System,
    log::{RedisLog, RedisOptions},
};

use super::{
    Result,
    actor::Sink,
    callee::{self, names, system},
    many::SERVICES,
    resp::{Redis, Socket},
    sample::{Sample, Timed, Used},
    shared::usage::Usage,
    worker::Worker,
};
use crate::servers::{EtcdServer, Persistence, RedisServer, RedisSetup, wait_until};

/// How long a service may take until the caller sees it.
const SEEN_MAX: Duration = Duration::from_secs(30);

/// A process that is called, with its services.
#[derive(Debug)]
pub struct Target {
    /// The process.
    pub callee: Worker,
    /// Its services.
    pub services: Vec<ServiceRef<Sink>>,
    /// Tells to it so far, over all runs.
    pub told: u64,
}

/// Which of the processes is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one with a single service.
    One,
    /// The one with many.
    Many,
}

/// The caller's side of everything, with servers of its own.
#[derive(Debug)]
pub struct Pair {
    /// The other process.
    pub one: Target,
    /// The process with many services, while it is needed.
    pub many: Option<Target>,
    /// For the bare loop.
    pub log: RedisLog,
    /// Bare runs so far.
    pub runs: u64,
    /// Messages of a frame in the last run of callboard's tells to one service.
    pub per_frame: Option<f64>,
    /// The caller's own.
    pub system: System,
    socket: Socket,
    redis: RedisServer,
    etcd: EtcdServer,
}

impl Target {
    async fn start(
        system: &System,
        etcd: &EtcdServer,
        redis: &RedisServer,
        services: usize,
    ) -> Result<Self> {
        let callee = callee::start(&etcd.url(), &redis.url(), services).await?;
        for name in names(services) {
            let name = Name::new(name)?;
            wait_until("the service", SEEN_MAX, async || {
                !system.directory().resolve(&name).instances.is_empty()
            })
            .await?;
        }
        let services = names(services).map(|name| system.service(name)).collect();
        Ok(Self { callee, services, told: 0 })
    }
}

impl Pair {
    /// Starts servers and processes.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn start(persistence: Persistence) -> Result<Self> {
        let etcd = EtcdServer::start().await;
        let redis = RedisServer::with(RedisSetup { persistence, ..RedisSetup::default() }).await;
        let system = system("caller", &etcd.url(), &redis.url()).await?;
        Ok(Self {
            one: Target::start(&system, &etcd, &redis, 1).await?,
            many: None,
            log: RedisLog::connect(RedisOptions::new(redis.url())).await?,
            runs: 0,
            per_frame: None,
            socket: Socket::connect(redis.port())?,
            system,
            redis,
            etcd,
        })
    }

    /// Starts the process with many services, unless it runs.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_many(&mut self) -> Result<()> {
        if self.many.is_none() {
            let many = Target::start(&self.system, &self.etcd, &self.redis, SERVICES).await?;
            self.many = Some(many);
        }
        Ok(())
    }

    /// Ends the process with many services, in order, if it runs.
    ///
    /// # Errors
    /// When it can't end in order.
    pub async fn end_many(&mut self) -> Result<()> {
        if let Some(mut many) = self.many.take() {
            many.callee.order("leave").await?;
        }
        Ok(())
    }

    /// The process that is called, and the caller's system.
    ///
    /// # Errors
    /// When it was not started.
    pub fn target(&mut self, which: Which) -> Result<(&mut Target, &System)> {
        let target = match which {
            Which::One => &mut self.one,
            Which::Many => self.many.as_mut().ok_or("the many services were not started")?,
        };
        Ok((target, &self.system))
    }

    /// Redis's port.
    pub fn port(&self) -> u16 {
        self.redis.port()
    }

    /// What Redis says of itself.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn redis(&mut self) -> Result<Redis> {
        self.socket.redis()
    }

    /// Runs something and takes what it used.
    ///
    /// # Errors
    /// Those of what is run.
    pub async fn sample(
        &mut self,
        which: Which,
        messages: u64,
        run: impl AsyncFnOnce(&mut Self) -> Result<Timed>,
    ) -> Result<Sample> {
        let before = self.used(which).await?;
        let timed = run(self).await?;
        let used = self.used(which).await?.since(before);
        Ok(Sample { messages, timed, used })
    }

    async fn used(&mut self, which: Which) -> Result<Used> {
        let callee = self.target(which)?.0.callee.usage().await?;
        let redis = self.redis()?.usage;
        Ok(Used { caller: Some(Usage::here()?), callee: Some(callee), redis: Some(redis) })
    }
}
