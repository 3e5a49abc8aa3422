//! The futures that send to a service.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;

use super::{
    broadcast::{Broadcast, BroadcastError},
    route::{Asked, Route},
    telling::Telling,
};
use crate::{
    address::{ASK_TIMEOUT_BOUNDS, DelayedId, SendOptions},
    error::TellError,
    message::Message,
};

/// A message on its way to a service; see [`ServiceRef::tell`](crate::ServiceRef::tell).
#[must_use = "nothing is sent until it is awaited; try_tell sends at once"]
pub struct ServiceTell<'a, M: Message> {
    state: Telling<'a, M>,
    options: SendOptions,
}

/// A message on its way to a service that handles it later; see [`ServiceTell::delay`]. A future of
/// the [`DelayedId`] that takes it back.
#[must_use = "nothing is sent until it is awaited"]
pub struct ServiceDelayedTell<'a, M: Message> {
    state: State<'a, M, Result<DelayedId, TellError<M>>>,
    options: SendOptions,
    delay: Duration,
}

/// A message to a service whose reply is waited for; see [`ServiceRef::ask`](crate::ServiceRef::ask).
#[must_use = "nothing is sent until it is awaited"]
pub struct ServiceAsk<'a, M: Message> {
    state: State<'a, M, Asked<M>>,
    options: SendOptions,
}

/// A message to every instance; see [`ServiceRef::broadcast`](crate::ServiceRef::broadcast).
#[must_use = "nothing is sent until it is awaited"]
pub struct ServiceBroadcast<'a, M: Message> {
    state: State<'a, M, Result<Broadcast, BroadcastError>>,
}

enum State<'a, M: Message, T> {
    New(Option<(Route<'a, M>, M)>),
    Sending(BoxFuture<'a, T>),
}

impl<'a, M: Message, T> State<'a, M, T> {
    fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(Route<'a, M>, M) -> BoxFuture<'a, T>,
    ) -> Poll<T> {
        if let Self::New(parts) = self {
            let (route, message) = parts.take().expect("a send is polled until it is ready");
            *self = Self::Sending(send(route, message));
        }
        match self {
            Self::Sending(sending) => sending.as_mut().poll(cx),
            Self::New(_) => unreachable!("it was just begun"),
        }
    }
}

impl<'a, M: Message> ServiceTell<'a, M> {
    pub(super) fn new(route: Route<'a, M>, message: M) -> Self {
        Self { state: Telling::New(Some((route, message))), options: SendOptions::default() }
    }

    pub(super) fn options(mut self, options: SendOptions) -> Self {
        self.options = options;
        self
    }

    /// Messages with the same key go to the same partition of a keyed service.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.options.key = Some(key.into());
        self
    }

    /// Tells it once: when the service was told a message under the same id before, by whomever, this
    /// one resolves `Ok` and is not handled. An id has 1 to 128 bytes. It is remembered from the moment
    /// at which the first message is stored, for the service's
    /// [`dedup_window`](crate::Serve::dedup_window), 10 minutes unless it is given; whatever becomes of
    /// that message.
    pub fn dedup_id(mut self, id: impl Into<String>) -> Self {
        self.options.dedup_id = Some(id.into());
        self
    }

    /// Handles it this much later, up to [`DELAY_MAX`](crate::DELAY_MAX). Resolves, when it is stored,
    /// with what takes it back: [`ServiceRef::cancel_delayed`](crate::ServiceRef::cancel_delayed).
    pub fn delay(self, delay: Duration) -> ServiceDelayedTell<'a, M> {
        let Self { state, mut options } = self;
        let state = match state {
            Telling::New(parts) => State::New(parts),
            Telling::Placed(..) | Telling::Waiting(_) => State::New(None),
        };
        options.buffered = false;
        ServiceDelayedTell { state, options, delay }
    }

    /// Resolves as soon as the message is in this process's buffer: faster, and lost if the process
    /// dies before it is sent.
    pub fn buffered(mut self) -> Self {
        self.options.buffered = true;
        self
    }
}

impl<'a, M: Message> ServiceDelayedTell<'a, M> {
    pub(super) fn new(route: Route<'a, M>, message: M, delay: Duration) -> Self {
        ServiceTell::new(route, message).delay(delay)
    }

    pub(super) fn options(mut self, options: SendOptions) -> Self {
        self.options = options;
        self
    }

    /// Messages with the same key go to the same partition of a keyed service.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.options.key = Some(key.into());
        self
    }

    /// Tells it once, as [`ServiceTell::dedup_id`](crate::ServiceTell::dedup_id) does. When the id is
    /// known nothing is stored, and there is nothing to be taken back.
    pub fn dedup_id(mut self, id: impl Into<String>) -> Self {
        self.options.dedup_id = Some(id.into());
        self
    }
}

impl<'a, M: Message> ServiceAsk<'a, M> {
    pub(super) fn new(route: Route<'a, M>, message: M) -> Self {
        Self { state: State::New(Some((route, message))), options: SendOptions::default() }
    }

    pub(super) fn options(mut self, options: SendOptions) -> Self {
        self.options = options;
        self
    }

    /// How long to wait: 1 ms to one day; what is outside is brought to the bound.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout.clamp(ASK_TIMEOUT_BOUNDS.0, ASK_TIMEOUT_BOUNDS.1));
        self
    }

    /// Asks with the same key go to the same instance, as long as the instances stay the same.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.options.key = Some(key.into());
        self
    }
}

impl<'a, M: Message> ServiceBroadcast<'a, M> {
    pub(super) fn new(route: Route<'a, M>, message: M) -> Self {
        Self { state: State::New(Some((route, message))) }
    }
}

// None of them pins its message.
impl<M: Message> Unpin for ServiceTell<'_, M> {}
impl<M: Message> Unpin for ServiceDelayedTell<'_, M> {}
impl<M: Message> Unpin for ServiceAsk<'_, M> {}
impl<M: Message> Unpin for ServiceBroadcast<'_, M> {}

impl<'a, M: Message> Future for ServiceTell<'a, M> {
    type Output = Result<(), TellError<M>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.state.poll(cx, &mut this.options)
    }
}

impl<'a, M: Message> Future for ServiceDelayedTell<'a, M> {
    type Output = Result<DelayedId, TellError<M>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (options, delay) = (&mut this.options, this.delay);
        this.state.poll_with(cx, |route, message| {
            Box::pin(route.tell_later(message, delay, std::mem::take(options)))
        })
    }
}

impl<'a, M: Message> Future for ServiceAsk<'a, M> {
    type Output = Asked<M>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let options = &mut this.options;
        this.state
            .poll_with(cx, |route, message| Box::pin(route.ask(message, std::mem::take(options))))
    }
}

impl<'a, M: Message> Future for ServiceBroadcast<'a, M> {
    type Output = Result<Broadcast, BroadcastError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().state.poll_with(cx, |route, message| Box::pin(route.broadcast(message)))
    }
}

macro_rules! debug_by_message {
    ($($name:ident),*) => {$(
        impl<M: Message> fmt::Debug for $name<'_, M> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&M::NAME).finish()
            }
        }
    )*};
}

debug_by_message!(ServiceTell, ServiceDelayedTell, ServiceAsk, ServiceBroadcast);
