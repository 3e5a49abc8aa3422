//! The configuration: on the embedded store under a paused clock, and on a real etcd.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use callboard::{
    Incarnation,
    directory::{
        AppliedConfig, CONFIG_BYTES_MAX, CONFIG_HISTORY_MAX, Config, ConfigError, ConfigEvent,
        Configuration, Directory, DirectoryError, DirectoryOptions,
    },
    kv::{EmbeddedKv, KeyValueStore, Op, RangeRequest, Revision, Txn},
    testing::{FaultyKv, KvFaults},
};
use serde::{Deserialize, Serialize};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

use crate::cluster::name;

/// What must happen happens within this time.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Limits {
    per_second: u32,
}

fn limits(per_second: u32) -> Limits {
    Limits { per_second }
}

/// A store for one test, embedded or not.
#[derive(Clone)]
struct Store {
    kv: Arc<dyn KeyValueStore>,
}

/// One node, with a line of its own to the store.
struct Node {
    directory: Directory,
    line: FaultyKv,
}

impl Store {
    fn embedded() -> Self {
        Self { kv: Arc::new(EmbeddedKv::new()) }
    }

    async fn node(&self, node: &str) -> Node {
        let line = FaultyKv::new(Arc::clone(&self.kv), 1);
        let options = DirectoryOptions::new(name("c"), name(node), Incarnation::fresh());
        let started = Directory::start(Arc::new(line.clone()), options, Handle::current()).await;
        Node { directory: started.unwrap(), line }
    }

    async fn put(&self, key: &str, value: impl Into<String>) {
        let put = Op::put(format!("/callboard/c/config/{key}"), value.into(), None);
        self.kv.txn(Txn::new([put])).await.unwrap();
    }

    async fn delete(&self, key: &str) {
        self.kv.txn(Txn::new([Op::delete(format!("/callboard/c/config/{key}"))])).await.unwrap();
    }

    async fn values(&self, prefix: &str) -> Vec<String> {
        let request = RangeRequest::prefix(format!("/callboard/c/config/{prefix}"));
        let kvs = self.kv.range(request).await.unwrap().kvs;
        kvs.iter().map(|kv| String::from_utf8_lossy(&kv.value).into_owned()).collect()
    }

    async fn newest(&self) -> Revision {
        self.kv.range(RangeRequest::prefix("/").limit(1)).await.unwrap().revision
    }

    async fn compact(&self) {
        self.kv.compact(self.newest().await).await.unwrap();
    }
}

impl Node {
    fn configuration(&self) -> Configuration {
        self.directory.configuration()
    }

    fn limits(&self) -> Config<Limits> {
        self.directory.config("limits").unwrap()
    }
}

/// The version and the value that a program works with.
fn used(config: &Config<Limits>) -> Option<(u64, u32)> {
    config.current().map(|limits| (limits.version(), limits.per_second))
}

async fn next(config: &mut Config<Limits>) -> String {
    match timeout(PATIENCE, config.changed()).await {
        Err(_) => "nothing".to_owned(),
        Ok(None) => "the end".to_owned(),
        Ok(Some(ConfigEvent::Applied(value))) => {
            format!("{} of version {}", value.per_second, value.version())
        }
        Ok(Some(ConfigEvent::Refused(refused))) => format!("refused {:?}", refused.version),
        Ok(Some(other)) => format!("{other:?}"),
    }
}

