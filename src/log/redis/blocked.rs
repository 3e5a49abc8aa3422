use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use redis::{Cmd, RedisError, Value, aio::MultiplexedConnection};
use tokio::time::{Instant, timeout};

use super::{
    dial::Dial,
    error::{meaning, no_answer},
    parse,
    readers::Seat,
};
use crate::log::{LogError, ReadBatch, StreamName};

/// At most so many streams in one blocked read: waking one costs in proportion to them.
const STREAMS_MAX: usize = 32;
/// A read blocks for at most so long at a time: a connection that is dead without a word is noticed
/// after this and the time of a call.
const SLICE_MAX: Duration = Duration::from_secs(5);
/// So many connections are kept while nobody reads.
const IDLE_MAX: usize = 64;

/// The connections of blocked reads: one for each read.
pub(super) struct Blocked {
    dial: Arc<Dial>,
    idle: Mutex<Vec<Connection>>,
}

struct Connection {
    inner: MultiplexedConnection,
    client: i64,
}

/// A read of streams, without its time.
pub(super) struct Read<'a> {
    pub(super) streams: Vec<&'a StreamName>,
    /// What stands before and after `BLOCK ms`.
    pub(super) head: Vec<Vec<u8>>,
    pub(super) tail: Vec<Vec<u8>>,
}

/// Why a read gave nothing.
pub(super) enum Trouble {
    Log(LogError),
    /// A group is not there (any more).
    NoGroup,
}

impl Blocked {
    pub(super) fn new(dial: Arc<Dial>) -> Self {
        Self { dial, idle: Mutex::default() }
    }

    /// Reads, waiting until the deadline (for ever without one) unless the reader is unblocked. A
    /// dropped call closes its connection: Redis then gives the entries to nobody, or they are pending
    /// for the reader.
    pub(super) async fn read(
        &self,
        seat: &Seat,
        read: &Read<'_>,
        deadline: Option<Instant>,
    ) -> Result<Vec<ReadBatch>, Trouble> {
        if read.streams.len() > STREAMS_MAX {
            let what =
                format!("{} streams in one read, more than {STREAMS_MAX}", read.streams.len());
            return Err(Trouble::Log(LogError::Refused(what)));
        }
        let mut connection = self.connection().await.map_err(Trouble::Log)?;
        seat.sit(connection.client);
        loop {
            let left =
                deadline.map_or(SLICE_MAX, |end| end.saturating_duration_since(Instant::now()));
            let slice = if seat.is_unblocked() { Duration::ZERO } else { left.min(SLICE_MAX) };
            let answer = self.ask(&mut connection, read, slice).await?;
            let is_over = slice.is_zero() || seat.is_unblocked();
            if answer != Value::Nil || is_over || deadline.is_some_and(|end| end <= Instant::now())
            {
                self.keep(connection);
                return parse::batches(&read.streams, answer).map_err(Trouble::Log);
            }
        }
    }

    async fn ask(
        &self,
        connection: &mut Connection,
        read: &Read<'_>,
        block: Duration,
    ) -> Result<Value, Trouble> {
        let mut command = Cmd::new();
        command.arg(&read.head);
        if !block.is_zero() {
            // 0 would block for ever.
            let block_ms = u64::try_from(block.as_millis()).unwrap_or(u64::MAX).max(1);
            command.arg("BLOCK").arg(block_ms);
        }
        command.arg(&read.tail);
        let limit = block + self.dial.call_timeout;
        match timeout(limit, connection.inner.send_packed_command(&command)).await {
            Ok(answer) => match answer.and_then(Value::extract_error) {
                Ok(answer) => Ok(answer),
                Err(error) if is_no_group(&error) => Err(Trouble::NoGroup),
                Err(error) => Err(Trouble::Log(meaning(&read.what(), error))),
            },
            Err(_) => Err(Trouble::Log(no_answer(&read.what(), limit))),
        }
    }

    async fn connection(&self) -> Result<Connection, LogError> {
        if let Some(connection) = self.idle.lock().pop() {
            return Ok(connection);
        }
        let limit = self.dial.call_timeout;
        let connect = async {
            let mut inner = self.dial.connect().await?;
            let mut command = redis::cmd("CLIENT");
            command.arg("ID");
            match inner.send_packed_command(&command).await.and_then(Value::extract_error) {
                Ok(Value::Int(client)) => Ok(Connection { inner, client }),
                Ok(_) => Err(super::error::strange("CLIENT ID")),
                Err(error) => Err(meaning("ask for the connection's number", error)),
            }
        };
        timeout(limit, connect).await.unwrap_or_else(|_| Err(no_answer("connect", limit)))
    }

    /// Only after an answer: else the connection may still block.
    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
    }
}

impl Read<'_> {
    fn what(&self) -> String {
        let first = self.streams.first().map_or_else(String::new, ToString::to_string);
        match self.streams.len() {
            0 | 1 => format!("read {first}"),
            n => format!("read {first} and {} more", n - 1),
        }
    }
}

fn is_no_group(error: &RedisError) -> bool {
    // A read that waits for a stream that is deleted is told so.
    matches!(error.code(), Some("NOGROUP" | "UNBLOCKED"))
}
