/// What a full mailbox does with the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The sender waits for its turn.
    #[default]
    Wait,
    /// The sender gets its message back.
    Reject,
    /// As many of the oldest messages are dropped as the next one needs. They are counted, and their
    /// askers, if any, are told.
    DropOldest,
}

/// How much a mailbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MailboxLimits {
    /// Messages, from 1.
    pub(crate) capacity: usize,
    /// Bytes, by [`Message::size_bytes`](crate::Message::size_bytes).
    pub(crate) bytes: usize,
    pub(crate) overflow: Overflow,
}
