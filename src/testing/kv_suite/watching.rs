use std::time::Duration;

use futures_util::future::FutureExt;

use super::{
    SHORTLY,
    bench::{Bench, Outcome, ensure, failed, text},
};
use crate::kv::{EventKind, Op, Revision, Txn, WatchRequest};

pub(super) async fn watch_replays_from_its_revision_and_goes_on(bench: &Bench) -> Outcome {
    let mut expected = Vec::new();
    for n in 0..10 {
        let revision = bench.put("a", &n.to_string()).await?;
        expected.push(format!("+a={n}@{revision}"));
    }
    // From the fourth change on: the past, then what comes.
    let from = Revision(bench.newest().await?.0 - 6);
    expected.drain(..3);
    let mut watcher = bench.watch(from).await?;
    let deleted = bench.delete("a").await?;
    expected.push(format!("-a@{deleted}"));
    let several = Txn::new(["x", "y", "z"].map(|name| Op::put(bench.key(name), "1", None)));
    let revision = bench.txn(several).await?.revision;
    expected.extend(["x", "y", "z"].map(|name| format!("+{name}=1@{revision}")));
    let mut seen = Vec::new();
    let mut last = Revision(0);
    while seen.len() < expected.len() {
        let batch = bench.soon("a change", watcher.next()).await?;
        let batch = batch.map_err(|error| failed("the watch", &error))?;
        let Some(first) = batch.events.first().map(|event| event.kv.mod_revision) else { continue };
        ensure!(first > last, "changes of revision {first} came in two batches");
        last = batch.events.last().map_or(last, |event| event.kv.mod_revision);
        ensure!(batch.revision >= last, "a batch of {} holds {last}", batch.revision);
        seen.extend(batch.events.iter().map(|event| bench.describe(event)));
    }
    ensure!(seen == expected, "the watch saw {seen:?} and not {expected:?}");
    bench.stays_quiet(&mut watcher).await?;
    let revision = bench.put("a", "later").await?;
    let seen = bench.changes(&mut watcher, 1).await?;
    ensure!(seen == [format!("+a=later@{revision}")], "later the watch saw {seen:?}");
    Ok(())
}

pub(super) async fn watch_from_the_future_waits_for_it(bench: &Bench) -> Outcome {
    let newest = bench.put("a", "0").await?;
    let from = Revision(newest.0 + 3);
    let mut watcher = bench.watch(from).await?;
    for n in 1..=3 {
        bench.put("a", &n.to_string()).await?;
    }
    let seen = bench.changes(&mut watcher, 1).await?;
    ensure!(seen == [format!("+a=3@{from}")], "a watch from {from} saw {seen:?}");
    bench.stays_quiet(&mut watcher).await
}

pub(super) async fn watch_sees_only_its_prefix(bench: &Bench) -> Outcome {
    let from = bench.newest().await?.next();
    let request = WatchRequest { prefix: bench.key("b/"), from };
    let started = bench.store().watch(request).await;
    let mut watcher = started.map_err(|error| failed("the start of a watch", &error))?;
    for name in ["a", "b", "b/1", "b0", "c"] {
        bench.put(name, "x").await?;
    }
    let both = Txn::new(["a", "b/2"].map(|name| Op::put(bench.key(name), "x", None)));
    let revision = bench.txn(both).await?.revision;
    let seen = bench.changes(&mut watcher, 2).await?;
    let expected = [format!("+b/1=x@{}", from.0 + 2), format!("+b/2=x@{revision}")];
    ensure!(seen == expected, "a watch of \"b/\" saw {seen:?}");
    bench.stays_quiet(&mut watcher).await
}

pub(super) async fn watch_events_carry_the_key_as_it_was_written(bench: &Bench) -> Outcome {
    let from = bench.newest().await?.next();
    let lease = bench.grant().await?;
    let mut written = Vec::new();
    for n in 0..3 {
        bench.put_under("a", &n.to_string(), (n > 0).then_some(lease.id)).await?;
        written.push(bench.existing("a").await?);
    }
    let deleted = bench.delete("a").await?;
    let mut watcher = bench.watch(from).await?;
    let mut events = Vec::new();
    while events.len() < 4 {
        let batch = bench.soon("a change", watcher.next()).await?;
        events.extend(batch.map_err(|error| failed("the watch", &error))?.events);
    }
    for (event, kv) in events.iter().zip(&written) {
        ensure!(event.kind == EventKind::Put, "a put is shown as {:?}", event.kind);
        ensure!(event.kv == *kv, "the event shows {:?}, a read {kv:?}", event.kv);
    }
    let last = &events[3];
    ensure!(last.kind == EventKind::Delete, "a delete is shown as {:?}", last.kind);
    let right = last.kv.key == bench.key("a") && last.kv.mod_revision == deleted;
    ensure!(right, "the delete at {deleted} is shown as {:?}", last.kv);
    Ok(())
}

