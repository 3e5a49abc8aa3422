use std::fmt;

use super::System;
use crate::{
    actor::{Actor, SpawnOptions, spawn_on},
    address::Addr,
    error::Result,
};

impl System {
    /// Spawns an actor. The factory builds it, and builds it again after a failure; it runs on the
    /// actor's own thread, so that an actor may hold what is not `Send`.
    ///
    /// Returns at once; [`Addr::started`] waits for the first start.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown).
    pub fn spawn<A, F>(&self, factory: F) -> Result<Addr<A>>
    where
        A: Actor,
        F: Fn() -> A + Send + Sync + 'static,
    {
        self.actor(factory).spawn()
    }

    /// Prepares an actor: `system.actor(Counter::default).name("x").spawn()?`.
    pub fn actor<A, F>(&self, factory: F) -> Spawn<A, F>
    where
        A: Actor,
        F: Fn() -> A + Send + Sync + 'static,
    {
        Spawn { system: self.clone(), factory, options: SpawnOptions::new() }
    }

    /// Says once per type which of its settings have no effect yet.
    pub(super) fn report_settings<A: Actor>(&self) {
        let (cpu, breaker) = (A::OPTIONS.cpu.is_some(), A::OPTIONS.breaker.is_some());
        if (cpu || breaker) && self.0.reported.lock().insert(A::NAME) {
            let settings = match (cpu, breaker) {
                (true, true) => "`cpu(..)` and `breaker(..)` are",
                (true, false) => "`cpu(..)` is",
                _ => "`breaker(..)` is",
            };
            tracing::warn!(actor = A::NAME, "{settings} checked and stored, without effect yet");
        }
    }
}

/// An actor that is about to be spawned.
#[must_use = "nothing is spawned until `.spawn()` is called"]
pub struct Spawn<A: Actor, F> {
    system: System,
    factory: F,
    options: SpawnOptions<A>,
}

impl<A, F> Spawn<A, F>
where
    A: Actor,
    F: Fn() -> A + Send + Sync + 'static,
{
    /// Names the actor in logs and errors; the name of its type otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = Some(name.into().into_boxed_str());
        self
    }

    /// Spawns it.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown).
    pub fn spawn(mut self) -> Result<Addr<A>> {
        self.system.check_is_up()?;
        self.system.report_settings::<A>();
        self.options.prologue = self.system.0.node.subscriptions_of_one::<A>();
        let host = self.system.0.runtime.next_host();
        Ok(spawn_on(host, self.factory, self.options))
    }
}

impl<A: Actor, F> fmt::Debug for Spawn<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawn").finish_non_exhaustive()
    }
}
