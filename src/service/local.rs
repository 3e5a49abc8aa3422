use std::{
    any::{Any, TypeId},
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use futures_util::future::{BoxFuture, select_all};
use rustc_hash::FxHashMap;

use crate::{
    actor::{Access, EncodesOutcomes, HandlerRow, Handlers, RemoteSide, Shared},
    address::{Addr, CodecContext, with_context},
    bus::{
        Incoming, Intake, Offered, Run,
        codec::{Codec, CodecError},
    },
    directory::MessageEntry,
    error::{Failure, FailureKind},
    id::ActorId,
    mailbox::{Refusal, Ticket},
    message::Place,
};

/// An actor of this process as the bus and the router see it: without its type.
pub(crate) trait LocalActor: Send + Sync {
    fn id(&self) -> ActorId;
    /// Takes a received message, or gives it back.
    fn offer(&self, message: Incoming) -> Offered;
    /// Takes the first of a run of messages, as many as it has room for.
    fn offer_run(&self, run: &Run<'_>) -> u32;
    /// The actor as a `Box<dyn LocalAsk<M>>` of the message with this type, behind `Any`.
    fn asker(&self, message: TypeId) -> Option<Box<dyn Any + Send + Sync>>;
    /// Its `Addr`, behind `Any`.
    fn addr(&self) -> Box<dyn Any>;
}

/// [`LocalActor`] for an actor type.
pub(crate) struct LocalActorOf<A: Handlers> {
    addr: Addr<A>,
    shared: Arc<Shared<A::Inbox>>,
    table: Arc<Table<A>>,
}

/// What an actor decodes and encodes by.
struct Side<A: Handlers> {
    actor: Box<str>,
    table: Arc<Table<A>>,
    context: CodecContext,
}

impl<A: Handlers> Side<A> {
    fn row(&self, row: u16) -> Result<&HandlerRow<A>, CodecError> {
        let row = self.table.rows.get(usize::from(row));
        row.ok_or_else(|| CodecError::Decode("it has no handler".to_owned()))
    }
}

impl<A: Handlers> EncodesOutcomes for Side<A> {
    fn encode(
        &self,
        row: u16,
        codec: Codec,
        outcome: &mut dyn Any,
        into: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let encode = self.row(row)?.encode_outcome();
        let local = || CodecError::Encode("its handler is local".to_owned());
        let encode = encode.ok_or_else(local)?;
        with_context(&self.context, || encode(codec, outcome, into))
    }
}

impl<A: Handlers> RemoteSide<A::Inbox> for Side<A> {
    fn decode(&self, row: u16, codec: Codec, body: &[u8]) -> Result<A::Inbox, Failure> {
        let decode = |row: &HandlerRow<A>| with_context(&self.context, || row.decode(codec, body));
        self.row(row).and_then(decode).map_err(|error| {
            let row = self.table.rows.get(usize::from(row));
            let (message, version) = row.map_or(("", 0), |row| (row.message, row.version));
            let kind = FailureKind::Undecodable {
                message: message.to_owned(),
                version,
                reason: error.to_string(),
            };
            tracing::debug!(actor = %self.actor, %error, message, "a message can't be decoded");
            kind.into()
        })
    }
}

/// The handlers of an actor type by wire name and version.
pub(crate) struct Table<A: Handlers> {
    rows: Vec<HandlerRow<A>>,
    by_name: FxHashMap<&'static str, Vec<usize>>,
}

/// Room that was granted to a message which waited for it, until it is offered again. Without it
/// senders in the same process that always have a line in front of the mailbox could keep the
/// readers out for ever. It is kept with the message, so that one which is never offered again (it
/// was taken back, came too late, or another instance took it) gives its room back.
struct Granted<I: Send + 'static> {
    shared: Arc<Shared<I>>,
    ticket: Option<Ticket>,
}

impl<I: Send + 'static> Drop for Granted<I> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.mailbox.leave(ticket);
        }
    }
}

impl<A: Handlers> Table<A> {
    pub(crate) fn new() -> Self {
        let mut rows = A::__table();
        let older: Vec<_> = rows.iter().flat_map(HandlerRow::older_versions).collect();
        rows.extend(older);
        let mut by_name: FxHashMap<_, Vec<usize>> = FxHashMap::default();
        for (at, row) in rows.iter().enumerate() {
            by_name.entry(row.message).or_default().push(at);
        }
        Self { rows, by_name }
    }

