//! Random interleavings of producers and workers with lost requests and answers, crashes, stale
//! owners and claims, against a reference that says what each call must answer.

mod keyed;
mod meddle;
#[cfg(feature = "redis")]
mod on_redis;
mod producer;
mod reference;
mod worker;
mod world;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use callboard::log::{EmbeddedLog, EmbeddedLogOptions, MessageLog};

use self::world::{Checked, World};
use super::{broken::Broken, fault::Fault};

const SEEDS: u64 = 150;
const STEPS: usize = 300;

fn log(memory_bytes_max: u64) -> EmbeddedLog {
    let claim_grace = Duration::ZERO;
    EmbeddedLog::with_options(EmbeddedLogOptions { memory_bytes_max, claim_grace })
}

async fn run(log: Arc<dyn MessageLog>, seed: u64) -> Checked<BTreeMap<&'static str, u64>> {
    let mut world = World::new(log, seed);
    for step in 0..STEPS {
        world.step().await.map_err(|why| format!("seed {seed}, step {step}: {why}"))?;
    }
    world.drain().await.map_err(|why| format!("seed {seed}, draining: {why}"))?;
    Ok(world.tally)
}

#[tokio::test(start_paused = true)]
async fn random_interleavings_lose_nothing_and_count_everything() {
    let mut tally = BTreeMap::<_, u64>::new();
    for seed in 0..SEEDS {
        // Every third world has memory for a handful of frames.
        let memory = if seed % 3 == 0 { 2000 } else { 1 << 30 };
        for (what, times) in
            run(Arc::new(log(memory)), seed).await.unwrap_or_else(|e| panic!("{e}"))
        {
            *tally.entry(what).or_default() += times;
        }
    }

    let rare: Vec<_> = tally.iter().filter(|(_, times)| **times < 50).collect();
    assert!(tally.len() == 16 && rare.is_empty(), "too little happened: {tally:#?}");
}

/// The model is a checker, so it must be seen to object.
#[tokio::test(start_paused = true)]
async fn the_model_objects_to_broken_logs() {
    let mut passed = Vec::new();
    for fault in [
        Fault::NoGapCheck,
        Fault::NoDuplicateCheck,
        Fault::NoTombstone,
        Fault::ReadGivesTheFirstAgain,
        Fault::ExpiredIsHandled,
        Fault::SettleIgnoresTheOwner,
        Fault::ProgressIgnoresTheOwner,
        Fault::NotPendingIsDone,
        Fault::TotalsAreNotChecked,
        Fault::TotalsAreAdded,
        Fault::EmptyProgressIsNoTouch,
        Fault::AttemptIsDropped,
        Fault::TouchDoesNothing,
        Fault::BuryTwiceDoubles,
        Fault::PostponeTwiceDoubles,
        Fault::DueReleasesEarly,
        Fault::ClaimIgnoresIdle,
        Fault::ClaimDropsTheBitmap,
        Fault::DeliveriesStayAtOne,
        Fault::RemoveConsumerAnswersAlways,
        Fault::ReplayIsNotCounted,
        Fault::ReplayIgnoresItsLimit,
    ] {
        let mut caught = None;
        for seed in 0..SEEDS {
            if let Err(why) = run(Arc::new(Broken::new(log(1 << 30), fault)), seed).await {
                caught = Some(why);
                break;
            }
        }
        match caught {
            Some(why) => println!("{fault:?}: {}", why.chars().take(200).collect::<String>()),
            None => passed.push(fault),
        }
    }
    assert!(passed.is_empty(), "nothing was said of {passed:?}");
}

#[tokio::test(start_paused = true)]
async fn the_model_accepts_the_decorator_without_a_fault() {
    for seed in 0..20 {
        if let Err(why) = run(Arc::new(Broken::new(log(1 << 30), Fault::None)), seed).await {
            panic!("{why}");
        }
    }
}
