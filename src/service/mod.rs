//! Services: actors that are found by name.
//!
//! Owns [`ServiceRef`], the choice of an instance, and the way of a received message to an actor of
//! this process. Does not start anything: the system does.

mod admitted;
mod broadcast;
mod carry;
mod course;
mod defined;
mod key;
mod local;
mod membership;
mod node;
mod reference;
mod route;
mod router;
mod sends;
mod serves;
mod telling;

pub use broadcast::{Broadcast, BroadcastError};
pub(crate) use defined::Defined;
pub(crate) use local::{LocalActor, LocalActorOf, LocalService, Table};
pub(crate) use membership::Registered;
pub(crate) use node::{Node, NodeParts};
pub use reference::ServiceRef;
pub use sends::{ServiceAsk, ServiceBroadcast, ServiceDelayedTell, ServiceTell};
pub use serves::{ServedBy, Serves};
