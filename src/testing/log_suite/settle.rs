use std::time::Duration;

use super::{
    Case, LogFactory, case, ensure, ensure_eq,
    stage::{Stage, Verdict, consumer, end, frame, frames, handled, ids, owner, step},
};
use crate::log::{Consumer, EntryId, LogError, Ownership, Place, Retain, Settle, Totals};

pub(super) const CASES: &[Case] = &[
    case!(settle_removes_the_entry_and_counts_it),
    case!(settle_on_a_topic_only_acknowledges),
    case!(settle_by_a_stale_owner_changes_nothing),
    case!(settle_twice_counts_once),
    case!(settle_refuses_totals_that_do_not_add_up),
    case!(retained_entries_are_kept_after_settling),
    case!(retained_entries_are_bounded_in_number),
];

async fn settle_removes_the_entry_and_counts_it(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let worker = consumer("a");
    for stream in [stage.service("orders"), stage.inbox("node")] {
        let first = stage.held(&stream, &worker, 1, 6).await?;
        let second = stage.held(&stream, &worker, 7, 2).await?;
        let totals = Totals { handled: 3, expired: 2, cancelled: 1, ..Totals::default() };
        let absent = EntryId { ms: 1, seq: 1 };
        let ends = [end(first, 6, totals), end(absent, 1, handled(1)), end(second, 2, handled(2))];
        let answers = stage.log.settle(&stream, &owner(&worker), &ends).await?;
        let expected = [Ownership::Done, Ownership::NotPending, Ownership::Done];
        ensure_eq!(answers, expected.to_vec(), "one answer per entry, in order");
        let info = stage.check_accounting(&stream).await?;
        ensure_eq!(info.length, 0, "the entries");
        let a = info.accounting;
        ensure_eq!((a.appended, a.handled, a.expired, a.cancelled), (8, 5, 2, 1), "the messages");
        ensure_eq!((a.held, a.frames_in, a.frames_out), (0, 2, 2), "held and frames");
        ensure_eq!((info.groups[0].pending, info.retained), (0, 0), "pending and retained");
    }
    Ok(())
}

async fn settle_on_a_topic_only_acknowledges(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let topic = stage.topic("placed");
    let [one, two] = ["one", "two"].map(|group| Consumer { group: group.into(), name: "a".into() });
    let id = stage.put(&topic, 1, 2).await?;
    for reader in [&one, &two] {
        stage.read(&topic, reader, 1).await?;
    }
    ensure_eq!(stage.settle(&topic, &owner(&one), id, 2).await?, Ownership::Done, "a settle");
    ensure_eq!(ids(&stage.list(&topic, Place::Live).await?), vec![id], "the topic's entries");
    let info = stage.info(&topic).await?;
    let pending: Vec<_> = info.groups.iter().map(|group| group.pending).collect();
    ensure_eq!(pending, vec![0, 1], "what is pending in the groups");
    let again = stage.settle(&topic, &owner(&one), id, 2).await?;
    ensure_eq!(again, Ownership::NotPending, "the same again");
    ensure_eq!(stage.settle(&topic, &owner(&two), id, 2).await?, Ownership::Done, "the other");
    Ok(())
}

async fn settle_by_a_stale_owner_changes_nothing(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a, b) = (stage.service("orders"), consumer("a"), consumer("b"));
    let id = stage.held(&stream, &a, 1, 2).await?;
    stage.read(&stream, &b, 1).await?;
    let stale = stage.settle(&stream, &owner(&b), id, 2).await?;
    ensure_eq!(stale, Ownership::OwnedByOther, "a settle of what another owns");
    let stranger = Consumer { group: "strangers".into(), name: "a".into() };
    let stranger = stage.settle(&stream, &owner(&stranger), id, 2).await?;
    ensure_eq!(stranger, Ownership::NotPending, "a settle by a group that read nothing");
    let info = stage.check_accounting(&stream).await?;
    ensure_eq!((info.length, info.accounting.held), (1, 2), "what is there");
    ensure_eq!(ids(&stage.log.pending_of(&stream, &a, 10).await?), vec![id], "what is pending");
    ensure_eq!(stage.settle(&stream, &owner(&a), id, 2).await?, Ownership::Done, "the owner's");
    Ok(())
}

