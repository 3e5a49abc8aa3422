use std::{any::Any, fmt, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error::{Failure, FailureKind};

/// How the handling of a message from another process ended.
#[derive(Debug)]
pub enum Conclusion {
    /// A handler ran to its end.
    Handled {
        /// The encoded outcome, when the sender waits for one.
        reply: Option<Bytes>,
        /// The message declares this outcome as a failure: a tell is tried again.
        failure: bool,
    },
    /// The handler panicked.
    Panicked,
    /// The handler dropped its reply, or was dropped itself before it ended (a stop whose time was
    /// over). Nobody can say how far it came.
    Abandoned,
    /// It was skipped because its sender took it back.
    Cancelled,
    /// No handler saw it, for this reason.
    NotTaken(Failure),
}

/// The side of the bus that waits for the end of a received message.
///
/// One sink stands for one received frame; `index` is the message's place in it.
pub trait DeliverySink: Send + Sync + 'static {
    /// Called exactly once for each message, from any thread; it must not block.
    fn conclude(&self, index: u32, conclusion: Conclusion);
    /// Concludes so many messages from this one on as handled, without replies and without failures.
    fn conclude_handled(&self, first: u32, count: u32) {
        for index in first..first.saturating_add(count) {
            self.conclude(index, Conclusion::Handled { reply: None, failure: false });
        }
    }
    /// Whether the sender took the message back. Cheap: it is asked before each handling.
    fn is_cancelled(&self, index: u32) -> bool;
    /// Whether the sender waits for the outcome.
    fn wants_reply(&self, index: u32) -> bool;
    /// What the message says; nothing past the frame's end.
    fn content(&self, index: u32) -> Option<Content<'_>>;
    /// When the message is worthless.
    fn deadline(&self, index: u32) -> Option<Instant>;
}

/// What a received message says, as it lies in its frame.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// How the body is encoded: the number of a codec, as it stands in the frame.
    pub codec: u8,
    /// The body.
    pub body: &'a [u8],
}

/// A received frame, as all that was given out of it shares it: one word instead of two.
pub struct RemoteFrame(Arc<dyn DeliverySink>);

impl RemoteFrame {
    /// The frame that `sink` stands for.
    pub fn new(sink: Arc<dyn DeliverySink>) -> Arc<Self> {
        Arc::new(Self(sink))
    }
}

impl fmt::Debug for RemoteFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteFrame")
    }
}

/// A received message's way back. Concluded exactly once: at the latest when it is dropped, as
/// [`Conclusion::NotTaken`] before a handler began, as [`Conclusion::Abandoned`] after that (or
/// [`Conclusion::Panicked`] during a panic).
///
/// It lies in mailboxes in place of the message, which is decoded where it is handled: two words.
pub struct RemoteDelivery {
    frame: Option<Arc<RemoteFrame>>,
    index: u32,
    row: u16,
    begun: bool,
}

/// Where whoever has no room for a message leaves the room that it grants to it later. It goes with
/// the message: whatever becomes of that, the room is used or given back.
pub(crate) type Place = Arc<Mutex<Option<Box<dyn Any + Send>>>>;

impl RemoteDelivery {
    /// The way back of message `index` of a frame.
    pub fn new(frame: Arc<RemoteFrame>, index: u32) -> Self {
        Self { frame: Some(frame), index, row: 0, begun: false }
    }

    fn sink(&self) -> Option<&dyn DeliverySink> {
        self.frame.as_ref().map(|frame| &*frame.0)
    }

    /// What the message says.
    pub fn content(&self) -> Option<Content<'_>> {
        self.sink()?.content(self.index)
    }

    /// When the message is worthless.
    pub fn deadline(&self) -> Option<Instant> {
        self.sink()?.deadline(self.index)
    }

    /// Which handler of its actor takes it, by the place in the table of handlers.
    pub(crate) fn row(&self) -> u16 {
        self.row
    }

    pub(crate) fn set_row(&mut self, row: u16) {
        self.row = row;
    }

    /// Notes that a handler begins: from here on nobody can say that the message was not handled.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// Says how it ended.
    pub fn conclude(mut self, conclusion: Conclusion) {
        if let Some(frame) = self.frame.take() {
            frame.0.conclude(self.index, conclusion);
        }
    }

    /// Whether the sender took the message back.
    pub fn is_cancelled(&self) -> bool {
        self.sink().is_some_and(|sink| sink.is_cancelled(self.index))
    }

    /// Whether the sender waits for the outcome.
    pub fn wants_reply(&self) -> bool {
        self.sink().is_some_and(|sink| sink.wants_reply(self.index))
    }
}

/// Messages of one frame that were handled one after the other, to be concluded together: at the latest
/// when this is dropped.
#[derive(Default)]
pub(crate) struct HandledRun {
    frame: Option<Arc<RemoteFrame>>,
    first: u32,
    count: u32,
}

impl HandledRun {
    /// Adds a message. Those of before are concluded if it does not go with them.
    #[inline]
    pub(crate) fn add(&mut self, mut delivery: RemoteDelivery) {
        let Some(frame) = delivery.frame.take() else { return };
        let follows = delivery.index == self.first.wrapping_add(self.count);
        match &self.frame {
            Some(known) if follows && Arc::ptr_eq(known, &frame) => self.count += 1,
            _ => {
                self.flush();
                (self.first, self.count) = (delivery.index, 1);
                self.frame = Some(frame);
            }
        }
    }

    /// Concludes what was added.
    #[inline]
    pub(crate) fn flush(&mut self) {
        if let Some(frame) = self.frame.take() {
            frame.0.conclude_handled(self.first, self.count);
        }
    }
}

impl Drop for HandledRun {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Drop for RemoteDelivery {
    fn drop(&mut self) {
        if let Some(frame) = self.frame.take() {
            let conclusion = if std::thread::panicking() {
                Conclusion::Panicked
            } else if self.begun {
                Conclusion::Abandoned
            } else {
                let actor = "the actor".to_owned();
                Conclusion::NotTaken(Failure::new(FailureKind::Stopped { actor }))
            };
            frame.0.conclude(self.index, conclusion);
        }
    }
}

impl fmt::Debug for RemoteDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteDelivery").field("index", &self.index).finish_non_exhaustive()
    }
}
