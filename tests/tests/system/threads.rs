//! Systems on threads of their own, in real time.

use std::{
    thread,
    time::{Duration, Instant},
};

use callboard::prelude::*;

/// Runs a test with a system of so many threads for actors.
pub fn on_threads(
    arbiters: usize,
    test: impl AsyncFnOnce(&System) -> Result<(), Box<dyn std::error::Error>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let system = System::builder().arbiters(arbiters).start().await.expect("a system");
        test(&system).await.expect("nothing fails on the way");
        system.shutdown().await.expect("in order");
    });
}

/// Waits until something holds, on a thread that has nothing else to do.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never came true: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
