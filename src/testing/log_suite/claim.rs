use std::time::Duration;

use super::{
    Case, GraceState, LogFactory, Setup, case, ensure, ensure_eq,
    stage::{Stage, Verdict, consumer, done, end, handled, ids, owner, step},
};
use crate::log::{
    Attempt, Claim, ClaimRequest, EntryId, Ownership, Place, Progress, Recorded, Totals,
};

pub(super) const CASES: &[Case] = &[
    case!(claim_waits_for_the_grace),
    case!(claim_takes_only_what_is_idle),
    case!(claim_while_the_owner_touches_takes_nothing),
    case!(claim_resumes_after_the_bitmap),
    case!(claim_tells_what_is_gone),
    case!(claim_raises_the_delivery_count),
    case!(after_a_claim_the_old_owner_is_stale),
    case!(remove_consumer_keeps_pending_entries),
];

async fn claim_waits_for_the_grace(factory: &dyn LogFactory) -> Verdict {
    let setup = Setup { grace: GraceState::Running, memory_bytes_max: None };
    let stage = Stage::with(factory, setup).await?;
    let (stream, a, b) = (stage.service("orders"), consumer("a"), consumer("b"));
    stage.held(&stream, &a, 1, 1).await?;
    stage.pass(2).await;
    let request = ClaimRequest { consumer: b, from: None, idle: Duration::ZERO, limit: 10 };
    let claim = stage.log.claim(&stream, request).await?;
    ensure_eq!(claim, Claim::Grace, "a claim in the grace");
    ensure_eq!(stage.log.pending_of(&stream, &a, 10).await?.len(), 1, "what is pending");
    Ok(())
}

async fn claim_takes_only_what_is_idle(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let [a, b, c] = ["a", "b", "c"].map(consumer);
    let mut old = Vec::new();
    for (first, worker) in [(1, &a), (2, &b), (3, &a), (4, &c), (5, &a)] {
        old.push(stage.held(&stream, worker, first, 1).await?);
    }
    let idle = stage.ticks(5);
    stage.pass(6).await;
    let young = stage.held(&stream, &a, 6, 1).await?;
    let named = ClaimRequest { consumer: c.clone(), from: Some(vec!["a".into()]), idle, limit: 2 };
    let (taken, gone) = stage.claim_as(&stream, named).await?;
    let previous: Vec<_> = taken.iter().map(|taken| (taken.entry.id, &*taken.previous)).collect();
    ensure_eq!(previous, vec![(old[0], "a"), (old[2], "a")], "at most two, oldest first");
    ensure!(gone.is_empty(), "nothing is gone: {gone:?}");
    let (taken, _) = stage.claim(&stream, &c, idle).await?;
    let taken: Vec<_> = taken.iter().map(|taken| taken.entry.id).collect();
    ensure_eq!(taken, vec![old[1], old[4]], "the rest of the others' that is idle");
    ensure_eq!(ids(&stage.log.pending_of(&stream, &a, 9).await?), vec![young], "what stays");
    let own = ids(&stage.log.pending_of(&stream, &c, 9).await?);
    ensure_eq!(own, old, "what the claimer has now");
    Ok(())
}

async fn claim_while_the_owner_touches_takes_nothing(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a, b) = (stage.service("orders"), consumer("a"), consumer("b"));
    let id = stage.held(&stream, &a, 1, 1).await?;
    for _ in 0..4 {
        stage.pass(5).await;
        let touched = stage.log.touch(&stream, &a, &[id]).await?;
        ensure_eq!(touched, vec![Ownership::Done], "a touch");
        stage.pass(2).await;
        let (taken, _) = stage.claim(&stream, &b, stage.ticks(6)).await?;
        ensure_eq!(taken, vec![], "what is taken from an owner that touches");
    }
    stage.pass(7).await;
    let (taken, _) = stage.claim(&stream, &b, stage.ticks(6)).await?;
    ensure_eq!(taken.len(), 1, "what is taken from one that stopped");
    Ok(())
}

async fn claim_resumes_after_the_bitmap(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a, b) = (stage.service("orders"), consumer("a"), consumer("b"));
    let id = stage.held(&stream, &a, 1, 10).await?;
    let totals = Totals { handled: 2, expired: 1, ..Totals::default() };
    let attempt = Some(Attempt { index: 4, number: 3 });
    let begun = Progress { id, count: 10, totals, done: done(&[0, 1, 9]), attempt };
    ensure_eq!(stage.progress(&stream, &owner(&a), begun).await?, Ownership::Done, "progress");
    let (taken, _) = stage.claim(&stream, &b, Duration::ZERO).await?;
    ensure_eq!(taken.len(), 1, "the entries");
    let recorded = Recorded { totals, done: done(&[0, 1, 9]), attempt };
    ensure_eq!(taken[0].recorded, recorded, "what comes with the entry");
    let live = stage.list(&stream, Place::Live).await?;
    ensure_eq!(live, vec![taken[0].entry.clone()], "the entry itself");
    let mut step = step(id, 10, &[0, 1, 2, 9]);
    step.totals = Totals { handled: 3, expired: 1, ..Totals::default() };
    ensure_eq!(stage.progress(&stream, &owner(&b), step).await?, Ownership::Done, "going on");
    let totals = Totals { handled: 9, expired: 1, ..Totals::default() };
    let answer = stage.settle_as(&stream, &owner(&b), end(id, 10, totals)).await?;
    ensure_eq!(answer, Ownership::Done, "the end");
    let counted = stage.check_accounting(&stream).await?.accounting;
    ensure_eq!((counted.handled, counted.expired), (9, 1), "what was counted");
    Ok(())
}

