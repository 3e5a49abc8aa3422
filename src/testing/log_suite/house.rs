use std::time::Duration;

use super::{
    Case, LogFactory, case, ensure, ensure_eq,
    stage::{
        GROUP, Stage, Verdict, bytes, consumer, end, frame, frames, ids, keep, mark, owner, step,
    },
};
use crate::log::{
    Append, BuryRequest, Entry, EntryId, LogError, Ownership, Place, PostponeRequest, Settle,
    StreamName, Totals,
};

pub(super) const CASES: &[Case] = &[
    case!(trim_removes_what_is_older),
    case!(accounting_adds_up),
    case!(dead_letters_are_listed_and_dropped),
    case!(delete_removes_all_of_a_stream),
    case!(streams_are_listed_by_prefix),
    case!(remove_group_forgets_its_pending_entries),
];

/// Buries each message of one entry and ends it; the letters are "letter 0" and so on.
pub(super) async fn bury_all(
    stage: &Stage,
    stream: &StreamName,
    first: u64,
    count: u32,
) -> Result<Vec<Entry>, super::CaseFailure> {
    let a = consumer("a");
    let id = stage.held(stream, &a, first, count).await?;
    for index in 0..count {
        let letter = bytes(&format!("letter {index}"));
        let request = BuryRequest { mark: mark(id, index, count), letter, into: None };
        let buried = stage.log.bury(stream, &owner(&a), request).await?;
        ensure_eq!(buried, Ownership::Done, "a burial");
    }
    let totals = Totals { dead: count, ..Totals::default() };
    let ended = stage.settle_as(stream, &owner(&a), end(id, count, totals)).await?;
    ensure_eq!(ended, Ownership::Done, "the end of a buried entry");
    stage.list(stream, Place::Dead).await
}

async fn trim_removes_what_is_older(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    for stream in [stage.topic("placed"), stage.replies("node")] {
        let mut put = Vec::new();
        for first in 1..=5 {
            put.push(stage.put(&stream, first, 1).await?);
        }
        ensure_eq!(stage.log.trim(&stream, Place::Live, put[3]).await?, 3, "three of five");
        ensure_eq!(ids(&stage.list(&stream, Place::Live).await?), put[3..].to_vec(), "the rest");
        ensure_eq!(stage.log.trim(&stream, Place::Live, put[3]).await?, 0, "the same again");
        ensure_eq!(stage.log.trim(&stream, Place::Live, EntryId::MAX).await?, 2, "all");
        let id = stage.put(&stream, 6, 1).await?;
        ensure!(id > put[4], "an id was given again after a trim");
    }
    let orders = stage.service("orders");
    let letters = bury_all(&stage, &orders, 1, 3).await?;
    ensure_eq!(stage.log.trim(&orders, Place::Dead, letters[1].id).await?, 1, "a dead letter");
    let id = stage.put(&orders, 4, 1).await?;
    let trimmed = stage.log.trim(&orders, Place::Live, EntryId::MAX).await;
    ensure!(matches!(trimmed, Err(LogError::Refused(_))), "counted entries went: {trimmed:?}");
    ensure_eq!(ids(&stage.list(&orders, Place::Live).await?), vec![id], "the live entries");
    ensure_eq!(stage.check_accounting(&orders).await?.dead_letters, 2, "the dead letters");
    Ok(())
}

async fn accounting_adds_up(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a, b) = (stage.service("orders"), consumer("a"), consumer("b"));
    let now_ms = stage.log.now_ms().await?;
    let id = stage.held(&stream, &a, 1, 10).await?;
    let check = async || stage.check_accounting(&stream).await;
    check().await?;
    let mut begun = step(id, 10, &[0, 1, 2]);
    begun.totals = Totals { handled: 1, expired: 1, cancelled: 1, ..Totals::default() };
    stage.progress(&stream, &owner(&a), begun.clone()).await?;
    check().await?;
    let request = BuryRequest { mark: mark(id, 3, 10), letter: bytes("letter"), into: None };
    stage.log.bury(&stream, &owner(&a), request.clone()).await?;
    check().await?;
    for (index, due_ms) in [(4, now_ms), (5, now_ms + 3_600_000)] {
        let request = PostponeRequest { mark: mark(id, index, 10), frame: bytes("later"), due_ms };
        stage.log.postpone(&stream, &owner(&a), request).await?;
        check().await?;
    }
    stage.pass(1).await;
    ensure_eq!(stage.log.due(&stream, 10).await?.released, 1, "released messages");
    check().await?;
    stage.log.append_delayed(frame(&stream, 11, 1), "taken back", now_ms + 3_600_000).await?;
    check().await?;
    stage.log.cancel_delayed(&stream, "taken back").await?;
    stage.claim(&stream, &b, Duration::ZERO).await?;
    // The stale owner says all of it again.
    stage.progress(&stream, &owner(&a), begun).await?;
    stage.log.bury(&stream, &owner(&a), request).await?;
    check().await?;
    let totals = Totals { handled: 5, expired: 1, cancelled: 1, dead: 1, delayed: 2 };
    let ended = stage.settle_as(&stream, &owner(&b), end(id, 10, totals)).await?;
    ensure_eq!(ended, Ownership::Done, "the end by the new owner");
    let letters = stage.list(&stream, Place::Dead).await?;
    stage.log.replay(&stream, super::replay::replay(Place::Dead, &letters, 10)).await?;
    let counted = check().await?.accounting;
    let sums = (counted.appended, counted.handled, counted.expired, counted.cancelled);
    ensure_eq!(sums, (12, 5, 1, 2), "appended, handled, expired and cancelled");
    let sums = (counted.dead, counted.delayed, counted.held);
    ensure_eq!(sums, (1, 1, 2), "dead, delayed and held");
    ensure_eq!((counted.frames_in, counted.frames_out), (3, 1), "frames in and out");
    Ok(())
}

