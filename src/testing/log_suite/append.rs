use std::time::Duration;

use super::{
    Case, GraceState, LogFactory, Setup, case, ensure, ensure_eq,
    stage::{Stage, Verdict, bytes, consumer, end, frame, frames, handled, mark, owner},
};
use crate::{
    Incarnation,
    log::{
        Append, AppendRequest, BuryRequest, EntryId, FRAME_BYTES_MAX, LogError, Ownership, Place,
        PostponeRequest, Start,
    },
};

pub(super) const CASES: &[Case] = &[
    case!(append_gives_growing_ids),
    case!(append_takes_only_the_next_sequence),
    case!(append_with_a_duplicate_stores_nothing),
    case!(append_with_a_gap_stores_nothing),
    case!(lanes_are_independent),
    case!(append_to_an_absent_stream_that_must_exist_is_gone),
    case!(replies_are_stored_without_lanes),
    case!(append_over_the_backlog_is_full),
    case!(a_forgotten_lane_does_not_start_again),
    case!(what_is_over_the_bounds_is_refused),
    case!(append_without_memory_stores_nothing_and_consumers_drain),
    case!(open_makes_a_stream_that_ends_with_its_time),
];

async fn append_gives_growing_ids(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, worker) = (stage.service("orders"), consumer("a"));
    let before = stage.log.now_ms().await?;
    let mut last = EntryId::MIN;
    for first in 1..=20 {
        let id = stage.put(&stream, first, 1).await?;
        ensure!(id > last, "{id} came after {last}");
        last = id;
        // An empty stream remembers its last id.
        stage.read(&stream, &worker, 1).await?;
        stage.settle(&stream, &owner(&worker), id, 1).await?;
        ensure_eq!(stage.info(&stream).await?.last, id, "the last id");
    }
    stage.pass(5).await;
    let id = stage.put(&stream, 21, 1).await?;
    let after = stage.log.now_ms().await?;
    ensure!(id.ms > last.ms, "the id {id} stood still after {last} while the clock went on");
    ensure!(before <= id.ms && id.ms <= after, "{id} is not of the clock: {before} to {after}");
    Ok(())
}

async fn append_takes_only_the_next_sequence(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    stage.put(&stream, 1, 3).await?;
    stage.put(&stream, 4, 1).await?;
    stage.put(&stream, 5, 2).await?;
    let answer = stage.log.append(frame(&stream, 8, 1)).await?;
    ensure_eq!(answer, Append::Gap { last: 6 }, "sequence 8 after 6");
    stage.put(&stream, 7, 1).await?;
    let expected: Vec<_> =
        [(1, 3), (4, 1), (5, 2), (7, 1)].map(|(first, n)| frame(&stream, first, n).frame).into();
    ensure_eq!(frames(&stage.list(&stream, Place::Live).await?), expected, "the frames");
    Ok(())
}

async fn append_with_a_duplicate_stores_nothing(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    stage.put(&stream, 1, 3).await?;
    stage.put(&stream, 4, 2).await?;
    for (first, count) in [(4, 2), (1, 3), (5, 1)] {
        let answer = stage.log.append(frame(&stream, first, count)).await?;
        ensure_eq!(answer, Append::Duplicate { last: 5 }, "{count} from {first} again");
    }
    let info = stage.check_accounting(&stream).await?;
    ensure_eq!((info.length, info.accounting.appended), (2, 5), "entries and messages");
    Ok(())
}

async fn append_with_a_gap_stores_nothing(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let answer = stage.log.append(frame(&stream, 2, 1)).await?;
    ensure_eq!(answer, Append::Gap { last: 0 }, "a lane that starts at 2");
    stage.put(&stream, 1, 3).await?;
    for (first, count) in [(5, 1), (3, 2), (1, 4)] {
        let answer = stage.log.append(frame(&stream, first, count)).await?;
        ensure_eq!(answer, Append::Gap { last: 3 }, "{count} from {first} after 3");
    }
    let info = stage.check_accounting(&stream).await?;
    ensure_eq!((info.length, info.accounting.appended), (1, 3), "entries and messages");
    stage.put(&stream, 4, 1).await?;
    Ok(())
}

async fn lanes_are_independent(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (orders, others) = (stage.service("orders"), stage.service("others"));
    stage.put(&orders, 1, 5).await?;
    stage.put(&others, 1, 1).await?;
    stage.put_as(AppendRequest { lane: 2, ..frame(&orders, 1, 2) }).await?;
    let producer = Incarnation::from_u128(0xB);
    stage.put_as(AppendRequest { producer, ..frame(&orders, 1, 1) }).await?;
    stage.put_as(AppendRequest { lane: 2, ..frame(&orders, 3, 1) }).await?;
    stage.put(&orders, 6, 1).await?;
    Ok(())
}

