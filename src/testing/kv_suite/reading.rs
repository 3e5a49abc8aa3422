use super::bench::{Bench, Outcome, ensure, expect_error, failed, text};
use crate::kv::{KvError, Op, RangeRequest, Revision, Txn, WatchRequest};

pub(super) async fn revisions_grow_by_one_per_change(bench: &Bench) -> Outcome {
    let start = bench.newest().await?;
    let first = bench.put("a", "1").await?;
    ensure!(first == start.next(), "a put made revision {first} after {start}");
    let many = Txn::new((0..5).map(|n| Op::put(bench.key(&format!("k{n}")), "x", None)));
    let second = bench.txn(many).await?.revision;
    ensure!(second == first.next(), "a txn of 5 puts made revision {second} after {first}");
    let deleted = bench.delete("a").await?;
    ensure!(deleted == second.next(), "a delete made revision {deleted} after {second}");
    let read = bench.txn(Txn::new([Op::get(bench.key("k0"))])).await?.revision;
    ensure!(read == deleted, "a txn that only reads made revision {read} after {deleted}");
    let newest = bench.newest().await?;
    ensure!(newest == deleted, "the store says revision {newest}, the last change {deleted}");
    Ok(())
}

pub(super) async fn deleting_an_absent_key_changes_nothing(bench: &Bench) -> Outcome {
    let start = bench.newest().await?;
    let response = bench.txn(Txn::new([Op::delete(bench.key("absent"))])).await?;
    let answer = format!("{:?}", response.responses);
    ensure!(answer == "[Delete { deleted: 0 }]", "deleting an absent key answered {answer}");
    ensure!(response.revision == start, "deleting an absent key made revision {start} grow");
    let mut watcher = bench.watch(start).await?;
    bench.stays_quiet(&mut watcher).await?;
    bench.put("present", "x").await?;
    let response = bench.txn(Txn::new([Op::delete(bench.key("present"))])).await?;
    let answer = format!("{:?}", response.responses);
    ensure!(answer == "[Delete { deleted: 1 }]", "deleting a key answered {answer}");
    Ok(())
}

pub(super) async fn range_is_ordered_and_paged(bench: &Bench) -> Outcome {
    // Bytes, not words: "Z" before "a", "a-" before "a/", "k10" before "k9".
    let mut names = vec!["Z", "a", "a-", "a/", "a0", "k", "k1", "k10", "k9", "ä"];
    for name in names.iter().rev() {
        bench.put(name, "x").await?;
    }
    names.sort_unstable();
    let mut seen = Vec::new();
    let mut request = RangeRequest::prefix(bench.prefix()).limit(3);
    loop {
        let page = bench.store().range(request.clone()).await;
        let page = page.map_err(|error| failed("a page", &error))?;
        ensure!(page.kvs.len() <= 3, "a page of 3 holds {} keys", page.kvs.len());
        seen.extend(page.kvs.iter().map(|kv| bench.name(kv)));
        let Some(last) = page.kvs.last() else { break };
        let at = request.revision.unwrap_or(page.revision);
        // Written between the pages: a key behind, one ahead, and one that goes away.
        bench.put("A", "late").await?;
        bench.put("l", "late").await?;
        bench.delete("k9").await?;
        request = RangeRequest::prefix(bench.prefix()).limit(3).after(&last.key).at(at);
        let left = names.iter().any(|name| bench.key(name) > last.key);
        ensure!(page.more == left, "after {} the page says more = {}", last.key, page.more);
        if !page.more {
            break;
        }
    }
    ensure!(seen == names, "pages of 3 showed {seen:?} of {names:?}");
    Ok(())
}

pub(super) async fn range_sees_only_its_prefix(bench: &Bench) -> Outcome {
    for name in ["a", "b", "b/", "b/1", "b0", "bb", "c"] {
        bench.put(name, "x").await?;
    }
    for (prefix, expected) in
        [("b/", vec!["b/", "b/1"]), ("b", vec!["b", "b/", "b/1", "b0", "bb"]), ("d", vec![])]
    {
        let found = bench.store().range(RangeRequest::prefix(bench.key(prefix))).await;
        let found = found.map_err(|error| failed("a range", &error))?.kvs;
        let found: Vec<String> = found.iter().map(|kv| bench.name(kv)).collect();
        ensure!(found == expected, "the range {prefix:?} showed {found:?}");
    }
    // A page that starts outside of the range stays inside.
    for (after, expected) in [("a", vec!["b/", "b/1"]), ("bb", vec![])] {
        let request = RangeRequest::prefix(bench.key("b/")).after(bench.key(after));
        let found = bench.store().range(request).await;
        let found = found.map_err(|error| failed("a range", &error))?.kvs;
        let found: Vec<String> = found.iter().map(|kv| bench.name(kv)).collect();
        ensure!(found == expected, "the range \"b/\" after {after:?} showed {found:?}");
    }
    Ok(())
}

