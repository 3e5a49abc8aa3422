//! A log that loses answers.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use callboard::{Incarnation, log::*};

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Nothing is done, and the caller hears of a broken connection.
    Before,
    /// It is done, and the caller hears of a broken connection.
    After,
    /// Nothing is done, and the caller hears nothing.
    Hang,
    /// It is done, and the caller hears nothing.
    HangAfter,
    /// It is done, and answered, late.
    Slow,
    /// The log is full.
    NoMemory,
    /// Nothing is done, for good.
    Refused,
}

type Decide = dyn Fn(&'static str) -> Fault + Send + Sync;

/// Passes calls on to the embedded log; a closure decides, by the method's name, what goes wrong.
#[derive(Clone)]
pub struct FaultyLog {
    inner: Arc<EmbeddedLog>,
    decide: Arc<Decide>,
}

impl std::fmt::Debug for FaultyLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaultyLog")
    }
}

impl FaultyLog {
    pub fn new(
        inner: Arc<EmbeddedLog>,
        decide: impl Fn(&'static str) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self { inner, decide: Arc::new(decide) }
    }

    async fn pass<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, LogError>>,
    ) -> Result<T, LogError> {
        let broken = || LogError::Unavailable { what: format!("{name} (fault)"), source: None };
        match (self.decide)(name) {
            Fault::None => call.await,
            Fault::Before => Err(broken()),
            Fault::After => call.await.and_then(|_| Err(broken())),
            Fault::Hang => std::future::pending().await,
            Fault::HangAfter => {
                call.await?;
                std::future::pending().await
            }
            Fault::Slow => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                call.await
            }
            Fault::NoMemory => Err(LogError::OutOfMemory),
            Fault::Refused => Err(LogError::Refused(format!("{name} (fault)"))),
        }
    }
}

macro_rules! pass {
    ($(fn $name:ident(&self $(, $arg:ident: $type:ty)* $(,)?) -> $out:ty;)*) => {
        #[async_trait]
        impl MessageLog for FaultyLog {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$out, LogError> {
                self.pass(stringify!($name), self.inner.$name($($arg),*)).await
            })*
        }
    };
}

pass! {
    fn append(&self, request: AppendRequest) -> Append;
    fn open(&self, stream: &StreamName, keep: Option<Duration>) -> ();
    fn ensure_group(&self, stream: &StreamName, group: &str, start: Start) -> ();
    fn remove_group(&self, stream: &StreamName, group: &str) -> ();
    fn read_group(&self, request: ReadGroupRequest) -> Vec<ReadBatch>;
    fn pending_of(&self, stream: &StreamName, consumer: &Consumer, limit: usize) -> Vec<Entry>;
    fn read_from(
        &self,
        streams: &[(StreamName, EntryId)],
        reader: &str,
        limit: usize,
        block: Duration,
    ) -> Vec<ReadBatch>;
    fn unblock(&self, reader: &str) -> ();
    fn progress(&self, stream: &StreamName, owner: &Owner, entries: &[Progress]) -> Vec<Ownership>;
    fn recorded(
        &self,
        stream: &StreamName,
        owner: &Owner,
        ids: &[EntryId],
    ) -> Vec<Option<Recorded>>;
    fn touch(&self, stream: &StreamName, consumer: &Consumer, ids: &[EntryId]) -> Vec<Ownership>;
    fn settle(&self, stream: &StreamName, owner: &Owner, entries: &[Settle]) -> Vec<Ownership>;
    fn bury(&self, stream: &StreamName, owner: &Owner, request: BuryRequest) -> Ownership;
    fn bury_entry(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: BuryEntryRequest,
    ) -> Ownership;
    fn postpone(&self, stream: &StreamName, owner: &Owner, request: PostponeRequest) -> Ownership;
    fn adopt(
        &self,
        stream: &StreamName,
        owner: &Owner,
        id: EntryId,
        count: u32,
    ) -> Ownership;
    fn append_delayed(&self, request: AppendRequest, id: &str, due_ms: u64) -> Append;
    fn cancel_delayed(&self, stream: &StreamName, id: &str) -> bool;
    fn due(&self, stream: &StreamName, limit: usize) -> Due;
    fn claim(&self, stream: &StreamName, request: ClaimRequest) -> Claim;
    fn remove_consumer(&self, stream: &StreamName, consumer: &Consumer) -> bool;
    fn forget_producer(&self, stream: &StreamName, producer: Incarnation) -> ();
    fn fence(&self, stream: &StreamName, epoch: u64, owner: &str) -> Fence;
    fn range(
        &self,
        stream: &StreamName,
        place: Place,
        from: EntryId,
        to: EntryId,
        limit: usize,
    ) -> Vec<Entry>;
    fn trim(&self, stream: &StreamName, place: Place, before: EntryId) -> u64;
    fn replay(&self, stream: &StreamName, request: ReplayRequest) -> Replayed;
    fn drop_dead(&self, stream: &StreamName, ids: &[EntryId]) -> u64;
    fn info(&self, stream: &StreamName) -> Option<StreamInfo>;
    fn streams(&self, prefix: &str) -> Vec<StreamName>;
    fn delete(&self, stream: &StreamName) -> bool;
    fn now_ms(&self) -> u64;
}
