use std::{
    collections::VecDeque,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::{Either, select};

use super::{
    FLIGHTS_MAX, Lane, Pending,
    receipt::Promise,
    verdict::{Sent, Verdict, judge},
};
use crate::{
    bus::{event::BusEvent, frame, stats::add},
    error::Failure,
    log::{Append, AppendRequest, DedupId, LogError, StreamKind},
};

type Call = Pin<Box<dyn Future<Output = Result<Append, LogError>> + Send>>;

/// A frame on its way.
struct Flight {
    frame: Bytes,
    first: u64,
    count: u32,
    bytes: usize,
    delayed: Option<(Arc<str>, u64)>,
    dedup: Vec<DedupId>,
    promise: Promise,
    uncertain: bool,
    behind: bool,
    call: Option<Call>,
    answer: Option<Result<Append, LogError>>,
}

/// The one task that sends a lane's frames.
pub(super) struct Driver {
    lane: Arc<Lane>,
    number: u32,
    /// The sequence of the next frame.
    next: u64,
    acknowledged: u64,
    flights: VecDeque<Flight>,
    /// Failures in a row.
    failures: u32,
}

impl Driver {
    pub(super) fn new(lane: Arc<Lane>, number: u32) -> Self {
        Self { lane, number, next: 1, acknowledged: 0, flights: VecDeque::new(), failures: 0 }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.take_frames();
            if self.flights.is_empty() {
                if self.lane.is_closed() {
                    return;
                }
                self.lane.work.notified().await;
            } else if let Some(answer) = self.answer_or_work().await {
                self.conclude(answer).await;
            }
        }
    }

    fn take_frames(&mut self) {
        while self.flights.len() < FLIGHTS_MAX {
            let Some(pending) = self.lane.take(self.flights.is_empty()) else { return };
            let Pending { builder, bytes, delayed, dedup, mut promise, .. } = pending;
            promise.mark_sent();
            let count = builder.count();
            let frame = builder.seal(self.lane.context.producer, self.number, self.next);
            self.flights.push_back(Flight {
                frame,
                first: self.next,
                count,
                bytes,
                delayed,
                dedup,
                promise,
                uncertain: false,
                behind: false,
                call: None,
                answer: None,
            });
            self.next += u64::from(count);
            self.launch(self.flights.len() - 1);
        }
    }

    fn launch(&mut self, index: usize) {
        let call = self.call(&self.flights[index]);
        let flight = &mut self.flights[index];
        flight.behind = index > 0;
        flight.answer = None;
        flight.call = Some(call);
    }

    fn call(&self, flight: &Flight) -> Call {
        let context = &self.lane.context;
        let request = AppendRequest {
            stream: self.lane.stream.clone(),
            producer: context.producer,
            lane: self.number,
            first: flight.first,
            count: flight.count,
            frame: flight.frame.clone(),
            must_exist: self.lane.must_exist(),
            backlog_max: self.lane.backlog_max(),
            dedup: flight.dedup.clone(),
        };
        let (log, delayed, limit) =
            (context.log.clone(), flight.delayed.clone(), context.call_timeout);
        Box::pin(async move {
            let append = async {
                match delayed {
                    None => log.append(request).await,
                    Some((id, due_ms)) => log.append_delayed(request, &id, due_ms).await,
                }
            };
            tokio::time::timeout(limit, append).await.unwrap_or_else(|_| {
                let what = format!("an append had no answer within {limit:?}");
                Err(LogError::Unavailable { what, source: None })
            })
        })
    }

    /// The answer of the first flight, or nothing when there is more to send.
    async fn answer_or_work(&mut self) -> Option<Result<Append, LogError>> {
        let lane = self.lane.clone();
        let flights = &mut self.flights;
        let answer = std::future::poll_fn(|cx| poll_flights(flights, cx));
        match select(answer, pin!(lane.work.notified())).await {
            Either::Left((answer, _)) => Some(answer),
            Either::Right(_) => None,
        }
    }

    async fn conclude(&mut self, answer: Result<Append, LogError>) {
        let Some(flight) = self.flights.front() else { return };
        let sent = Sent {
            uncertain: flight.uncertain,
            behind: flight.behind,
            acknowledged: self.acknowledged,
        };
        match judge(sent, answer, &self.lane.stream) {
            Verdict::Stored { duplicate } => self.stored(duplicate),
            Verdict::Unknown(cause) => self.resend(cause).await,
            Verdict::Overtook => self.launch(0),
            Verdict::Renew { lost } => self.renew_after_gap(lost).await,
            Verdict::Refused(failure) => self.refused(failure),
        }
    }

    fn refused(&mut self, failure: Failure) {
        let Some(flight) = self.flights.pop_front() else { return };
        let (uncertain, first) = (flight.uncertain, flight.first);
        self.hand_back(flight, failure.clone());
        if uncertain {
            // It may be stored, and then so may be what was sent behind it, which would be stored a
            // second time under a new number.
            while let Some(behind) = self.flights.pop_front() {
                self.hand_back(behind, failure.clone());
            }
        }
        if uncertain || !self.flights.is_empty() {
            // Its sequence may be taken, and what was sent behind it may still arrive under its old
            // one: another frame of the same sequence would pass for the one that is there.
            self.renew();
        } else {
            self.next = first;
        }
    }

    /// Gives the messages of a frame that the log does not take back to their senders.
    fn hand_back(&self, flight: Flight, failure: Failure) {
        let counters = &self.lane.context.counters;
        add(&counters.frames_refused, 1);
        if self.lane.stream.kind() == StreamKind::Replies {
            add(&counters.replies_undeliverable, u64::from(flight.count));
        }
        self.lane.landed(flight.bytes);
        flight.promise.break_it(failure);
    }

    fn stored(&mut self, duplicate: bool) {
        let Some(flight) = self.flights.pop_front() else { return };
        self.failures = 0;
        self.acknowledged = flight.first + u64::from(flight.count) - 1;
        let counters = &self.lane.context.counters;
        add(&counters.frames_stored, 1);
        add(&counters.messages_stored, u64::from(flight.count));
        add(&counters.frames_duplicate, u64::from(duplicate));
        self.lane.landed(flight.bytes);
        flight.promise.keep();
    }

    /// The same bytes again, in order, after a while.
    async fn resend(&mut self, cause: Option<LogError>) {
        self.failures = self.failures.saturating_add(1);
        if let Some(cause) = cause {
            let (stream, failures) = (&self.lane.stream, self.failures);
            tracing::debug!(%stream, failures, error = %cause, "an append has no known outcome");
        }
        for flight in &mut self.flights {
            flight.uncertain = true;
            flight.call = None;
            flight.answer = None;
        }
        add(&self.lane.context.counters.frames_resent, self.flights.len() as u64);
        tokio::time::sleep(self.lane.context.backoff.jittered(self.failures)).await;
        (0..self.flights.len()).for_each(|index| self.launch(index));
    }

    async fn renew_after_gap(&mut self, lost: u64) {
        let context = self.lane.context.clone();
        if lost > 0 {
            add(&context.counters.messages_lost, lost);
            let stream = self.lane.stream.clone();
            context.events.tell(BusEvent::AcknowledgedLoss { stream, messages: lost });
        }
        // A log that keeps answering so must not be asked in a loop.
        self.failures = self.failures.saturating_add(1);
        if self.failures > 1 {
            tokio::time::sleep(context.backoff.jittered(self.failures)).await;
        }
        self.renew();
    }

    /// What is on its way starts again under a new number, from 1.
    fn renew(&mut self) {
        let context = self.lane.context.clone();
        add(&context.counters.lanes_renewed, 1);
        self.number = context.last_number.fetch_add(1, Relaxed).wrapping_add(1);
        self.acknowledged = 0;
        self.next = 1;
        for flight in &mut self.flights {
            flight.first = self.next;
            flight.frame = frame::renumber(&flight.frame, self.number, flight.first);
            self.next += u64::from(flight.count);
        }
        (0..self.flights.len()).for_each(|index| self.launch(index));
    }
}

/// Moves all flights on, the first one first, until that has its answer.
fn poll_flights(
    flights: &mut VecDeque<Flight>,
    cx: &mut Context<'_>,
) -> Poll<Result<Append, LogError>> {
    for flight in flights.iter_mut() {
        if let Some(call) = &mut flight.call
            && let Poll::Ready(answer) = call.as_mut().poll(cx)
        {
            flight.call = None;
            flight.answer = Some(answer);
        }
    }
    match flights.front_mut().and_then(|flight| flight.answer.take()) {
        Some(answer) => Poll::Ready(answer),
        None => Poll::Pending,
    }
}
