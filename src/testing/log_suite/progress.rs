use super::{
    Case, LogFactory, case, ensure_eq,
    stage::{Stage, Verdict, bytes, consumer, done, end, handled, mark, one, owner, step},
};
use crate::log::{
    Attempt, BuryRequest, EntryId, Ownership, PostponeRequest, Progress, Recorded, Totals,
};

pub(super) const CASES: &[Case] = &[
    case!(progress_is_absolute),
    case!(progress_without_marks_is_a_touch),
    case!(progress_by_a_stale_owner_changes_nothing),
    case!(what_is_recorded_can_be_read),
    case!(only_moves_count_as_moved),
    case!(touch_resets_the_idle_clock),
];

async fn progress_is_absolute(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let id = stage.held(&stream, &a, 1, 20).await?;
    stage.pass(6).await;
    for _ in 0..2 {
        let answer = stage.progress(&stream, &owner(&a), step(id, 20, &[0, 1, 9])).await?;
        ensure_eq!(answer, Ownership::Done, "three of twenty");
        let counted = stage.check_accounting(&stream).await?.accounting;
        ensure_eq!((counted.handled, counted.held), (3, 17), "handled and held");
    }
    let (claimed, _) = stage.claim(&stream, &consumer("b"), stage.ticks(5)).await?;
    ensure_eq!(claimed.len(), 0, "what is idle after progress");
    let mut expired = step(id, 20, &[0, 1, 9]);
    expired.totals = Totals { handled: 2, expired: 1, ..Totals::default() };
    let mut too_few = step(id, 20, &[0, 1, 9, 10]);
    too_few.done = done(&[0, 1, 9]);
    let wrong = [
        ("fewer", step(id, 20, &[0, 1])),
        ("without what was marked", step(id, 20, &[0, 1, 2, 3])),
        ("handled turned to expired", expired),
        ("more totals than marks", too_few),
        ("a mark outside the entry", step(id, 20, &[0, 1, 9, 20])),
    ];
    for (what, step) in wrong {
        let answer = stage.progress(&stream, &owner(&a), step).await?;
        ensure_eq!(answer, Ownership::Disagrees, "progress with {what}");
    }
    let counted = stage.check_accounting(&stream).await?.accounting;
    ensure_eq!((counted.handled, counted.expired, counted.held), (3, 0, 17), "after all that");
    let mut more = step(id, 20, &[0, 1, 9, 19, 4]);
    more.totals = Totals { handled: 4, cancelled: 1, ..Totals::default() };
    ensure_eq!(stage.progress(&stream, &owner(&a), more).await?, Ownership::Done, "two more");
    let answer = stage.settle(&stream, &owner(&a), id, 20).await?;
    ensure_eq!(answer, Ownership::Disagrees, "an end that forgets the cancelled one");
    let totals = Totals { handled: 19, cancelled: 1, ..Totals::default() };
    let answer = stage.settle_as(&stream, &owner(&a), end(id, 20, totals)).await?;
    ensure_eq!(answer, Ownership::Done, "the end");
    let counted = stage.check_accounting(&stream).await?.accounting;
    ensure_eq!((counted.handled, counted.cancelled, counted.held), (19, 1, 0), "at the end");
    Ok(())
}

async fn progress_without_marks_is_a_touch(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let id = stage.held(&stream, &a, 1, 4).await?;
    stage.progress(&stream, &owner(&a), step(id, 4, &[2])).await?;
    stage.pass(6).await;
    let attempt = Some(Attempt { index: 0, number: 1 });
    let touch = Progress { attempt, ..step(id, 4, &[]) };
    ensure_eq!(stage.progress(&stream, &owner(&a), touch).await?, Ownership::Done, "a touch");
    let (claimed, _) = stage.claim(&stream, &consumer("b"), stage.ticks(5)).await?;
    ensure_eq!(claimed.len(), 0, "what is idle after a touch");
    let recorded = one(stage.log.recorded(&stream, &owner(&a), &[id]).await?)?;
    let expected = Recorded { totals: handled(1), done: done(&[2]), attempt };
    ensure_eq!(recorded, Some(expected), "what is recorded");
    stage.check_accounting(&stream).await?;
    Ok(())
}

async fn progress_by_a_stale_owner_changes_nothing(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a, b) = (stage.service("orders"), consumer("a"), consumer("b"));
    let id = stage.held(&stream, &a, 1, 4).await?;
    stage.pass(6).await;
    let attempt = Some(Attempt { index: 1, number: 1 });
    let stale = Progress { attempt, ..step(id, 4, &[0]) };
    let answer = stage.progress(&stream, &owner(&b), stale).await?;
    ensure_eq!(answer, Ownership::OwnedByOther, "progress of what another owns");
    let absent = step(EntryId { ms: 1, seq: 1 }, 4, &[0]);
    let answer = stage.progress(&stream, &owner(&a), absent).await?;
    ensure_eq!(answer, Ownership::NotPending, "progress of what nobody has");
    let recorded = one(stage.log.recorded(&stream, &owner(&a), &[id]).await?)?;
    ensure_eq!(recorded, Some(Recorded::default()), "what is recorded");
    ensure_eq!(stage.check_accounting(&stream).await?.accounting.handled, 0, "handled messages");
    let (claimed, _) = stage.claim(&stream, &consumer("c"), stage.ticks(5)).await?;
    ensure_eq!(claimed.len(), 1, "what is still idle");
    Ok(())
}

