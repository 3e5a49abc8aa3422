use std::sync::Arc;

use futures_util::future::{FutureExt, join_all};

use super::{
    SHORTLY,
    bench::{Bench, Outcome, ensure, expect_error, failed, text},
};
use crate::kv::{
    Compare, CompareOp, CompareTarget, KEY_BYTES_MAX, KvError, LeaseId, Op, OpResponse, Revision,
    TXN_OPS_MAX, Txn, VALUE_BYTES_MAX,
};

pub(super) async fn txn_is_atomic(bench: &Bench) -> Outcome {
    let (left, right) = (bench.key("left"), bench.key("right"));
    let both = |value: String| {
        Txn::new([Op::put(&left, value.clone(), None), Op::put(&right, value, None)])
    };
    bench.txn(both("0".to_owned())).await?;
    // Writers that always write both, readers in between that must never see them differ.
    let writers = (1..40).map(|n| bench.txn(both(n.to_string())).boxed());
    let readers = (0..40).map(|_| bench.txn(Txn::new([Op::get(&left), Op::get(&right)])).boxed());
    for outcome in join_all(writers.zip(readers).flat_map(|(a, b)| [a, b])).await {
        let values: Vec<String> = values(&outcome?.responses);
        ensure!(values.windows(2).all(|pair| pair[0] == pair[1]), "a read saw {values:?}");
    }
    let before = bench.all(None).await?;
    let half = Txn::new([Op::put(&left, "half", None), Op::put(&right, "half", None)])
        .when(Compare::present(&left))
        .when(Compare::absent(&right));
    let response = bench.txn(half).await?;
    ensure!(!response.succeeded, "a txn whose second compare fails succeeded");
    ensure!(bench.all(None).await? == before, "a txn that lost changed something");
    // Compares look at the state before any operation of the same txn.
    let own = Txn::new([Op::put(bench.key("new"), "x", None)])
        .when(Compare::absent(bench.key("new")))
        .when(Compare::absent(bench.key("new")));
    ensure!(bench.txn(own).await?.succeeded, "a txn lost against its own operation");
    Ok(())
}

fn values(responses: &[OpResponse]) -> Vec<String> {
    let got = responses.iter().filter_map(|response| match response {
        OpResponse::Get(Some(kv)) => Some(text(kv)),
        _ => None,
    });
    got.collect()
}

pub(super) async fn txn_that_loses_its_compare_runs_the_else_branch(bench: &Bench) -> Outcome {
    bench.put("a", "1").await?;
    let create = |value: &str| {
        Txn::new([Op::put(bench.key("a"), value.to_owned(), None)])
            .when(Compare::absent(bench.key("a")))
            .otherwise([Op::get(bench.key("a")), Op::put(bench.key("lost"), "x", None)])
    };
    let response = bench.txn(create("2")).await?;
    ensure!(!response.succeeded, "creating a key that exists succeeded");
    ensure!(values(&response.responses) == ["1"], "it answered {:?}", response.responses);
    ensure!(response.responses.len() == 2, "two operations: {:?}", response.responses);
    ensure!(bench.get("lost").await?.is_some(), "the else branch wrote nothing");
    ensure!(text(&bench.existing("a").await?) == "1", "the then branch ran all the same");
    bench.delete("a").await?;
    bench.delete("lost").await?;
    let response = bench.txn(create("3")).await?;
    ensure!(response.succeeded, "creating a key that is absent lost");
    ensure!(text(&bench.existing("a").await?) == "3", "the then branch did not run");
    ensure!(bench.get("lost").await?.is_none(), "the else branch ran all the same");
    Ok(())
}

pub(super) async fn txn_reads_see_its_earlier_writes(bench: &Bench) -> Outcome {
    bench.put("a", "old").await?;
    bench.put("b", "old").await?;
    let key = |name: &str| bench.key(name);
    let response = bench
        .txn(Txn::new([
            Op::get(key("a")),
            Op::put(key("a"), "new", None),
            Op::get(key("a")),
            Op::get(key("b")),
            Op::delete(key("b")),
            Op::get(key("b")),
        ]))
        .await?;
    let got: Vec<Option<String>> = response
        .responses
        .iter()
        .filter_map(|response| match response {
            OpResponse::Get(kv) => Some(kv.as_ref().map(text)),
            _ => None,
        })
        .collect();
    let expected: Vec<Option<String>> =
        [Some("old"), Some("new"), Some("old"), None].map(|v| v.map(str::to_owned)).into();
    ensure!(got == expected, "the reads of the txn gave {got:?}");
    if let Some(OpResponse::Get(Some(kv))) = response.responses.get(2) {
        ensure!(kv.mod_revision == response.revision, "a read says revision {}", kv.mod_revision);
        ensure!(kv.version == 2, "a read says version {}", kv.version);
    }
    Ok(())
}

