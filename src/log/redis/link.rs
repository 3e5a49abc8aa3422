use std::sync::Arc;

use parking_lot::Mutex;
use redis::{RedisError, Value, aio::MultiplexedConnection};
use tokio::time::{Instant, timeout};

use super::{
    call::Call,
    dial::Dial,
    error::{has_no_script, is_broken, meaning, no_answer},
    script,
};
use crate::log::LogError;

/// One connection for calls that do not block, made anew when it broke or did not answer in time.
pub(super) struct Link {
    dial: Arc<Dial>,
    /// With a number that tells one connection from the next.
    current: Mutex<Option<(u64, MultiplexedConnection)>>,
    /// Held while one caller connects for all.
    connecting: tokio::sync::Mutex<u64>,
}

impl Link {
    pub(super) fn new(dial: Arc<Dial>) -> Self {
        Self { dial, current: Mutex::new(None), connecting: tokio::sync::Mutex::new(0) }
    }

    /// Makes one call with its time limit, the time to connect included.
    ///
    /// A call whose future is dropped may have been made all the same.
    pub(super) async fn run(&self, call: Call) -> Result<Value, LogError> {
        let limit = self.dial.call_timeout;
        let answer = timeout(limit, self.attempt(&call)).await;
        answer.unwrap_or_else(|_| Err(no_answer(&call.what(), limit)))
    }

    async fn attempt(&self, call: &Call) -> Result<Value, LogError> {
        let (number, mut connection) = self.connection().await?;
        let mut waiting = Waiting { link: self, number, since: Instant::now(), is_over: false };
        let mut answer = send(&mut connection, call).await;
        if answer.as_ref().is_err_and(has_no_script) {
            for script in script::all() {
                let loaded = script.load_async(&mut connection).await;
                loaded.map_err(|error| meaning("load the scripts", error))?;
            }
            answer = send(&mut connection, call).await;
        }
        waiting.is_over = true;
        answer.map_err(|error| {
            if is_broken(&error) {
                self.give_up(number);
            }
            meaning(&call.what(), error)
        })
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), LogError> {
        if let Some(current) = self.current.lock().clone() {
            return Ok(current);
        }
        let mut last = self.connecting.lock().await;
        if let Some(current) = self.current.lock().clone() {
            return Ok(current);
        }
        let connection = self.dial.connect().await?;
        *last += 1;
        *self.current.lock() = Some((*last, connection.clone()));
        Ok((*last, connection))
    }

    fn give_up(&self, number: u64) {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|(current, _)| *current == number) {
            *current = None;
        }
    }
}

/// A call that has no answer yet. Dropped so late, whoever's time limit it was: network or server are
/// silent, nothing more is to be had from the connection, and answers to the others' calls are as
/// unknown as this one.
struct Waiting<'a> {
    link: &'a Link,
    number: u64,
    since: Instant,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.since.elapsed() >= self.link.dial.call_timeout / 2 {
            self.link.give_up(self.number);
        }
    }
}

async fn send(connection: &mut MultiplexedConnection, call: &Call) -> Result<Value, RedisError> {
    // An error reply is a value to the connection.
    connection.send_packed_command(call.command()).await.and_then(Value::extract_error)
}
