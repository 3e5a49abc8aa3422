use std::{any::TypeId, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{
    broadcast::{Broadcast, BroadcastError, Delivered},
    course::Course,
    key::key_hash,
    reference::{Found, ServiceTarget},
    router,
    telling::{Begun, encoded},
};
use crate::{
    actor::WireFns,
    address::{
        ASK_TIMEOUT_DEFAULT, DelayedId, LocalAsk, RemoteMessage, RemoteReply, SendOptions,
        with_context,
    },
    bus::{Body, Dedup, Destination, NotYet, Outgoing},
    directory::{DEDUP_WINDOW_MS_DEFAULT, InstanceRecord, ServiceView},
    error::{AskError, Delivery, Failure, FailureKind, TellError},
    id::Name,
    log::DEDUP_ID_BYTES_MAX,
    message::Message,
};

/// The way of one message to a service.
pub(super) struct Route<'a, M: Message> {
    target: &'a Arc<ServiceTarget>,
    wire: WireFns<M>,
}

impl<M: Message> Clone for Route<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Message> Copy for Route<'_, M> {}

pub(super) type Asked<M> = Result<<M as Message>::Reply, AskError<<M as Message>::Error>>;

impl<'a, M: Message> Route<'a, M> {
    pub(super) fn new(target: &'a Arc<ServiceTarget>, wire: WireFns<M>) -> Self {
        Self { target, wire }
    }

    fn find(&self) -> Result<(&'a Name, Arc<ServiceView>), Failure> {
        let Found { name, handle, .. } = self.found()?;
        Ok((name, handle.load()))
    }