/// Waits until the nodes say what they have applied: by name, version, and the refused version.
async fn will_apply(of: &Configuration, expected: &[(&str, Option<u64>, Option<u64>)]) {
    let start = Instant::now();
    loop {
        let applied = of.applied("limits").await.unwrap();
        let as_expected = |one: &AppliedConfig| {
            let refused = one.refused.as_ref().and_then(|refused| refused.version);
            (one.node.to_string(), one.version, refused)
        };
        let seen: Vec<_> = applied.iter().map(as_expected).collect();
        let seen: Vec<_> = seen.iter().map(|(node, v, r)| (node.as_str(), *v, *r)).collect();
        if seen == expected {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{seen:?}, not {expected:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// What holds on every store.
mod both {
    use super::*;

    pub(super) async fn a_value_is_read_as_a_type_by_every_node(store: Store) {
        let (a, b) = (store.node("a").await, store.node("b").await);
        let mut early = b.limits();
        assert_eq!(used(&early), None);
        assert_eq!(a.configuration().set("limits", &limits(10)).await.unwrap(), 1);
        assert_eq!(used(&a.limits()), Some((1, 10)), "one's own node has it at once");
        assert_eq!(next(&mut early).await, "10 of version 1");
        assert_eq!(a.configuration().set("limits", &limits(20)).await.unwrap(), 2);
        assert_eq!(next(&mut early).await, "20 of version 2");
        assert_eq!(used(&early), Some((2, 20)));
        let record = b.configuration().get("limits").await.unwrap().unwrap();
        assert_eq!((record.version, record.node), (2, Some(name("a"))));
        assert_eq!(record.restored, None);
        assert_eq!(b.configuration().names(), [name("limits")]);
        assert_eq!(b.configuration().get("other").await.unwrap(), None);
        let stands = &store.values("current/limits").await[0];
        assert!(stands.contains(r#""value":{"per_second":20}"#), "{stands}");
    }

    pub(super) async fn eight_writers_that_compare_and_set_lose_no_update(store: Store) {
        let mut writers = Vec::new();
        for writer in 0..8 {
            let node = store.node(&format!("n{writer}")).await;
            writers.push(tokio::spawn(async move {
                let configuration = node.configuration();
                for _ in 0..10 {
                    loop {
                        let there = configuration.get("count").await.unwrap();
                        let version = there.as_ref().map_or(0, |record| record.version);
                        let count: u64 = there.map_or(0, |record| record.value().unwrap());
                        match configuration.set_if("count", &(count + 1), version).await {
                            Ok(written) => {
                                assert_eq!(written, version + 1);
                                break;
                            }
                            Err(ConfigError::Conflict { expected, found, .. }) => {
                                assert!(found > expected);
                            }
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                }
                node.directory.shutdown().await.unwrap();
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        let node = store.node("n").await;
        let last = node.configuration().get("count").await.unwrap().unwrap();
        assert_eq!((last.version, last.value::<u64>().unwrap()), (80, 80));
        let history = node.configuration().history("count").await.unwrap();
        let counted = |(record, n): (&callboard::directory::ConfigRecord, u64)| {
            record.version == n && record.value::<u64>().unwrap() == n
        };
        assert_eq!(history.len(), 80);
        assert!(history.iter().zip(1..).all(counted), "{history:?}");
    }

    pub(super) async fn writers_that_do_not_compare_each_get_a_version(store: Store) {
        let node = store.node("a").await;
        let writes = (0..8).map(|n| {
            let configuration = node.configuration();
            async move { configuration.set("n", &n).await.unwrap() }
        });
        let mut versions = futures_util::future::join_all(writes).await;
        versions.sort_unstable();
        assert_eq!(versions, (1..=8).collect::<Vec<_>>());
    }

    pub(super) async fn a_rollback_after_compaction_writes_the_old_value_as_a_new_version(
        store: Store,
    ) {
        let node = store.node("a").await;
        let (configuration, mut config) = (node.configuration(), node.limits());
        for per_second in [10, 20, 30] {
            configuration.set("limits", &limits(per_second)).await.unwrap();
        }
        assert_eq!(next(&mut config).await, "30 of version 3");
        store.compact().await;
        assert_eq!(configuration.rollback("limits", 1).await.unwrap(), 4);
        assert_eq!(used(&config), Some((4, 10)));
        let history = configuration.history("limits").await.unwrap();
        let versions: Vec<_> = history.iter().map(|r| (r.version, r.restored)).collect();
        assert_eq!(versions, [(1, None), (2, None), (3, None), (4, Some(1))]);
        for version in [0, 5, u64::MAX] {
            let error = configuration.rollback("limits", version).await.unwrap_err();
            assert!(matches!(error, ConfigError::NoSuchVersion { .. }), "{error}");
        }
    }

    pub(super) async fn an_invalid_value_is_refused_and_the_last_good_one_stays(store: Store) {
        let (a, b) = (store.node("a").await, store.node("b").await);
        let (configuration, mut config) = (a.configuration(), b.limits());
        configuration.set("limits", &limits(10)).await.unwrap();
        assert_eq!(next(&mut config).await, "10 of version 1");
        configuration.set("limits", "fast").await.unwrap();
        assert_eq!(next(&mut config).await, "refused Some(2)");
        assert_eq!(used(&config), Some((1, 10)));
        let refused = config.refused().unwrap();
        assert!(refused.reason.contains("invalid type: string"), "{refused:?}");
        will_apply(&configuration, &[("b", Some(1), Some(2))]).await;
        configuration.rollback("limits", 1).await.unwrap();
        assert_eq!(next(&mut config).await, "10 of version 3");
        assert!(config.refused().is_none());
        will_apply(&configuration, &[("b", Some(3), None)]).await;
    }

    pub(super) async fn a_node_says_what_it_has_applied_while_it_uses_it(store: Store) {
        let (a, b) = (store.node("a").await, store.node("b").await);
        let configuration = a.configuration();
        assert!(configuration.applied("limits").await.unwrap().is_empty());
        let (first, second) = (a.limits(), b.limits());
        will_apply(&configuration, &[("a", None, None), ("b", None, None)]).await;
        configuration.set("limits", &limits(10)).await.unwrap();
        will_apply(&configuration, &[("a", Some(1), None), ("b", Some(1), None)]).await;
        // Another use of it as another type counts too.
        let text: Config<String> = b.directory.config("limits").unwrap();
        will_apply(&configuration, &[("a", Some(1), None), ("b", None, Some(1))]).await;
        drop(text);
        will_apply(&configuration, &[("a", Some(1), None), ("b", Some(1), None)]).await;
        let clone = first.clone();
        drop(first);
        b.directory.shutdown().await.unwrap();
        will_apply(&configuration, &[("a", Some(1), None)]).await;
        assert_eq!(used(&second), Some((1, 10)), "the last value stays");
        drop(clone);
        will_apply(&configuration, &[]).await;
    }

    pub(super) async fn a_history_keeps_its_last_hundred_versions(store: Store) {
        let node = store.node("a").await;
        let configuration = node.configuration();
        for n in 1..=CONFIG_HISTORY_MAX + 5 {
            assert_eq!(configuration.set("n", &n).await.unwrap(), n);
        }
        let history = configuration.history("n").await.unwrap();
        let versions: Vec<u64> = history.iter().map(|record| record.version).collect();
        assert_eq!(versions, (6..=CONFIG_HISTORY_MAX + 5).collect::<Vec<_>>());
        assert!(configuration.rollback("n", 5).await.is_err());
        assert_eq!(configuration.rollback("n", 6).await.unwrap(), CONFIG_HISTORY_MAX + 6);
    }

    pub(super) async fn a_watch_goes_on_after_a_compaction(store: Store) {
        let (a, b) = (store.node("a").await, store.node("b").await);
        let (configuration, mut config) = (a.configuration(), b.limits());
        configuration.set("limits", &limits(10)).await.unwrap();
        assert_eq!(next(&mut config).await, "10 of version 1");
        // Shorter than the lease, so that only the watch suffers.
        b.line.freeze();
        sleep(Duration::from_secs(1)).await;
        for per_second in [20, 30] {
            configuration.set("limits", &limits(per_second)).await.unwrap();
        }
        store.compact().await;
        b.line.thaw();
        let mut told = next(&mut config).await;
        if told == "20 of version 2" {
            told = next(&mut config).await;
        }
        assert_eq!(told, "30 of version 3");
    }

    pub(super) async fn a_configuration_that_was_removed_by_hand_keeps_its_count(store: Store) {
        let node = store.node("a").await;
        let (configuration, mut config) = (node.configuration(), node.limits());
        configuration.set("limits", &limits(10)).await.unwrap();
        assert_eq!(next(&mut config).await, "10 of version 1");
        store.delete("current/limits").await;
        assert_eq!(next(&mut config).await, "Removed");
        assert_eq!(used(&config), Some((1, 10)));
        assert!(configuration.names().is_empty());
        assert_eq!(configuration.get("limits").await.unwrap(), None);
        assert_eq!(configuration.set_if("limits", &limits(20), 0).await.unwrap(), 2);
        assert_eq!(next(&mut config).await, "20 of version 2");
    }

    pub(super) async fn a_removal_is_a_version_and_takes_the_value_from_nobody_who_has_it(
        store: Store,
    ) {
        let (a, b) = (store.node("a").await, store.node("b").await);
        let (configuration, mut config) = (a.configuration(), b.limits());
        assert_eq!(configuration.remove("limits").await.unwrap(), None, "there is none yet");
        assert!(store.values("").await.iter().all(|value| value == "{}"), "only b's report");
        configuration.set("limits", &limits(10)).await.unwrap();
        assert_eq!(next(&mut config).await, "10 of version 1");
        assert_eq!(configuration.remove("limits").await.unwrap(), Some(2));
        assert!(a.configuration().names().is_empty(), "one's own node has it at once");
        assert_eq!(next(&mut config).await, "Removed");
        assert_eq!(used(&config), Some((1, 10)), "the last value stays");
        assert_eq!(used(&b.limits()), None, "who comes later has none");
        assert_eq!(configuration.get("limits").await.unwrap(), None);
        assert!(store.values("current/").await.is_empty());
        // It still works with that version.
        will_apply(&configuration, &[("b", Some(1), None)]).await;
        assert_eq!(configuration.remove("limits").await.unwrap(), None, "it is gone already");
        let history = configuration.history("limits").await.unwrap();
        let versions: Vec<_> = history.iter().map(|r| (r.version, r.removed, r.json())).collect();
        assert_eq!(versions, [(1, false, r#"{"per_second":10}"#), (2, true, "null")]);
        assert_eq!(history[1].node, Some(name("a")), "and who did it");
        let error = configuration.rollback("limits", 2).await.unwrap_err();
        assert!(matches!(error, ConfigError::NoSuchVersion { version: 2, .. }), "{error}");
        assert_eq!(configuration.set_if("limits", &limits(20), 0).await.unwrap(), 3);
        assert_eq!(next(&mut config).await, "20 of version 3");
        assert_eq!(configuration.remove_if("limits", 3).await.unwrap(), Some(4));
        assert_eq!(next(&mut config).await, "Removed");
        assert_eq!(configuration.rollback("limits", 1).await.unwrap(), 5);
        assert_eq!(next(&mut config).await, "10 of version 5");
    }

    pub(super) async fn of_eight_who_remove_a_version_one_does(store: Store) {
        let node = store.node("a").await;
        let configuration = node.configuration();
        assert_eq!(configuration.remove_if("limits", 0).await.unwrap(), None);
        let error = configuration.remove_if("limits", 3).await.unwrap_err();
        assert!(matches!(error, ConfigError::Conflict { expected: 3, found: 0, .. }), "{error:?}");
        configuration.set("limits", &limits(10)).await.unwrap();
        configuration.set("limits", &limits(20)).await.unwrap();
        let error = configuration.remove_if("limits", 1).await.unwrap_err();
        assert!(matches!(error, ConfigError::Conflict { expected: 1, found: 2, .. }), "{error:?}");
        let removals = (0..8).map(|_| configuration.remove_if("limits", 2));
        let (mut removed, mut late) = (0, 0);
        for outcome in futures_util::future::join_all(removals).await {
            match outcome {
                Ok(Some(3)) => removed += 1,
                Err(ConfigError::Conflict { expected: 2, found: 0, .. }) => late += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((removed, late), (1, 7));
        assert_eq!(configuration.history("limits").await.unwrap().len(), 3);
    }
}

/// A test of each case on either store.
macro_rules! on_both_stores {
    ($($case:ident)*) => {
        mod embedded {
            $(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    super::both::$case(super::Store::embedded()).await;
                }
            )*
        }

        #[cfg(feature = "etcd")]
        mod etcd {
            $(
                #[tokio::test]
                async fn $case() {
                    let etcd = super::real::Etcd::start().await;
                    super::both::$case(etcd.store().await).await;
                }
            )*
        }
    };
}

on_both_stores! {
    a_value_is_read_as_a_type_by_every_node
    eight_writers_that_compare_and_set_lose_no_update
    writers_that_do_not_compare_each_get_a_version
    a_rollback_after_compaction_writes_the_old_value_as_a_new_version
    an_invalid_value_is_refused_and_the_last_good_one_stays
    a_node_says_what_it_has_applied_while_it_uses_it
    a_history_keeps_its_last_hundred_versions
    a_watch_goes_on_after_a_compaction
    a_configuration_that_was_removed_by_hand_keeps_its_count
    a_removal_is_a_version_and_takes_the_value_from_nobody_who_has_it
    of_eight_who_remove_a_version_one_does
}

#[tokio::test(start_paused = true)]
async fn names_that_can_be_no_key_are_refused_with_what_to_write() {
    let node = Store::embedded().node("a").await;
    let configuration = node.configuration();
    let long = "x".repeat(129);
    for bad in ["", "a/b", "../a", "a b", "a\nb", "a\0", "ä", "Limits", "-a", &long] {
        let refused = [
            configuration.set(bad, &1).await.unwrap_err(),
            configuration.set_if(bad, &1, 0).await.unwrap_err(),
            configuration.get(bad).await.unwrap_err(),
            configuration.history(bad).await.unwrap_err(),
            configuration.rollback(bad, 1).await.unwrap_err(),
            configuration.remove(bad).await.unwrap_err(),
            configuration.remove_if(bad, 1).await.unwrap_err(),
            configuration.applied(bad).await.unwrap_err(),
            node.directory.config::<Limits>(bad).unwrap_err(),
        ];
        for error in refused {
            assert!(matches!(error, ConfigError::Name(_)), "{bad:?}: {error:?}");
            let text = error.to_string();
            assert!(text.contains("use a lower-case letter") && !text.contains(['\n', '\0']));
        }
    }
    assert!(configuration.set("x".repeat(128), &1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn values_over_the_bound_or_without_a_json_form_are_refused() {
    let store = Store::embedded();
    let node = store.node("a").await;
    let configuration = node.configuration();
    let fits = "x".repeat(CONFIG_BYTES_MAX - 2);
    let error = configuration.set("limits", &format!("{fits}x")).await.unwrap_err();
    let ConfigError::TooLarge { bytes, .. } = error else { panic!("{error:?}") };
    assert_eq!(bytes, CONFIG_BYTES_MAX + 1);
    let text = error.to_string();
    assert!(text.contains("65537 bytes") && text.contains("split it"), "{text}");
    // JSON has only text for keys.
    let no_json = std::collections::BTreeMap::from([((1, 2), 3)]);
    let error = configuration.set("limits", &no_json).await.unwrap_err();
    assert!(matches!(error, ConfigError::Encode { .. }), "{error:?}");
    assert!(store.values("").await.is_empty(), "nothing was written");
    assert_eq!(configuration.set("limits", &fits).await.unwrap(), 1);
    let record = configuration.get("limits").await.unwrap().unwrap();
    assert_eq!(record.value::<String>().unwrap(), fits);
    let error = record.value::<Limits>().unwrap_err();
    assert!(matches!(error, ConfigError::Parse { version: 1, .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_says_which_version_stands() {
    let node = Store::embedded().node("a").await;
    let configuration = node.configuration();
    let error = configuration.set_if("limits", &limits(1), 3).await.unwrap_err();
    assert!(matches!(error, ConfigError::Conflict { expected: 3, found: 0, .. }), "{error:?}");
    configuration.set_if("limits", &limits(1), 0).await.unwrap();
    let error = configuration.set_if("limits", &limits(2), 0).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the configuration limits is at version 1, not 0; read it again and decide anew (version 0 \
         is none)"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_spoilt_by_hand_is_refused_and_written_over() {
    let store = Store::embedded();
    let node = store.node("a").await;
    let (configuration, mut config) = (node.configuration(), node.limits());
    configuration.set("limits", &limits(10)).await.unwrap();
    assert_eq!(next(&mut config).await, "10 of version 1");
    for (spoilt, written) in [
        ("garbage".to_owned(), 2),
        (r#"{"per_second":99}"#.to_owned(), 3),
        (format!(r#"{{"version":{},"value":{{"per_second":99}}}}"#, u64::MAX), 4),
    ] {
        store.put("current/limits", spoilt).await;
        assert_eq!(next(&mut config).await, "refused None");
        assert!(used(&config).unwrap().0 == written - 1, "the last good one stays");
        let error = configuration.get("limits").await.unwrap_err();
        assert!(matches!(error, ConfigError::Unreadable { .. }), "{error:?}");
        let error = configuration.set_if("limits", &limits(20), written - 1).await.unwrap_err();
        assert!(error.to_string().contains("rollback"), "{error}");
        assert_eq!(configuration.set("limits", &limits(20)).await.unwrap(), written);
        assert_eq!(next(&mut config).await, format!("20 of version {written}"));
    }
    assert!(node.directory.malformed_values() >= 3);
    // A count that went back by hand does not write over the history.
    store.put("current/limits", r#"{"version":2,"value":{"per_second":5}}"#).await;
    assert_eq!(next(&mut config).await, "5 of version 2");
    assert_eq!(configuration.set("limits", &limits(30)).await.unwrap(), 5);
    // A spoilt version of the history is left out, and can't be gone back to.
    store.put("history/limits/00000000000000000001", "garbage").await;
    store.put("history/limits/00000000000000000002", r#"{"version":4,"value":1}"#).await;
    store.put("history/limits/no-number", r#"{"version":3,"value":1}"#).await;
    let history = configuration.history("limits").await.unwrap();
    assert_eq!(history.iter().map(|r| r.version).collect::<Vec<_>>(), [3, 4, 5]);
    for version in [1, 2] {
        assert!(configuration.rollback("limits", version).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_no_conflict_with_itself() {
    let node = Store::embedded().node("a").await;
    let configuration = node.configuration();
    let mut sure = 0;
    let mut unsure = 0;
    for _ in 0..80 {
        node.line.set(KvFaults { ambiguous: 0.5, ..KvFaults::default() });
        let there = configuration.get("count").await.unwrap();
        let version = there.as_ref().map_or(0, |record| record.version);
        let count: u64 = there.map_or(0, |record| record.value().unwrap());
        match configuration.set_if("count", &(count + 1), version).await {
            Ok(written) => {
                assert_eq!(written, version + 1);
                sure += 1;
            }
            Err(ConfigError::Directory(DirectoryError::Store(_))) => unsure += 1,
            Err(other) => panic!("the only writer lost: {other:?}"),
        }
        node.line.heal();
    }
    let last = configuration.get("count").await.unwrap().unwrap();
    let count: u64 = last.value().unwrap();
    assert_eq!(last.version, count);
    assert!(count >= sure && count <= sure + unsure, "{count}, {sure} sure, {unsure} unsure");
    assert!(sure > 40, "{sure}");
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_answer_was_lost_is_no_conflict_with_itself() {
    let node = Store::embedded().node("a").await;
    let configuration = node.configuration();
    let mut sure = 0;
    for round in 0..80 {
        let version = configuration.set("limits", &limits(round)).await.unwrap();
        node.line.set(KvFaults { ambiguous: 0.5, ..KvFaults::default() });
        let outcome = configuration.remove_if("limits", version).await;
        node.line.heal();
        match outcome {
            Ok(removal) => {
                assert_eq!(removal, Some(version + 1));
                assert_eq!(configuration.get("limits").await.unwrap(), None);
                sure += 1;
            }
            Err(ConfigError::Directory(DirectoryError::Store(_))) => {}
            Err(other) => panic!("nobody else removes: {other:?}"),
        }
    }
    assert!(sure > 40, "{sure}");
}

#[tokio::test(start_paused = true)]
async fn versions_never_repeat_however_often_a_configuration_is_removed() {
    let node = Store::embedded().node("a").await;
    let configuration = node.configuration();
    let steps = CONFIG_HISTORY_MAX + 20;
    for step in 1..=steps {
        let version = match step % 2 {
            1 => Some(configuration.set("limits", &limits(1)).await.unwrap()),
            _ => configuration.remove("limits").await.unwrap(),
        };
        assert_eq!(version, Some(step));
    }
    let history = configuration.history("limits").await.unwrap();
    let versions: Vec<u64> = history.iter().map(|record| record.version).collect();
    assert_eq!(versions, (21..=steps).collect::<Vec<_>>(), "removals count among the hundred");
}

#[tokio::test(start_paused = true)]
async fn what_was_spoilt_by_hand_can_be_removed() {
    let store = Store::embedded();
    let node = store.node("a").await;
    let (configuration, mut config) = (node.configuration(), node.limits());
    configuration.set("limits", &limits(10)).await.unwrap();
    assert_eq!(next(&mut config).await, "10 of version 1");
    // A removal that was copied to where values stand is no value.
    for (spoilt, removed) in [("garbage", 2), (r#"{"version":9,"removed":true,"value":null}"#, 3)] {
        store.put("current/limits", spoilt).await;
        assert_eq!(next(&mut config).await, "refused None");
        for error in [
            configuration.remove_if("limits", 1).await.unwrap_err(),
            configuration.get("limits").await.unwrap_err(),
        ] {
            assert!(matches!(error, ConfigError::Unreadable { .. }), "{error:?}");
        }
        assert_eq!(configuration.remove("limits").await.unwrap(), Some(removed));
        assert_eq!(next(&mut config).await, "Removed");
        assert_eq!(used(&config), Some((1, 10)));
    }
}

#[tokio::test(start_paused = true)]
async fn eight_writers_over_failing_lines_lose_no_update() {
    let store = Store::embedded();
    let unsure = Arc::new(AtomicU64::new(0));
    let sure = Arc::new(AtomicU64::new(0));
    let mut writers = Vec::new();
    for writer in 0..8 {
        let node = store.node(&format!("n{writer}")).await;
        let (sure, unsure) = (Arc::clone(&sure), Arc::clone(&unsure));
        writers.push(tokio::spawn(async move {
            let faults = KvFaults {
                error: 0.1,
                ambiguous: 0.1,
                late: 0.1,
                late_max: Duration::from_secs(3),
                delay_max: Duration::from_millis(20),
                ..KvFaults::default()
            };
            node.line.set(faults);
            let configuration = node.configuration();
            for _ in 0..10 {
                let Ok(there) = configuration.get("count").await else { continue };
                let version = there.as_ref().map_or(0, |record| record.version);
                let count: u64 = there.map_or(0, |record| record.value().unwrap());
                match configuration.set_if("count", &(count + 1), version).await {
                    Ok(_) => sure.fetch_add(1, Ordering::Relaxed),
                    Err(ConfigError::Conflict { .. }) => 0,
                    Err(_) => unsure.fetch_add(1, Ordering::Relaxed),
                };
            }
            node.line.heal();
            sleep(Duration::from_secs(5)).await;
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let node = store.node("n").await;
    let last = node.configuration().get("count").await.unwrap().unwrap();
    let (sure, unsure) = (sure.load(Ordering::Relaxed), unsure.load(Ordering::Relaxed));
    let count: u64 = last.value().unwrap();
    assert_eq!(last.version, count);
    assert!(sure > 0 && count >= sure && count <= sure + unsure, "{count}, {sure}, {unsure}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_lost_its_data_takes_nothing_from_the_programs() {
    let node = Store::embedded().node("a").await;
    let (configuration, mut config) = (node.configuration(), node.limits());
    for per_second in 1..=30 {
        configuration.set("limits", &limits(per_second)).await.unwrap();
    }
    assert_eq!(next(&mut config).await, "30 of version 30");
    let empty = Store::embedded();
    node.line.replace(Arc::clone(&empty.kv));
    assert_eq!(next(&mut config).await, "Removed");
    assert_eq!(used(&config), Some((30, 30)));
    assert_eq!(configuration.set("limits", &limits(7)).await.unwrap(), 1);
    assert_eq!(next(&mut config).await, "7 of version 1");
    will_apply(&configuration, &[("a", Some(1), None)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_store_fails_writes_in_a_bounded_time_and_leaves_the_value() {
    let store = Store::embedded();
    let (a, b) = (store.node("a").await, store.node("b").await);
    let mut config = a.limits();
    b.configuration().set("limits", &limits(10)).await.unwrap();
    assert_eq!(next(&mut config).await, "10 of version 1");
    a.line.freeze();
    let start = Instant::now();
    let error = a.configuration().set("limits", &limits(20)).await.unwrap_err();
    assert!(matches!(error, ConfigError::Directory(DirectoryError::Store(_))), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_eq!(used(&config), Some((1, 10)));
    b.configuration().set("limits", &limits(30)).await.unwrap();
    sleep(Duration::from_secs(20)).await;
    a.line.thaw();
    assert_eq!(next(&mut config).await, "30 of version 2");
    // Its lease was lost meanwhile, and with it what it had said.
    will_apply(&b.configuration(), &[("a", Some(2), None)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_is_done_when_it_is_stored_even_if_its_node_can_not_follow() {
    let node = Store::embedded().node("a").await;
    node.line.set(KvFaults { watch_end: 1.0, watch_silence: 1.0, ..KvFaults::default() });
    sleep(Duration::from_secs(10)).await;
    let start = Instant::now();
    assert_eq!(node.configuration().set("limits", &limits(10)).await.unwrap(), 1);
    assert!(start.elapsed() <= Duration::from_secs(31), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_a_node_says_is_repaired_when_it_is_spoilt_by_hand() {
    let store = Store::embedded();
    let node = store.node("a").await;
    let config = node.limits();
    will_apply(&node.configuration(), &[("a", None, None)]).await;
    for spoilt in [None, Some("garbage")] {
        match spoilt {
            None => store.delete("applied/limits/a").await,
            Some(value) => store.put("applied/limits/a", value).await,
        }
        sleep(Duration::from_secs(5)).await;
        assert_eq!(store.values("applied/").await, ["{}"]);
    }
    drop(config);
    sleep(Duration::from_secs(5)).await;
    assert!(store.values("applied/").await.is_empty());
    // A write that was taken for lost arrives after the delete.
    let lease = store.kv.get("/callboard/c/node/a").await.unwrap().unwrap().lease;
    let late = Op::put("/callboard/c/config/applied/limits/a", "{}", lease);
    store.kv.txn(Txn::new([late])).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert!(store.values("applied/").await.is_empty());
    // And with nothing left to write, others still register.
    let revision = store.newest().await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(store.newest().await, revision, "a node at rest writes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_wait_and_refuses_writes() {
    let node = Store::embedded().node("a").await;
    let configuration = node.configuration();
    configuration.set("limits", &limits(10)).await.unwrap();
    let mut config = node.limits();
    let mut waiting = config.clone();
    let waiting = tokio::spawn(async move { next(&mut waiting).await });
    sleep(Duration::from_secs(1)).await;
    node.directory.shutdown().await.unwrap();
    assert_eq!(waiting.await.unwrap(), "the end");
    assert_eq!(next(&mut config).await, "the end");
    assert_eq!(used(&config), Some((1, 10)));
    assert_eq!(next(&mut node.limits()).await, "the end");
    let error = configuration.set("limits", &limits(20)).await.unwrap_err();
    assert!(matches!(error, ConfigError::Directory(DirectoryError::Closed)), "{error:?}");
}

#[derive(Debug)]
struct Panics;

impl<'de> Deserialize<'de> for Panics {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("on purpose")
    }
}

#[tokio::test(start_paused = true)]
async fn a_deserialize_that_panics_is_a_refusal_and_the_node_goes_on() {
    let node = Store::embedded().node("a").await;
    let config: Config<Panics> = node.directory.config("limits").unwrap();
    let good = node.limits();
    node.configuration().set("limits", &limits(10)).await.unwrap();
    assert!(config.current().is_none());
    assert!(config.refused().unwrap().reason.contains("panicked"));
    assert_eq!(used(&good), Some((1, 10)));
    node.configuration().set("limits", &limits(20)).await.unwrap();
    assert_eq!(used(&good), Some((2, 20)));
}

#[tokio::test(start_paused = true)]
async fn a_node_says_nothing_of_what_it_does_not_use() {
    let store = Store::embedded();
    let node = store.node("a").await;
    node.configuration().set("limits", &limits(10)).await.unwrap();
    let revision = store.newest().await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(store.newest().await, revision);
    assert!(store.values("applied/").await.is_empty());
}

#[test]
fn a_caller_whose_runtime_has_no_timers_reads_and_writes() {
    let with_timers =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let node = with_timers.block_on(async { Store::embedded().node("a").await });
    let without = tokio::runtime::Builder::new_current_thread().build().unwrap();
    without.block_on(async {
        let mut config = node.limits();
        assert_eq!(node.configuration().set("limits", &limits(10)).await.unwrap(), 1);
        assert!(matches!(config.changed().await, Some(ConfigEvent::Applied(_))));
        assert_eq!(node.configuration().history("limits").await.unwrap().len(), 1);
    });
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_loses_no_change() {
    let node = Store::embedded().node("a").await;
    let mut config = node.limits();
    assert!(timeout(Duration::from_secs(1), config.changed()).await.is_err());
    node.configuration().set("limits", &limits(10)).await.unwrap();
    drop(config.changed());
    assert_eq!(next(&mut config).await, "10 of version 1");
    assert!(timeout(Duration::from_secs(1), config.changed()).await.is_err());
}

/// A real etcd, which is stopped, killed and wiped.
#[cfg(feature = "etcd")]
mod real {
    use callboard::kv::{EtcdKv, EtcdOptions};
    use callboard_tests::servers::EtcdServer;

    use super::*;

    pub(super) struct Etcd {
        server: EtcdServer,
    }

    impl Etcd {
        pub(super) async fn start() -> Self {
            Self { server: EtcdServer::start().await }
        }

        pub(super) async fn store(&self) -> Store {
            let options = EtcdOptions::new(self.server.endpoints());
            Store { kv: Arc::new(EtcdKv::connect(options).await.unwrap()) }
        }
    }

    /// Sets a value as soon as the store takes it; gives the version.
    async fn set_at_last(configuration: &Configuration, per_second: u32) -> u64 {
        let start = Instant::now();
        loop {
            match configuration.set("limits", &limits(per_second)).await {
                Ok(version) => return version,
                Err(error) => {
                    let is_outage =
                        matches!(error, ConfigError::Directory(DirectoryError::Store(_)));
                    assert!(is_outage && start.elapsed() < PATIENCE, "{error:?}");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn will_use(config: &mut Config<Limits>, expected: (u64, u32)) {
        let start = Instant::now();
        while used(config) != Some(expected) {
            assert!(start.elapsed() < PATIENCE, "{:?}, not {expected:?}", used(config));
            drop(timeout(Duration::from_secs(1), config.changed()).await);
        }
    }

    #[tokio::test]
    async fn a_watch_goes_on_when_etcd_was_stopped_killed_or_lost_its_data() {
        let mut etcd = Etcd::start().await;
        let (a, b) = (etcd.store().await.node("a").await, etcd.store().await.node("b").await);
        let (configuration, mut config) = (a.configuration(), b.limits());
        configuration.set("limits", &limits(10)).await.unwrap();
        will_use(&mut config, (1, 10)).await;

        etcd.server.stop();
        let start = Instant::now();
        let error = configuration.set("limits", &limits(11)).await.unwrap_err();
        assert!(matches!(error, ConfigError::Directory(DirectoryError::Store(_))), "{error:?}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert_eq!(used(&config), Some((1, 10)));
        etcd.server.cont();
        // What was sent to the stopped server may have been taken as one version more.
        let version = set_at_last(&configuration, 20).await;
        assert!((2..=3).contains(&version), "{version}");
        will_use(&mut config, (version, 20)).await;

        etcd.server.kill();
        assert_eq!(used(&config), Some((version, 20)));
        etcd.server.restart().await;
        let version = set_at_last(&configuration, 30).await;
        will_use(&mut config, (version, 30)).await;

        etcd.server.wipe().await;
        let version = set_at_last(&configuration, 40).await;
        assert_eq!(version, 1);
        will_use(&mut config, (1, 40)).await;
        will_apply(&configuration, &[("b", Some(1), None)]).await;
    }

    #[tokio::test]
    async fn a_person_reads_the_configuration_with_etcdctl() {
        let etcd = Etcd::start().await;
        let node = etcd.store().await.node("a").await;
        node.configuration().set("limits", &limits(10)).await.unwrap();
        let key = "/callboard/c/config/history/limits/00000000000000000001";
        for key in ["/callboard/c/config/current/limits", key] {
            let text = etcd.server.ctl(&["get", "--print-value-only", key]).await.unwrap();
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["value"], serde_json::json!({"per_second": 10}), "{text}");
            assert_eq!((&json["version"], &json["node"]), (&1.into(), &"a".into()), "{text}");
        }
    }
}
