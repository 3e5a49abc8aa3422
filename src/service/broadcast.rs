use std::fmt;

use crate::{
    directory::InstanceName,
    error::{Error, Failure},
    id::Name,
};

/// What became of a broadcast at one instance.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// The instance.
    pub instance: InstanceName,
    /// Its node.
    pub node: Name,
    /// Stored in its inbox, or why not.
    pub outcome: Result<(), Failure>,
}

/// A broadcast that reached the inbox of every instance.
#[derive(Debug, Clone)]
pub struct Broadcast(Vec<Delivered>);

impl Broadcast {
    pub(super) fn of(delivered: Vec<Delivered>) -> Result<Self, BroadcastError> {
        if delivered.iter().any(|one| one.outcome.is_err()) {
            return Err(BroadcastError(Why::Some(delivered)));
        }
        Ok(Self(delivered))
    }

    /// The instances that were told.
    pub fn delivered(&self) -> &[Delivered] {
        &self.0
    }
}

/// A broadcast that did not reach every instance.
#[derive(Debug, Clone)]
pub struct BroadcastError(Why);

#[derive(Debug, Clone)]
enum Why {
    /// It was sent to nobody.
    All(Failure),
    /// These are the outcomes.
    Some(Vec<Delivered>),
}

impl BroadcastError {
    /// Each instance with its outcome; empty when the message was sent to nobody.
    pub fn delivered(&self) -> &[Delivered] {
        match &self.0 {
            Why::All(_) => &[],
            Why::Some(delivered) => delivered,
        }
    }

    /// The first failure.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.0 {
            Why::All(failure) => Some(failure),
            Why::Some(delivered) => delivered.iter().find_map(|one| one.outcome.as_ref().err()),
        }
    }
}

impl From<Failure> for BroadcastError {
    fn from(failure: Failure) -> Self {
        Self(Why::All(failure))
    }
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::All(failure) => write!(f, "nobody was told: {failure}"),
            Why::Some(delivered) => {
                let failed = delivered.iter().filter(|one| one.outcome.is_err()).count();
                write!(f, "{failed} of {} instances were not told", delivered.len())?;
                match self.failure() {
                    Some(failure) => write!(f, ", the first because {failure}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for BroadcastError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.failure().map(|failure| failure as &(dyn std::error::Error + 'static))
    }
}

impl From<BroadcastError> for Error {
    fn from(error: BroadcastError) -> Self {
        Self::Other(Box::new(error))
    }
}