async fn what_is_recorded_can_be_read(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let first = stage.held(&stream, &a, 1, 12).await?;
    let second = stage.held(&stream, &a, 13, 1).await?;
    let totals = Totals { handled: 2, expired: 1, ..Totals::default() };
    let attempt = Some(Attempt { index: 3, number: 2 });
    let step = Progress { id: first, count: 12, totals, done: done(&[0, 2, 11]), attempt };
    ensure_eq!(stage.progress(&stream, &owner(&a), step.clone()).await?, Ownership::Done, "it");
    // An attempt stays until another one begins.
    let again = Progress { attempt: None, ..step };
    stage.progress(&stream, &owner(&a), again).await?;
    let asked = [second, EntryId { ms: 1, seq: 1 }, first];
    let recorded = Recorded { totals, done: done(&[0, 2, 11]), attempt };
    let expected = vec![Some(Recorded::default()), None, Some(recorded)];
    for reader in [&a, &consumer("b")] {
        let recorded = stage.log.recorded(&stream, &owner(reader), &asked).await?;
        ensure_eq!(recorded, expected, "what {} reads", reader.name);
    }
    Ok(())
}

async fn only_moves_count_as_moved(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let id = stage.held(&stream, &a, 1, 3).await?;
    let dead = Totals { dead: 1, ..Totals::default() };
    let delayed = Totals { delayed: 1, ..Totals::default() };
    for totals in [dead, delayed] {
        let made_up = Progress { totals, ..step(id, 3, &[0]) };
        let answer = stage.progress(&stream, &owner(&a), made_up).await?;
        ensure_eq!(answer, Ownership::Disagrees, "progress with {totals:?} that nobody moved");
        let totals = Totals { handled: 2, ..totals };
        let answer = stage.settle_as(&stream, &owner(&a), end(id, 3, totals)).await?;
        ensure_eq!(answer, Ownership::Disagrees, "an end with {totals:?} that nobody moved");
    }
    let request = BuryRequest { mark: mark(id, 0, 3), letter: bytes("letter"), into: None };
    ensure_eq!(stage.log.bury(&stream, &owner(&a), request).await?, Ownership::Done, "a burial");
    let due_ms = stage.log.now_ms().await? + 60_000;
    let request = PostponeRequest { mark: mark(id, 1, 3), frame: bytes("later"), due_ms };
    let answer = stage.log.postpone(&stream, &owner(&a), request).await?;
    ensure_eq!(answer, Ownership::Done, "a postponement");
    let answer = stage.settle(&stream, &owner(&a), id, 3).await?;
    ensure_eq!(answer, Ownership::Disagrees, "an end without the moved ones");
    let totals = Totals { handled: 1, dead: 1, delayed: 1, ..Totals::default() };
    let answer = stage.settle_as(&stream, &owner(&a), end(id, 3, totals)).await?;
    ensure_eq!(answer, Ownership::Done, "an end with the moved ones");
    let counted = stage.check_accounting(&stream).await?.accounting;
    ensure_eq!((counted.handled, counted.dead, counted.delayed), (1, 1, 1), "what was counted");
    Ok(())
}

async fn touch_resets_the_idle_clock(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a, b) = (stage.service("orders"), consumer("a"), consumer("b"));
    let touched = stage.held(&stream, &a, 1, 1).await?;
    let idle = stage.held(&stream, &a, 2, 1).await?;
    let other = stage.held(&stream, &b, 3, 1).await?;
    stage.pass(6).await;
    let asked = [touched, other, EntryId { ms: 1, seq: 1 }];
    let answers = stage.log.touch(&stream, &a, &asked).await?;
    let expected = [Ownership::Done, Ownership::OwnedByOther, Ownership::NotPending];
    ensure_eq!(answers, expected.to_vec(), "one answer per entry, in order");
    let (claimed, _) = stage.claim(&stream, &consumer("c"), stage.ticks(5)).await?;
    let claimed: Vec<_> = claimed.iter().map(|claimed| claimed.entry.id).collect();
    ensure_eq!(claimed, vec![idle, other], "what was idle");
    stage.pass(6).await;
    let (claimed, _) = stage.claim(&stream, &b, stage.ticks(5)).await?;
    let raised: Vec<_> = claimed.iter().map(|c| (c.entry.id, c.deliveries)).collect();
    ensure_eq!(raised, vec![(touched, 2), (idle, 3), (other, 3)], "deliveries after a touch");
    Ok(())
}