async fn dead_letters_are_listed_and_dropped(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let letters = bury_all(&stage, &stream, 1, 4).await?;
    let texts: Vec<_> = (0..4).map(|index| bytes(&format!("letter {index}"))).collect();
    ensure_eq!(frames(&letters), texts, "the letters, oldest first");
    let (from, to) = (letters[1].id, letters[2].id);
    let listed = stage.log.range(&stream, Place::Dead, from, to, 10).await?;
    ensure_eq!(listed, letters[1..3].to_vec(), "a range, both ends included");
    let listed = stage.log.range(&stream, Place::Dead, from, EntryId::MAX, 1).await?;
    ensure_eq!(listed, letters[1..2].to_vec(), "at most one");
    let dropped = [letters[0].id, letters[3].id, EntryId { ms: 1, seq: 1 }];
    ensure_eq!(stage.log.drop_dead(&stream, &dropped).await?, 2, "the letters dropped");
    ensure_eq!(stage.log.drop_dead(&stream, &dropped).await?, 0, "the same again");
    let rest = stage.list(&stream, Place::Dead).await?;
    ensure_eq!(rest, letters[1..3].to_vec(), "the letters that stay");
    let info = stage.check_accounting(&stream).await?;
    ensure_eq!((info.dead_letters, info.accounting.dead), (2, 4), "letters and dead messages");
    Ok(())
}

async fn delete_removes_all_of_a_stream(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, other, a) = (stage.service("orders"), stage.service("others"), consumer("a"));
    bury_all(&stage, &stream, 1, 2).await?;
    stage.put(&other, 1, 1).await?;
    let id = stage.held(&stream, &a, 3, 1).await?;
    let retain = Some(keep(Duration::from_secs(60)));
    let ended = Settle { retain, ..end(id, 1, Totals { handled: 1, ..Totals::default() }) };
    stage.settle_as(&stream, &owner(&a), ended).await?;
    stage.held(&stream, &a, 4, 1).await?;
    stage.log.append_delayed(frame(&stream, 5, 1), "later", 1).await?;
    stage.log.fence(&stream, 7, "a").await?;
    ensure!(stage.log.delete(&stream).await?, "it was not there");
    ensure!(!stage.log.delete(&stream).await?, "it was there twice");
    ensure_eq!(stage.log.info(&stream).await?, None, "the stream");
    for place in [Place::Live, Place::Dead, Place::Retained] {
        ensure_eq!(stage.list(&stream, place).await?, vec![], "its {place:?} entries");
    }
    ensure_eq!(stage.log.due(&stream, 10).await?.released, 0, "its delayed messages");
    stage.put(&stream, 1, 1).await?;
    let info = stage.check_accounting(&stream).await?;
    ensure_eq!((info.length, info.accounting.appended), (1, 1), "the stream made again");
    ensure_eq!((info.groups, info.fence), (vec![], None), "its groups and fence");
    ensure_eq!(stage.info(&other).await?.length, 1, "the other stream");
    Ok(())
}

async fn streams_are_listed_by_prefix(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (a, b, topic) = (stage.service("a"), stage.service("b"), stage.topic("a"));
    for stream in [&topic, &b, &a] {
        stage.put(stream, 1, 1).await?;
    }
    let all = stage.log.streams(&stage.prefix()).await?;
    ensure_eq!(all, vec![a.clone(), b.clone(), topic.clone()], "all streams, in order");
    let services = stage.log.streams(&format!("{}{{s:", stage.prefix())).await?;
    ensure_eq!(services, vec![a.clone(), b], "the services' streams");
    let none = stage.log.streams("cb:nobody:").await?;
    ensure_eq!(none, vec![], "streams of nobody");
    stage.log.delete(&a).await?;
    ensure_eq!(stage.log.streams(a.unit()).await?, vec![], "a deleted stream");
    Ok(())
}

async fn remove_group_forgets_its_pending_entries(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (topic, a) = (stage.topic("placed"), consumer("a"));
    let id = stage.held(&topic, &a, 1, 2).await?;
    stage.progress(&topic, &owner(&a), step(id, 2, &[0])).await?;
    stage.log.remove_group(&topic, GROUP).await?;
    ensure_eq!(stage.info(&topic).await?.groups, vec![], "the groups");
    ensure_eq!(stage.settle(&topic, &owner(&a), id, 2).await?, Ownership::NotPending, "a settle");
    ensure_eq!(stage.log.pending_of(&topic, &a, 10).await?, vec![], "what is pending");
    ensure_eq!(ids(&stage.list(&topic, Place::Live).await?), vec![id], "the entries");
    let again = stage.log.append(frame(&topic, 1, 2)).await?;
    ensure_eq!(again, Append::Duplicate { last: 2 }, "a frame again");
    ensure_eq!(ids(&stage.read(&topic, &a, 10).await?), vec![id], "a group made again");
    let recorded = stage.log.recorded(&topic, &owner(&a), &[id]).await?;
    ensure_eq!(recorded, vec![Some(Default::default())], "what is recorded for it");
    Ok(())
}
