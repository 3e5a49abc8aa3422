use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;

use super::{
    core::{Core, stopped},
    frame::Kind,
    lane::{Entrance, Lane, Receipt, Refused},
    outbox::Destination,
    outgoing::Outgoing,
    process::Bus,
    send::parcel,
};
use crate::error::Failure;

/// The way to one destination, kept by who sends there often: the lane need not be looked up for each
/// message.
pub(crate) struct Way {
    core: Arc<Core>,
    to: Destination,
    /// It may have been dropped for being idle: then it refuses, and another is looked up.
    lane: ArcSwapOption<Lane>,
}

/// Why a message is not in a lane.
#[derive(Debug)]
pub(crate) enum NotYet {
    /// The lane holds as much as it may, or others wait: wait too.
    Full,
    /// It can't be sent.
    Failed(Failure),
}

impl Bus {
    pub(crate) fn way(&self, to: Destination) -> Way {
        Way { core: self.core.clone(), to, lane: ArcSwapOption::empty() }
    }
}

impl Way {
    /// Puts a tell into its lane at once, if there is room.
    pub(crate) fn try_tell(&self, outgoing: Outgoing<'_>) -> Result<Receipt, NotYet> {
        let mut parcel = parcel(Kind::Tell, outgoing);
        loop {
            if self.core.is_ended() {
                return Err(NotYet::Failed(stopped()));
            }
            let known = self.lane.load();
            let pushed = match &*known {
                Some(lane) => lane.push(&mut parcel, Entrance::Try),
                None => Err(Refused::Closed),
            };
            match pushed {
                Ok(placed) => return Ok(placed.receipt),
                Err(Refused::Full) => return Err(NotYet::Full),
                Err(Refused::Failed(failure)) => return Err(NotYet::Failed(failure)),
                Err(Refused::Closed) => {
                    if known.is_some() {
                        // It is on its way out of the outbox.
                        std::thread::yield_now();
                    }
                    self.lane.store(Some(self.core.outbox.lane(&self.core, &self.to)));
                }
            }
        }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Way").field(&self.to).finish()
    }
}
