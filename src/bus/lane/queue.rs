use std::{collections::VecDeque, sync::Arc};

use tokio::time::Instant;

use super::{Parcel, Placed, receipt::Promise};
use crate::{
    bus::{
        codec::{BODY_BYTES_MAX, CodecError},
        frame::{FrameBuilder, Message, Pushed},
        outgoing::Dedup,
        waiters::Waiters,
    },
    error::{Failure, FailureKind},
    log::DedupId,
};

/// A frame that has not been sent yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) serial: u64,
    pub(super) builder: FrameBuilder,
    pub(super) bytes: usize,
    pub(super) delayed: Option<(Arc<str>, u64)>,
    pub(super) dedup: Vec<DedupId>,
    pub(super) promise: Promise,
}

#[derive(Debug)]
/// What a lane holds.
pub(super) struct Queue {
    pub(super) open: Option<Pending>,
    pub(super) ready: VecDeque<Pending>,
    /// Frames with the driver.
    pub(super) flying: usize,
    /// Bytes of all frames, those with the driver too.
    pub(super) bytes: usize,
    last_serial: u64,
    pub(super) closed: bool,
    pub(super) used: Instant,
}

impl Queue {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            open: None,
            ready: VecDeque::new(),
            flying: 0,
            bytes: 0,
            last_serial: 0,
            closed: false,
            used: now,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        let open = self.open.as_ref().is_some_and(|pending| pending.builder.count() > 0);
        self.flying == 0 && self.ready.is_empty() && !open
    }

    /// Encodes a message into the open frame, or into the next when that has no room.
    pub(super) fn write(
        &mut self,
        parcel: &mut Parcel<'_, '_>,
        waiters: &Arc<Waiters>,
    ) -> Result<Placed, Failure> {
        if parcel.delayed.is_some() {
            // It travels alone, and what was said before it stays before it.
            self.close_open();
        }
        let Parcel { message, body, delayed, dedup, ask } = parcel;
        let pushed = self.open(waiters).builder.push(message, |into| body.write(into));
        let pushed = match pushed {
            Ok(Pushed::NoRoom(encoded)) => {
                self.close_open();
                self.open(waiters).builder.push(message, |into| {
                    into.extend_from_slice(&encoded);
                    Ok(())
                })
            }
            other => other,
        };
        let place = match pushed {
            Ok(Pushed::In { place }) => place,
            Ok(Pushed::TooLarge(size)) => return Err(too_large(size)),
            // An empty frame has room for whatever is not too large.
            Ok(Pushed::NoRoom(encoded)) => return Err(too_large(encoded.len())),
            Err(error) => return Err(unencodable(message, error)),
        };
        let pending = self.open(waiters);
        let grown = pending.builder.size_bytes().saturating_sub(pending.bytes);
        pending.bytes += grown;
        pending.delayed = delayed.take();
        if let Some(Dedup { id, window }) = dedup.take() {
            let index = pending.builder.count().saturating_sub(1);
            pending.dedup.push(DedupId { index, id, window });
        }
        if let Some(correlation) = ask {
            pending.promise.add_ask(*correlation);
        }
        let placed = Placed { receipt: pending.promise.receipt(), serial: pending.serial, place };
        let alone = pending.delayed.is_some();
        self.bytes += grown;
        if alone {
            self.close_open();
        }
        Ok(placed)
    }

    fn open(&mut self, waiters: &Arc<Waiters>) -> &mut Pending {
        let last_serial = &mut self.last_serial;
        self.open.get_or_insert_with(|| {
            *last_serial += 1;
            Pending {
                serial: *last_serial,
                builder: FrameBuilder::new(),
                bytes: 0,
                delayed: None,
                dedup: Vec::new(),
                promise: Promise::new(waiters.clone()),
            }
        })
    }

    fn close_open(&mut self) {
        if let Some(pending) = self.open.take_if(|pending| pending.builder.count() > 0) {
            self.ready.push_back(pending);
        }
    }
}

fn too_large(size: usize) -> Failure {
    FailureKind::TooLarge { size, limit: BODY_BYTES_MAX }.into()
}

fn unencodable(message: &Message<'_>, error: CodecError) -> Failure {
    let kind = FailureKind::Undecodable {
        message: message.name.unwrap_or_default().to_owned(),
        version: message.version,
        reason: "its sender could not encode it".to_owned(),
    };
    Failure::new(kind).caused_by(error)
}
