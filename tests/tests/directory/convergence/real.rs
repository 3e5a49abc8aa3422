//! The same on a real etcd that is stopped, killed and compacted meanwhile.

use std::{sync::Arc, time::Duration};

use callboard::kv::{EtcdKv, EtcdOptions};
use callboard_tests::{servers::EtcdServer, tier};
use tokio::time::sleep;

use super::{WITHIN, churn::Churn, seeds};

const STEPS: usize = 50;
/// The machine may be busy with other tests; the long tier is alone on it.
const MARGIN: Duration = Duration::from_secs(3);

#[tokio::test]
async fn caches_and_mirrors_equal_an_etcd_that_was_stopped_and_killed_amid_churn() {
    for seed in seeds(10) {
        println!("repeat with CALLBOARD_SEED={seed}");
        fastrand::seed(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut etcd = EtcdServer::start().await;
        let options = EtcdOptions::new(etcd.endpoints());
        let kv = Arc::new(EtcdKv::connect(options).await.expect("it runs"));
        let steps = fastrand::Rng::with_seed(random.u64(..));
        let mut churn = Churn::new(kv, steps, Duration::from_millis(300)).await;
        for step in 0..STEPS {
            match (step, random.bool()) {
                (12, true) | (25, false) => {
                    etcd.stop();
                    sleep(Duration::from_millis(random.u64(500..4_000))).await;
                    etcd.cont();
                }
                (12, false) | (25, true) => {
                    etcd.kill();
                    sleep(Duration::from_millis(random.u64(..2_000))).await;
                    etcd.restart().await;
                }
                _ => churn.step().await,
            }
        }
        churn.settle(if tier::trials() >= 100 { WITHIN } else { WITHIN + MARGIN }).await;
        let (events, resyncs) = churn.heard();
        println!("{events} events, {resyncs} gaps; equal {:?} after quiescence", churn.slowest);
        assert!(events > 50, "the mirrors heard something: {events}");
    }
}
