use std::sync::Arc;

use super::{
    Actor, ActorOptions, Shared,
    cell::{self, Life, Prologue},
    references::References,
};
use crate::{
    address::Addr,
    host::{HostShared, Tenant},
};

/// How an actor is spawned, besides its factory.
pub(crate) struct SpawnOptions<A: Actor> {
    pub(crate) name: Option<Box<str>>,
    pub(crate) options: ActorOptions,
    pub(crate) prologue: Option<Prologue<A>>,
    /// Whether it stops with its last address.
    pub(crate) stops_unreferenced: bool,
}

impl<A: Actor> SpawnOptions<A> {
    pub(crate) fn new() -> Self {
        Self { name: None, options: A::OPTIONS, prologue: None, stops_unreferenced: false }
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
    let shared = Shared::new(A::NAME, name, host.clone(), options.limits(), references);
    // Before the actor can make and drop addresses of its own.
    let addr = Addr::from_shared(shared.clone());
    let tenant = shared.clone();
    let life = Life::new(shared.clone());
    let is_hosted = host.bring(move |slot| {
        tenant.settle_in(slot);
        Tenant {
            waker: tenant.clone().into(),
            resident: tenant,
            future: Box::pin(cell::run::<A, F>(life, factory, options, prologue)),
        }
    });
    if !is_hosted {
        tracing::debug!(actor = shared.name(), "its host is closed: it ends before it begins");
    }
    addr
}
