//! The loops of the calling process.

use std::time::{Duration, Instant};

use callboard::{ServiceRef, bus::BusStats};
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};

use super::{
    Result,
    actor::{Get, Put, Sink},
    bare,
    pair::Pair,
    resp,
    sample::{Timed, middle},
};

/// Tells whose end is awaited at a time.
const OUTSTANDING: usize = 1024;
/// Asks under way at once.
const IN_FLIGHT: u64 = 64;

/// Tells, each awaited until it is stored, 1024 at a time.
///
/// # Errors
/// When a tell fails.
pub async fn tell(pair: &mut Pair, messages: u64) -> Result<Timed> {
    tells(pair, messages, async |service| {
        let tell = |_| {
            let service = service.clone();
            async move { service.tell(Put::fresh()).await }
        };
        let mut told = stream::iter(0..messages).map(tell).buffer_unordered(OUTSTANDING);
        while told.try_next().await?.is_some() {}
        Ok(())
    })
    .await
}

/// Tells, each awaited until it is in the lane.
///
/// # Errors
/// When a tell fails.
pub async fn buffered(pair: &mut Pair, messages: u64) -> Result<Timed> {
    tells(pair, messages, async |service| {
        for _ in 0..messages {
            service.tell(Put::fresh()).buffered().await?;
        }
        Ok(())
    })
    .await
}

/// From the first send until the callee has handled all.
async fn tells(
    pair: &mut Pair,
    messages: u64,
    send: impl AsyncFnOnce(&ServiceRef<Sink>) -> Result<()>,
) -> Result<Timed> {
    pair.told += messages;
    let order = format!("handled {}", pair.told);
    let before = pair.system.bus().stats();
    let began = Instant::now();
    send(&pair.service).await?;
    pair.callee.send(&order)?;
    pair.callee.answer(&order).await?;
    let elapsed = began.elapsed();
    let per_frame = per_frame(before, pair.system.bus().stats());
    pair.per_frame = Some(per_frame);
    Ok(Timed { elapsed, middle: None, per_frame: Some(per_frame) })
}

fn per_frame(before: BusStats, after: BusStats) -> f64 {
    let messages = after.messages_stored - before.messages_stored;
    let frames = after.frames_stored - before.frames_stored;
    messages as f64 / (frames.max(1)) as f64
}

/// The bare loop with frames as large as callboard's last ones were on average.
///
/// # Errors
/// When the log fails.
pub async fn bare_same(pair: &mut Pair, messages: u64) -> Result<Timed> {
    let per_frame = pair.per_frame.map(|per_frame| (per_frame.round() as u32).max(1));
    bare_of(pair, messages, per_frame).await
}

/// The bare loop with frames as large as they may be.
///
/// # Errors
/// When the log fails.
pub async fn bare_full(pair: &mut Pair, messages: u64) -> Result<Timed> {
    bare_of(pair, messages, None).await
}

async fn bare_of(pair: &mut Pair, messages: u64, per_frame: Option<u32>) -> Result<Timed> {
    let (frame, count) = bare::frame_of(per_frame)?;
    let frames = messages.div_ceil(u64::from(count));
    pair.runs += 1;
    let run = pair.runs.to_string();
    let order = format!("receive {run} {count} {frames}");
    let began = Instant::now();
    pair.callee.send(&order)?;
    bare::send(&pair.log, &run, &frame, count, frames).await?;
    pair.callee.answer(&order).await?;
    // A last frame that is not full is sent full.
    let scale = messages as f64 / (frames * u64::from(count)) as f64;
    let elapsed = began.elapsed().mul_f64(scale);
    Ok(Timed { elapsed, middle: None, per_frame: Some(f64::from(count)) })
}

/// Asks, so many at a time, each caller one after the other.
///
/// # Errors
/// When an ask fails.
pub async fn asks(pair: &mut Pair, messages: u64) -> Result<Timed> {
    let began = Instant::now();
    let callers = (0..IN_FLIGHT).map(|_| ask_in_turn(&pair.service, messages / IN_FLIGHT));
    let mut latencies = try_join_all(callers).await?.concat();
    let elapsed = began.elapsed();
    Ok(Timed { elapsed, middle: middle(&mut latencies), per_frame: None })
}

/// Asks, one after the other.
///
/// # Errors
/// When an ask fails.
pub async fn ask(pair: &mut Pair, messages: u64) -> Result<Timed> {
    let began = Instant::now();
    let mut latencies = ask_in_turn(&pair.service, messages).await?;
    let elapsed = began.elapsed();
    Ok(Timed { elapsed, middle: middle(&mut latencies), per_frame: None })
}

async fn ask_in_turn(service: &ServiceRef<Sink>, asks: u64) -> Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(usize::try_from(asks)?);
    for _ in 0..asks {
        let began = Instant::now();
        service.ask(Get::fresh()).await?;
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

/// Request and reply over two streams by blocking sockets.
///
/// # Errors
/// When Redis fails.
pub async fn sockets(pair: &mut Pair, messages: u64) -> Result<Timed> {
    let port = pair.port();
    resp::clear(port)?;
    let order = format!("reply {port} {messages}");
    pair.callee.send(&order)?;
    let began = Instant::now();
    // Blocks this thread, on which nothing else is under way.
    let mut latencies = resp::ask(port, messages)?;
    let elapsed = began.elapsed();
    pair.callee.answer(&order).await?;
    Ok(Timed { elapsed, middle: middle(&mut latencies), per_frame: None })
}
