//! What the lines do, by the calling process.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use callboard::{ServiceRef, bus::BusStats};
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};

use super::{
    Result,
    actor::{Get, Put, Sink},
    bare, benchmark,
    line::{IN_FLIGHT, Line, Work},
    pair::{Pair, Which},
    peers::PeerPair,
    resp,
    sample::{Sample, Timed, Used},
    shared::{OUTSTANDING, usage::middle},
};

/// Runs a line once, after a tenth of it as warm-up; nothing when there is nothing to run.
///
/// # Errors
/// When anything fails.
pub async fn run(
    line: &Line,
    pair: &mut Pair,
    peers: Option<&Path>,
    divisor: u64,
) -> Result<Option<Sample>> {
    let messages = line.messages / divisor;
    if let Work::Missing(_) = line.work {
        return Ok(None);
    }
    if let (Some(peer), Some(program)) = (line.peer(), peers) {
        let mut pair = PeerPair::start(program, peer, line.threads()).await?;
        of_peer(line, &mut pair, messages / 10).await?;
        return Ok(Some(of_peer(line, &mut pair, messages).await?));
    }
    if line.which() == Which::Many {
        pair.start_many().await?;
    }
    once(line, pair, messages / 10).await?;
    Ok(Some(once(line, pair, messages).await?))
}

async fn of_peer(line: &Line, pair: &mut PeerPair, messages: u64) -> Result<Sample> {
    match line.work {
        Work::PeerTell(..) => pair.tell(messages).await,
        Work::PeerAsk(_, _, at_once) => pair.ask(messages, at_once).await,
        other => Err(format!("{other:?} is not a peer's").into()),
    }
}

async fn once(line: &Line, pair: &mut Pair, messages: u64) -> Result<Sample> {
    let mut sample = pair
        .sample(line.which(), messages, async |pair| match line.work {
            Work::Tell(which) => tell(pair, which, messages).await,
            Work::Buffered(which) => buffered(pair, which, messages).await,
            Work::BareSame => bare_same(pair, messages).await,
            Work::BareFull => bare_of(pair, messages, None).await,
            Work::Xadd => benchmark::xadd(pair.port(), messages).await,
            Work::Asks => asks(pair, messages).await,
            Work::Ask => ask(pair, messages).await,
            Work::Sockets => sockets(pair, messages).await,
            Work::PeerTell(..) | Work::PeerAsk(..) | Work::Missing(_) => {
                Err("the peers' program was not built".into())
            }
        })
        .await?;
    if line.work == Work::Xadd {
        // Our two processes have no part in it.
        sample.used = Used { redis: sample.used.redis, ..Used::default() };
    }
    Ok(sample)
}

/// Tells, each awaited until it is stored, 1024 at a time, to each service in turn.
async fn tell(pair: &mut Pair, which: Which, messages: u64) -> Result<Timed> {
    tells(pair, which, messages, async |services| {
        let tell = |service: ServiceRef<Sink>| async move { service.tell(Put::fresh()).await };
        let turns = turns(services, messages).cloned();
        let mut told = stream::iter(turns).map(tell).buffer_unordered(OUTSTANDING);
        while told.try_next().await?.is_some() {}
        Ok(())
    })
    .await
}

/// Tells, each awaited until it is in the lane.
async fn buffered(pair: &mut Pair, which: Which, messages: u64) -> Result<Timed> {
    tells(pair, which, messages, async |services| {
        for service in turns(services, messages) {
            service.tell(Put::fresh()).buffered().await?;
        }
        Ok(())
    })
    .await
}

fn turns(services: &[ServiceRef<Sink>], messages: u64) -> impl Iterator<Item = &ServiceRef<Sink>> {
    (0..messages).zip(services.iter().cycle()).map(|(_, service)| service)
}

/// From the first send until the callee has handled all.
async fn tells(
    pair: &mut Pair,
    which: Which,
    messages: u64,
    send: impl AsyncFnOnce(&[ServiceRef<Sink>]) -> Result<()>,
) -> Result<Timed> {
    let (target, system) = pair.target(which)?;
    target.told += messages;
    let order = format!("handled {}", target.told);
    let before = system.bus().stats();
    let began = Instant::now();
    send(&target.services).await?;
    target.callee.order(&order).await?;
    let elapsed = began.elapsed();
    let per_frame = per_frame(before, system.bus().stats());
    if which == Which::One {
        pair.per_frame = Some(per_frame);
    }
    Ok(Timed { elapsed, middle: None, per_frame: Some(per_frame) })
}

fn per_frame(before: BusStats, after: BusStats) -> f64 {
    let messages = after.messages_stored - before.messages_stored;
    let frames = after.frames_stored - before.frames_stored;
    messages as f64 / (frames.max(1)) as f64
}

/// The bare loop with frames as large as callboard's last ones were on average.
async fn bare_same(pair: &mut Pair, messages: u64) -> Result<Timed> {
    let per_frame = pair.per_frame.map(|per_frame| (per_frame.round() as u32).max(1));
    bare_of(pair, messages, per_frame).await
}

async fn bare_of(pair: &mut Pair, messages: u64, per_frame: Option<u32>) -> Result<Timed> {
    let (frame, count) = bare::frame_of(per_frame)?;
    let frames = messages.div_ceil(u64::from(count));
    pair.runs += 1;
    let run = pair.runs.to_string();
    let order = format!("receive {run} {count} {frames}");
    let began = Instant::now();
    pair.one.callee.send(&order)?;
    bare::send(&pair.log, &run, &frame, count, frames).await?;
    pair.one.callee.answer(&order).await?;
    // A last frame that is not full is sent full.
    let scale = messages as f64 / (frames * u64::from(count)) as f64;
    let elapsed = began.elapsed().mul_f64(scale);
    Ok(Timed { elapsed, middle: None, per_frame: Some(f64::from(count)) })
}

/// Asks, so many at a time, each caller one after the other.
async fn asks(pair: &mut Pair, messages: u64) -> Result<Timed> {
    let service = &pair.one.services[0];
    let began = Instant::now();
    let callers = (0..IN_FLIGHT).map(|_| ask_in_turn(service, messages / IN_FLIGHT));
    let mut latencies = try_join_all(callers).await?.concat();
    let elapsed = began.elapsed();
    Ok(Timed { elapsed, middle: middle(&mut latencies), per_frame: None })
}

/// Asks, one after the other.
async fn ask(pair: &mut Pair, messages: u64) -> Result<Timed> {
    let began = Instant::now();
    let mut latencies = ask_in_turn(&pair.one.services[0], messages).await?;
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
async fn sockets(pair: &mut Pair, messages: u64) -> Result<Timed> {
    let port = pair.port();
    resp::clear(port)?;
    let order = format!("reply {port} {messages}");
    pair.one.callee.send(&order)?;
    let began = Instant::now();
    // Blocks this thread, on which nothing else is under way.
    let mut latencies = resp::ask(port, messages)?;
    let elapsed = began.elapsed();
    pair.one.callee.answer(&order).await?;
    Ok(Timed { elapsed, middle: middle(&mut latencies), per_frame: None })
}