async fn append_to_an_absent_stream_that_must_exist_is_gone(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let replies = stage.replies("a");
    let request = AppendRequest { must_exist: true, ..frame(&replies, 1, 1) };
    ensure_eq!(stage.log.append(request.clone()).await?, Append::Gone, "a reply to nobody");
    ensure_eq!(stage.log.info(&replies).await?, None, "the stream that was not made");
    stage.log.open(&replies, None).await?;
    stage.put_as(request).await?;
    Ok(())
}

async fn replies_are_stored_without_lanes(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.replies("node");
    stage.log.open(&stream, None).await?;
    let to_them = |first| AppendRequest { must_exist: true, ..frame(&stream, first, 1) };
    let mut ids = Vec::new();
    for first in [7, 1, 7, 7] {
        ids.push(stage.put_as(to_them(first)).await?);
    }
    ensure!(ids.is_sorted_by(|one, next| one < next), "the ids do not grow: {ids:?}");
    let batches =
        stage.log.read_from(&[(stream.clone(), EntryId::MIN)], "r", 9, Duration::ZERO).await?;
    let entries: Vec<_> = batches.into_iter().flat_map(|batch| batch.entries).collect();
    let expected: Vec<_> = [7, 1, 7, 7].map(|first| frame(&stream, first, 1).frame).into();
    ensure_eq!(frames(&entries), expected, "the frames");
    stage.log.delete(&stream).await?;
    ensure_eq!(stage.log.append(to_them(1)).await?, Append::Gone, "after the end");
    Ok(())
}

async fn append_over_the_backlog_is_full(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, worker) = (stage.service("orders"), consumer("a"));
    let limited =
        |first, count| AppendRequest { backlog_max: Some(5), ..frame(&stream, first, count) };
    let id = stage.put_as(limited(1, 3)).await?;
    ensure_eq!(stage.log.append(limited(4, 3)).await?, Append::Full, "six of five");
    let due_ms = stage.log.now_ms().await? + 60_000;
    let delayed = stage.log.append_delayed(limited(4, 1), "later", due_ms).await?;
    ensure!(matches!(delayed, Append::Stored(_)), "a fourth, delayed: {delayed:?}");
    ensure_eq!(stage.log.append(limited(5, 2)).await?, Append::Full, "six with the delayed one");
    stage.put_as(limited(5, 1)).await?;
    ensure_eq!(stage.log.append(limited(6, 1)).await?, Append::Full, "a sixth");
    ensure_eq!(stage.log.append(limited(5, 1)).await?, Append::Duplicate { last: 5 }, "again");
    stage.read(&stream, &worker, 1).await?;
    stage.settle(&stream, &owner(&worker), id, 3).await?;
    stage.put_as(limited(6, 3)).await?;
    stage.check_accounting(&stream).await?;
    Ok(())
}

async fn a_forgotten_lane_does_not_start_again(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let other = Incarnation::from_u128(0xB);
    stage.put(&stream, 1, 1).await?;
    stage.put(&stream, 2, 1).await?;
    stage.put_as(AppendRequest { producer: other, ..frame(&stream, 1, 1) }).await?;
    stage.log.forget_producer(&stream, Incarnation::from_u128(0xA)).await?;
    for first in [1, 2, 3] {
        let answer = stage.log.append(frame(&stream, first, 1)).await?;
        ensure_eq!(answer, Append::Forgotten, "frame {first} of a forgotten lane");
    }
    stage.put_as(AppendRequest { lane: 2, ..frame(&stream, 1, 1) }).await?;
    stage.put_as(AppendRequest { producer: other, ..frame(&stream, 2, 1) }).await?;
    ensure_eq!(stage.info(&stream).await?.length, 5, "the entries");
    Ok(())
}