pub(super) async fn txn_refuses_what_is_over_the_bounds(bench: &Bench) -> Outcome {
    let start = bench.newest().await?;
    let put = |name: &str| Op::put(bench.key(name), "x", None);
    let many = |count: usize| (0..count).map(|n| put(&format!("k{n}")));
    let large = "x".repeat(VALUE_BYTES_MAX + 1);
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    let compares = Txn {
        compare: (0..=TXN_OPS_MAX).map(|n| Compare::absent(bench.key(&n.to_string()))).collect(),
        ..Txn::new([put("a")])
    };
    for (what, txn) in [
        ("too many operations", Txn::new(many(TXN_OPS_MAX + 1))),
        ("too many operations in else", Txn::default().otherwise(many(TXN_OPS_MAX + 1))),
        ("too many compares", compares),
        ("a key put twice", Txn::new([put("a"), put("a")])),
        ("a key put and deleted", Txn::new([put("a"), Op::delete(bench.key("a"))])),
        ("a value that is too large", Txn::new([put("a"), Op::put(bench.key("b"), large, None)])),
        ("a key that is too long", Txn::new([put("a"), Op::put(long, "x", None)])),
        ("an empty key", Txn::new([put("a"), Op::put("", "x", None)])),
    ] {
        let result = bench.store().txn(txn).await;
        expect_error(what, result, |error| matches!(error, KvError::Refused(_)))?;
    }
    let orphan = Op::put(bench.key("b"), "x", Some(LeaseId(0x7fff_1234_5678)));
    let result = bench.store().txn(Txn::new([put("a"), orphan.clone()])).await;
    let lost = |error: &KvError| matches!(error, KvError::LeaseNotFound(_));
    expect_error("a put under an unknown lease", result, lost)?;
    let newest = bench.newest().await?;
    ensure!(newest == start, "a refused transaction made revision {newest} after {start}");
    ensure!(bench.all(None).await?.is_empty(), "a refused transaction wrote something");
    let unused = bench.txn(Txn::new([put("a")]).otherwise([orphan])).await?;
    ensure!(unused.succeeded, "an unknown lease in the branch that does not run is refused");
    let full = bench.store().txn(Txn::new(many(TXN_OPS_MAX))).await;
    full.map_err(|error| failed("a transaction of exactly the most operations", &error))?;
    let full = Op::put(bench.key("full"), "x".repeat(VALUE_BYTES_MAX), None);
    let full = bench.store().txn(Txn::new([full])).await;
    full.map_err(|error| failed("a value of exactly the most bytes", &error))?;
    Ok(())
}

/// Whether a single comparison holds.
async fn holds(bench: &Bench, name: &str, op: CompareOp, target: CompareTarget) -> Outcome<bool> {
    let compare = Compare::new(bench.key(name), op, target);
    Ok(bench.txn(Txn::default().when(compare)).await?.succeeded)
}

pub(super) async fn absent_keys_compare_as_zero(bench: &Bench) -> Outcome {
    bench.put("deleted", "x").await?;
    bench.delete("deleted").await?;
    for name in ["never", "deleted"] {
        for target in [
            CompareTarget::Version(0),
            CompareTarget::CreateRevision(Revision(0)),
            CompareTarget::ModRevision(Revision(0)),
        ] {
            let equal = holds(bench, name, CompareOp::Equal, target.clone()).await?;
            ensure!(equal, "an absent key ({name}) does not compare as {target:?}");
            let greater = holds(bench, name, CompareOp::Greater, target.clone()).await?;
            ensure!(!greater, "an absent key ({name}) is greater than {target:?}");
        }
        let ops = [CompareOp::Equal, CompareOp::NotEqual, CompareOp::Less, CompareOp::Greater];
        for (op, value) in ops.into_iter().flat_map(|op| [(op, ""), (op, "x")]) {
            let value = CompareTarget::Value(value.into());
            let wrong = holds(bench, name, op, value.clone()).await?;
            ensure!(!wrong, "{op:?} {value:?} holds for an absent key ({name})");
        }
    }
    Ok(())
}

