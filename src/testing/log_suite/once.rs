use std::time::Duration;

use super::{
    Case, CaseFailure, LogFactory, case, ensure, ensure_eq,
    stage::{Stage, Verdict, consumer, done, end, frame, one, owner, step},
};
use crate::log::{
    Append, AppendRequest, DEDUP_ID_BYTES_MAX, DEDUP_WINDOW_MAX, DedupId, EntryId, LogError,
    Ownership, Place, Progress, Retain, Settle, StreamName, Totals,
};

pub(super) const CASES: &[Case] = &[
    case!(append_skips_messages_whose_dedup_id_is_known),
    case!(dedup_ids_are_forgotten_after_their_window),
    case!(a_delayed_message_with_a_known_dedup_id_is_not_put_there),
    case!(adopt_leaves_what_is_counted_alone),
];

const MINUTE: Duration = Duration::from_secs(60);

/// A frame with dedup ids of the messages at these indices.
fn once(
    stream: &StreamName,
    first: u64,
    count: u32,
    ids: &[(u32, &str)],
    window: Duration,
) -> AppendRequest {
    let dedup = |(index, id): &(u32, &str)| DedupId { index: *index, id: (*id).to_owned(), window };
    AppendRequest { dedup: ids.iter().map(dedup).collect(), ..frame(stream, first, count) }
}

async fn append_skips_messages_whose_dedup_id_is_known(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let request =
        |first, count, ids: &[(u32, &str)]| once(&stream, first, count, ids, DEDUP_WINDOW_MAX);
    stage.put_as(request(1, 2, &[(0, "x"), (1, "y")])).await?;
    let gap = stage.log.append(request(9, 1, &[(0, "z")])).await?;
    ensure_eq!(gap, Append::Gap { last: 2 }, "a frame that is not the next");
    let full = AppendRequest { backlog_max: Some(2), ..request(3, 1, &[(0, "z")]) };
    ensure_eq!(stage.log.append(full).await?, Append::Full, "a frame that has no room");
    let mixed = request(3, 4, &[(0, "x"), (2, "z"), (3, "z")]);
    let id = stage.put_as(mixed.clone()).await?;
    let again = stage.log.append(mixed.clone()).await?;
    ensure_eq!(again, Append::Duplicate { last: 6 }, "the same frame again");
    let accounting = stage.check_accounting(&stream).await?.accounting;
    let counted = (accounting.appended, accounting.cancelled, accounting.held);
    ensure_eq!(counted, (6, 2, 4), "appended, cancelled and held messages");
    let entries = stage.read(&stream, &a, 10).await?;
    let skips: Vec<_> = entries.iter().map(|entry| entry.skip.clone()).collect();
    ensure_eq!(skips, vec![done(&[]), done(&[0, 3])], "what is to be skipped");
    ensure_eq!(entries[1].frame, mixed.frame, "the frame");
    check_the_rest(&stage, &stream, id).await?;
    let known = stage.log.append(request(7, 2, &[(0, "y"), (1, "z")])).await?;
    ensure_eq!(known, Append::Duplicate { last: 8 }, "a frame of known messages only");
    stage.put(&stream, 9, 1).await?;
    let info = stage.check_accounting(&stream).await?;
    let counted = (info.length, info.accounting.appended, info.accounting.cancelled);
    ensure_eq!(counted, (2, 9, 4), "entries, appended and cancelled messages");
    let other = stage.service("others");
    stage.put_as(once(&other, 1, 1, &[(0, "x")], MINUTE)).await?;
    check_bounds(&stage, &stream).await
}

/// Of the entry whose messages 0 and 3 are to be skipped.
async fn check_the_rest(stage: &Stage, stream: &StreamName, id: EntryId) -> Verdict {
    let (a, b) = (consumer("a"), consumer("b"));
    let recorded = one(stage.log.recorded(stream, &owner(&a), &[id]).await?)?.unwrap_or_default();
    let skipped = Totals { cancelled: 2, ..Totals::default() };
    ensure_eq!((recorded.totals, recorded.done), (skipped, done(&[0, 3])), "what is recorded");
    let without = stage.progress(stream, &owner(&a), step(id, 4, &[1])).await?;
    ensure_eq!(without, Ownership::Disagrees, "progress without them");
    let totals = Totals { handled: 1, ..skipped };
    let progress = Progress { totals, done: done(&[0, 1, 3]), ..step(id, 4, &[]) };
    ensure_eq!(stage.progress(stream, &owner(&a), progress).await?, Ownership::Done, "with them");
    let (claimed, _) = stage.claim(stream, &b, Duration::ZERO).await?;
    let claimed = claimed.into_iter().find(|claimed| claimed.entry.id == id);
    let claimed = claimed.ok_or_else(|| CaseFailure::Violated("it was not claimed".into()))?;
    ensure_eq!(claimed.entry.skip, done(&[0, 3]), "what a claim says is to be skipped");
    ensure_eq!(claimed.recorded.done, done(&[0, 1, 3]), "what a claim says is done");
    let totals = Totals { handled: 2, ..skipped };
    let retain = Some(Retain { age: MINUTE, entries_max: 9 });
    let end = Settle { retain, ..end(id, 4, totals) };
    ensure_eq!(stage.settle_as(stream, &owner(&b), end).await?, Ownership::Done, "the end");
    let retained = stage.list(stream, Place::Retained).await?;
    let skips: Vec<_> = retained.iter().map(|entry| entry.skip.clone()).collect();
    ensure_eq!(skips, vec![done(&[0, 3])], "what is to be skipped of what is retained");
    Ok(())
}