pub(super) async fn progress_answers_on_an_idle_watch(bench: &Bench) -> Outcome {
    let from = bench.put("a", "x").await?.next();
    let mut watcher = bench.watch(from).await?;
    for _ in 0..3 {
        bench.stays_quiet(&mut watcher).await?;
        let asked = watcher.request_progress().await;
        asked.map_err(|error| failed("a request for progress", &error))?;
        let batch = bench.soon("the answer to a request for progress", watcher.next()).await?;
        let batch = batch.map_err(|error| failed("the answer of an idle watch", &error))?;
        ensure!(batch.events.is_empty(), "an idle watch answered with {:?}", batch.events);
    }
    // It is a watch still.
    bench.put("a", "later").await?;
    let seen = bench.changes(&mut watcher, 1).await?;
    ensure!(seen[0].starts_with("+a=later"), "after answering the watch saw {seen:?}");
    Ok(())
}

pub(super) async fn progress_never_runs_ahead_of_the_changes(bench: &Bench) -> Outcome {
    let from = bench.newest().await?.next();
    let mut watcher = bench.watch(from).await?;
    for n in 0..20 {
        let revision = bench.put("a", &n.to_string()).await?;
        let asked = watcher.request_progress().await;
        asked.map_err(|error| failed("a request for progress", &error))?;
        loop {
            let batch = bench.soon("a change", watcher.next()).await?;
            let batch = batch.map_err(|error| failed("the watch", &error))?;
            if let Some(event) = batch.events.first() {
                ensure!(text(&event.kv) == n.to_string(), "after {} came {:?}", n - 1, event.kv);
                break;
            }
            ensure!(
                batch.revision < revision,
                "an empty batch says {} before the change of {revision} was shown",
                batch.revision
            );
        }
    }
    Ok(())
}

pub(super) async fn a_cancelled_next_loses_no_change(bench: &Bench) -> Outcome {
    let from = bench.newest().await?.next();
    let mut watcher = bench.watch(from).await?;
    let mut expected = Vec::new();
    let mut seen = Vec::new();
    for n in 0..20 {
        // Sometimes it waits already when the change comes, sometimes the change is there first.
        let revision = if n % 2 == 0 {
            let waiting = tokio::time::timeout(SHORTLY, watcher.next());
            let (waited, revision) =
                futures_util::future::join(waiting, bench.put("a", &n.to_string())).await;
            if let Ok(batch) = waited {
                let batch = batch.map_err(|error| failed("the watch", &error))?;
                seen.extend(batch.events.iter().map(|event| bench.describe(event)));
            }
            revision?
        } else {
            let revision = bench.put("a", &n.to_string()).await?;
            if let Some(batch) = watcher.next().now_or_never() {
                let batch = batch.map_err(|error| failed("the watch", &error))?;
                seen.extend(batch.events.iter().map(|event| bench.describe(event)));
            }
            revision
        };
        expected.push(format!("+a={n}@{revision}"));
    }
    let left = expected.len().saturating_sub(seen.len());
    seen.extend(bench.changes(&mut watcher, left).await?);
    ensure!(seen == expected, "with cancelled calls between the watch saw {seen:?}");
    Ok(())
}

pub(super) async fn dropped_watchers_leave_nothing_behind(bench: &Bench) -> Outcome {
    let from = bench.newest().await?.next();
    let before = bench.watchers();
    let mut kept = bench.watch(from).await?;
    for n in 0..100 {
        let mut dropped = bench.watch(from).await?;
        if n % 2 == 0 {
            drop(dropped.next().now_or_never());
        }
    }
    let revision = bench.put("a", "x").await?;
    let seen = bench.changes(&mut kept, 1).await?;
    ensure!(seen == [format!("+a=x@{revision}")], "beside dropped watches one saw {seen:?}");
    drop(kept);
    // A store on another machine hears of it a little later.
    let deadline = tokio::time::Instant::now() + bench.timing().patience;
    while bench.watchers() != before {
        let (open, late) = (bench.watchers(), tokio::time::Instant::now() > deadline);
        ensure!(!late, "{before:?} watches were open before, {open:?} are open now");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
