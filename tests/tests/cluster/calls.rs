//! Calls between processes while nothing goes wrong.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use callboard::prelude::*;
use callboard_tests::worker::{Echo, Put, Worker};
use tokio::task::JoinHandle;

use crate::support::{Cluster, order, sees, serve};

#[tokio::test]
async fn asks_and_tells_go_both_ways() {
    let cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    let mut worker = cluster.worker("w1").await;
    order(&mut worker, "serve there 2").await;
    let here = serve(&cluster, &system, "here").await;
    sees(&system, "there", 2).await;

    let there: ServiceRef<Worker> = system.service("there");
    let answer = there.ask(Echo { n: 7, micros: 0 }).await.expect("nothing goes wrong");
    assert_eq!(answer, (7, "w1".to_owned()));
    assert_eq!(order(&mut worker, "ask here 8").await, "8 test");
    for id in 0..100 {
        there.tell(Put { id, micros: 0 }).await.expect("nothing goes wrong");
    }
    order(&mut worker, "tell here 1000").await;
    let handled = cluster.all_handled(&["w1", "test"], 101).await;
    assert!(handled.values().all(|times| *times == 1), "{handled:?}");
    assert_eq!(worker.handled().times.len(), 100, "each where it was told to");
    here.stop().await.expect("the servers run");
    system.shutdown().await.expect("the servers run");
    order(&mut worker, "shutdown").await;
}

/// Callers that ask without a pause; no call may fail.
struct Load {
    ends: Arc<AtomicBool>,
    callers: Vec<JoinHandle<BTreeMap<String, u64>>>,
}

impl Load {
    fn of(service: &ServiceRef<Worker>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let callers = (0..16).map(|caller| {
            let (service, ends) = (service.clone(), Arc::clone(&ends));
            tokio::spawn(async move {
                let mut answered = BTreeMap::new();
                while !ends.load(SeqCst) {
                    let echo = Echo { n: caller, micros: 2000 };
                    let (n, node) = service.ask(echo).await.expect("no call fails");
                    assert_eq!(n, caller);
                    *answered.entry(node).or_default() += 1;
                }
                answered
            })
        });
        Self { callers: callers.collect(), ends }
    }

    async fn end(self) -> BTreeMap<String, u64> {
        self.ends.store(true, SeqCst);
        let mut all = BTreeMap::new();
        for caller in self.callers {
            for (node, calls) in caller.await.expect("no call failed") {
                *all.entry(node).or_default() += calls;
            }
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_instance_gets_work_and_one_that_leaves_fails_no_call() {
    let cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    let mut first = cluster.worker("w1").await;
    order(&mut first, "serve echo 1").await;
    sees(&system, "echo", 1).await;
    let service: ServiceRef<Worker> = system.service("echo");
    let load = Load::of(&service);
    tokio::time::sleep(Duration::from_millis(500)).await;

    let mut second = cluster.worker("w2").await;
    order(&mut second, "serve echo 1").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // One leaves by stopping its service, the next by shutting its system down.
    order(&mut first, "stop echo").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut third = cluster.worker("w3").await;
    order(&mut third, "serve echo 1").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    order(&mut second, "shutdown").await;
    tokio::time::sleep(Duration::from_millis(500)).await;

    let calls = load.end().await;
    assert_eq!(calls.keys().collect::<Vec<_>>(), ["w1", "w2", "w3"], "{calls:?}");
    assert!(calls.values().all(|calls| *calls > 50), "each got its part: {calls:?}");
    system.shutdown().await.expect("the servers run");
}