    /// What can be sent from another process, for the directory.
    pub(crate) fn remote_messages(&self) -> Vec<MessageEntry> {
        let remote = self.rows.iter().filter(|row| row.access() == Access::Remote);
        let mut messages: Vec<_> = remote
            .map(|row| MessageEntry { name: row.message.to_owned(), version: row.version })
            .collect();
        messages.sort_unstable();
        messages
    }

    pub(crate) fn rows(&self) -> &[HandlerRow<A>] {
        &self.rows
    }

    /// The place of the handler of this message, which can be called from another process.
    fn row(&self, actor: &str, name: &str, version: u32) -> Result<u16, Failure> {
        let Some(versions) = self.by_name.get(name) else {
            return Err(FailureKind::NotHandled {
                target: actor.to_owned(),
                message: name.to_owned(),
                how: format!("at all; it handles {}", self.names()),
            }
            .into());
        };
        let at = versions.iter().copied().find(|at| self.rows[*at].version == version);
        let at = at.ok_or_else(|| {
            let mut known: Vec<_> = versions.iter().map(|at| self.rows[*at].version).collect();
            known.sort_unstable();
            let known: Vec<_> = known.iter().map(u32::to_string).collect();
            FailureKind::VersionUnknown {
                target: actor.to_owned(),
                message: name.to_owned(),
                version,
                known: known.join(", "),
            }
        })?;
        match u16::try_from(at) {
            Ok(at) if self.rows[usize::from(at)].access() == Access::Remote => Ok(at),
            _ => Err(FailureKind::NotHandled {
                target: actor.to_owned(),
                message: name.to_owned(),
                how: "for senders in other processes: its handler is local".to_owned(),
            }
            .into()),
        }
    }

    fn names(&self) -> String {
        let mut names: Vec<_> = self.rows.iter().map(|row| row.message).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }
}

impl<A: Handlers> LocalActorOf<A> {
    /// Nothing for the address of an actor in another process.
    pub(crate) fn new(addr: Addr<A>, table: Arc<Table<A>>, context: CodecContext) -> Option<Self> {
        let shared = addr.shared()?.clone();
        let actor = shared.name().into();
        shared.set_remote_side(Arc::new(Side { actor, table: table.clone(), context }));
        Some(Self { addr, shared, table })
    }

    fn room(&self, size: usize, place: Place) -> BoxFuture<'static, ()> {
        Box::pin(Room { shared: self.shared.clone(), place, size, ticket: None })
    }

    /// The room here that was granted to a message.
    fn granted(&self, place: Option<&Place>) -> Option<Granted<A::Inbox>> {
        let mut place = place?.lock();
        let granted: &Granted<A::Inbox> = place.as_ref()?.downcast_ref()?;
        if !Arc::ptr_eq(&granted.shared, &self.shared) {
            return None;
        }
        place.take()?.downcast().ok().map(|granted| *granted)
    }
}

impl<A: Handlers> LocalActor for LocalActorOf<A> {
    fn id(&self) -> ActorId {
        self.shared.id()
    }

    fn offer(&self, mut message: Incoming) -> Offered {
        match self.table.row(self.shared.name(), &message.name, message.version) {
            Ok(row) => message.delivery.set_row(row),
            Err(failure) => return Offered::Refused { message: Box::new(message), failure },
        }
        let size = message.body.len();
        let place = message.place.take();
        let granted = self.granted(place.as_ref());
        let mut message = Some(message);
        let make = || {
            let Incoming { delivery, .. } = message.take().expect("a message is taken once");
            A::__remote(delivery)
        };
        let pushed = match granted {
            None => self.shared.mailbox.push_now(size, || self.shared.now(), make),
            Some(mut granted) => {
                let waker = std::task::Waker::noop();
                let (wake_owner, now) = (|| self.shared.core.wake(), || self.shared.now());
                let ticket = &mut granted.ticket;
                self.shared.mailbox.push_or_wait_at(size, ticket, waker, wake_owner, now, make)
            }
        };
        match (pushed, message) {
            (Ok(pushed), _) => {
                self.shared.after_push(pushed);
                Offered::Taken
            }
            (Err(_), None) => Offered::Taken,
            (Err(refusal), Some(message)) => {
                let mut message = Box::new(message);
                // It may hold room that another instance has granted.
                message.place = place;
                match refusal {
                    Refusal::Full => {
                        let room = self.room(size, message.place.get_or_insert_default().clone());
                        Offered::Full { message, room }
                    }
                    Refusal::Closed => {
                        Offered::Refused { message, failure: self.shared.stopped_failure() }
                    }
                    Refusal::TooLarge { limit } => Offered::Refused {
                        message,
                        failure: FailureKind::TooLarge { size, limit }.into(),
                    },
                }
            }
        }
    }