pub(super) async fn range_at_a_revision_sees_the_past(bench: &Bench) -> Outcome {
    let first = bench.put("a", "1").await?;
    let second = bench.put("b", "1").await?;
    let third = bench.put("a", "2").await?;
    let fourth = bench.delete("b").await?;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for (at, expected) in [
        (first, vec![pair("a", "1")]),
        (second, vec![pair("a", "1"), pair("b", "1")]),
        (third, vec![pair("a", "2"), pair("b", "1")]),
        (fourth, vec![pair("a", "2")]),
    ] {
        let found = bench.all(Some(at)).await?;
        ensure!(found == expected, "at revision {at} the range showed {found:?}");
    }
    let request = RangeRequest::prefix(bench.prefix()).at(first);
    let response = bench.store().range(request).await;
    let revision = response.map_err(|error| failed("a range", &error))?.revision;
    ensure!(revision == fourth, "a read of the past says revision {revision}, not {fourth}");
    Ok(())
}

pub(super) async fn reads_see_the_newest_write(bench: &Bench) -> Outcome {
    ensure!(bench.get("a").await?.is_none(), "a key is there before it was written");
    for n in 0..20 {
        let value = n.to_string();
        let revision = bench.put("a", &value).await?;
        let read = bench.existing("a").await?;
        ensure!(text(&read) == value, "after {value} was written a read gave {}", text(&read));
        ensure!(read.mod_revision == revision, "a read says mod revision {}", read.mod_revision);
        let listed = bench.all(None).await?;
        ensure!(listed[..] == [("a".to_owned(), value)], "a range showed {listed:?} at {n}");
    }
    bench.delete("a").await?;
    ensure!(bench.get("a").await?.is_none(), "a deleted key is still there");
    Ok(())
}

pub(super) async fn create_revision_changes_when_a_key_is_made_again(bench: &Bench) -> Outcome {
    let made = bench.put("a", "1").await?;
    let changed = bench.put("a", "2").await?;
    let kv = bench.existing("a").await?;
    ensure!(kv.create_revision == made, "{} is not the first revision", kv.create_revision);
    ensure!(kv.mod_revision == changed, "{} is not the last revision", kv.mod_revision);
    bench.delete("a").await?;
    let again = bench.put("a", "3").await?;
    let kv = bench.existing("a").await?;
    ensure!(kv.create_revision == again, "made again, it says {}", kv.create_revision);
    Ok(())
}

pub(super) async fn version_counts_from_one(bench: &Bench) -> Outcome {
    for _ in 0..2 {
        for version in 1..=3 {
            bench.put("a", "x").await?;
            let kv = bench.existing("a").await?;
            ensure!(kv.version == version, "after {version} writes it says {}", kv.version);
        }
        bench.delete("a").await?;
    }
    Ok(())
}

pub(super) async fn revisions_out_of_range_are_refused(bench: &Bench) -> Outcome {
    let newest = bench.put("a", "1").await?;
    let refused = |error: &KvError| matches!(error, KvError::Refused(_));
    for revision in [Revision(0), Revision(-1)] {
        let read = bench.store().range(RangeRequest::prefix(bench.prefix()).at(revision)).await;
        expect_error(&format!("a read at {revision}"), read, refused)?;
        let request = WatchRequest { prefix: bench.prefix().to_owned(), from: revision };
        let watch = bench.store().watch(request).await;
        expect_error(&format!("a watch from {revision}"), watch, refused)?;
    }
    let future = Revision(newest.0 + 1000);
    let read = bench.store().range(RangeRequest::prefix(bench.prefix()).at(future)).await;
    expect_error("a read of the future", read, |error| {
        matches!(error, KvError::FutureRevision { .. })
    })
}
