use tokio::time::sleep;

use super::bench::{Bench, Outcome, ensure, expect_error, failed};
use crate::kv::{KvError, LEASE_TTL_MAX, Lease, LeaseId};

fn lost(error: &KvError) -> bool {
    matches!(error, KvError::LeaseNotFound(_))
}

pub(super) async fn lease_lives_for_its_time(bench: &Bench) -> Outcome {
    let asked = bench.timing().ttl;
    let lease = bench.grant().await?;
    ensure!(lease.ttl >= asked, "{asked:?} were asked for, {:?} granted", lease.ttl);
    ensure!(lease.id != LeaseId(0), "the lease 0 was granted");
    bench.put_under("a", "x", Some(lease.id)).await?;
    let kv = bench.existing("a").await?;
    ensure!(kv.lease == Some(lease.id), "the key says lease {:?}, not {:?}", kv.lease, lease.id);
    sleep(asked * 3 / 4).await;
    ensure!(bench.get("a").await?.is_some(), "the key was gone before the end of its lease");
    Ok(())
}

pub(super) async fn lease_expiry_deletes_its_keys_in_one_revision_and_tells_watches(
    bench: &Bench,
) -> Outcome {
    let lease = bench.grant().await?;
    for name in ["c", "a", "b"] {
        bench.put_under(name, "x", Some(lease.id)).await?;
    }
    let last = bench.put("stays", "x").await?;
    // It waits before the lease ends, and nobody else calls the store meanwhile.
    let mut watcher = bench.watch(last.next()).await?;
    let waited = tokio::time::timeout(bench.surely_expired(&lease), watcher.next()).await;
    let batch = waited
        .map_err(|_| super::CaseFailure::new("the watch did not see the end of the lease"))?
        .map_err(|error| failed("the watch", &error))?;
    let mut seen: Vec<String> = batch.events.iter().map(|event| bench.describe(event)).collect();
    seen.sort();
    // Others may write to the store meanwhile, so only that it is one revision is known of it.
    let at = batch.events.first().map_or(last, |event| event.kv.mod_revision);
    ensure!(at > last, "the lease ended at {at}, before the last write at {last}");
    let expected: Vec<String> = ["a", "b", "c"].map(|name| format!("-{name}@{at}")).into();
    ensure!(seen == expected, "the watch saw {seen:?} and not {expected:?}");
    let left = bench.all(None).await?;
    ensure!(left.len() == 1, "after the end of the lease there are {left:?}");
    Ok(())
}

/// Waits until a lease must be over.
async fn expired(bench: &Bench) -> Outcome<Lease> {
    let lease = bench.grant().await?;
    bench.put_under("short", "x", Some(lease.id)).await?;
    sleep(bench.surely_expired(&lease)).await;
    ensure!(bench.get("short").await?.is_none(), "the key outlived its lease");
    Ok(lease)
}

pub(super) async fn an_expired_lease_takes_no_keys(bench: &Bench) -> Outcome {
    let lease = expired(bench).await?;
    let put = crate::kv::Op::put(bench.key("late"), "x", Some(lease.id));
    let result = bench.store().txn(crate::kv::Txn::new([put])).await;
    expect_error("a put under an expired lease", result, lost)?;
    ensure!(bench.get("late").await?.is_none(), "an expired lease took a key");
    Ok(())
}

pub(super) async fn keep_alive_extends_a_lease(bench: &Bench) -> Outcome {
    let lease = bench.grant().await?;
    bench.put_under("a", "x", Some(lease.id)).await?;
    // Alive for twice the longest time that it could live by itself.
    let step = lease.ttl / 2;
    let mut lived = std::time::Duration::ZERO;
    while lived < bench.surely_expired(&lease) * 2 {
        sleep(step).await;
        lived += step;
        let renewed = bench.store().lease_keep_alive(lease.id).await;
        let renewed = renewed.map_err(|error| failed("a keep-alive in time", &error))?;
        ensure!(renewed >= bench.timing().ttl, "a keep-alive gave only {renewed:?}");
        ensure!(bench.get("a").await?.is_some(), "the key is gone after {lived:?}");
    }
    sleep(bench.surely_expired(&lease)).await;
    ensure!(bench.get("a").await?.is_none(), "the key outlived the last keep-alive");
    Ok(())
}

