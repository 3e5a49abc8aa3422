//! How much the randomised tests do, as `tests/run` and `tests/run --long` say it.

use std::hash::{BuildHasher, RandomState};

/// This much in the normal tier; in the long one (`CALLBOARD_TRIALS` of 100 or more) so much.
pub(super) fn amount(normal: u64, long: u64) -> u64 {
    let trials = std::env::var("CALLBOARD_TRIALS").ok();
    let trials = trials.map_or(0, |text| text.parse().expect("CALLBOARD_TRIALS is a number"));
    if trials < 100 { normal } else { long }
}

/// `CALLBOARD_SEED`, or a fresh one; printed, so that a failed test says how to repeat it.
pub(super) fn seed() -> u64 {
    let seed = std::env::var("CALLBOARD_SEED").ok();
    let seed = seed.map(|text| text.parse().expect("CALLBOARD_SEED is a number of 64 bits"));
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0));
    eprintln!("repeat with CALLBOARD_SEED={seed}");
    seed
}
