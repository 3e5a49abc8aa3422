//! What most files of a program need: `use callboard::prelude::*;`.
//!
//! Never `Result`, `Error` or `Ok`: a file keeps those of the standard library. `Serialize` and
//! `Deserialize` are serde's; their derives need `serde` among your own dependencies.

pub use std::time::Duration;

pub use serde::{Deserialize, Serialize};

pub use crate::{
    Addr, AskError, BoxError, Ctx, Delivery, Failure, FailureKind, HandledBy, Handler, Handlers,
    LocalTopic, Pool, Recipient, Reply, Routing, Serves, ServiceRef, StopReason, System, Target,
    TaskHandle, TellError, Terminated, WeakAddr, Wire,
};
// Traits and derives share their names.
pub use crate::{Actor, Message};
#[cfg(feature = "macros")]
pub use callboard_macros::{every, handle, handlers, started, stopped, subscribe};
