use std::{fmt, time::Duration};

use async_trait::async_trait;
use etcd_client::{Client, EventType, WatchOptions, WatchStream};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    MESSAGE_BYTES_MAX,
    convert::{end_of, key_value, start_of},
    error::{Meaning, meaning, no_answer, unavailable},
};
use crate::kv::{
    EventKind, KeyValue, KvError, Revision, WatchBatch, WatchEvent, WatchRequest, Watcher,
};

/// A watch on a stream of its own.
pub(super) struct EtcdWatcher {
    stream: WatchStream,
    /// The last revision whose changes were all given.
    seen: Revision,
    call_timeout: Duration,
    /// An answer is due by then: a server that was stopped keeps the connection and says nothing.
    answer_due: Option<Instant>,
}

impl EtcdWatcher {
    /// Starts a watch and waits until etcd has confirmed it.
    pub(super) async fn start(
        client: &Client,
        request: &WatchRequest,
        call_timeout: Duration,
    ) -> Result<Self, KvError> {
        let deadline = Instant::now() + call_timeout;
        let options = WatchOptions::new()
            .with_range(end_of(&request.prefix))
            .with_start_revision(request.from.0);
        let mut watches = client.watch_client().max_decoding_message_size(MESSAGE_BYTES_MAX);
        let start = start_of(&request.prefix, None);
        let started = timeout_at(deadline, watches.watch(start, Some(options))).await;
        let stream = match started {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unavailable("start a watch", error)),
            Err(_) => return Err(no_answer("start a watch", call_timeout)),
        };
        let seen = Revision(request.from.0 - 1);
        let mut watcher = Self { stream, seen, call_timeout, answer_due: Some(deadline) };
        // The confirmation; a watch from below the compacted revision is cancelled right behind it,
        // which `next` will see.
        watcher.message().await?;
        Ok(watcher)
    }

    /// One message of the stream. Every message is a sign of life.
    async fn message(&mut self) -> Result<WatchBatch, KvError> {
        let received = match self.answer_due {
            None => self.stream.message().await,
            Some(due) => match timeout_at(due, self.stream.message()).await {
                Ok(received) => received,
                Err(_) => return Err(no_answer("watch", self.call_timeout)),
            },
        };
        let response = match received {
            Ok(Some(response)) => response,
            Ok(None) => return Err(KvError::WatchEnded("etcd closed it".to_owned())),
            Err(error) => return Err(ended(error)),
        };
        self.answer_due = None;
        if response.canceled() {
            return Err(match response.compact_revision() {
                0 => {
                    KvError::WatchEnded(format!("etcd cancelled it: {}", response.cancel_reason()))
                }
                compacted => KvError::Compacted { compacted: Revision(compacted) },
            });
        }
        let events: Vec<WatchEvent> =
            response.events().iter().filter_map(event).collect::<Result<_, _>>()?;
        if let Some(last) = events.last() {
            self.seen = self.seen.max(last.kv.mod_revision);
        }
        // Not the revision of the header: etcd 3.4 answers a request for progress before changes
        // that it has not sent yet.
        Ok(WatchBatch { events, revision: self.seen })
    }
}

fn ended(error: etcd_client::Error) -> KvError {
    match meaning(&error) {
        Meaning::Compacted => KvError::WatchEnded(format!("etcd compacted under it: {error}")),
        _ => unavailable("watch", error),
    }
}

fn event(event: &etcd_client::Event) -> Option<Result<WatchEvent, KvError>> {
    let kv = event.kv()?;
    let kind = match event.event_type() {
        EventType::Put => EventKind::Put,
        EventType::Delete => EventKind::Delete,
    };
    let read = key_value(kv).map(|read| match kind {
        EventKind::Put => read,
        EventKind::Delete => KeyValue { value: Default::default(), lease: None, ..read },
    });
    Some(read.map(|kv| WatchEvent { kind, kv }))
}

#[async_trait]
impl Watcher for EtcdWatcher {
    async fn next(&mut self) -> Result<WatchBatch, KvError> {
        self.message().await
    }

    async fn request_progress(&mut self) -> Result<(), KvError> {
        match timeout(self.call_timeout, self.stream.request_progress()).await {
            Ok(Ok(())) => {
                self.answer_due.get_or_insert(Instant::now() + self.call_timeout);
                Ok(())
            }
            Ok(Err(error)) => Err(ended(error)),
            Err(_) => Err(no_answer("ask a watch for progress", self.call_timeout)),
        }
    }
}

impl fmt::Debug for EtcdWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdWatcher").field("seen", &self.seen).finish_non_exhaustive()
    }
}
