use std::{fmt, sync::Arc};

use async_trait::async_trait;
use etcd_client::{Error, EventType, WatchClient, WatchOptions, WatchResponse, WatchStream};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    convert::{end_of, key_value, start_of},
    error::{Meaning, is_denial, meaning, no_answer, unavailable},
    members::{Failed, Members, Repeat},
};
use crate::kv::{
    EventKind, KeyValue, KvError, Revision, WatchBatch, WatchEvent, WatchRequest, Watcher,
};

/// A watch on a stream of its own.
pub(super) struct EtcdWatcher {
    stream: WatchStream,
    members: Arc<Members>,
    /// The endpoint that it is at.
    at: usize,
    /// The confirmation, which may be the last word already.
    first: Option<WatchResponse>,
    /// The last revision whose changes were all given.
    seen: Revision,
    /// An answer is due by then: a server that was stopped keeps the connection and says nothing.
    answer_due: Option<Instant>,
}

impl EtcdWatcher {
    /// Starts a watch and waits until etcd has confirmed it.
    pub(super) async fn start(
        members: &Arc<Members>,
        request: &WatchRequest,
    ) -> Result<Self, KvError> {
        let options = WatchOptions::new()
            .with_range(end_of(&request.prefix))
            .with_start_revision(request.from.0);
        let bytes_max = members.options().message_bytes_max;
        let start = start_of(&request.prefix, None);
        // Starting it twice does no harm: the stream of the first is dropped.
        let started = members.call_at("watch these keys", Repeat::Free, |client| {
            let watches = client.watch_client().max_decoding_message_size(bytes_max);
            open(watches, start.clone(), options.clone())
        });
        let (at, (stream, first)) = match started.await {
            Ok(started) => started,
            Err(Failed::Other(error)) => return Err(error),
            Err(Failed::Client(error)) => return Err(ended(error, request.from)),
        };
        let seen = Revision(request.from.0 - 1);
        let members = Arc::clone(members);
        let mut watcher = Self { stream, members, at, first: Some(first), seen, answer_due: None };
        // A watch from below the compacted revision is cancelled right behind this, which `next`
        // will see.
        watcher.message().await?;
        Ok(watcher)
    }

    /// One message of the stream. Every message is a sign of life.
    async fn message(&mut self) -> Result<WatchBatch, KvError> {
        let response = match self.first.take() {
            Some(first) => first,
            None => self.receive().await.inspect_err(|error| self.members.leave(self.at, error))?,
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

    async fn receive(&mut self) -> Result<WatchResponse, KvError> {
        let received = match self.answer_due {
            None => self.stream.message().await,
            Some(due) => match timeout_at(due, self.stream.message()).await {
                Ok(received) => received,
                Err(_) => return Err(no_answer("watch", self.members.options().call_timeout)),
            },
        };
        match received {
            Ok(Some(response)) => Ok(response),
            Ok(None) => Err(KvError::WatchEnded("etcd closed it".to_owned())),
            Err(error) => Err(ended(error, self.seen.next())),
        }
    }
}

/// Starts a watch. What etcd says in the stream to a user without a token or without a right
/// becomes an error here, so that it is treated as any other call's.
async fn open(
    mut watches: WatchClient,
    start: Vec<u8>,
    options: WatchOptions,
) -> Result<(WatchStream, WatchResponse), Error> {
    let mut stream = watches.watch(start, Some(options)).await?;
    let Some(first) = stream.message().await? else {
        return Err(Error::WatchError("etcd closed it".to_owned()));
    };
    if first.canceled() && is_denial(first.cancel_reason()) {
        let why = first.cancel_reason().to_owned();
        return Err(Error::GRpcStatus(tonic::Status::unauthenticated(why)));
    }
    Ok((stream, first))
}

/// Why a watch is over that wanted the changes from this revision on.
fn ended(error: Error, wanted: Revision) -> KvError {
    match meaning(&error) {
        Meaning::Compacted => KvError::WatchEnded(format!("etcd compacted under it: {error}")),
        // It would be as large the next time: what it brought has to be read as a list.
        Meaning::TooLarge(why) => {
            tracing::debug!(%why, %wanted, "the history of a watch is too large");
            KvError::Compacted { compacted: wanted.next() }
        }
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
        let limit = self.members.options().call_timeout;
        match timeout(limit, self.stream.request_progress()).await {
            Ok(Ok(())) => {
                self.answer_due.get_or_insert(Instant::now() + limit);
                Ok(())
            }
            Ok(Err(error)) => Err(ended(error, self.seen.next())),
            Err(_) => Err(no_answer("ask a watch for progress", limit)),
        }
    }
}

impl fmt::Debug for EtcdWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdWatcher").field("seen", &self.seen).finish_non_exhaustive()
    }
}
