//! What became of all messages, stream by stream.

use std::time::Duration;

use super::{BusError, Destination, core::Core, keys, process::Bus};
use crate::log::{Accounting, AccountingError, LogError, StreamInfo, StreamName};

/// How long a log that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The account of one stream, taken in one step of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamAccount {
    /// The stream.
    pub stream: StreamName,
    /// What became of its messages.
    pub accounting: Accounting,
    /// Entries that are not settled.
    pub length: u64,
    /// Dead letters that lie there; `accounting.dead` is what was ever buried.
    pub dead_letters: u64,
    /// Retained entries.
    pub retained: u64,
    /// About how much memory those take, in bytes.
    pub retained_bytes: u64,
}

/// The account of a stream does not add up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the account of {stream} does not add up: {source}")]
pub struct StreamAccountError {
    /// The stream.
    pub stream: StreamName,
    /// What is wrong, and by how much.
    pub source: AccountingError,
}

impl StreamAccount {
    fn new(stream: StreamName, info: StreamInfo) -> Self {
        let StreamInfo { accounting, length, dead_letters, retained, retained_bytes, .. } = info;
        Self { stream, accounting, length, dead_letters, retained, retained_bytes }
    }

    /// Checks that the messages add up (`appended = handled + expired + cancelled + dead + delayed +
    /// held`) and the frames too (`frames_in - frames_out = length`).
    ///
    /// It holds at every moment, also while messages come and go.
    ///
    /// # Errors
    /// [`StreamAccountError`] names the stream and the difference.
    pub fn check(&self) -> Result<(), StreamAccountError> {
        let (accounting, length) = (self.accounting, self.length);
        let info = StreamInfo { accounting, length, ..StreamInfo::default() };
        let wrong = |source| StreamAccountError { stream: self.stream.clone(), source };
        info.check().map_err(wrong)
    }
}

impl Bus {
    /// The account of a service's stream or an inbox; all zero when there is no such stream.
    ///
    /// # Errors
    /// [`BusError::Log`] when the log does not answer for 10 s.
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn account(&self, of: &Destination) -> Result<StreamAccount, BusError> {
        let stream = of.stream(&self.core.cluster);
        let core = self.core.clone();
        let account = self.core.run(async move { core.account(stream).await });
        account.await.ok_or(BusError::Stopped)?
    }

    /// The accounts of all streams of the cluster whose messages are counted: those of services, the
    /// inboxes of processes, and the dead letters of inboxes; in the order of their names. Each is
    /// exact, but they are taken one after the other.
    ///
    /// # Errors
    /// As [`account`](Self::account).
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn accounts(&self) -> Result<Vec<StreamAccount>, BusError> {
        let core = self.core.clone();
        self.core.run(async move { core.accounts().await }).await.ok_or(BusError::Stopped)?
    }
}

impl Core {
    async fn account(&self, stream: StreamName) -> Result<StreamAccount, BusError> {
        let info = self.patiently("a look", PATIENCE, || self.log.info(&stream)).await;
        match info {
            Ok(info) => Ok(StreamAccount::new(stream, info.unwrap_or_default())),
            Err(source) => Err(failed(stream, source)),
        }
    }

    async fn accounts(&self) -> Result<Vec<StreamAccount>, BusError> {
        let prefix = keys::all(&self.cluster);
        let listed = self.patiently("a list", PATIENCE, || self.log.streams(&prefix)).await;
        let listed =
            listed.map_err(|source| failed(keys::dead_letters_of_nodes(&self.cluster), source))?;
        let mut accounts = Vec::new();
        for stream in listed.into_iter().filter(StreamName::is_counted) {
            accounts.push(self.account(stream).await?);
        }
        Ok(accounts)
    }
}

fn failed(stream: StreamName, source: LogError) -> BusError {
    BusError::Log { what: "describe", stream, source }
}
