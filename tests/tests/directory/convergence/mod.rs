//! Random churn over lines that fail: soon after it is over every cache equals the store, and the
//! store what each node wants; what the events told is the same at every moment.

mod churn;
#[cfg(feature = "etcd")]
mod real;
mod witness;

use std::{env, sync::Arc, time::Duration};

use callboard::kv::EmbeddedKv;

use self::churn::Churn;

/// Each trial comes to rest so often, and is checked then.
const ROUNDS: usize = 4;
const STEPS: usize = 100;
/// How soon after quiescence.
const WITHIN: Duration = Duration::from_secs(2);

/// The seeds to run: the chosen one, or as many fresh ones as the tier says.
fn seeds(trials_per_hundred: u32) -> Vec<u64> {
    if let Ok(seed) = env::var("CALLBOARD_SEED") {
        return vec![seed.parse().expect("CALLBOARD_SEED is a number of 64 bits")];
    }
    let trials = callboard_tests::tier::trials() * trials_per_hundred / 100;
    (0..trials.max(1)).map(|_| fastrand::u64(..)).collect()
}

#[tokio::test(start_paused = true)]
async fn caches_and_mirrors_equal_the_store_within_two_seconds_of_quiescence() {
    for seed in seeds(100) {
        println!("repeat with CALLBOARD_SEED={seed}");
        // Who draws without asking for the seed's order draws the same, too.
        fastrand::seed(seed);
        let random = fastrand::Rng::with_seed(seed);
        let pause_max = Duration::from_millis(1500);
        let mut churn = Churn::new(Arc::new(EmbeddedKv::new()), random, pause_max).await;
        for _ in 0..ROUNDS {
            for _ in 0..STEPS {
                churn.step().await;
            }
            churn.settle(WITHIN).await;
        }
        let (events, resyncs) = churn.heard();
        println!("{events} events, {resyncs} gaps; equal {:?} after quiescence", churn.slowest);
        assert!(events > 500, "the mirrors heard something: {events}");
    }
}
