use std::{marker::PhantomData, sync::Arc};

use super::{
    Actor, ActorOptions, Core, Shared,
    cell::{Newcomer, Prologue},
    incarnation::incarnation,
    references::References,
};
use crate::{
    address::Addr,
    host::{Arriving, GroupKey, HostShared, Tenant},
};

/// How an actor is spawned, besides its factory.
pub(crate) struct SpawnOptions<A: Actor> {
    pub(crate) name: Option<Box<str>>,
    pub(crate) options: Settings<A>,
    pub(crate) prologue: Option<Prologue<A>>,
    /// Whether it stops with its last address.
    pub(crate) stops_unreferenced: bool,
}

/// The settings of one actor: those of its type, unless it has some of its own.
#[derive(Debug)]
pub(crate) struct Settings<A> {
    own: Option<Arc<ActorOptions>>,
    of_type: PhantomData<fn() -> A>,
}

impl<A: Actor> Settings<A> {
    fn of_type() -> Self {
        Self { own: None, of_type: PhantomData }
    }

    pub(crate) fn get(&self) -> &ActorOptions {
        self.own.as_deref().unwrap_or(const { &A::OPTIONS })
    }

    /// Makes them differ from those of the type.
    pub(crate) fn adjust(&mut self, change: impl FnOnce(ActorOptions) -> ActorOptions) {
        self.own = Some(Arc::new(change(*self.get())));
    }
}

impl<A: Actor> SpawnOptions<A> {
    pub(crate) fn new() -> Self {
        Self { name: None, options: Settings::of_type(), prologue: None, stops_unreferenced: false }
    }
}

/// Spawns an actor on a host. The factory runs there, so that an actor may hold what is not `Send`.
///
/// On a host that is closed the actor ends before it begins, and its address says so.
pub(crate) fn spawn_on<A, F>(host: &Arc<HostShared>, factory: F, spawn: SpawnOptions<A>) -> Addr<A>
where
    A: Actor,
    F: Fn() -> A + Send + 'static,
{
    let SpawnOptions { name, options, prologue, stops_unreferenced } = spawn;
    let references = References::new(stops_unreferenced);
    let shared = Shared::new::<A>(name, host.clone(), options.get(), references);
    // Before the actor can make and drop addresses of its own.
    let addr = Addr::from_shared(shared.clone());
    let group = share(options.get(), &shared.core);
    let newcomer = Newcomer::new(shared.clone(), factory, options, prologue);
    let is_hosted = host.bring(move |slot| {
        let shared = newcomer.shared().clone();
        shared.core.settle_in(slot);
        shared.host().move_in(slot, shared.clone());
        let tenant =
            Tenant { resident: shared, life: Some(Box::pin(newcomer.settle(incarnation::<A>))) };
        Arriving { tenant, group }
    });
    if !is_hosted {
        tracing::debug!(actor = shared.name(), "its host is closed: it ends before it begins");
    }
    addr
}

/// With whom its CPU time is counted: actors of one type that states a weight have a share together.
fn share(options: &ActorOptions, core: &Core) -> Option<GroupKey> {
    let cpu = options.cpu?;
    Some(GroupKey { name: core.type_name().into(), weight: cpu.weight })
}
