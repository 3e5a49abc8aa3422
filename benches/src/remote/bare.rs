//! The limit of tells: a plain loop over the log's own adapter, with the same scripts and frames made
//! before.

use std::time::{Duration, Instant};

use bytes::Bytes;
use callboard::{
    Incarnation, Message as _,
    bus::{
        codec::{Codec, encode},
        frame::{FRAME_BYTES_TARGET, FrameBuilder, Kind, Message, Pushed},
    },
    log::{
        Append, AppendRequest, Consumer, EntryId, MessageLog, Owner, Ownership, ReadGroupRequest,
        RedisLog, Settle, StreamKind, StreamName, Totals,
    },
};
use futures_util::{StreamExt, stream::FuturesOrdered};
use tokio::sync::mpsc;

use super::{Result, actor::Put};

/// Frames on their way, as many as a lane of callboard has.
const FLIGHTS: usize = 2;
/// Entries of one read, and of one settle.
const ENTRIES: usize = 128;
/// Of one read; longer than any pause of the sender.
const BLOCK: Duration = Duration::from_secs(10);

/// A frame with as many messages, or with as many as it holds.
///
/// # Errors
/// When a message can't be encoded.
pub fn frame_of(messages: Option<u32>) -> Result<(Bytes, u32)> {
    let message = Message::new(Kind::Tell, Codec::Bincode).named(Put::NAME, 1);
    let put = Put::fresh();
    let mut builder = FrameBuilder::new();
    while messages.is_none_or(|messages| builder.count() < messages) {
        match builder.push(&message, |into| encode(Codec::Bincode, &put, into))? {
            Pushed::In { .. } => {}
            Pushed::NoRoom(_) | Pushed::TooLarge(_) => break,
        }
    }
    debug_assert!(builder.size_bytes() <= FRAME_BYTES_TARGET, "a frame of several messages");
    let count = builder.count();
    Ok((builder.seal(Incarnation::fresh(), 1, 1), count))
}

/// The stream of one run.
pub fn stream(run: &str) -> StreamName {
    StreamName::new(StreamKind::Service, format!("bare:{{{run}}}"))
}

/// Appends a frame so many times, two at a time.
///
/// # Errors
/// When an append was not stored.
pub async fn send(log: &RedisLog, run: &str, frame: &Bytes, count: u32, frames: u64) -> Result<()> {
    let producer = Incarnation::fresh();
    let mut flights = FuturesOrdered::new();
    for at in 0..frames {
        let request = AppendRequest {
            stream: stream(run),
            producer,
            lane: 1,
            first: at * u64::from(count) + 1,
            count,
            frame: frame.clone(),
            must_exist: false,
            backlog_max: None,
            dedup: Vec::new(),
        };
        flights.push_back(log.append(request));
        if flights.len() == FLIGHTS {
            stored(flights.next().await)?;
        }
    }
    while let Some(answer) = flights.next().await {
        stored(Some(answer))?;
    }
    Ok(())
}

fn stored(answer: Option<Result<Append, callboard::log::LogError>>) -> Result<()> {
    match answer {
        Some(Ok(Append::Stored(_))) | None => Ok(()),
        Some(Ok(other)) => Err(format!("an append was not stored: {other:?}").into()),
        Some(Err(error)) => Err(error.into()),
    }
}

/// Reads so many frames and settles them, reading on meanwhile.
///
/// # Errors
/// When an entry can't be read or settled.
pub async fn receive(log: &RedisLog, run: &str, count: u32, frames: u64) -> Result<Duration> {
    let stream = stream(run);
    let consumer = Consumer { group: "bare".to_owned(), name: "reader".to_owned() };
    let (sender, inbox) = mpsc::unbounded_channel();
    let owner = Owner::Consumer(consumer.clone());
    let settling = tokio::spawn(settle(log.clone(), stream.clone(), owner, count, inbox));
    let began = Instant::now();
    let mut read = 0;
    while read < frames {
        let streams = vec![stream.clone()];
        let request =
            ReadGroupRequest { streams, consumer: consumer.clone(), count: ENTRIES, block: BLOCK };
        let batches = log.read_group(request).await?;
        if batches.is_empty() {
            return Err(format!("{} frames did not come", frames - read).into());
        }
        for entry in batches.into_iter().flat_map(|batch| batch.entries) {
            read += 1;
            sender.send(entry.id)?;
        }
    }
    drop(sender);
    settling.await??;
    Ok(began.elapsed())
}

async fn settle(
    log: RedisLog,
    stream: StreamName,
    owner: Owner,
    count: u32,
    mut inbox: mpsc::UnboundedReceiver<EntryId>,
) -> Result<()> {
    let totals = Totals { handled: count, ..Totals::default() };
    let mut ids = Vec::with_capacity(ENTRIES);
    while inbox.recv_many(&mut ids, ENTRIES).await > 0 {
        let ended: Vec<_> =
            ids.drain(..).map(|id| Settle { id, count, totals, retain: None }).collect();
        let answers = log.settle(&stream, &owner, &ended).await?;
        if answers.iter().any(|answer| *answer != Ownership::Done) {
            return Err("an entry could not be settled".into());
        }
    }
    Ok(())
}
