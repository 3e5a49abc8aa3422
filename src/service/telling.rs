//! The short way of a tell: encoded once, put into its lane at once, without a future on the heap.

use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;

use super::route::Route;
use crate::{
    actor::WireFns,
    address::{CodecContext, SendOptions, with_context},
    bus::{Receipt, Stored, codec::Codec},
    error::{Failure, FailureKind, TellError},
    message::Message,
};

/// A buffer that has grown beyond this is not kept.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// What became of a message that was to go into its lane at once.
pub(super) enum Begun {
    /// It is there.
    Placed(Receipt),
    /// There is no room for it now.
    NoRoom,
    /// It can't be sent.
    Failed(Failure),
}

/// A tell on its way.
pub(super) enum Telling<'a, M: Message> {
    /// It was not polled yet; nothing when it has ended.
    New(Option<(Route<'a, M>, M)>),
    /// It is in the lane.
    Placed(Stored, Option<M>),
    /// It waits for room, or is to go into the delay set.
    Waiting(BoxFuture<'a, Result<(), TellError<M>>>),
}

impl<'a, M: Message> Telling<'a, M> {
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        options: &mut SendOptions,
    ) -> Poll<Result<(), TellError<M>>> {
        loop {
            match self {
                Self::New(parts) => {
                    let (route, message) = parts.take().expect(POLLED_AGAIN);
                    match Self::begin(route, message, options) {
                        Ok(next) => *self = next,
                        Err(ended) => return Poll::Ready(ended),
                    }
                }
                Self::Placed(stored, message) => {
                    let outcome = ready!(Pin::new(stored).poll(cx));
                    let message = message.take().expect(POLLED_AGAIN);
                    let failed = |failure| TellError::new(message, failure);
                    return Poll::Ready(outcome.map_err(failed));
                }
                Self::Waiting(sending) => return sending.as_mut().poll(cx),
            }
        }
    }

    /// The next state, or what it came to at once.
    fn begin(
        route: Route<'a, M>,
        message: M,
        options: &mut SendOptions,
    ) -> Result<Self, Result<(), TellError<M>>> {
        if options.delay.is_none() && options.dedup_id.is_none() {
            match route.begin_tell(&message, options.key.as_deref()) {
                Begun::Placed(_) if options.buffered => return Err(Ok(())),
                Begun::Placed(receipt) => {
                    return Ok(Self::Placed(receipt.into_stored(), Some(message)));
                }
                Begun::Failed(failure) => return Err(Err(TellError::new(message, failure))),
                Begun::NoRoom => {}
            }
        }
        Ok(Self::Waiting(Box::pin(route.tell(message, std::mem::take(options)))))
    }
}

const POLLED_AGAIN: &str = "a send is polled until it is ready";

thread_local! {
    /// Where bodies are encoded before they are copied into a frame: the user's `Serialize` must not
    /// run while a lane is locked.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Encodes a message into a buffer of this thread, for as long as the closure runs.
pub(super) fn encoded<M: Message, T>(
    wire: WireFns<M>,
    context: &CodecContext,
    message: &M,
    run: impl FnOnce(&[u8]) -> T,
) -> Result<T, Failure> {
    // Taken out: a `Serialize` that sends something itself finds an empty one.
    let mut buffer = BUFFER.take();
    buffer.clear();
    let encode = || (wire.encode)(Codec::Bincode, message, &mut buffer);
    let done = with_context(context, encode).map(|()| run(&buffer)).map_err(|error| {
        Failure::new(FailureKind::Undecodable {
            message: M::NAME.to_owned(),
            version: M::VERSION,
            reason: format!("it can't be encoded: {error}"),
        })
    });
    if buffer.capacity() <= KEPT_BYTES_MAX {
        BUFFER.set(buffer);
    }
    done
}
