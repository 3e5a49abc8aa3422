use super::{
    Case, LogFactory, case, ensure, ensure_eq,
    stage::{Stage, Verdict, bytes, consumer, done, end, frame, frames, mark, one, owner, step},
};
use crate::log::{
    Append, BuryEntryRequest, BuryRequest, Due, EntryId, LogError, Mark, Ownership, Place,
    PostponeRequest, Totals,
};

pub(super) const CASES: &[Case] = &[
    case!(bury_moves_one_message_to_the_dead_letters),
    case!(bury_into_another_stream_counts_where_it_was),
    case!(bury_entry_ends_it_with_one_letter),
    case!(postpone_moves_one_message_to_the_delay_set),
    case!(due_releases_in_order_of_time),
    case!(cancel_delayed_removes_once),
];

fn burial(mark: Mark) -> BuryRequest {
    BuryRequest { mark, letter: bytes(&format!("letter of {}", mark.index)), into: None }
}

fn later(mark: Mark, due_ms: u64) -> PostponeRequest {
    PostponeRequest { mark, frame: bytes(&format!("again {}", mark.index)), due_ms }
}

async fn bury_moves_one_message_to_the_dead_letters(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let id = stage.held(&stream, &a, 1, 3).await?;
    let stale = stage.log.bury(&stream, &owner(&consumer("b")), burial(mark(id, 1, 3))).await?;
    ensure_eq!(stale, Ownership::OwnedByOther, "a burial by another");
    ensure_eq!(stage.info(&stream).await?.dead_letters, 0, "dead letters of a stale owner");
    stage.progress(&stream, &owner(&a), step(id, 3, &[0])).await?;
    for _ in 0..2 {
        let answer = stage.log.bury(&stream, &owner(&a), burial(mark(id, 1, 3))).await?;
        ensure_eq!(answer, Ownership::Done, "a burial");
        let info = stage.check_accounting(&stream).await?;
        ensure_eq!((info.dead_letters, info.length), (1, 1), "letters and entries");
        ensure_eq!((info.accounting.dead, info.accounting.held), (1, 1), "dead and held");
    }
    let recorded = one(stage.log.recorded(&stream, &owner(&a), &[id]).await?)?.unwrap_or_default();
    let totals = Totals { handled: 1, dead: 1, ..Totals::default() };
    ensure_eq!((recorded.totals, recorded.done), (totals, done(&[0, 1])), "what is recorded");
    let answer = stage.log.bury(&stream, &owner(&a), burial(mark(id, 0, 3))).await?;
    ensure_eq!(answer, Ownership::Disagrees, "a burial of what was handled");
    let letters = frames(&stage.list(&stream, Place::Dead).await?);
    ensure_eq!(letters, vec![bytes("letter of 1")], "the letters");
    let totals = Totals { handled: 2, dead: 1, ..Totals::default() };
    stage.settle_as(&stream, &owner(&a), end(id, 3, totals)).await?;
    let answer = stage.log.bury(&stream, &owner(&a), burial(mark(id, 1, 3))).await?;
    ensure_eq!(answer, Ownership::NotPending, "a burial after the end");
    ensure_eq!(stage.check_accounting(&stream).await?.dead_letters, 1, "letters at the end");
    Ok(())
}

async fn bury_into_another_stream_counts_where_it_was(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (inbox, nodes, a) = (stage.inbox("gone"), stage.service("nodes"), consumer("a"));
    let id = stage.held(&inbox, &a, 1, 2).await?;
    let request = |index| BuryRequest { into: Some(nodes.clone()), ..burial(mark(id, index, 2)) };
    let stale = stage.log.bury(&inbox, &owner(&consumer("b")), request(0)).await?;
    ensure_eq!(stale, Ownership::OwnedByOther, "a burial by another");
    for index in [0, 0, 1] {
        let answer = stage.log.bury(&inbox, &owner(&a), request(index)).await?;
        ensure_eq!(answer, Ownership::Done, "a burial into another stream");
    }
    let letters = frames(&stage.list(&nodes, Place::Dead).await?);
    ensure_eq!(letters, vec![bytes("letter of 0"), bytes("letter of 1")], "its letters");
    let there = stage.check_accounting(&nodes).await?;
    ensure_eq!(there.accounting, Default::default(), "what is counted there");
    let here = stage.check_accounting(&inbox).await?;
    ensure_eq!((here.accounting.dead, here.accounting.held), (2, 0), "what is counted here");
    ensure_eq!(here.dead_letters, 0, "letters here");
    Ok(())
}

