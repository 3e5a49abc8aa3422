use std::{
    fmt,
    sync::{Arc, Weak},
};

use super::{served::Served, slot::Slot};
use crate::{
    actor::Actor,
    address::Addr,
    directory::InstanceName,
    error::Result,
    health::{HealthRecord, HealthState},
    id::Name,
    system::Inner,
};

/// A service that this system serves. Dropping it changes nothing: the service goes on until it is
/// stopped or the system shuts down.
pub struct Service<A: Actor> {
    pub(super) served: Arc<Served>,
    pub(super) addresses: Vec<Addr<A>>,
    pub(super) system: Weak<Inner>,
}

impl<A: Actor> Service<A> {
    /// Its name.
    pub fn name(&self) -> &Name {
        &self.served.name
    }

    /// The addresses of its instances in this process.
    pub fn addresses(&self) -> &[Addr<A>] {
        &self.addresses
    }

    /// How its instances in this process do, as this process says it.
    pub fn health(&self) -> Vec<(InstanceName, HealthRecord)> {
        self.served.monitor.states()
    }

    /// Takes its instances in this process out until [`end_maintenance`](Self::end_maintenance):
    /// callers go to others, and stored messages are not read here. What they have in hand they
    /// finish; they stay registered. A service that is being drained stays so.
    ///
    /// [`Directory::begin_maintenance`](crate::directory::Directory::begin_maintenance) does the same
    /// from any other process.
    ///
    /// # Errors
    /// [`Error::Directory`](crate::Error::Directory) when its store was not reached within 10 s; it is
    /// told when it is there again.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the instances are taken out all the same.
    pub async fn begin_maintenance(&self, reason: impl Into<String>) -> Result<()> {
        self.set_maintenance(Some(HealthState::Maintenance), reason.into()).await
    }

    /// Takes them in again.
    ///
    /// # Errors
    /// As [`begin_maintenance`](Self::begin_maintenance).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the instances are taken in all the same.
    pub async fn end_maintenance(&self) -> Result<()> {
        self.set_maintenance(None, String::new()).await
    }

    async fn set_maintenance(&self, state: Option<HealthState>, reason: String) -> Result<()> {
        if !self.served.monitor.is_draining() {
            self.served.monitor.withdraw(state, reason);
        }
        let served = self.served.clone();
        self.run(async move { served.told().await }).await
    }

    /// Takes no more: callers are sent to other instances and stored messages are not read here. Waits
    /// until everything that was read is handled, for 30 s at most. The instances stay registered, as
    /// draining, and answer who has their addresses, until the service is stopped.
    ///
    /// # Errors
    /// [`Error::Directory`](crate::Error::Directory) when its store was not reached within 10 s; the
    /// service is drained all the same, and callers hear of it when the store is there again.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the rest is done all the same.
    pub async fn drain(&self) -> Result<()> {
        let served = self.served.clone();
        self.run(async move { served.drain().await }).await
    }

    /// Runs as a task of its own, where there are timers and nobody drops it half-way.
    async fn run(&self, leaving: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
        let run = self.served.node.runtime().spawn(leaving);
        run.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The shutdown was faster.
            Err(_) => Ok(()),
        })
    }

    /// Leaves the directory, stops reading, and stops its actors when what was read is handled; no call fails by it as long as there are other instances.
    /// When anybody from outside has called them, they go on answering for 2 s after they left the
    /// directory, and who asks later is sent on to another instance. The name can be served again
    /// after that.
    ///
    /// # Errors
    /// As [`drain`](Self::drain).
    ///
    /// # Cancel safety
    /// As [`drain`](Self::drain).
    pub async fn stop(&self) -> Result<()> {
        let served = self.served.clone();
        let stopped = self.run(async move { served.stop().await }).await;
        if let Some(system) = self.system.upgrade() {
            let mut services = system.services.lock();
            // The name may be served anew by now.
            if matches!(services.get(self.name()), Some(Slot::Served(served)) if Arc::ptr_eq(served, &self.served))
            {
                services.remove(self.name());
            }
        }
        stopped
    }
}

impl<A: Actor> fmt::Debug for Service<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.served.name)
            .field("instances", &self.addresses.len())
            .finish_non_exhaustive()
    }
}
