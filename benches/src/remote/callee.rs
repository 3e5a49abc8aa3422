//! The process that is called, by its own side.

use std::{env, process::Command, sync::Arc};

use callboard::{
    Service, System,
    log::{RedisLog, RedisOptions},
};

use super::{
    actor::Sink,
    bare, resp,
    shared::{
        Result,
        orders::{Orders, serve},
        seen::Seen,
    },
    worker::Worker,
};

/// The argument that makes the program the callee.
pub const ROLE: &str = "--as-callee";
/// The service that it serves; of many, each with its number behind.
pub const SERVICE: &str = "sink";
/// The cluster of both processes.
pub const CLUSTER: &str = "bench";

/// Starts this program again as the callee, with its system and so many services.
///
/// # Errors
/// When it can't be started.
pub async fn start(etcd: &str, redis: &str, services: usize) -> Result<Worker> {
    let mut command = Command::new(env::current_exe()?);
    command.args([ROLE, etcd, redis, &services.to_string()]);
    Ok(Worker::start("callee", &mut command).await?.0)
}

/// The names of so many services.
pub fn names(services: usize) -> impl Iterator<Item = String> {
    // A single one has no number, so that its row does not depend on how many others have.
    (0..services).map(move |at| match services {
        1 => SERVICE.to_owned(),
        _ => format!("{SERVICE}-{at}"),
    })
}

/// The callee's own side.
struct Callee {
    seen: Arc<Seen>,
    log: RedisLog,
    system: System,
    _served: Vec<Service<Sink>>,
}

/// Does as it is told until the standard input ends.
///
/// # Errors
/// When it can't answer.
pub async fn run(etcd: &str, redis: &str, services: usize) -> Result<()> {
    serve(async { Ok((Callee::start(etcd, redis, services).await?, String::new())) }).await
}

impl Callee {
    async fn start(etcd: &str, redis: &str, services: usize) -> Result<Self> {
        let node = if services == 1 { "callee" } else { "callee-of-many" };
        let system = system(node, etcd, redis).await?;
        let seen = Arc::default();
        let mut served = Vec::with_capacity(services);
        for name in names(services) {
            served.push(system.serve(&name, Sink::factory(&seen)).await?);
        }
        let log = RedisLog::connect(RedisOptions::new(redis)).await?;
        Ok(Self { seen, log, system, _served: served })
    }
}

impl Orders for Callee {
    async fn carry_out(&mut self, words: &[&str]) -> Result<String> {
        match words {
            ["handled", count] => self.seen.reach(count.parse()?).await,
            ["receive", run, count, frames] => {
                bare::receive(&self.log, run, count.parse()?, frames.parse()?).await?;
            }
            ["reply", port, asks] => {
                let (port, asks) = (port.parse()?, asks.parse()?);
                // Blocks, on a thread of its own as a program without a runtime would.
                tokio::task::spawn_blocking(move || resp::reply(port, asks)).await??;
            }
            ["leave"] => self.system.shutdown().await?,
            _ => return Err(format!("no such order: {words:?}").into()),
        }
        Ok(String::new())
    }
}

/// A system as both processes have it: one thread for actors, beside its I/O thread.
///
/// # Errors
/// When the servers can't be reached.
pub async fn system(node: &str, etcd: &str, redis: &str) -> Result<System> {
    let builder = System::builder().cluster(CLUSTER).node(node).arbiters(1);
    Ok(builder.etcd([etcd]).redis(redis).start().await?)
}
