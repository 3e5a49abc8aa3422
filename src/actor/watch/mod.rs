//! Actors that hear of the end of others.
//!
//! Owns what an actor keeps for those who watch it or are linked to it ([`Ties`]), and the notices
//! of those that it watches ([`Notices`]) on their way into its mailbox. Hears of ends for good
//! only: a restart is not one. An actor in another process can't be watched yet.

mod methods;
mod notices;
mod terminated;
mod ties;

pub(super) use notices::Watching;
pub use terminated::Terminated;
pub(super) use ties::Ties;

#[cfg(all(test, feature = "macros"))]
mod tests;
