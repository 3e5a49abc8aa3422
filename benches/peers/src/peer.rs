//! What every peer does its own way.

use std::sync::Arc;

use crate::shared::{Result, seen::Seen};

/// A way between two processes.
pub trait Peer {
    /// What the process that calls holds.
    type Caller: Caller;
    /// What the process that is called holds.
    type Callee;

    /// Starts the actor that is called on so many threads, and says where it is to be found.
    ///
    /// # Errors
    /// When it can't be started.
    fn serve(
        threads: usize,
        seen: Arc<Seen>,
    ) -> impl Future<Output = Result<(Self::Callee, String)>>;

    /// Finds the actor, on so many threads.
    ///
    /// # Errors
    /// When it does not appear in time.
    fn connect(threads: usize, address: &str) -> impl Future<Output = Result<Self::Caller>>;
}

/// The actor in the other process, as the caller has it.
pub trait Caller {
    /// Tells that are awaited at a time; of a tell that is never awaited, 1.
    const OUTSTANDING: usize;

    /// Tells it a text.
    ///
    /// # Errors
    /// Those that the peer tells of.
    fn tell(&self) -> impl Future<Output = Result<()>>;

    /// Asks it for the length of a text.
    ///
    /// # Errors
    /// Those that the peer tells of; a peer that can't ask says so.
    fn ask(&self) -> impl Future<Output = Result<u64>>;
}
