use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    Now, Shared, check,
    record::{Move, Moved},
    stream::Stream,
};
use crate::log::{AppendRequest, LogError, Mark, Owner, Ownership, StreamName};

impl Shared {
    /// Checks what can be said of a frame before its stream is looked at. Memory comes first, as in
    /// a server that refuses a script at its door.
    pub(super) fn admit(&self, request: &AppendRequest) -> Result<Now, LogError> {
        check::append(request)?;
        self.memory.check_room(request.frame.len())?;
        Ok(self.now())
    }

    pub(super) fn each<T>(
        &self,
        name: &StreamName,
        items: &[T],
        mut act: impl FnMut(&mut Stream, &T) -> Ownership,
    ) -> Result<Vec<Ownership>, LogError> {
        let answers = self
            .with(name, |stream| items.iter().map(|item| act(stream, item)).collect::<Vec<_>>());
        Ok(answers.unwrap_or_else(|| vec![Ownership::NotPending; items.len()]))
    }

    pub(super) fn move_one(
        &self,
        name: &StreamName,
        owner: &Owner,
        mark: Mark,
        to: Move,
        put: impl FnOnce(&mut Stream),
    ) -> Result<Ownership, LogError> {
        let moved = self.with(name, |stream| match stream.probe_move(owner, mark, to) {
            Ok(Moved::Fresh) => {
                put(stream);
                stream.record_move(owner, mark, to);
                Ownership::Done
            }
            other => answer(other),
        });
        Ok(moved.unwrap_or(Ownership::NotPending))
    }

    pub(super) fn bury_into(
        &self,
        from: &StreamName,
        into: &StreamName,
        owner: &Owner,
        mark: Mark,
        letter: Bytes,
    ) -> Ownership {
        let moved = self.with_both(from, into, |source, target| {
            let moved = source.probe_move(owner, mark, Move::Bury);
            if moved == Ok(Moved::Fresh) {
                target.exists = true;
                target.dead.push(self.now().ms, letter, 1);
                source.record_move(owner, mark, Move::Bury);
            }
            answer(moved)
        });
        moved.unwrap_or(Ownership::NotPending)
    }

    /// Acts on two streams at once: both are locked, in the order of their names. `None` when the
    /// first does not exist.
    pub(super) fn with_both<R>(
        &self,
        from: &StreamName,
        into: &StreamName,
        act: impl FnOnce(&mut Stream, &mut Stream) -> R,
    ) -> Option<R> {
        loop {
            let source = self.find(from)?;
            let target = self.find_or_add(into);
            let (mut source, mut target) = if from < into {
                let source = source.lock();
                (source, target.lock())
            } else {
                let target = target.lock();
                (source.lock(), target)
            };
            if source.is_detached || target.is_detached {
                continue;
            }
            self.end_if_over(&mut source);
            self.end_if_over(&mut target);
            let result = act(&mut source, &mut target);
            drop((source, target));
            self.vacate(into);
            return Some(result);
        }
    }

    /// Removes streams whose time is over.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let is_over = |stream: &Arc<Mutex<Stream>>| stream.lock().is_over(now);
        for (name, _) in self.names().iter().filter(|(_, stream)| is_over(stream)) {
            // Looking at it ends it.
            self.with_made(name, |_| ());
        }
    }
}

fn answer(moved: Result<Moved, Ownership>) -> Ownership {
    match moved {
        Ok(Moved::Fresh | Moved::Already) => Ownership::Done,
        Ok(Moved::Contradiction) => Ownership::Disagrees,
        Err(standing) => standing,
    }
}