async fn bury_entry_ends_it_with_one_letter(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, nodes, a) = (stage.service("orders"), stage.service("nodes"), consumer("a"));
    let id = stage.held(&stream, &a, 1, 3).await?;
    stage.progress(&stream, &owner(&a), step(id, 3, &[0])).await?;
    let request = |into| BuryEntryRequest { id, letter: bytes("letter"), into };
    let stale = stage.log.bury_entry(&stream, &owner(&consumer("b")), request(None)).await?;
    ensure_eq!(stale, Ownership::OwnedByOther, "a burial by another");
    for (nth, expected) in [Ownership::Done, Ownership::NotPending].into_iter().enumerate() {
        let answer = stage.log.bury_entry(&stream, &owner(&a), request(None)).await?;
        ensure_eq!(answer, expected, "burial number {nth} of an entry");
        let info = stage.check_accounting(&stream).await?;
        ensure_eq!((info.dead_letters, info.length), (1, 0), "letters and entries");
        let counted = info.accounting;
        ensure_eq!((counted.handled, counted.dead, counted.held), (1, 2, 0), "what is counted");
    }
    let id = stage.held(&stream, &a, 4, 2).await?;
    let request = BuryEntryRequest { id, letter: bytes("letter"), into: Some(nodes.clone()) };
    let answer = stage.log.bury_entry(&stream, &owner(&a), request).await?;
    ensure_eq!(answer, Ownership::Done, "a burial into another stream");
    let letters = frames(&stage.list(&nodes, Place::Dead).await?);
    ensure_eq!(letters, vec![bytes("letter")], "the letters there");
    let here = stage.check_accounting(&stream).await?;
    ensure_eq!((here.dead_letters, here.accounting.dead), (1, 4), "letters and dead here");
    Ok(())
}

async fn postpone_moves_one_message_to_the_delay_set(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let id = stage.held(&stream, &a, 1, 3).await?;
    let due_ms = stage.log.now_ms().await? + 60_000;
    let request = later(mark(id, 2, 3), due_ms);
    let stale = stage.log.postpone(&stream, &owner(&consumer("b")), request.clone()).await?;
    ensure_eq!(stale, Ownership::OwnedByOther, "a postponement by another");
    for _ in 0..2 {
        let answer = stage.log.postpone(&stream, &owner(&a), request.clone()).await?;
        ensure_eq!(answer, Ownership::Done, "a postponement");
        let counted = stage.check_accounting(&stream).await?.accounting;
        ensure_eq!((counted.delayed, counted.held), (1, 2), "delayed and held");
    }
    let answer = stage.log.bury(&stream, &owner(&a), burial(mark(id, 2, 3))).await?;
    ensure_eq!(answer, Ownership::Disagrees, "a burial of what was postponed");
    let totals = Totals { handled: 2, delayed: 1, ..Totals::default() };
    let answer = stage.settle_as(&stream, &owner(&a), end(id, 3, totals)).await?;
    ensure_eq!(answer, Ownership::Done, "the end of its entry");
    let counted = stage.check_accounting(&stream).await?.accounting;
    ensure_eq!((counted.delayed, counted.held, counted.handled), (1, 0, 2), "after the end");
    let topic = stage.topic("placed");
    let id = stage.held(&topic, &a, 1, 3).await?;
    let answer = stage.log.postpone(&topic, &owner(&a), later(mark(id, 0, 3), due_ms)).await;
    ensure!(matches!(answer, Err(LogError::Refused(_))), "a topic's message waits: {answer:?}");
    Ok(())
}