pub(super) async fn compares_follow_their_operator(bench: &Bench) -> Outcome {
    bench.put("other", "x").await?;
    let made = bench.put("a", "k").await?;
    let changed = bench.put("a", "m").await?;
    let near = |make: fn(i64) -> CompareTarget, stored: i64| {
        [make(stored - 1), make(stored), make(stored + 1)]
    };
    let value = |text: &'static str| CompareTarget::Value(text.into());
    for (what, [below, same, above]) in [
        ("version", near(CompareTarget::Version, 2)),
        ("create revision", near(|n| CompareTarget::CreateRevision(Revision(n)), made.0)),
        ("mod revision", near(|n| CompareTarget::ModRevision(Revision(n)), changed.0)),
        ("value", [value("lzz"), value("m"), value("m0")]),
    ] {
        for (op, expected) in [
            (CompareOp::Equal, [false, true, false]),
            (CompareOp::NotEqual, [true, false, true]),
            (CompareOp::Greater, [true, false, false]),
            (CompareOp::Less, [false, false, true]),
        ] {
            for (target, expected) in [&below, &same, &above].into_iter().zip(expected) {
                let held = holds(bench, "a", op, target.clone()).await?;
                ensure!(held == expected, "{what}: stored {op:?} {target:?} gave {held}");
            }
        }
    }
    Ok(())
}

pub(super) async fn concurrent_increments_lose_none(bench: &Bench) -> Outcome {
    bench.put("counter", "0").await?;
    let increment = |store: Arc<dyn crate::kv::KeyValueStore>, key: String| async move {
        let mut done = 0;
        while done < 10 {
            let kv = store
                .get(&key)
                .await?
                .ok_or_else(|| KvError::Refused("the counter is not there any more".to_owned()))?;
            // Others run between the read and the write.
            tokio::task::yield_now().await;
            let next = text(&kv).parse::<u64>().unwrap_or(0) + 1;
            let txn = Txn::new([Op::put(&key, next.to_string(), None)])
                .when(Compare::unchanged_since(&key, kv.mod_revision));
            done += u64::from(store.txn(txn).await?.succeeded);
        }
        Ok::<u64, KvError>(done)
    };
    let callers =
        (0..8).map(|_| tokio::spawn(increment(Arc::clone(bench.store()), bench.key("counter"))));
    let mut done = 0;
    for caller in join_all(callers).await {
        let caller = caller.map_err(|error| super::CaseFailure::new(error.to_string()))?;
        done += caller.map_err(|error| failed("an increment", &error))?;
    }
    let counted = text(&bench.existing("counter").await?);
    ensure!(counted == done.to_string(), "{done} increments succeeded, the counter says {counted}");
    Ok(())
}

pub(super) async fn calls_are_cancel_safe(bench: &Bench) -> Outcome {
    let names = ["a", "b", "c"];
    for n in 0..10 {
        let ops = names.map(|name| Op::put(bench.key(name), n.to_string(), None));
        // Dropped after its first poll (or a little later) unless it was through by then.
        if n % 2 == 0 {
            drop(bench.store().txn(Txn::new(ops)).now_or_never());
        } else {
            drop(tokio::time::timeout(SHORTLY, bench.store().txn(Txn::new(ops))).await);
        }
        let now = bench.all(None).await?;
        ensure!(now.is_empty() || now.len() == 3, "a dropped txn of three puts left {now:?}");
        let whole = now.windows(2).all(|pair| pair[0].1 == pair[1].1);
        ensure!(whole, "a dropped txn of three puts left {now:?}");
    }
    drop(bench.store().get(&bench.key("a")).now_or_never());
    drop(bench.store().lease_grant(bench.timing().ttl).now_or_never());
    bench.put("a", "after").await?;
    ensure!(text(&bench.existing("a").await?) == "after", "the store does not go on");
    Ok(())
}