    fn found(&self) -> Result<&'a Found, Failure> {
        self.target.found.as_ref().map_err(Clone::clone)
    }

    fn encode(&self, message: &M) -> Result<RemoteMessage, Failure> {
        with_context(&self.target.node.context(), || RemoteMessage::encode(self.wire, message))
    }

    fn decode(&self, reply: &RemoteReply) -> Result<M::Outcome, Failure> {
        with_context(&self.target.node.context(), || reply.decode::<M>(self.wire))
    }

    /// Whether the service's stream may take this message: somebody handles it, or the service is
    /// defined and nobody is there to say.
    fn check_tell(&self) -> Result<&'a Name, Failure> {
        let (name, view) = self.find()?;
        if view.instances.is_empty() && self.target.node.directory().definition(name).is_some() {
            return Ok(name);
        }
        router::check_handled::<M>(name, &view).map(|()| name)
    }

    pub(super) fn try_tell(&self, message: M) -> Result<(), TellError<M>> {
        let failure = match self.begin_tell(&message, None) {
            Begun::Placed(_) => return Ok(()),
            Begun::NoRoom => {
                let what = format!("{} (too much waits to be sent)", self.target.name);
                let kind = FailureKind::Unavailable { what };
                Failure::with_delivery(kind, Delivery::NotDelivered)
            }
            Begun::Failed(failure) => failure,
        };
        Err(TellError::new(message, failure))
    }

    /// Puts a message on its way at once, if there is room.
    pub(super) fn begin_tell(&self, message: &M, key: Option<&str>) -> Begun {
        let begin = || {
            self.check_tell()?;
            let way = &self.found()?.way;
            encoded(self.wire, &self.target.node.context(), message, |body| {
                let mut outgoing = Outgoing::new(M::NAME, M::VERSION, Body::Slice(body));
                outgoing.key_hash = key.map(key_hash);
                way.try_tell(outgoing)
            })
        };
        match begin() {
            Ok(Ok(receipt)) => Begun::Placed(receipt),
            Ok(Err(NotYet::Full)) => Begun::NoRoom,
            Ok(Err(NotYet::Failed(failure))) | Err(failure) => Begun::Failed(failure),
        }
    }

    pub(super) async fn tell(self, message: M, options: SendOptions) -> Result<(), TellError<M>> {
        // Encoded before the first wait: messages need not be `Sync`.
        let encoded = self.check_tell().and_then(|name| {
            let encoded = self.encode(&message)?;
            Ok((name, encoded))
        });
        let sent = match encoded {
            Ok((name, encoded)) => self.store(name, encoded, options).await,
            Err(failure) => Err(failure),
        };
        sent.map_err(|failure| TellError::new(message, failure))
    }

    pub(super) async fn tell_later(
        self,
        message: M,
        delay: Duration,
        options: SendOptions,
    ) -> Result<DelayedId, TellError<M>> {
        let encoded = self.check_tell().and_then(|name| {
            let encoded = self.encode(&message)?;
            Ok((name, encoded))
        });
        let sent = match encoded {
            Ok((name, encoded)) => self.store_later(name, encoded, delay, options).await,
            Err(failure) => Err(failure),
        };
        sent.map_err(|failure| TellError::new(message, failure))
    }

    async fn store_later(
        self,
        name: &Name,
        encoded: RemoteMessage,
        delay: Duration,
        options: SendOptions,
    ) -> Result<DelayedId, Failure> {
        let mut outgoing = outgoing(encoded);
        outgoing.key_hash = options.key.as_deref().map(key_hash);
        outgoing.dedup = options.dedup_id.map(|id| self.dedup(name, id)).transpose()?;
        self.target.node.bus().tell_later(name, outgoing, delay).await
    }

    async fn store(
        self,
        name: &Name,
        encoded: RemoteMessage,
        options: SendOptions,
    ) -> Result<(), Failure> {
        let bus = self.target.node.bus();
        let mut outgoing = outgoing(encoded);
        outgoing.key_hash = options.key.as_deref().map(key_hash);
        outgoing.dedup = options.dedup_id.map(|id| self.dedup(name, id)).transpose()?;
        if let Some(delay) = options.delay {
            return bus.tell_later(name, outgoing, delay).await.map(drop);
        }
        let receipt = bus.buffer(&Destination::Service(name.clone(), 0), outgoing).await?;
        if options.buffered { Ok(()) } else { receipt.stored().await }
    }

    /// Each producer reads the window from the definition, so that all remember alike.
    fn dedup(&self, name: &Name, id: String) -> Result<Dedup, Failure> {
        if !(1..=DEDUP_ID_BYTES_MAX).contains(&id.len()) {
            let reason =
                format!("a dedup id has 1 to {DEDUP_ID_BYTES_MAX} bytes, not {}", id.len());
            return Err(FailureKind::NotPermitted { reason }.into());
        }
        let definition = self.target.node.directory().definition(name);
        let window_ms = definition.map_or(DEDUP_WINDOW_MS_DEFAULT, |def| def.dedup_window_ms);
        Ok(Dedup { id, window: Duration::from_millis(window_ms) })
    }

    pub(super) async fn ask(self, message: M, options: SendOptions) -> Asked<M> {
        if options.dedup_id.is_some() {
            let (option, target) = ("`.dedup_id(..)`".to_owned(), "an ask".to_owned());
            return Err(Failure::new(FailureKind::Unsupported { option, target }).into());
        }
        let timeout = options.timeout.unwrap_or(ASK_TIMEOUT_DEFAULT);
        let deadline = Instant::now() + timeout;
        let (mut message, mut encoded) = (message, None);
        let mut course = Course::default();
        loop {
            // Anew each time: what an answer says of an instance may be in the cache by now.
            let record = match self.choose(&course, options.key.as_deref()) {
                Ok(record) => record,
                Err(failure) => return Err(course.last.unwrap_or(failure).into()),
            };
            let failure = if let Some(local) = self.shortcut(&record) {
                let left = deadline.saturating_duration_since(Instant::now());
                match local.ask(message, left).await {
                    Ok(outcome) => return M::into_result(outcome).map_err(AskError::Rejected),
                    Err((failure, None)) => return Err(failure.into()),
                    Err((failure, Some(back))) => {
                        message = back;
                        failure
                    }
                }
            } else {
                // Encoded before the wait: messages need not be `Sync`.
                let encoded = match &mut encoded {
                    Some(encoded) => RemoteMessage::clone(encoded),
                    none => none.insert(self.encode(&message)?).clone(),
                };
                match self.ask_instance(&record, encoded, deadline).await {
                    Ok(outcome) => return M::into_result(outcome).map_err(AskError::Rejected),
                    Err(failure) => failure,
                }
            };
            course.follow(&record, failure, deadline)?;
        }
    }

    /// The next instance of those that were not asked yet.
    fn choose(&self, course: &Course, key: Option<&str>) -> Result<Arc<InstanceRecord>, Failure> {
        let (name, view) = self.find()?;
        let own = self.target.node.incarnation();
        let asking = router::Asking { own, key, asked: &course.asked };
        let chosen = router::choose::<M>(name, &view, &asking, &mut |below| fastrand::u64(..below));
        chosen.map(Arc::clone)
    }

    fn shortcut(&self, record: &InstanceRecord) -> Option<Box<dyn LocalAsk<M>>> {
        let actor = self.target.node.shortcut(record.incarnation(), record.actor)?;
        let asker = actor.asker(TypeId::of::<M>())?;
        asker.downcast().ok().map(|asker| *asker)
    }

    async fn ask_instance(
        &self,
        record: &InstanceRecord,
        encoded: RemoteMessage,
        deadline: Instant,
    ) -> Result<M::Outcome, Failure> {
        let mut outgoing = outgoing(encoded);
        outgoing.deadline = Some(deadline);
        let bus = self.target.node.bus();
        let reply = bus.ask(record.incarnation(), record.actor, outgoing).await?;
        self.decode(&RemoteReply { codec: reply.codec, body: reply.body })
    }

    pub(super) async fn broadcast(self, message: M) -> Result<Broadcast, BroadcastError> {
        let (name, view) = self.find()?;
        let able = router::candidates::<M>(name, &view)?;
        let encoded = self.encode(&message)?;
        let sends = able.iter().map(|record| {
            let outgoing = outgoing(encoded.clone());
            let bus = self.target.node.bus();
            async move {
                let outcome = bus.tell_actor(record.incarnation(), record.actor, outgoing).await;
                Delivered { instance: record.instance, node: record.node.clone(), outcome }
            }
        });
        Broadcast::of(join_all(sends).await)
    }
}

fn outgoing(encoded: RemoteMessage) -> Outgoing<'static> {
    let RemoteMessage { name, version, codec, body } = encoded;
    let mut outgoing = Outgoing::new(name, version, Body::Bytes(body));
    outgoing.codec = codec;
    outgoing
}
