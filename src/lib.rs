//! Services as actors.
#![forbid(unsafe_code)]
#![warn(clippy::print_stdout)]

// Lets the macros' output name the crate as `::callboard` in its own examples and tests.
extern crate self as callboard;

mod actor;
mod address;
pub mod bus;
pub mod directory;
mod error;
pub mod health;
mod host;
mod id;
pub mod inspect;
pub mod kv;
pub mod letters;
pub mod log;
mod mailbox;
pub mod message;
mod pool;
pub mod prelude;
mod service;
mod supervision;
mod sync;
mod system;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod topic;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

#[cfg(all(feature = "macros", feature = "testing"))]
pub use callboard_macros::test;
#[cfg(feature = "macros")]
pub use callboard_macros::{
    Actor, Message, every, handle, handlers, main, protocol, started, stopped, subscribe,
};

pub use actor::{
    Actor, ActorOptions, ActorState, Ctx, HandledBy, Handler, Handlers, Reply, RestartWhen,
    StopReason, TaskHandle, Terminated,
};
pub use address::{
    Addr, Ask, DELAY_MAX, DelayedId, DelayedIdError, Recipient, RecipientAsk, RecipientDelayedTell,
    RecipientTell, SendOptions, Target, TargetAsk, TargetDelayed, TargetTell, Tell, WeakAddr,
};
pub use bus::codec::{Codec, CodecError};
pub use directory::{Config, ConfigError, ConfigEvent, Configuration};
pub use error::{AskError, BoxError, Delivery, Error, Failure, FailureKind, Result, TellError};
pub use id::{ActorId, Incarnation, IncarnationError, NAME_BYTES_MAX, Name, NameError};
pub use mailbox::Overflow;
pub use message::{Message, Wire};
pub use pool::{Pool, PoolAsk, PoolTell, Routing};
pub use service::{
    Broadcast, BroadcastError, ServedBy, Serves, ServiceAsk, ServiceBroadcast, ServiceDelayedTell,
    ServiceRef, ServiceTell,
};
pub use system::{
    ActixService, Embedded, Serve, Service, Spawn, SpawnPool, System, SystemBuilder, SystemEvent,
    SystemEvents,
};
pub use time::{DurationError, parse_duration};
pub use topic::{LocalTopic, Published, Subscription};
