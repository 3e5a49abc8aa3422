//! The suite of the key-value port.

mod broken;
#[cfg(feature = "etcd")]
mod etcd;
#[cfg(feature = "etcd")]
mod etcd_cluster;
#[cfg(feature = "etcd")]
mod etcd_users;
mod fault;
#[cfg(feature = "etcd")]
mod hazards;

use std::{collections::BTreeSet, sync::Arc};

use callboard::{
    kv::{EmbeddedKv, KeyValueStore},
    testing::{
        FaultyKv,
        kv_suite::{CASES, Subject},
    },
};

use self::{broken::Broken, fault::Fault};

async fn embedded() -> Subject {
    let store = EmbeddedKv::new();
    let count = store.clone();
    Subject::new(Arc::new(store)).with_watchers(move || count.watchers())
}

fn broken(fault: Fault) -> Subject {
    let store = EmbeddedKv::new();
    let count = store.clone();
    Subject::new(Arc::new(Broken::new(store, fault))).with_watchers(move || count.watchers())
}

/// The embedded store, one test for each case.
mod embedded {
    callboard::testing::kv_suite!(super::embedded, (start_paused = true));
}

/// The same in real time, as a store on another machine is tested.
#[tokio::test]
async fn the_embedded_store_passes_in_real_time_what_needs_no_lease() {
    for case in CASES.iter().filter(|case| !case.name().contains("lease")) {
        case.run(embedded().await).await.unwrap_or_else(|why| panic!("{}: {why}", case.name()));
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_fails_its_cases() {
    let mut wrong = Vec::new();
    for fault in Fault::ALL {
        for name in fault.breaks() {
            let case = CASES.iter().find(|case| case.name() == *name);
            let case = case.unwrap_or_else(|| panic!("{fault:?} names {name}, which is no case"));
            match case.run(broken(*fault)).await {
                Err(failure) => println!("{fault:?} / {name}: {failure}"),
                Ok(()) => wrong.push(format!("{fault:?} passes {name}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_case_is_failed_by_a_fault() {
    let broken: BTreeSet<&str> =
        Fault::ALL.iter().flat_map(|fault| fault.breaks()).copied().collect();
    let cases: BTreeSet<&str> = CASES.iter().map(|case| case.name()).collect();
    assert_eq!(cases, broken);
}

#[tokio::test(start_paused = true)]
async fn the_decorator_without_a_fault_passes() {
    let failed = callboard::testing::kv_suite::run_all(|| async { broken(Fault::None) }).await;
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test(start_paused = true)]
async fn the_fault_injecting_decorator_without_faults_passes() {
    let faultless = || async {
        let kv: Arc<dyn KeyValueStore> = Arc::new(FaultyKv::new(Arc::new(EmbeddedKv::new()), 1));
        kv
    };
    let failed = callboard::testing::kv_suite::run_all(faultless).await;
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn each_must_of_the_contract_has_a_case_and_each_case_a_must() {
    let source = include_str!("../../../../src/kv/mod.rs");
    let musts: BTreeSet<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("/// - MUST `")?.split('`').next())
        .collect();
    let cases: BTreeSet<&str> = CASES.iter().map(|case| case.name()).collect();
    assert_eq!(musts, cases);
}
