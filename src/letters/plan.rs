//! What becomes of an entry that is replayed.

use bytes::Bytes;

use super::{LetterSummary, MessagePlace, Selection, Skip, SkipReason, scan::Shelf};
use crate::{
    bus::{
        Destination,
        frame::{Again, Frame, Kind, messages_again},
        keys,
    },
    log::{Done, Entry, EntryId, ReplayFrame, StreamName},
};

/// A retained entry is put into the stream again in parts of so many messages. The same for each
/// replay: how far a run came is known by the part.
const PART_MESSAGES: u32 = 16;

/// Where replayed messages go.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    /// Dead letters, back to where they were.
    LettersHome,
    /// Dead letters, to a service.
    LettersTo(Destination),
    /// Retained messages, to their service.
    Retained,
}

/// What becomes of one part of an entry.
#[derive(Debug)]
pub(super) enum Part {
    /// It goes into this stream (its own when `None`).
    Goes(Option<StreamName>, ReplayFrame),
    /// It stays where it is.
    Stays(Skip),
}

impl Plan {
    /// How many messages of an entry are meant.
    pub(super) fn count(&self, selection: &Selection, entry: &Entry) -> u64 {
        match self {
            Self::LettersHome | Self::LettersTo(_) => {
                u64::from(selection.takes_letter(&LetterSummary::of(entry)))
            }
            Self::Retained => match Frame::parse(entry.frame.clone()) {
                Ok(frame) => messages_of(&frame, &entry.skip, entry.id, selection).len() as u64,
                Err(_) => 1,
            },
        }
    }

    /// What becomes of an entry.
    pub(super) fn parts(&self, shelf: &Shelf, selection: &Selection, entry: &Entry) -> Vec<Part> {
        let Ok(frame) = Frame::parse(entry.frame.clone()) else {
            return if self.count(selection, entry) > 0 {
                vec![stays(entry.id, SkipReason::Unreadable)]
            } else {
                Vec::new()
            };
        };
        match self {
            Self::Retained => retained_parts(&frame, entry, selection),
            Self::LettersHome | Self::LettersTo(_) => {
                let letter = LetterSummary::of_frame(entry, &frame);
                if !selection.takes_letter(&letter) {
                    return Vec::new();
                }
                vec![self.letter(shelf, &frame, &letter)]
            }
        }
    }

    fn letter(&self, shelf: &Shelf, frame: &Frame, letter: &LetterSummary) -> Part {
        let id = letter.id;
        if letter.unreadable {
            return stays(id, SkipReason::Unreadable);
        }
        if !is_tell(letter.kind) || letter.message.is_none() {
            return stays(id, SkipReason::NotATell);
        }
        let into = match self.target(shelf, letter) {
            Ok(into) => into,
            Err(reason) => return stays(id, reason),
        };
        let keeps_target = !matches!(self, Self::LettersTo(_));
        let again = Again { origin: letter.origin, keeps_target };
        match messages_again(frame, &[0], again) {
            Some(frame) => Part::Goes(into, ReplayFrame { id, part: 0, count: 1, frame }),
            None => stays(id, SkipReason::Unreadable),
        }
    }

    /// The stream that a letter goes into; its own when `None`.
    fn target(
        &self,
        shelf: &Shelf,
        letter: &LetterSummary,
    ) -> Result<Option<StreamName>, SkipReason> {
        let core = &shelf.core;
        if let Self::LettersTo(to) = self {
            return Ok(Some(to.stream(&core.cluster)));
        }
        if shelf.stream != keys::dead_letters_of_nodes(&core.cluster) {
            return Ok(None);
        }
        let (Some(process), Some(_)) = (letter.inbox, letter.target) else {
            return Err(SkipReason::NoActor);
        };
        // Its inbox may stand for a while after it.
        let is_gone = core.members().is_some_and(|members| !members.contains(process));
        if is_gone {
            Err(SkipReason::ProcessGone)
        } else {
            Ok(Some(keys::inbox(&core.cluster, process)))
        }
    }
}

/// Which messages of a retained frame are meant: each message of the service once, where its entry was
/// settled first.
pub(super) fn messages_of(
    frame: &Frame,
    skip: &Done,
    id: EntryId,
    selection: &Selection,
) -> Vec<u32> {
    let is_meant = |index: &u32| {
        if skip.contains(*index) {
            // Its dedup id was known: it was handled from elsewhere.
            return false;
        }
        let Some((message, _)) = frame.message(*index) else { return false };
        // One that was tried again, or copied from here, is kept where it was before too. A dead letter
        // that was replayed came a second time.
        let begins = message.moved.is_none_or(|moved| moved.attempt == 0);
        let is_first = begins || message.kind == Kind::Publish;
        let place = MessagePlace { id, index: *index };
        let takes = |name: &str| selection.takes_message(place, name);
        is_tell(message.kind) && is_first && message.name.is_some_and(takes)
    };
    (0..frame.count()).filter(is_meant).collect()
}

fn retained_parts(frame: &Frame, entry: &Entry, selection: &Selection) -> Vec<Part> {
    let id = entry.id;
    let meant = messages_of(frame, &entry.skip, id, selection);
    let parts = meant.chunk_by(|a, b| a / PART_MESSAGES == b / PART_MESSAGES);
    let part = |indices: &[u32]| {
        let count = u32::try_from(indices.len()).unwrap_or(u32::MAX);
        match one_again(frame, indices, id) {
            Some(frame) => {
                let part = indices[0] / PART_MESSAGES;
                Part::Goes(None, ReplayFrame { id, part, count, frame })
            }
            None => stays(id, SkipReason::Unreadable),
        }
    };
    parts.map(part).collect()
}

/// Messages of a retained frame as they go into a stream again.
pub(super) fn one_again(frame: &Frame, indices: &[u32], origin: EntryId) -> Option<Bytes> {
    messages_again(frame, indices, Again { origin, keeps_target: true })
}

fn is_tell(kind: Kind) -> bool {
    matches!(kind, Kind::Tell | Kind::Publish)
}

fn stays(id: EntryId, reason: SkipReason) -> Part {
    Part::Stays(Skip { id, reason })
}