async fn settle_twice_counts_once(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let id = stage.held(&stream, &a, 1, 3).await?;
    stage.put(&stream, 4, 1).await?;
    let ends = [end(id, 3, handled(3)), end(id, 3, handled(3))];
    let answers = stage.log.settle(&stream, &owner(&a), &ends).await?;
    ensure_eq!(answers, vec![Ownership::Done, Ownership::NotPending], "twice in one call");
    let again = stage.settle(&stream, &owner(&a), id, 3).await?;
    ensure_eq!(again, Ownership::NotPending, "once more");
    let info = stage.check_accounting(&stream).await?;
    ensure_eq!((info.accounting.handled, info.accounting.frames_out), (3, 1), "what was counted");
    Ok(())
}

async fn settle_refuses_totals_that_do_not_add_up(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let id = stage.held(&stream, &a, 1, 5).await?;
    stage.progress(&stream, &owner(&a), step(id, 5, &[0, 1])).await?;
    let expired = Totals { handled: 1, expired: 4, ..Totals::default() };
    for totals in [handled(4), handled(6), handled(0), expired] {
        let answer = stage.settle_as(&stream, &owner(&a), end(id, 5, totals)).await?;
        ensure_eq!(answer, Ownership::Disagrees, "five messages as {totals:?} after two handled");
    }
    let info = stage.check_accounting(&stream).await?;
    ensure_eq!((info.length, info.accounting.handled), (1, 2), "what was counted");
    let totals = Totals { handled: 4, expired: 1, ..Totals::default() };
    let answer = stage.settle_as(&stream, &owner(&a), end(id, 5, totals)).await?;
    ensure_eq!(answer, Ownership::Done, "totals that add up");
    Ok(())
}

async fn retained_entries_are_kept_after_settling(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let keep = stage.ticks(20);
    let mut settled = Vec::new();
    let kept = Some(super::stage::keep(keep));
    for (first, retain) in [(1, kept), (2, None), (3, kept), (4, kept)] {
        let id = stage.held(&stream, &a, first, 1).await?;
        if first == 4 {
            stage.pass(14).await;
        }
        let end = Settle { retain, ..end(id, 1, handled(1)) };
        ensure_eq!(stage.settle_as(&stream, &owner(&a), end).await?, Ownership::Done, "a settle");
        if retain.is_some() {
            settled.push(frame(&stream, first, 1).frame);
        }
        if first == 1 {
            stage.pass(10).await;
        }
    }
    // The first is older than the time by now, the second is not.
    let retained = stage.list(&stream, Place::Retained).await?;
    let frames: Vec<_> = retained.iter().map(|entry| entry.frame.clone()).collect();
    ensure_eq!(frames, settled[1..].to_vec(), "the retained entries");
    let info = stage.check_accounting(&stream).await?;
    ensure_eq!((info.length, info.retained), (0, 2), "live and retained entries");
    let bytes: usize = frames.iter().map(|frame| frame.len()).sum();
    ensure!(info.retained_bytes >= bytes as u64, "their size is {}", info.retained_bytes);
    let now_ms = stage.log.now_ms().await?;
    let is_recent = |id: EntryId| Duration::from_millis(now_ms.saturating_sub(id.ms)) <= keep;
    ensure!(retained.iter().all(|entry| is_recent(entry.id)), "an id is not of its settling");
    Ok(())
}

async fn retained_entries_are_bounded_in_number(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let age = Duration::from_secs(3600);
    let settle = async |first: u64, entries_max: u64| {
        let id = stage.held(&stream, &a, first, 1).await?;
        let retain = Some(Retain { age, entries_max });
        stage.settle_as(&stream, &owner(&a), Settle { retain, ..end(id, 1, handled(1)) }).await
    };
    for (first, bound, expected) in
        [(1, 3, 1..=1), (2, 3, 1..=2), (3, 3, 1..=3), (4, 3, 2..=4), (5, 1, 5..=5)]
    {
        settle(first, bound).await?;
        let retained = frames(&stage.list(&stream, Place::Retained).await?);
        let expected: Vec<_> = expected.map(|first| frame(&stream, first, 1).frame).collect();
        ensure_eq!(retained, expected, "what is retained of {bound} at most");
    }
    let id = stage.held(&stream, &a, 6, 1).await?;
    let retain = Some(Retain { age, entries_max: 0 });
    let none = Settle { retain, ..end(id, 1, handled(1)) };
    let refused = stage.log.settle(&stream, &owner(&a), &[none]).await;
    ensure!(matches!(refused, Err(LogError::Refused(_))), "a bound of none: {refused:?}");
    Ok(())
}