async fn check_bounds(stage: &Stage, stream: &StreamName) -> Verdict {
    let longest = "x".repeat(DEDUP_ID_BYTES_MAX);
    let longer = format!("{longest}x");
    let topic = stage.topic("orders");
    let bad = [
        once(stream, 10, 1, &[(0, "")], MINUTE),
        once(stream, 10, 1, &[(0, &longer)], MINUTE),
        once(stream, 10, 1, &[(1, "x")], MINUTE),
        once(stream, 10, 1, &[(0, "x")], Duration::ZERO),
        once(stream, 10, 1, &[(0, "x")], DEDUP_WINDOW_MAX + Duration::from_millis(1)),
        once(&topic, 1, 1, &[(0, "x")], MINUTE),
    ];
    for request in bad {
        let dedup = request.dedup.clone();
        let answer = stage.log.append(request).await;
        ensure!(matches!(answer, Err(LogError::Refused(_))), "{dedup:?}: {answer:?}");
    }
    stage.put_as(once(stream, 10, 1, &[(0, &longest)], MINUTE)).await?;
    Ok(())
}

async fn dedup_ids_are_forgotten_after_their_window(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let short = stage.ticks(40);
    stage.put_as(once(&stream, 1, 1, &[(0, "short")], short)).await?;
    stage.put_as(once(&stream, 2, 1, &[(0, "long")], MINUTE)).await?;
    let soon = stage.log.append(once(&stream, 3, 1, &[(0, "short")], short)).await?;
    ensure_eq!(soon, Append::Duplicate { last: 3 }, "within the window");
    stage.pass(42).await;
    stage.put_as(once(&stream, 4, 1, &[(0, "short")], short)).await?;
    let long = stage.log.append(once(&stream, 5, 1, &[(0, "long")], short)).await?;
    ensure_eq!(long, Append::Duplicate { last: 5 }, "within the longer window");
    stage.check_accounting(&stream).await?;
    stage.log.delete(&stream).await?;
    stage.put_as(once(&stream, 1, 1, &[(0, "long")], MINUTE)).await?;
    Ok(())
}

async fn a_delayed_message_with_a_known_dedup_id_is_not_put_there(
    factory: &dyn LogFactory,
) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let request = |first| once(&stream, first, 1, &[(0, "x")], MINUTE);
    let due_ms = stage.log.now_ms().await? + 60_000;
    let first = stage.log.append_delayed(request(1), "one", due_ms).await?;
    ensure!(matches!(first, Append::Stored(_)), "the first one: {first:?}");
    let second = stage.log.append_delayed(request(2), "two", due_ms).await?;
    ensure_eq!(second, Append::Duplicate { last: 2 }, "the second one");
    ensure!(!stage.log.cancel_delayed(&stream, "two").await?, "it was put there all the same");
    let at_once = stage.log.append(request(3)).await?;
    ensure_eq!(at_once, Append::Duplicate { last: 3 }, "a third, not delayed");
    let accounting = stage.check_accounting(&stream).await?.accounting;
    let counted = (accounting.appended, accounting.cancelled, accounting.delayed);
    ensure_eq!(counted, (3, 2, 1), "appended, cancelled and delayed messages");
    stage.put(&stream, 4, 1).await?;
    Ok(())
}

async fn adopt_leaves_what_is_counted_alone(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let id = stage.held(&stream, &a, 1, 2).await?;
    let stale = stage.log.adopt(&stream, &owner(&consumer("b")), id, 2).await?;
    ensure_eq!(stale, Ownership::OwnedByOther, "an adoption by another");
    let counted = stage.log.adopt(&stream, &owner(&a), id, 2).await?;
    ensure_eq!(counted, Ownership::Disagrees, "the adoption of an entry that is counted");
    let missing = stage.log.adopt(&stream, &owner(&a), id.next(), 2).await?;
    ensure_eq!(missing, Ownership::NotPending, "the adoption of nothing");
    let none = stage.log.adopt(&stream, &owner(&a), id, 0).await;
    ensure!(matches!(none, Err(LogError::Refused(_))), "an entry of nothing: {none:?}");
    let info = stage.check_accounting(&stream).await?;
    ensure_eq!((info.length, info.accounting.appended), (1, 2), "entries and messages");
    stage.settle(&stream, &owner(&a), id, 2).await?;
    Ok(())
}
