use super::bench::{Bench, Outcome, ensure, expect_error, failed};
use crate::kv::{KvError, RangeRequest, Revision, WatchRequest};

/// Writes `a` so many times and gives the revisions.
async fn history(bench: &Bench, count: usize) -> Outcome<Vec<Revision>> {
    let mut revisions = Vec::new();
    for n in 0..count {
        revisions.push(bench.put("a", &n.to_string()).await?);
    }
    Ok(revisions)
}

async fn compact(bench: &Bench, revision: Revision) -> Outcome {
    bench.store().compact(revision).await.map_err(|error| failed("a compaction", &error))
}

pub(super) async fn watch_past_compaction_says_compacted(bench: &Bench) -> Outcome {
    let revisions = history(bench, 10).await?;
    compact(bench, revisions[5]).await?;
    let request = WatchRequest { prefix: bench.prefix().to_owned(), from: revisions[2] };
    // Either the start says it or the first call.
    let error = match bench.store().watch(request).await {
        Err(error) => error,
        Ok(mut watcher) => match bench.soon("the end of the watch", watcher.next()).await? {
            Err(error) => error,
            Ok(batch) => {
                let text = format!("a watch from below the compacted revision gave {batch:?}");
                return Err(super::CaseFailure::new(text));
            }
        },
    };
    let KvError::Compacted { compacted } = error else {
        return Err(failed("instead of saying Compacted the watch", &error));
    };
    ensure!(compacted >= revisions[5], "it says {compacted}, compacted was {}", revisions[5]);
    let mut watcher = bench.watch(compacted.next()).await?;
    let seen = bench.changes(&mut watcher, 4).await?;
    ensure!(seen.len() == 4, "a watch from after the compacted revision saw {seen:?}");
    Ok(())
}

pub(super) async fn a_watch_that_lags_behind_compaction_leaves_no_gap(bench: &Bench) -> Outcome {
    let from = bench.newest().await?.next();
    let mut watcher = bench.watch(from).await?;
    let revisions = history(bench, 50).await?;
    compact(bench, revisions[40]).await?;
    let mut expected = revisions.into_iter();
    while expected.len() > 0 {
        let batch = match bench.soon("a change", watcher.next()).await? {
            Err(KvError::Compacted { .. }) => return Ok(()),
            Err(error) => return Err(failed("a watch that lags", &error)),
            Ok(batch) => batch,
        };
        for event in batch.events {
            let (seen, expected) = (event.kv.mod_revision, expected.next());
            ensure!(Some(seen) == expected, "a watch that lags saw {seen}, not {expected:?}");
        }
    }
    Ok(())
}

pub(super) async fn read_past_compaction_says_compacted(bench: &Bench) -> Outcome {
    let revisions = history(bench, 5).await?;
    compact(bench, revisions[3]).await?;
    for revision in [revisions[0], revisions[2]] {
        let read = bench.store().range(RangeRequest::prefix(bench.prefix()).at(revision)).await;
        expect_error(&format!("a read at {revision}"), read, |error| {
            matches!(error, KvError::Compacted { .. })
        })?;
    }
    Ok(())
}

pub(super) async fn compaction_keeps_what_can_be_read(bench: &Bench) -> Outcome {
    bench.put("old", "1").await?;
    bench.put("gone", "1").await?;
    bench.put("later gone", "1").await?;
    bench.delete("gone").await?;
    let revisions = history(bench, 5).await?;
    let deleted = bench.delete("later gone").await?;
    let readable = [revisions[2], revisions[3], revisions[4], deleted];
    let old = bench.existing("old").await?;
    let before = as_of(bench, &readable).await?;
    compact(bench, revisions[2]).await?;
    let after = as_of(bench, &readable).await?;
    ensure!(before == after, "the revisions {readable:?} had {before:?}, now {after:?}");
    let now = bench.existing("old").await?;
    ensure!(now == old, "a key that was not written since changed to {now:?}");
    ensure!(bench.get("gone").await?.is_none(), "a deleted key came back");
    replays(bench, &revisions[3..], deleted).await
}

/// All keys at each of the revisions.
async fn as_of(bench: &Bench, revisions: &[Revision]) -> Outcome<Vec<Vec<(String, String)>>> {
    let mut found = Vec::new();
    for revision in revisions {
        found.push(bench.all(Some(*revision)).await?);
    }
    Ok(found)
}

/// What came after the compacted revision is still there to watch.
async fn replays(bench: &Bench, written: &[Revision], deleted: Revision) -> Outcome {
    let mut watcher = bench.watch(written[0]).await?;
    let seen = bench.changes(&mut watcher, 3).await?;
    let expected = [
        format!("+a=3@{}", written[0]),
        format!("+a=4@{}", written[1]),
        format!("-later gone@{deleted}"),
    ];
    ensure!(seen == expected, "a watch from after the compacted revision saw {seen:?}");
    Ok(())
}

pub(super) async fn compacting_again_changes_nothing(bench: &Bench) -> Outcome {
    let revisions = history(bench, 5).await?;
    for revision in [revisions[3], revisions[3], revisions[1]] {
        compact(bench, revision).await?;
    }
    let read = bench.store().range(RangeRequest::prefix(bench.prefix()).at(revisions[2])).await;
    expect_error("a read below the compacted revision", read, |error| {
        matches!(error, KvError::Compacted { .. })
    })?;
    let kept = bench.all(Some(revisions[3])).await?;
    ensure!(kept[..] == [("a".to_owned(), "3".to_owned())], "at the compacted one: {kept:?}");
    Ok(())
}

pub(super) async fn compaction_of_the_future_is_refused(bench: &Bench) -> Outcome {
    let newest = bench.put("a", "1").await?;
    let result = bench.store().compact(Revision(newest.0 + 1000)).await;
    expect_error("a compaction of the future", result, |error| {
        matches!(error, KvError::FutureRevision { .. })
    })?;
    ensure!(bench.get("a").await?.is_some(), "the key is gone");
    ensure!(bench.all(Some(newest)).await?.len() == 1, "the newest revision can't be read");
    Ok(())
}