async fn what_is_over_the_bounds_is_refused(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, worker) = (stage.service("orders"), consumer("a"));
    let good = frame(&stream, 1, 1);
    let large = vec![1; FRAME_BYTES_MAX + 1].into();
    let bad = [
        AppendRequest { frame: bytes::Bytes::new(), ..good.clone() },
        AppendRequest { count: 0, ..good.clone() },
        AppendRequest { first: 0, ..good.clone() },
        AppendRequest { frame: large, ..good.clone() },
    ];
    for request in bad {
        let (first, count, length) = (request.first, request.count, request.frame.len());
        let answer = stage.log.append(request).await;
        ensure!(
            matches!(answer, Err(LogError::Refused(_))),
            "{count} messages from {first} in {length} bytes: {answer:?}"
        );
    }
    let largest = vec![1; FRAME_BYTES_MAX].into();
    let id = stage.put_as(AppendRequest { frame: largest, ..good }).await?;
    stage.read(&stream, &worker, 1).await?;
    let outside = mark(id, 1, 1);
    let request = BuryRequest { mark: outside, letter: bytes("letter"), into: None };
    let buried = stage.log.bury(&stream, &owner(&worker), request).await;
    ensure!(matches!(buried, Err(LogError::Refused(_))), "a message that isn't there: {buried:?}");
    let request = PostponeRequest { mark: outside, frame: bytes("later"), due_ms: 0 };
    let postponed = stage.log.postpone(&stream, &owner(&worker), request).await;
    ensure!(matches!(postponed, Err(LogError::Refused(_))), "nor can it wait: {postponed:?}");
    ensure_eq!(stage.check_accounting(&stream).await?.accounting.held, 1, "held messages");
    Ok(())
}

async fn append_without_memory_stores_nothing_and_consumers_drain(
    factory: &dyn LogFactory,
) -> Verdict {
    if !factory.can_limit_memory() {
        return Ok(());
    }
    let setup = Setup { grace: GraceState::Over, memory_bytes_max: Some(1 << 20) };
    let stage = Stage::with(factory, setup).await?;
    let (stream, worker) = (stage.service("orders"), consumer("a"));
    stage.log.ensure_group(&stream, &worker.group, Start::Beginning).await?;
    let large = |first| AppendRequest { frame: vec![1; 60_000].into(), ..frame(&stream, first, 1) };
    let mut stored = 0;
    let refused = loop {
        match stage.log.append(large(stored + 1)).await {
            Ok(Append::Stored(_)) if stored < 1000 => stored += 1,
            answer => break answer,
        }
    };
    ensure!(matches!(refused, Err(LogError::OutOfMemory)), "after {stored} frames: {refused:?}");
    ensure_eq!(stage.info(&stream).await?.length, stored, "the entries");
    let entries = stage.read(&stream, &worker, 10_000).await?;
    ensure_eq!(entries.len() as u64, stored, "the entries that were read");
    let request =
        BuryRequest { mark: mark(entries[0].id, 0, 1), letter: bytes("letter"), into: None };
    let buried = stage.log.bury(&stream, &owner(&worker), request).await?;
    ensure_eq!(buried, Ownership::Done, "a burial without memory");
    let totals = crate::log::Totals { dead: 1, ..Default::default() };
    let ended = stage.settle_as(&stream, &owner(&worker), end(entries[0].id, 1, totals)).await?;
    ensure_eq!(ended, Ownership::Done, "the end of the buried one");
    for entry in &entries[1..] {
        let ended = stage.settle_as(&stream, &owner(&worker), end(entry.id, 1, handled(1))).await?;
        ensure_eq!(ended, Ownership::Done, "a settle without memory");
    }
    stage.put_as(large(stored + 1)).await?;
    stage.check_accounting(&stream).await?;
    Ok(())
}

async fn open_makes_a_stream_that_ends_with_its_time(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (kept, replies) = (stage.replies("kept"), stage.replies("a"));
    let keep = stage.ticks(20);
    stage.log.open(&kept, None).await?;
    stage.log.open(&replies, Some(keep)).await?;
    let request = |first| AppendRequest { must_exist: true, ..frame(&replies, first, 1) };
    stage.put_as(request(1)).await?;
    ensure_eq!(stage.info(&replies).await?.groups, vec![], "its groups");
    stage.pass(12).await;
    stage.log.open(&replies, Some(keep)).await?;
    stage.pass(12).await;
    // More than the time has gone by since the first opening, less since the second.
    stage.put_as(request(2)).await?;
    ensure_eq!(stage.info(&replies).await?.length, 2, "what an opening again leaves");
    stage.pass(12).await;
    ensure_eq!(stage.log.append(request(3)).await?, Append::Gone, "an append after its time");
    ensure_eq!(stage.log.info(&replies).await?, None, "the stream after its time");
    stage.put_as(AppendRequest { must_exist: true, ..frame(&kept, 1, 1) }).await?;
    Ok(())
}