async fn claim_tells_what_is_gone(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (topic, a, b) = (stage.topic("placed"), consumer("a"), consumer("b"));
    let put = [stage.put(&topic, 1, 1).await?, stage.put(&topic, 2, 1).await?];
    stage.read(&topic, &a, 10).await?;
    ensure_eq!(stage.log.trim(&topic, Place::Live, put[1]).await?, 1, "trimmed entries");
    let (taken, gone) = stage.claim(&topic, &b, Duration::ZERO).await?;
    let taken: Vec<_> = taken.iter().map(|taken| taken.entry.id).collect();
    ensure_eq!((taken, gone), (vec![put[1]], vec![put[0]]), "what is taken and what is gone");
    let (taken, gone) = stage.claim(&topic, &a, Duration::ZERO).await?;
    ensure_eq!((taken.len(), gone), (1, vec![]), "a second claim");
    let settled = stage.settle(&topic, &owner(&a), put[0], 1).await?;
    ensure_eq!(settled, Ownership::NotPending, "a settle of what is gone");
    ensure_eq!(stage.info(&topic).await?.groups[0].pending, 1, "what is pending");
    Ok(())
}

async fn claim_raises_the_delivery_count(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a, b) = (stage.service("orders"), consumer("a"), consumer("b"));
    stage.held(&stream, &a, 1, 1).await?;
    for (worker, deliveries) in [(&b, 2), (&a, 3), (&b, 4)] {
        stage.log.pending_of(&stream, worker, 10).await?;
        let (taken, _) = stage.claim(&stream, worker, Duration::ZERO).await?;
        let counts: Vec<_> = taken.iter().map(|taken| taken.deliveries).collect();
        ensure_eq!(counts, vec![deliveries], "the deliveries");
        let (own, _) = stage.claim(&stream, worker, Duration::ZERO).await?;
        ensure_eq!(own, vec![], "what the owner claims of its own");
    }
    Ok(())
}

async fn after_a_claim_the_old_owner_is_stale(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a, b) = (stage.service("orders"), consumer("a"), consumer("b"));
    let id = stage.held(&stream, &a, 1, 2).await?;
    stage.claim(&stream, &b, Duration::ZERO).await?;
    let answers = [
        stage.progress(&stream, &owner(&a), step(id, 2, &[0])).await?,
        stage.settle(&stream, &owner(&a), id, 2).await?,
        stage.log.touch(&stream, &a, &[id]).await?[0],
    ];
    ensure_eq!(
        answers,
        [Ownership::OwnedByOther; 3],
        "progress, settle and touch of the old owner"
    );
    ensure_eq!(stage.log.pending_of(&stream, &a, 10).await?, vec![], "what is pending for it");
    let counted = stage.check_accounting(&stream).await?.accounting;
    ensure_eq!((counted.handled, counted.held), (0, 2), "handled and held");
    ensure_eq!(stage.settle(&stream, &owner(&b), id, 2).await?, Ownership::Done, "the new owner");
    let late = stage.settle(&stream, &owner(&a), id, 2).await?;
    ensure_eq!(late, Ownership::NotPending, "the old owner after the end");
    Ok(())
}

async fn remove_consumer_keeps_pending_entries(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    let id = stage.held(&stream, &a, 1, 1).await?;
    ensure!(!stage.log.remove_consumer(&stream, &a).await?, "one with pending entries went");
    ensure_eq!(ids(&stage.log.pending_of(&stream, &a, 10).await?), vec![id], "what is pending");
    let settled = stage.settle_as(&stream, &owner(&a), end(id, 1, handled(1))).await?;
    ensure_eq!(settled, Ownership::Done, "its settle");
    ensure!(stage.log.remove_consumer(&stream, &a).await?, "one with nothing pending stayed");
    ensure!(!stage.log.remove_consumer(&stream, &a).await?, "one went twice");
    ensure_eq!(stage.info(&stream).await?.groups[0].consumers, vec![], "the consumers");
    ensure!(
        stage.log.range(&stream, Place::Live, EntryId::MIN, EntryId::MAX, 1).await?.is_empty(),
        "an entry came back"
    );
    Ok(())
}
