use std::{sync::Arc, time::Duration};

use super::{LettersError, Selection};
use crate::{
    bus::Core,
    log::{Entry, EntryId, LogError, Place, StreamName},
};

/// How long a log that does not answer is asked again.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The most entries that one step of a scan asks for, and how many the first one does.
const CHUNK_BOUNDS: (usize, usize) = (16, 512);
/// A step that gave more bytes than this is followed by a smaller one.
const CHUNK_BYTES: usize = 1 << 20;

/// Where dead letters or retained entries lie.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    pub(super) core: Arc<Core>,
    pub(super) stream: StreamName,
    pub(super) place: Place,
}

/// Goes through what a selection can mean, oldest first, a bounded number of bytes at a time.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    shelf: &'a Shelf,
    left: Left,
}

#[derive(Debug)]
enum Left {
    Range { next: EntryId, last: EntryId, chunk: usize },
    Named(std::vec::IntoIter<EntryId>),
    Nothing,
}

impl Shelf {
    pub(super) fn failed(&self, what: &'static str, source: LogError) -> LettersError {
        LettersError::Log { what, stream: self.stream.clone(), source }
    }

    pub(super) async fn range(
        &self,
        from: EntryId,
        to: EntryId,
        limit: usize,
    ) -> Result<Vec<Entry>, LettersError> {
        let core = &self.core;
        let list = || core.log.range(&self.stream, self.place, from, to, limit);
        let listed = core.patiently("a list", PATIENCE, list).await;
        listed.map_err(|error| self.failed("list", error))
    }

    pub(super) fn scan(&self, selection: &Selection) -> Scan<'_> {
        let (next, last) = selection.bounds();
        let left = match selection.named() {
            Some(ids) => Left::Named(ids.into_iter()),
            None => Left::Range { next, last, chunk: CHUNK_BOUNDS.0 },
        };
        Scan { shelf: self, left }
    }
}

impl Scan<'_> {
    /// The next entries; none at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Entry>, LettersError> {
        match &mut self.left {
            Left::Nothing => Ok(Vec::new()),
            Left::Named(ids) => {
                let mut entries = Vec::new();
                while entries.is_empty() {
                    let Some(id) = ids.next() else { break };
                    entries = self.shelf.range(id, id, 1).await?;
                }
                Ok(entries)
            }
            Left::Range { next, last, chunk } => {
                let (from, to, limit) = (*next, *last, *chunk);
                if from > to {
                    return Ok(Vec::new());
                }
                let entries = self.shelf.range(from, to, limit).await?;
                let bytes: usize = entries.iter().map(|entry| entry.frame.len()).sum();
                *chunk = if bytes > CHUNK_BYTES { limit / 2 } else { limit * 2 };
                *chunk = (*chunk).clamp(1, CHUNK_BOUNDS.1);
                match entries.last() {
                    Some(entry) if entries.len() == limit => *next = entry.id.next(),
                    _ => self.left = Left::Nothing,
                }
                Ok(entries)
            }
        }
    }
}
