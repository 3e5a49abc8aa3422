use std::{any::Any, fmt, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

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
    /// Whether the sender took the message back. Cheap: it is asked before each handling.
    fn is_cancelled(&self, index: u32) -> bool;
    /// Whether the sender waits for the outcome.
    fn wants_reply(&self, index: u32) -> bool;
}

/// A received message's way back. Concluded exactly once: at the latest when it is dropped, as
/// [`Conclusion::NotTaken`] before a handler began, as [`Conclusion::Abandoned`] after that (or
/// [`Conclusion::Panicked`] during a panic).
pub struct RemoteDelivery {
    sink: Option<Arc<dyn DeliverySink>>,
    index: u32,
    begun: bool,
    place: Option<Place>,
}

/// Where whoever has no room for a message leaves the room that it grants to it later. It goes with
/// the message: whatever becomes of that, the room is used or given back.
pub(crate) type Place = Arc<Mutex<Option<Box<dyn Any + Send>>>>;

impl RemoteDelivery {
    /// The way back of message `index` of the frame that `sink` stands for.
    pub fn new(sink: Arc<dyn DeliverySink>, index: u32) -> Self {
        Self { sink: Some(sink), index, begun: false, place: None }
    }

    /// The place for room, made when it is first needed.
    pub(crate) fn place(&mut self) -> Place {
        self.place.get_or_insert_with(Place::default).clone()
    }

    pub(crate) fn take_place(&mut self) -> Option<Place> {
        self.place.take()
    }

    pub(crate) fn put_place(&mut self, place: Option<Place>) {
        self.place = place;
    }

    /// Notes that a handler begins: from here on nobody can say that the message was not handled.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// Says how it ended.
    pub fn conclude(mut self, conclusion: Conclusion) {
        if let Some(sink) = self.sink.take() {
            sink.conclude(self.index, conclusion);
        }
    }

    /// Whether the sender took the message back.
    pub fn is_cancelled(&self) -> bool {
        self.sink.as_ref().is_some_and(|sink| sink.is_cancelled(self.index))
    }

    /// Whether the sender waits for the outcome.
    pub fn wants_reply(&self) -> bool {
        self.sink.as_ref().is_some_and(|sink| sink.wants_reply(self.index))
    }
}

impl Drop for RemoteDelivery {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            let conclusion = if std::thread::panicking() {
                Conclusion::Panicked
            } else if self.begun {
                Conclusion::Abandoned
            } else {
                let actor = "the actor".to_owned();
                Conclusion::NotTaken(Failure::new(FailureKind::Stopped { actor }))
            };
            sink.conclude(self.index, conclusion);
        }
    }
}

impl fmt::Debug for RemoteDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteDelivery").field("index", &self.index).finish_non_exhaustive()
    }
}
