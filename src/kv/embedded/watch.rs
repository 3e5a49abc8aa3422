//! A watch: a place in the shared history, so that a slow reader holds no memory.

use async_trait::async_trait;
use tokio::{sync::watch, time::timeout_at};

use super::EmbeddedKv;
use crate::kv::{KvError, Revision, WatchBatch, Watcher};

#[derive(Debug)]
pub(super) struct EmbeddedWatcher {
    store: EmbeddedKv,
    prefix: String,
    /// The first revision that was not yielded yet.
    from: Revision,
    /// Whether a sign of life was asked for.
    progress: bool,
    changed: watch::Receiver<()>,
    /// The error that ended the watch; it is given again.
    ended: Option<Revision>,
}

impl EmbeddedWatcher {
    pub(super) fn new(
        store: EmbeddedKv,
        prefix: String,
        from: Revision,
        changed: watch::Receiver<()>,
    ) -> Self {
        Self { store, prefix, from, progress: false, changed, ended: None }
    }

    /// What there is to yield now.
    fn poll_once(&mut self) -> Result<Option<WatchBatch>, KvError> {
        if let Some(compacted) = self.ended {
            return Err(KvError::Compacted { compacted });
        }
        self.changed.mark_unchanged();
        let batch = match self.store.state().changes(&self.prefix, self.from) {
            Ok(batch) => batch,
            Err(error) => {
                if let KvError::Compacted { compacted } = error {
                    self.ended = Some(compacted);
                }
                return Err(error);
            }
        };
        // A watch that starts in the future stays there.
        self.from = self.from.max(batch.revision.next());
        let asked = std::mem::take(&mut self.progress);
        Ok((asked || !batch.events.is_empty()).then_some(batch))
    }
}

#[async_trait]
impl Watcher for EmbeddedWatcher {
    async fn next(&mut self) -> Result<WatchBatch, KvError> {
        loop {
            if let Some(batch) = self.poll_once()? {
                return Ok(batch);
            }
            // Nobody may call the store until the next lease ends, and nothing runs in the
            // background: whoever waits ends it.
            let changed = self.changed.changed();
            let changed = match self.store.next_expiry() {
                Some(expiry) => match timeout_at(expiry, changed).await {
                    Ok(changed) => changed,
                    Err(_) => continue,
                },
                None => changed.await,
            };
            if changed.is_err() {
                return Err(KvError::WatchEnded("the store is gone".to_owned()));
            }
        }
    }

    async fn request_progress(&mut self) -> Result<(), KvError> {
        self.progress = true;
        Ok(())
    }
}
