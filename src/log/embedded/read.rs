use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::{Shared, wait::Signal};
use crate::log::{Entry, EntryId, ReadBatch, Start, StreamName};

/// A read of several streams, as a consumer of a group or outside any.
pub(super) struct Read<'a> {
    pub(super) shared: &'a Shared,
    /// Who reads, for unblocking.
    pub(super) reader: &'a str,
    pub(super) group: Option<&'a str>,
    /// The streams; the ids are those to read after, outside a group.
    pub(super) streams: Vec<(&'a StreamName, EntryId)>,
    pub(super) limit: usize,
}

impl Read<'_> {
    /// Reads, waiting for at most `block`. Entries are assigned in one step with the return, so a
    /// dropped call has assigned none.
    pub(super) async fn run(self, block: Duration) -> Vec<ReadBatch> {
        // A caller that finds something each time must still let others run.
        tokio::task::coop::consume_budget().await;
        let is_unblocked = self.shared.readers.take_permit(self.reader);
        let found = self.take();
        if !found.is_empty() || block.is_zero() || is_unblocked {
            return found;
        }
        let deadline = Instant::now().checked_add(block);
        loop {
            let seat = Seat::take(&self);
            let is_late = seat.wait(deadline).await;
            if seat.signal.is_over() {
                return Vec::new();
            }
            let found = self.take();
            if !found.is_empty() || is_late || seat.signal.is_unblocked() {
                return found;
            }
        }
    }

    fn take(&self) -> Vec<ReadBatch> {
        let batch = |(stream, after): &(&StreamName, EntryId)| {
            let entries = self.take_from(stream, *after);
            (!entries.is_empty()).then(|| ReadBatch { stream: (*stream).clone(), entries })
        };
        self.streams.iter().filter_map(batch).collect()
    }

    fn take_from(&self, name: &StreamName, after: EntryId) -> Vec<Entry> {
        let Some(group) = self.group else {
            let read = |stream: &mut super::Stream| stream.live.after(after, self.limit);
            return self.shared.with(name, read).unwrap_or_default();
        };
        self.shared.with_made(name, |stream| {
            stream.ensure_group(group, Start::Beginning);
            let super::Stream { groups, live, .. } = stream;
            let group = groups.get_mut(group).expect("the group was made above");
            group.deliver(live, self.reader, self.limit, Instant::now())
        })
    }
}

/// A blocked read's place among the waiters of its streams; it is given up on drop.
struct Seat<'a> {
    read: &'a Read<'a>,
    id: u64,
    signal: Arc<Signal>,
    has_found: bool,
}

impl<'a> Seat<'a> {
    fn take(read: &'a Read<'a>) -> Self {
        let id = read.shared.read_ids.fetch_add(1, Ordering::Relaxed);
        let mut seat = Self { read, id, signal: Arc::default(), has_found: false };
        read.shared.readers.enter(read.reader, id, &seat.signal);
        for (name, after) in &read.streams {
            seat.has_found |= read.shared.with_made(name, |stream| {
                let has_new = stream.exists && stream.has_new(read.group, *after);
                stream.waiters.add(read.group, id, Arc::clone(&seat.signal), has_new);
                has_new
            });
        }
        seat
    }

    /// Waits until there may be something, or the time is over (true).
    async fn wait(&self, deadline: Option<Instant>) -> bool {
        if self.has_found {
            return false;
        }
        match deadline {
            Some(deadline) => timeout_at(deadline, self.signal.raised()).await.is_err(),
            None => {
                self.signal.raised().await;
                false
            }
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let Read { shared, reader, group, streams, .. } = self.read;
        shared.readers.leave(reader, self.id);
        for (name, after) in streams {
            shared.with_made(name, |stream| {
                stream.waiters.remove(*group, self.id);
                if let Some(group) = group
                    && stream.has_new(Some(group), *after)
                {
                    stream.waiters.wake_next(group);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EmbeddedLog, tests};
    use super::*;
    use crate::log::MessageLog;

    fn read<'a>(log: &'a EmbeddedLog, group: Option<&'a str>, stream: &'a StreamName) -> Read<'a> {
        let streams = vec![(stream, EntryId::MIN)];
        Read { shared: &log.shared, reader: "r", group, streams, limit: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_between_looking_and_blocking_is_found() {
        let (log, stream) = (EmbeddedLog::new(), tests::stream("orders"));
        for (first, group) in [(1, Some("g")), (2, None)] {
            let read = read(&log, group, &stream);
            if group.is_some() {
                assert!(read.take().is_empty());
            }
            log.append(tests::frame(&stream, first, 10)).await.expect("there is memory");
            let seat = Seat::take(&read);
            let deadline = Instant::now() + Duration::from_secs(60);
            assert!(!seat.wait(Some(deadline)).await, "the entry was missed");
            assert_eq!(read.take().len(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unblock_between_looking_and_blocking_is_found() {
        let (log, stream) = (EmbeddedLog::new(), tests::stream("orders"));
        let read = read(&log, Some("g"), &stream);
        assert!(read.take().is_empty());
        log.unblock("r").await.expect("unblock answers");
        let seat = Seat::take(&read);
        assert!(!seat.wait(Some(Instant::now() + Duration::from_secs(60))).await);
        assert!(seat.signal.is_unblocked());
    }
}
