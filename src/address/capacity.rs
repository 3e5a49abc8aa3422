//! Mailbox limits that change while the actor runs.

use super::{
    Addr,
    addr::{Place, elsewhere},
};
use crate::{
    actor::{BYTES_BOUNDS, CAPACITY_MAX, Handlers, Shared},
    error::{Failure, FailureKind},
};

impl<A: Handlers> Addr<A> {
    /// Changes how many messages the actor's mailbox holds: 1 to 2^20.
    ///
    /// It takes effect at once, also while a handler awaits. More room lets senders in who wait for
    /// it. A capacity below what waits already loses nothing: nothing more is accepted until less
    /// waits than that. A mailbox that drops its oldest messages drops as many as the next message
    /// needs.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// #[derive(Message)]
    /// struct Line(String);
    ///
    /// #[derive(Actor)]
    /// #[actor(mailbox(capacity = 16))]
    /// struct Printer;
    /// #[handlers]
    /// impl Printer {
    ///     #[handle]
    ///     fn print(&mut self, _: Line) {}
    /// }
    ///
    /// #[callboard::main]
    /// async fn main() -> callboard::Result<()> {
    ///     let system = System::start().await?;
    ///     let printer = system.spawn(|| Printer)?;
    ///     printer.set_capacity(1000)?;
    ///     for _ in 0..1000 {
    ///         printer.try_tell(Line("there is room".into()))?;
    ///     }
    ///     assert!(printer.set_capacity(0).is_err());
    ///     system.shutdown().await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`FailureKind::NotPermitted`] names the bounds when it is outside them,
    /// [`FailureKind::Stopped`] when the actor has ended, [`FailureKind::Unsupported`] for an actor
    /// in another process. The capacity stays as it was.
    pub fn set_capacity(&self, messages: usize) -> Result<(), Failure> {
        let shared = self.resizable("set_capacity")?;
        within("messages", messages, (1, CAPACITY_MAX))?;
        shared.mailbox.set_capacity(messages);
        Ok(())
    }

    /// Changes how many bytes of messages the actor's mailbox holds, by
    /// [`Message::size_bytes`](crate::Message::size_bytes): 1 KiB to 1 GiB.
    ///
    /// As [`set_capacity`](Self::set_capacity). A sender that waits with a message that alone is
    /// larger than the new limit gets it back with [`FailureKind::TooLarge`].
    ///
    /// # Errors
    /// As [`set_capacity`](Self::set_capacity).
    pub fn set_capacity_bytes(&self, bytes: usize) -> Result<(), Failure> {
        let shared = self.resizable("set_capacity_bytes")?;
        within("bytes", bytes, BYTES_BOUNDS)?;
        shared.mailbox.set_bytes(bytes);
        Ok(())
    }

    fn resizable(&self, option: &str) -> Result<&Shared<A::Inbox>, Failure> {
        match &self.place {
            Place::Here(shared) if shared.mailbox.is_closed() => Err(shared.stopped_failure()),
            Place::Here(shared) => Ok(shared),
            Place::Elsewhere(_) => Err(elsewhere(option, &self.name())),
        }
    }
}

fn within(unit: &str, value: usize, (least, most): (usize, usize)) -> Result<(), Failure> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let reason = format!("a mailbox holds {least} to {most} {unit}, not {value}");
    Err(FailureKind::NotPermitted { reason }.into())
}
