//! The loops, the same for all peers and as callboard's are.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};

use crate::{
    peer::{Caller, Peer},
    shared::{
        Result,
        orders::{Orders, serve},
        seen::Seen,
        usage::middle,
    },
};

/// The process that is called.
struct Called<C> {
    seen: Arc<Seen>,
    _callee: C,
}

impl<C> Orders for Called<C> {
    async fn carry_out(&mut self, words: &[&str]) -> Result<String> {
        match words {
            ["handled", count] => self.seen.reach(count.parse()?).await,
            _ => return Err(format!("no such order: {words:?}").into()),
        }
        Ok(String::new())
    }
}

/// The process that calls.
struct Calling<C>(C);

impl<C: Caller> Orders for Calling<C> {
    async fn carry_out(&mut self, words: &[&str]) -> Result<String> {
        match words {
            ["tell", count] => {
                tells(&self.0, count.parse()?).await?;
                Ok(String::new())
            }
            ["ask", count, at_once] => asks(&self.0, count.parse()?, at_once.parse()?).await,
            _ => Err(format!("no such order: {words:?}").into()),
        }
    }
}

/// Is called until the standard input ends.
///
/// # Errors
/// When it can't answer.
pub async fn be_called<P: Peer>(threads: usize) -> Result<()> {
    serve(async {
        let seen = Arc::default();
        let (callee, address) = P::serve(threads, Arc::clone(&seen)).await?;
        Ok((Called { seen, _callee: callee }, address))
    })
    .await
}

/// Calls as it is told until the standard input ends.
///
/// # Errors
/// When it can't answer.
pub async fn call<P: Peer>(threads: usize, address: &str) -> Result<()> {
    serve(async { Ok((Calling(P::connect(threads, address).await?), String::new())) }).await
}

async fn tells<C: Caller>(caller: &C, count: u64) -> Result<()> {
    if C::OUTSTANDING == 1 {
        for _ in 0..count {
            caller.tell().await?;
        }
        return Ok(());
    }
    let mut told = stream::iter(0..count).map(|_| caller.tell()).buffer_unordered(C::OUTSTANDING);
    while told.try_next().await?.is_some() {}
    Ok(())
}

/// Says how long all took, and the middle one, in nanoseconds.
async fn asks<C: Caller>(caller: &C, count: u64, at_once: u64) -> Result<String> {
    let began = Instant::now();
    let callers = (0..at_once).map(|_| ask_in_turn(caller, count / at_once));
    let mut latencies = try_join_all(callers).await?.concat();
    let elapsed = began.elapsed();
    let middle = middle(&mut latencies).ok_or("no ask at all")?;
    Ok(format!("{} {}", elapsed.as_nanos(), middle.as_nanos()))
}

async fn ask_in_turn<C: Caller>(caller: &C, count: u64) -> Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(usize::try_from(count)?);
    for _ in 0..count {
        let began = Instant::now();
        caller.ask().await?;
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}