    fn offer_run(&self, run: &Run<'_>) -> u32 {
        // What is refused is refused one by one, with its reason.
        let Ok(row) = self.table.row(self.shared.name(), run.name(), run.version()) else {
            return 0;
        };
        let make = |nth| {
            let mut delivery = run.delivery(nth);
            delivery.set_row(row);
            A::__remote(delivery)
        };
        let (size, now) = (|nth| run.size_bytes(nth), || self.shared.now());
        match self.shared.mailbox.push_run(run.count(), size, now, make) {
            Ok((taken, wake)) => {
                self.shared.wake_if(wake);
                taken
            }
            Err(_) => 0,
        }
    }

    fn asker(&self, message: TypeId) -> Option<Box<dyn Any + Send + Sync>> {
        let row = self.table.rows.iter().find(|row| row.type_id == message)?;
        row.asker(&self.addr)
    }

    fn addr(&self) -> Box<dyn Any> {
        Box::new(self.addr.clone())
    }
}

/// Waits for room in a mailbox.
struct Room<I: Send + 'static> {
    shared: Arc<Shared<I>>,
    place: Place,
    size: usize,
    ticket: Option<Ticket>,
}

impl<I: Send + 'static> Future for Room<I> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let shared = &*this.shared;
        let (ticket, wake_owner) = (&mut this.ticket, || shared.core.wake());
        let polled = shared.mailbox.poll_room(this.size, ticket, cx.waker(), wake_owner);
        if polled.is_ready()
            && let Some(ticket) = this.ticket.take()
        {
            let granted = Granted { shared: this.shared.clone(), ticket: Some(ticket) };
            let before = this.place.lock().replace(Box::new(granted));
            drop(before);
        }
        polled
    }
}

impl<I: Send + 'static> Drop for Room<I> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.mailbox.leave(ticket);
        }
    }
}

/// How many messages of one frame an instance takes at once: enough that it pays, and not so many that
/// its mailbox is locked for long.
const RUN_PART_MIN: u32 = 8;
const RUN_PART_MAX: u32 = 128;

/// The instances of one service in this process: whoever has room takes the next message.
#[derive(Default)]
pub(crate) struct LocalService {
    actors: ArcSwap<Vec<Arc<dyn LocalActor>>>,
    next: AtomicUsize,
}

impl LocalService {
    pub(crate) fn new(actors: Vec<Arc<dyn LocalActor>>) -> Self {
        Self { actors: ArcSwap::from_pointee(actors), next: AtomicUsize::new(0) }
    }

    pub(crate) fn remove(&self, id: ActorId) {
        self.actors.rcu(|actors| {
            actors.iter().filter(|actor| actor.id() != id).cloned().collect::<Vec<_>>()
        });
    }
}

impl Intake for LocalService {
    fn offer_run(&self, run: &Run<'_>) -> u32 {
        let actors = self.actors.load();
        let Ok(count) = u32::try_from(actors.len()) else { return 0 };
        if count == 0 {
            return 0;
        }
        // To each its part, so that one does not get what another would handle meanwhile.
        let part = run.count().div_ceil(count).clamp(RUN_PART_MIN, RUN_PART_MAX);
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut taken = 0;
        for nth in 0..actors.len() {
            if taken == run.count() {
                break;
            }
            let actor = &actors[first.wrapping_add(nth) % actors.len()];
            taken += actor.offer_run(&run.part(taken, part));
        }
        taken
    }

    fn offer(&self, message: Incoming) -> Offered {
        let actors = self.actors.load();
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut message = message;
        let mut rooms = Vec::new();
        let mut refused = None;
        for nth in 0..actors.len() {
            match actors[(first.wrapping_add(nth)) % actors.len()].offer(message) {
                Offered::Taken => return Offered::Taken,
                Offered::Full { message: back, room } => {
                    rooms.push(room);
                    message = *back;
                }
                Offered::Refused { message: back, failure } => {
                    refused = Some(failure);
                    message = *back;
                }
            }
        }
        let message = Box::new(message);
        if rooms.is_empty() {
            let failure = refused.unwrap_or_else(|| {
                FailureKind::Stopped { actor: "every instance here".to_owned() }.into()
            });
            return Offered::Refused { message, failure };
        }
        Offered::Full { message, room: Box::pin(async move { drop(select_all(rooms).await) }) }
    }
}
