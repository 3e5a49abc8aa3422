use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, timeout};

use super::{
    ask::{AskTicket, Waiter, passed, sleep_until},
    frame::Kind,
    lane::{Entrance, Parcel, Receipt},
    outbox::Destination,
    outgoing::Outgoing,
    process::Bus,
    waiters::ReplyBytes,
};
use crate::{
    address::{DELAY_MAX, DelayedId},
    error::{Delivery, Failure, FailureKind},
    id::{ActorId, Incarnation, Name},
};

impl Bus {
    /// Sends a tell. Resolves when the log has it.
    ///
    /// # Errors
    /// The failure says what is known of the delivery.
    ///
    /// # Cancel safety
    /// Dropped before it is in the lane, nothing was sent; after that it will be.
    pub async fn tell(&self, to: &Destination, outgoing: Outgoing<'_>) -> Result<(), Failure> {
        self.buffer(to, outgoing).await?.stored().await
    }

    /// Sends a tell. Resolves when it is in the lane.
    ///
    /// # Errors
    /// The message can't be encoded, is too large, or the bus was stopped.
    ///
    /// # Cancel safety
    /// Dropped, nothing was sent.
    pub async fn buffer(
        &self,
        to: &Destination,
        outgoing: Outgoing<'_>,
    ) -> Result<Receipt, Failure> {
        let mut parcel = parcel(Kind::Tell, outgoing);
        let (placed, _) = self.core.place(to, &mut parcel).await?;
        Ok(placed.receipt)
    }

    /// Sends a tell now, or not at all: when too much waits in the lane, it fails at once.
    ///
    /// # Errors
    /// As [`buffer`](Self::buffer), and unavailable when the lane is full.
    pub fn try_tell(&self, to: &Destination, outgoing: Outgoing<'_>) -> Result<Receipt, Failure> {
        let mut parcel = parcel(Kind::Tell, outgoing);
        let (placed, _) = self.core.try_place(to, &mut parcel, Entrance::Try)?;
        Ok(placed.receipt)
    }

    /// Sends a tell to a service, whoever takes it. Resolves when the log has it.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    ///
    /// # Cancel safety
    /// As [`tell`](Self::tell).
    pub async fn tell_service(
        &self,
        service: &Name,
        outgoing: Outgoing<'_>,
    ) -> Result<(), Failure> {
        self.tell(&Destination::Service(service.clone(), 0), outgoing).await
    }

    /// Sends a tell to one actor of a process. Resolves when the log has it.
    ///
    /// # Errors
    /// As [`tell`](Self::tell); unavailable and not delivered when the process is gone.
    ///
    /// # Cancel safety
    /// As [`tell`](Self::tell).
    pub async fn tell_actor(
        &self,
        incarnation: Incarnation,
        actor: ActorId,
        mut outgoing: Outgoing<'_>,
    ) -> Result<(), Failure> {
        outgoing.target = Some(actor);
        self.tell(&Destination::Inbox(incarnation), outgoing).await
    }

    /// Publishes an event. Resolves when the log has it.
    ///
    /// # Errors
    /// As [`tell`](Self::tell).
    ///
    /// # Cancel safety
    /// As [`tell`](Self::tell).
    pub async fn publish(&self, topic: &Name, outgoing: Outgoing<'_>) -> Result<(), Failure> {
        let mut parcel = parcel(Kind::Publish, outgoing);
        parcel.message.topic = Some(topic.as_str());
        let (placed, _) = self.core.place(&Destination::Topic(topic.clone()), &mut parcel).await?;
        placed.receipt.stored().await
    }

    /// Sends a tell that comes into a service's stream after a while. Resolves when the log has it.
    ///
    /// # Errors
    /// As [`tell`](Self::tell); not permitted when the delay is longer than [`DELAY_MAX`].
    ///
    /// # Cancel safety
    /// As [`tell`](Self::tell).
    pub async fn tell_later(
        &self,
        service: &Name,
        outgoing: Outgoing<'_>,
        delay: Duration,
    ) -> Result<DelayedId, Failure> {
        if delay > DELAY_MAX {
            let days = DELAY_MAX.as_secs() / 86_400;
            let reason =
                format!("a delay of {delay:?}: a message may wait for {days} days at most");
            return Err(FailureKind::NotPermitted { reason }.into());
        }
        let mut parcel = parcel(Kind::Tell, outgoing);
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let due_ms = self.core.clock.log_ms(Instant::now()).saturating_add(delay_ms);
        let id = self.core.delayed_id();
        parcel.delayed = Some((id.clone(), due_ms));
        let to = Destination::Service(service.clone(), 0);
        let (placed, _) = self.core.place(&to, &mut parcel).await?;
        placed.receipt.stored().await?;
        Ok(DelayedId::new(&id))
    }

