use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

/// What became of a message whose sending failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// No handler saw it, and none will: it is safe to send again.
    NotDelivered,
    /// A handler may have seen it, or may still see it.
    Unknown,
    /// A handler took it.
    Handled,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDelivered => "the message was not delivered",
            Self::Unknown => "whether the message was handled is unknown",
            Self::Handled => "the message was handled",
        })
    }
}

/// Why a message could not be sent, or why no answer came.
///
/// One word wide; cloning it is cheap.
#[derive(Clone)]
pub struct Failure(Arc<Inner>);

struct Inner {
    kind: FailureKind,
    delivery: Delivery,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// A failure of this kind, with the delivery that the kind implies.
    pub fn new(kind: FailureKind) -> Self {
        let delivery = kind.delivery();
        Self::with_delivery(kind, delivery)
    }

    /// A failure of this kind where more is known of the delivery than the kind says.
    pub fn with_delivery(kind: FailureKind, delivery: Delivery) -> Self {
        Self(Arc::new(Inner { kind, delivery, source: None }))
    }

    /// Adds the foreign cause.
    #[must_use]
    pub fn caused_by(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Arc::new(Inner {
            kind: self.0.kind.clone(),
            delivery: self.0.delivery,
            source: Some(Arc::from(source.into())),
        }))
    }

    /// What happened.
    pub fn kind(&self) -> &FailureKind {
        &self.0.kind
    }

    /// Whether a handler saw the message.
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }
}

impl From<FailureKind> for Failure {
    fn from(kind: FailureKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.kind)?;
        match self.0.delivery {
            Delivery::NotDelivered => Ok(()),
            delivery => write!(f, " ({delivery})"),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("kind", &self.0.kind)
            .field("delivery", &self.0.delivery)
            .finish()
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// The kinds of [`Failure`]. More may come: match with a wildcard arm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// The mailbox had no room.
    #[error("the mailbox of {actor} is full; {}", retry_hint(.retry_after))]
    MailboxFull {
        /// The actor's name.
        actor: String,
        /// When a retry is likely to succeed, if that is known.
        retry_after: Option<Duration>,
    },
    /// The circuit breaker of the callee is open.
    #[error("the circuit of {callee} is open; {}", retry_hint(.until))]
    CircuitOpen {
        /// The service or actor.
        callee: String,
        /// Time to the next probe, if that is known.
        until: Option<Duration>,
    },
    /// No instance of the service is registered.
    #[error(
        "no instance of the service {service} is registered; start one with `system.serve({service:?}, ..)`"
    )]
    NoSuchService {
        /// The name that was asked for.
        service: String,
    },
    /// The service has instances, but none that takes calls.
    #[error(
        "no instance of the service {service} takes calls: {states}; end the maintenance, or see why \
         their checks fail"
    )]
    NotReady {
        /// The name that was asked for.
        service: String,
        /// How many instances there are in which state.
        states: String,
    },
    /// A policy forbids it.
    #[error("not permitted: {reason}")]
    NotPermitted {
        /// The rule that refused.
        reason: String,
    },
    /// The actor has stopped, or is about to.
    #[error("{actor} has stopped and takes no more messages")]
    Stopped {
        /// The actor's name.
        actor: String,
    },
    /// The instance has left its service. An ask to the service goes on to another instance by
    /// itself; it ends with this when there is none.
    #[error("{actor} has left its service, and no other instance took the message")]
    Moved {
        /// The actor's name.
        actor: String,
    },
    /// The actor's `started` hook failed.
    #[error("{actor} could not start: {reason}")]
    StartFailed {
        /// The actor's name.
        actor: String,
        /// What the hook said.
        reason: String,
    },
    /// The handler panicked.
    #[error("the handler panicked; the log has the message of the panic")]
    Panicked,
    /// The handler dropped its [`Reply`](crate::Reply) without an answer.
    #[error("the handler dropped the reply without answering")]
    Unanswered,
    /// The ask would wait on itself.
    #[error("the ask would never end, each waits on the next: {}", .path.join(" -> "))]
    Cycle {
        /// The names of the actors on the cycle, first and last the same.
        path: Vec<String>,
    },
    /// The deadline passed before the answer came.
    #[error("no answer within {after:?}")]
    DeadlinePassed {
        /// The time that the caller gave.
        after: Duration,
    },
    /// A rate limit refused it.
    #[error("over the rate limit; {}", retry_hint(.retry_after))]
    RateLimited {
        /// When a retry will be let in, if that is known.
        retry_after: Option<Duration>,
    },
    /// The bytes of a message or reply could not be read.
    #[error("{message} version {version} can't be decoded: {reason}")]
    Undecodable {
        /// Wire name of the message.
        message: String,
        /// The version that was sent.
        version: u32,
        /// What is wrong.
        reason: String,
    },
    /// The target knows the message, but not this version of it.
    #[error("{target} does not know version {version} of {message}, it knows {known}")]
    VersionUnknown {
        /// The actor or service.
        target: String,
        /// Wire name of the message.
        message: String,
        /// The version that was sent.
        version: u32,
        /// The versions that it knows.
        known: String,
    },
    /// The directory, the log or the other node can't be reached.
    #[error("{what} is unavailable")]
    Unavailable {
        /// What could not be reached.
        what: String,
    },
    /// The message is larger than may be sent.
    #[error("the message has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The target does not handle this message, or not from another process.
    #[error("{target} does not handle {message} {how}")]
    NotHandled {
        /// The actor or service.
        target: String,
        /// Wire name of the message.
        message: String,
        /// From where it was sent, or what to do.
        how: String,
    },
    /// The target cannot honour an option of the send.
    #[error("{option} has no meaning for {target}; leave it out or send to a service")]
    Unsupported {
        /// The option, as it is written in code.
        option: String,
        /// The target.
        target: String,
    },
    /// The target routes by key, and the send has none.
    #[error("{target} routes by key; add `.key(..)` to the send")]
    KeyMissing {
        /// The target.
        target: String,
    },
}

impl FailureKind {
    /// What this kind implies where nothing more is known.
    fn delivery(&self) -> Delivery {
        match self {
            Self::Panicked | Self::Unanswered => Delivery::Handled,
            Self::DeadlinePassed { .. } | Self::Unavailable { .. } => Delivery::Unknown,
            _ => Delivery::NotDelivered,
        }
    }
}

fn retry_hint(after: &Option<Duration>) -> String {
    match after {
        Some(after) => format!("retry in {after:?}"),
        None => "retry later".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_word() {
        assert_eq!(size_of::<Failure>(), size_of::<usize>());
    }

    #[test]
    fn the_text_says_when_the_outcome_is_unknown() {
        let failure = Failure::new(FailureKind::DeadlinePassed { after: Duration::from_secs(1) });
        assert_eq!(
            failure.to_string(),
            "no answer within 1s (whether the message was handled is unknown)"
        );
    }
}
