//! The log suite: the embedded log passes it, each case fails on a log with its fault, and a model
//! of producers and consumers finds nothing to object to.

mod broken;
mod fault;
mod faults;
mod model;
#[cfg(feature = "redis")]
mod redis;
mod suite;
mod threads;
#[cfg(feature = "redis")]
mod torn;
