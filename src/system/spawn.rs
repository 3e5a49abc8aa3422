use std::{fmt, sync::Arc};

use parking_lot::Mutex;

use super::System;
use crate::{
    actor::{Actor, Handlers, RestartWhen, SpawnOptions, spawn_on},
    address::Addr,
    error::{Error, Result},
    host::HostShared,
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
        Spawn { system: self.clone(), factory, options: SpawnOptions::new(), beside: None }
    }

    /// Spawns an actor on the thread of another one, so that what they tell each other crosses no
    /// threads.
    ///
    /// # Errors
    /// As for [`Spawn::spawn`].
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// #[derive(Actor, Default)]
    /// struct Half;
    /// #[handlers]
    /// impl Half {}
    ///
    /// #[callboard::main]
    /// async fn main(system: System) -> callboard::Result<()> {
    ///     let one = system.spawn(Half::default)?;
    ///     let other = system.spawn_beside(&one, Half::default)?;
    ///     other.started().await?;
    ///     Ok(())
    /// }
    /// ```
    pub fn spawn_beside<A, F, B>(&self, other: &Addr<B>, factory: F) -> Result<Addr<A>>
    where
        A: Actor,
        F: Fn() -> A + Send + Sync + 'static,
        B: Handlers,
    {
        self.actor(factory).beside(other).spawn()
    }

    /// Spawns an actor that is there already. Without a factory it is never built again: a failure
    /// ends it, whatever its restart settings say.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown).
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// #[derive(Message)]
    /// #[message(reply = usize)]
    /// struct Length;
    ///
    /// #[derive(Actor)]
    /// struct Text(String);
    /// #[handlers]
    /// impl Text {
    ///     #[handle]
    ///     fn length(&mut self, _: Length) -> usize { self.0.len() }
    /// }
    ///
    /// #[callboard::main]
    /// async fn main(system: System) -> callboard::Result<()> {
    ///     let text = system.spawn_once(Text("read from somewhere".to_owned()))?;
    ///     assert_eq!(text.ask(Length).await?, 19);
    ///     Ok(())
    /// }
    /// ```
    pub fn spawn_once<A: Actor + Send>(&self, actor: A) -> Result<Addr<A>> {
        self.actor_once(actor).spawn()
    }

    /// Prepares an actor that is there already; see [`spawn_once`](Self::spawn_once).
    pub fn actor_once<A: Actor + Send>(
        &self,
        actor: A,
    ) -> Spawn<A, impl Fn() -> A + Send + Sync + 'static> {
        let actor = Mutex::new(Some(actor));
        let factory = move || {
            // The guard is gone before a panic could be.
            let actor = actor.lock().take();
            actor.expect("an actor without restarts is built once")
        };
        let mut spawn = self.actor(factory);
        spawn.options.options.adjust(|options| options.restart_when(RestartWhen::Never));
        spawn
    }

    /// Says once per type which of its settings have no effect yet.
    pub(super) fn report_settings<A: Actor>(&self) {
        let cap = A::OPTIONS.cpu.is_some_and(|cpu| cpu.cap.is_some());
        let (cpu, breaker) = (cap, A::OPTIONS.breaker.is_some());
        if (cpu || breaker) && self.0.reported.lock().insert(A::NAME) {
            let settings = match (cpu, breaker) {
                (true, true) => "`cpu(cap)` and `breaker(..)` are",
                (true, false) => "`cpu(cap)` is",
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
    /// Whose neighbour it is to be: a host, or the name of an actor that lives elsewhere.
    beside: Option<Result<Arc<HostShared>, String>>,
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

    /// Puts it on the thread of another actor of the same system.
    pub fn beside<B: Handlers>(mut self, other: &Addr<B>) -> Self {
        let host = other.shared().map(|shared| shared.host().clone());
        self.beside = Some(host.ok_or_else(|| other.name()));
        self
    }

    /// How many messages its mailbox holds, instead of what its type says: 1 to 2^20; what is
    /// outside is brought to the bound.
    pub fn mailbox(mut self, capacity: usize) -> Self {
        self.options.options.adjust(|options| options.mailbox_capacity(capacity));
        self
    }

    /// Has it stop by itself, with [`StopReason::Unreferenced`](crate::StopReason::Unreferenced),
    /// when the last of its addresses is dropped: it works off what it had accepted, then it ends.
    ///
    /// An [`Addr`], a [`Recipient`](crate::Recipient) made of it, a place in a
    /// [`Pool`](crate::Pool) and a subscription count, wherever they are held, also by the actor
    /// itself; a [`WeakAddr`](crate::WeakAddr), what [`Ctx::stream`](crate::Ctx::stream) and
    /// [`Ctx::delay`](crate::Ctx::delay) run, a watch and a link do not. An actor with a
    /// `#[subscribe]` handler is referred to by its topic, and goes on.
    pub fn stop_with_last_address(mut self) -> Self {
        self.options.stops_unreferenced = true;
        self
    }

    /// Spawns it.
    ///
    /// # Errors
    /// [`Error::ShutDown`](crate::Error::ShutDown), and [`Error::Setting`](crate::Error::Setting)
    /// when the actor that it is to live beside is not one of this system.
    pub fn spawn(mut self) -> Result<Addr<A>> {
        self.system.check_is_up()?;
        self.system.report_settings::<A>();
        self.options.prologue = self.system.0.node.subscriptions_of_one::<A>();
        let host = self.host()?;
        Ok(spawn_on(&host, self.factory, self.options))
    }

    fn host(&self) -> Result<Arc<HostShared>> {
        let runtime = &self.system.0.runtime;
        let elsewhere = |what: &str| Error::Setting {
            setting: "beside".to_owned(),
            reason: format!("{what}; give an actor of the system that spawns"),
        };
        match &self.beside {
            None => Ok(runtime.next_host().clone()),
            Some(Err(name)) => Err(elsewhere(&format!("{name} lives in another process"))),
            Some(Ok(host)) if runtime.hosts().iter().any(|own| Arc::ptr_eq(own, host)) => {
                Ok(host.clone())
            }
            Some(Ok(_)) => Err(elsewhere("the other actor lives in another system")),
        }
    }
}

impl<A: Actor, F> fmt::Debug for Spawn<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawn").finish_non_exhaustive()
    }
}