pub(super) async fn keep_alive_of_a_lost_lease_is_an_error(bench: &Bench) -> Outcome {
    let unknown = bench.store().lease_keep_alive(LeaseId(0x7fff_1234_5678)).await;
    expect_error("a keep-alive of an unknown lease", unknown, lost)?;
    let lease = bench.grant().await?;
    bench.store().lease_revoke(lease.id).await.map_err(|error| failed("a revoke", &error))?;
    let revoked = bench.store().lease_keep_alive(lease.id).await;
    expect_error("a keep-alive of a revoked lease", revoked, lost)?;
    let lease = expired(bench).await?;
    let late = bench.store().lease_keep_alive(lease.id).await;
    expect_error("a keep-alive of an expired lease", late, lost)
}

pub(super) async fn revoke_deletes_the_keys_of_the_lease(bench: &Bench) -> Outcome {
    let (lease, other) = (bench.grant().await?, bench.grant().await?);
    for name in ["a", "b"] {
        bench.put_under(name, "x", Some(lease.id)).await?;
    }
    let last = bench.put_under("other", "x", Some(other.id)).await?;
    let mut watcher = bench.watch(last.next()).await?;
    bench.store().lease_revoke(lease.id).await.map_err(|error| failed("a revoke", &error))?;
    let left = bench.all(None).await?;
    ensure!(left == [("other".to_owned(), "x".to_owned())], "after the revoke: {left:?}");
    let mut seen = bench.changes(&mut watcher, 2).await?;
    seen.sort();
    let expected: Vec<String> = ["a", "b"].map(|name| format!("-{name}@{}", last.next())).into();
    ensure!(seen == expected, "the watch saw {seen:?} and not {expected:?}");
    expect_error("a second revoke", bench.store().lease_revoke(lease.id).await, lost)
}

pub(super) async fn a_key_put_without_a_lease_leaves_its_old_lease(bench: &Bench) -> Outcome {
    let lease = bench.grant().await?;
    bench.put_under("a", "leased", Some(lease.id)).await?;
    bench.put("a", "free").await?;
    let kv = bench.existing("a").await?;
    ensure!(kv.lease.is_none(), "the key says lease {:?}", kv.lease);
    bench.store().lease_revoke(lease.id).await.map_err(|error| failed("a revoke", &error))?;
    ensure!(bench.get("a").await?.is_some(), "the key died with a lease that it had left");
    Ok(())
}

pub(super) async fn a_key_put_under_another_lease_leaves_its_old_lease(bench: &Bench) -> Outcome {
    let (old, new) = (bench.grant().await?, bench.grant().await?);
    bench.put_under("a", "x", Some(old.id)).await?;
    bench.put_under("a", "x", Some(new.id)).await?;
    bench.store().lease_revoke(old.id).await.map_err(|error| failed("a revoke", &error))?;
    let kv = bench.existing("a").await?;
    ensure!(kv.lease == Some(new.id), "the key says lease {:?}", kv.lease);
    bench.store().lease_revoke(new.id).await.map_err(|error| failed("a revoke", &error))?;
    ensure!(bench.get("a").await?.is_none(), "the key outlived its new lease");
    Ok(())
}

pub(super) async fn lease_times_out_of_bounds_are_refused(bench: &Bench) -> Outcome {
    for ttl in [std::time::Duration::ZERO, LEASE_TTL_MAX + std::time::Duration::from_secs(1)] {
        let result = bench.store().lease_grant(ttl).await;
        let refused = |error: &KvError| matches!(error, KvError::Refused(_));
        expect_error(&format!("a lease of {ttl:?}"), result, refused)?;
    }
    Ok(())
}
