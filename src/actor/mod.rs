//! Actors: what a user writes, and the cell in which it runs.
//!
//! Owns the traits that the macros implement, the options of an actor, its context and its life
//! from `started` to `stopped`, restarts included. Knows nothing of services, nor of the cluster
//! but the end of a received message.

mod beside;
mod boxed;
mod cell;
mod control;
mod core;
mod ctx;
mod histogram;
mod incarnation;
mod older;
mod options;
mod packed;
mod ping;
mod references;
mod reply;
mod returns;
mod shared;
mod spawn;
mod state;
mod table;
mod tasks;
mod ticks;
mod traits;
mod waits;
mod watch;
mod wire;

pub(crate) use self::core::{Activity, Core, Look};
pub use boxed::BoxedEnvelope;
pub(crate) use boxed::{EncodesOutcomes, RemoteSide};
pub(crate) use cell::Prologue;
pub use ctx::Ctx;
pub(crate) use histogram::Histogram;
pub use options::{ActorOptions, RestartWhen};
pub(crate) use options::{BYTES_BOUNDS, CAPACITY_MAX, DRAIN_DEFAULT};
pub use packed::{Pack, Packed, Packing, is_large};
pub(crate) use ping::ping;
pub use reply::{Reply, Replying};
pub use returns::{
    EventReply, OutcomeOf, Started, assert_wire_name_is_free, event_name, returned,
    returned_future, started,
};
pub(crate) use shared::Shared;
pub(crate) use spawn::{Settings, SpawnOptions, spawn_on};
pub use state::{ActorState, StopReason};
pub use table::{Access, HandlerRow, TopicRow};
pub use tasks::TaskHandle;
pub use traits::{Actor, HandledBy, Handler, Handlers, Tick};
pub(crate) use waits::Waits;
pub use watch::Terminated;
pub use wire::{EncodeOutcome, Probe, ViaLocal, ViaWire, WireFns, WireFor};

#[cfg(all(test, feature = "macros"))]
mod generated_tests;
#[cfg(test)]
mod tests;
