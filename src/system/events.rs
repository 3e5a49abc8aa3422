use tokio::sync::broadcast::{self, error::RecvError};

use super::System;
use crate::bus::BusEvent;

/// How many events wait for a listener that takes its time.
pub(super) const WAITING_MAX: usize = 1024;

/// Something that happened in this process and that an operator should hear of. Each is logged too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemEvent {
    /// Of messages on their way: lost by the log, buried, taken over.
    Bus(BusEvent),
    /// So many events were dropped, because the listener had not taken them while 1024 others came.
    Missed(u64),
}

/// The events of a system, from when it was made; see [`System::events`].
#[derive(Debug)]
pub struct SystemEvents {
    receiver: broadcast::Receiver<SystemEvent>,
}

impl SystemEvents {
    /// Waits for the next event; none when the system is gone.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, no event is lost.
    pub async fn next(&mut self) -> Option<SystemEvent> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(SystemEvent::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl System {
    /// What happens in this process from now on that an operator should hear of, such as messages that
    /// were buried or lost. Any number of listeners may take it, each at its own pace; one that is 1024
    /// events behind is told how many it [missed](SystemEvent::Missed).
    ///
    /// # Examples
    /// ```
    /// use callboard::{SystemEvent, prelude::*};
    ///
    /// async fn watch(system: System) {
    ///     let mut events = system.events();
    ///     while let Some(event) = events.next().await {
    ///         if let SystemEvent::Bus(lost) = event {
    ///             eprintln!("tell whoever is on call: {lost:?}");
    ///         }
    ///     }
    /// }
    /// ```
    pub fn events(&self) -> SystemEvents {
        SystemEvents { receiver: self.0.events.subscribe() }
    }
}
