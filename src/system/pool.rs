use std::{fmt, marker::PhantomData, sync::Arc};

use super::System;
use crate::{
    actor::Actor,
    address::Addr,
    error::{Error, Result},
    pool::{Pool, Routing},
};

/// The most members that a pool may have.
const SIZE_MAX: usize = 4096;

impl System {
    /// Prepares a pool of actors: `system.pool(Worker::default).size(4).spawn()?`. The factory
    /// builds every member, and builds one again after it failed.
    pub fn pool<A, F>(&self, factory: F) -> SpawnPool<A, F>
    where
        A: Actor,
        F: Fn() -> A + Send + Sync + 'static,
    {
        SpawnPool {
            system: self.clone(),
            factory: Arc::new(factory),
            size: self.0.runtime.hosts().len(),
            name: A::NAME.to_owned(),
            routing: Routing::default(),
            capacity: None,
            stops_unreferenced: false,
            actor: PhantomData,
        }
    }
}

/// A pool that is about to be spawned; see [`System::pool`].
#[must_use = "nothing is spawned until `.spawn()` is called"]
pub struct SpawnPool<A: Actor, F> {
    system: System,
    factory: Arc<F>,
    size: usize,
    name: String,
    routing: Routing,
    capacity: Option<usize>,
    stops_unreferenced: bool,
    actor: PhantomData<fn() -> A>,
}

impl<A, F> SpawnPool<A, F>
where
    A: Actor,
    F: Fn() -> A + Send + Sync + 'static,
{
    /// How many members: 1 to 4096; as many as the system has arbiters unless it is said here.
    pub fn size(mut self, members: usize) -> Self {
        self.size = members;
        self
    }

    /// How it chooses the member that a message goes to; [`Routing::RoundRobin`] otherwise.
    pub fn route(mut self, routing: Routing) -> Self {
        self.routing = routing;
        self
    }

    /// Names the pool, and each member by it and a number; the name of the actor's type otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many messages the mailbox of each member holds; see
    /// [`Spawn::mailbox`](crate::Spawn::mailbox).
    pub fn mailbox(mut self, capacity: usize) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// Has the members stop when the pool, its clones and all other addresses of theirs are dropped;
    /// see [`Spawn::stop_with_last_address`](crate::Spawn::stop_with_last_address).
    pub fn stop_with_last_address(mut self) -> Self {
        self.stops_unreferenced = true;
        self
    }

    /// Spawns the members, on one arbiter after the other.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown), and [`Error::Setting`](crate::Error::Setting)
    /// when the size is out of bounds.
    pub fn spawn(self) -> Result<Pool<A>> {
        if !(1..=SIZE_MAX).contains(&self.size) {
            return Err(Error::Setting {
                setting: format!("size({})", self.size),
                reason: format!("give a pool 1 to {SIZE_MAX} members"),
            });
        }
        let members: Result<Vec<_>> = (0..self.size).map(|nth| self.spawn_member(nth)).collect();
        Ok(Pool::new(self.name, members?, self.routing))
    }

    fn spawn_member(&self, nth: usize) -> Result<Addr<A>> {
        let factory = self.factory.clone();
        let mut member = self.system.actor(move || factory()).name(format!("{}/{nth}", self.name));
        if let Some(capacity) = self.capacity {
            member = member.mailbox(capacity);
        }
        if self.stops_unreferenced {
            member = member.stop_with_last_address();
        }
        member.spawn()
    }
}

impl<A: Actor, F> fmt::Debug for SpawnPool<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnPool")
            .field("name", &self.name)
            .field("size", &self.size)
            .field("routing", &self.routing)
            .finish_non_exhaustive()
    }
}
