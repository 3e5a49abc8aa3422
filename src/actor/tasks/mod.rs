//! What an actor does beside its handlers: futures, streams and delayed messages of one incarnation.
//!
//! Owns the set of futures that live beside an actor ([`Tasks`]) and the way of their messages into
//! the actor's own mailbox ([`Delivery`]). The cell polls the set; a future has a waker of its own,
//! so that it may wait for room in the mailbox that its own actor works off.

mod delivery;
mod handle;
mod methods;
mod set;

pub(super) use delivery::Delivery;
pub use handle::TaskHandle;
pub(super) use set::Tasks;

#[cfg(test)]
mod tests;
