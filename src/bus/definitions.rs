use std::fmt;

use crate::{id::Name, log::Retain};

/// What the bus needs to know of how a service is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// How long what was handled is kept; not at all when `None`.
    pub retain: Option<Retain>,
    /// The most messages that may wait.
    pub backlog_max: u64,
}

/// How services are defined. The layer above has the directory, and answers from it.
///
/// # Contract
/// It answers from memory and must not block. It is asked whenever it matters, so that a service that
/// is defined anew is treated so from then on.
pub trait Definitions: Send + Sync + fmt::Debug + 'static {
    /// How a service is defined, if it is.
    fn definition(&self, service: &Name) -> Option<Definition>;

    /// The services that are known. Nothing while it can't be sure that what it knows is fresh: then
    /// nothing that is kept is dropped by it.
    fn services(&self) -> Option<Vec<Name>>;
}