    /// Takes a delayed tell back. False when it is not there any more: it was released, or taken
    /// back before.
    ///
    /// # Errors
    /// Unavailable, and unknown, when the log did not answer.
    ///
    /// # Cancel safety
    /// Dropped, it may or may not have been taken back.
    pub async fn cancel_delayed(&self, service: &Name, id: &DelayedId) -> Result<bool, Failure> {
        let stream = Destination::Service(service.clone(), 0).stream(&self.core.cluster);
        let (core, id) = (self.core.clone(), id.clone());
        let limit = core.limits.call_timeout;
        let call = core.runtime.clone().spawn(async move {
            timeout(limit, core.log.cancel_delayed(&stream, id.as_str())).await
        });
        let what = || FailureKind::Unavailable { what: "the message log".to_owned() };
        match call.await {
            Ok(Ok(Ok(removed))) => Ok(removed),
            Ok(Ok(Err(error))) => Err(Failure::new(what()).caused_by(error)),
            Ok(Err(_)) | Err(_) => Err(Failure::new(what())),
        }
    }

    /// Asks an actor of a process. Without a deadline of its own the ask gets the default one.
    ///
    /// # Errors
    /// What the handler's side says, or what is known when the deadline has passed.
    ///
    /// # Cancel safety
    /// Dropping it takes the ask back: a handler that has not begun will not.
    pub async fn ask(
        &self,
        incarnation: Incarnation,
        actor: ActorId,
        outgoing: Outgoing<'_>,
    ) -> Result<ReplyBytes, Failure> {
        let (deadline, within) = self.deadline(&outgoing);
        let to = Destination::Inbox(incarnation);
        let waiter = Waiter::new(&self.core);
        let mut parcel = self.ask_parcel(actor, outgoing, deadline, &waiter);
        let placed = {
            let place = std::pin::pin!(self.core.place(&to, &mut parcel));
            match select(place, sleep_until(&self.core, deadline)).await {
                Either::Left((placed, _)) => placed?,
                Either::Right(_) => return Err(passed(within, Delivery::NotDelivered)),
            }
        };
        let ticket = AskTicket::new(self.core.clone(), waiter, to, placed, deadline, within);
        match ticket {
            Some(ticket) => ticket.await,
            None => Err(super::core::stopped()),
        }
    }

    /// Asks at once: the ask is in its lane when this returns.
    ///
    /// # Errors
    /// Unavailable when too much waits in the lane; else as [`buffer`](Self::buffer).
    pub fn start_ask(
        &self,
        incarnation: Incarnation,
        actor: ActorId,
        outgoing: Outgoing<'_>,
    ) -> Result<AskTicket, Failure> {
        let (deadline, within) = self.deadline(&outgoing);
        let to = Destination::Inbox(incarnation);
        let waiter = Waiter::new(&self.core);
        let mut parcel = self.ask_parcel(actor, outgoing, deadline, &waiter);
        let placed = self.core.try_place(&to, &mut parcel, Entrance::Try)?;
        AskTicket::new(self.core.clone(), waiter, to, placed, deadline, within)
            .ok_or_else(super::core::stopped)
    }

    fn deadline(&self, outgoing: &Outgoing<'_>) -> (Instant, Duration) {
        let now = Instant::now();
        let deadline = outgoing.deadline.unwrap_or(now + self.core.limits.ask_timeout);
        (deadline, deadline.saturating_duration_since(now))
    }

    fn ask_parcel<'a>(
        &self,
        actor: ActorId,
        mut outgoing: Outgoing<'a>,
        deadline: Instant,
        waiter: &Waiter<'_>,
    ) -> Parcel<'a, 'a> {
        outgoing.deadline = Some(deadline);
        outgoing.target = Some(actor);
        let mut parcel = parcel(Kind::Ask, outgoing);
        parcel.message.correlation = Some(waiter.correlation);
        parcel.message.reply_to = Some(self.core.incarnation);
        parcel.ask = Some(waiter.correlation);
        parcel
    }
}

pub(super) fn parcel<'m, 'b: 'm>(kind: Kind, mut outgoing: Outgoing<'b>) -> Parcel<'m, 'b> {
    let dedup = outgoing.dedup.take();
    let (message, body) = outgoing.into_parts(kind);
    Parcel { message, body, delayed: None, dedup, ask: None }
}
