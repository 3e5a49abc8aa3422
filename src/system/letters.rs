use std::sync::Arc;

use super::System;
use crate::{
    bus::{BusError, Destination, StreamAccount},
    error::{Error, Result},
    id::{Incarnation, Name},
    letters::{DeadLetters, Retained},
};

impl System {
    /// The dead letters of a service: what none of its instances could handle, with the reasons. Whether
    /// there is such a service does not matter here.
    ///
    /// # Errors
    /// [`Error::Name`] when the name breaks the rules.
    ///
    /// # Examples
    /// ```
    /// # use callboard::prelude::*;
    /// use callboard::letters::Selection;
    ///
    /// # async fn f(system: System) -> callboard::Result<()> {
    /// let letters = system.dead_letters("orders")?;
    /// for letter in letters.list(Selection::all(), 100).await?.letters {
    ///     println!("{} {:?}: {}", letter.id, letter.message, letter.reason);
    /// }
    /// let report = letters.replay(Selection::all().message("Charge")).rate(500).await?;
    /// println!("{} of {}", report.replayed, report.total);
    /// # Ok(())
    /// # }
    /// ```
    pub fn dead_letters(&self, service: impl AsRef<str>) -> Result<DeadLetters> {
        let service = Name::new(service.as_ref())?;
        let core = Arc::clone(self.bus().core());
        Ok(DeadLetters::of_service(core, &service, self.0.node.context()))
    }

    /// The dead letters of the inboxes of all processes: tells to addresses, and events for single
    /// instances.
    pub fn dead_letters_of_nodes(&self) -> DeadLetters {
        DeadLetters::of_nodes(Arc::clone(self.bus().core()), self.0.node.context())
    }

    /// What a service has handled and keeps; see [`Serve::retain`](crate::Serve::retain).
    ///
    /// # Errors
    /// [`Error::Name`] when the name breaks the rules.
    pub fn retained(&self, service: impl AsRef<str>) -> Result<Retained> {
        let service = Name::new(service.as_ref())?;
        let core = Arc::clone(self.bus().core());
        Ok(Retained::new(core, &service, self.0.node.context()))
    }

    /// What became of the messages that were ever told to a service. All zero when there were none.
    ///
    /// # Errors
    /// [`Error::Name`] when the name breaks the rules, [`Error::Log`] when the log does not answer for
    /// 10 s, [`Error::ShutDown`].
    ///
    /// # Cancel safety
    /// It only reads.
    ///
    /// # Examples
    /// ```
    /// # use callboard::prelude::*;
    /// # async fn f(system: System) -> callboard::Result<()> {
    /// let account = system.accounting("orders").await?;
    /// println!("{} wait, {} are dead", account.accounting.held, account.dead_letters);
    /// account.check().expect("it adds up at every moment");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn accounting(&self, service: impl AsRef<str>) -> Result<StreamAccount> {
        let service = Name::new(service.as_ref())?;
        let account = self.bus().account(&Destination::Service(service, 0)).await;
        account.map_err(of_bus)
    }

    /// What became of the messages that were sent to a process: asks to its instances, and messages to its
    /// addresses. All zero when its inbox is gone.
    ///
    /// # Errors
    /// As [`accounting`](Self::accounting).
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn accounting_of_inbox(&self, process: Incarnation) -> Result<StreamAccount> {
        self.bus().account(&Destination::Inbox(process)).await.map_err(of_bus)
    }

    /// The accounts of all services and inboxes of the cluster, in the order of the names of their
    /// streams. Each is exact, but they are taken one after the other.
    ///
    /// # Errors
    /// As [`accounting`](Self::accounting).
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn accounting_of_all(&self) -> Result<Vec<StreamAccount>> {
        self.bus().accounts().await.map_err(of_bus)
    }
}

fn of_bus(error: BusError) -> Error {
    match error {
        BusError::Stopped => Error::ShutDown,
        error => Error::Log(error.into()),
    }
}