async fn due_releases_in_order_of_time(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let id = stage.held(&stream, &a, 1, 2).await?;
    let now_ms = stage.log.now_ms().await?;
    let tick_ms = u64::try_from(stage.timing.tick.as_millis()).unwrap_or(u64::MAX);
    let (soon_ms, far_ms) = (now_ms + 20 * tick_ms, now_ms + 3_600_000);
    let past = later(mark(id, 0, 2), now_ms - 5);
    stage.log.postpone(&stream, &owner(&a), past).await?;
    for (first, name, due_ms) in [
        (3, "far", far_ms),
        (4, "soon", soon_ms),
        (5, "past", now_ms - 10),
        (6, "past2", now_ms - 10),
    ] {
        let answer = stage.log.append_delayed(frame(&stream, first, 1), name, due_ms).await?;
        ensure!(matches!(answer, Append::Stored(_)), "a delayed message: {answer:?}");
    }
    let answer = stage.log.append_delayed(frame(&stream, 4, 1), "soon", soon_ms).await?;
    ensure_eq!(answer, Append::Duplicate { last: 6 }, "a delayed message again");
    let counted = stage.check_accounting(&stream).await?.accounting;
    ensure_eq!((counted.appended, counted.delayed, counted.held), (6, 5, 1), "before any is due");
    let due = stage.log.due(&stream, 2).await?;
    ensure_eq!(due, Due { released: 2, next_ms: Some(now_ms - 5) }, "the first two");
    let due = stage.log.due(&stream, 10).await?;
    ensure_eq!(due, Due { released: 1, next_ms: Some(soon_ms) }, "the third and no more");
    stage.pass(21).await;
    let due = stage.log.due(&stream, 10).await?;
    ensure_eq!(due, Due { released: 1, next_ms: Some(far_ms) }, "the one that came due");
    let released = stage.read(&stream, &a, 10).await?;
    let expected = [
        frame(&stream, 5, 1).frame,
        frame(&stream, 6, 1).frame,
        bytes("again 0"),
        frame(&stream, 4, 1).frame,
    ];
    ensure_eq!(frames(&released), expected.to_vec(), "what was released, in order of time");
    let counted = stage.check_accounting(&stream).await?.accounting;
    ensure_eq!((counted.appended, counted.delayed, counted.held), (6, 1, 5), "after the release");
    let id = released[2].id;
    ensure_eq!(stage.settle(&stream, &owner(&a), id, 1).await?, Ownership::Done, "one message");
    Ok(())
}

async fn cancel_delayed_removes_once(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let due_ms = stage.log.now_ms().await? + stage.timing.patience.as_millis() as u64;
    for (first, name) in [(1, "one"), (2, "two")] {
        stage.log.append_delayed(frame(&stream, first, 1), name, due_ms).await?;
    }
    let taken = stage.log.append_delayed(frame(&stream, 3, 1), "two", due_ms).await;
    ensure!(matches!(taken, Err(LogError::Refused(_))), "an id that is taken: {taken:?}");
    let answers = [
        stage.log.cancel_delayed(&stream, "one").await?,
        stage.log.cancel_delayed(&stream, "one").await?,
        stage.log.cancel_delayed(&stream, "three").await?,
    ];
    ensure_eq!(answers, [true, false, false], "one, one again, one that never was");
    let counted = stage.check_accounting(&stream).await?.accounting;
    ensure_eq!((counted.appended, counted.delayed, counted.cancelled), (2, 1, 1), "the messages");
    tokio::time::sleep(stage.timing.patience).await;
    stage.pass(1).await;
    let due = stage.log.due(&stream, 10).await?;
    ensure_eq!(due, Due { released: 1, next_ms: None }, "what is released");
    let live = stage.log.range(&stream, Place::Live, EntryId::MIN, EntryId::MAX, 10).await?;
    ensure_eq!(frames(&live), vec![frame(&stream, 2, 1).frame], "the one that was not cancelled");
    Ok(())
}
