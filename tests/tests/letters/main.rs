//! Dead letters, retained messages, delayed messages and the account of it all, through systems; over
//! the embedded store on a clock that the test moves, and over a real Redis.

mod accounting;
mod delayed;
mod faults;
#[path = "../bus/faulty.rs"]
#[allow(dead_code, reason = "not every fault is made here")]
mod faulty;
mod feeding;
mod listing;
#[cfg(feature = "redis")]
mod redis;
mod replaying;
mod retention;
mod support;
