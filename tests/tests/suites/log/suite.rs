use std::{sync::Arc, time::Duration};

use callboard::{
    BoxError,
    log::{EmbeddedLog, EmbeddedLogOptions, MessageLog},
    testing::log_suite::{self, GraceState, LogFactory, Setup, Timing},
};

#[derive(Debug)]
pub(crate) struct Embedded;

pub(crate) fn options(setup: Setup) -> EmbeddedLogOptions {
    let mut options = EmbeddedLogOptions::default();
    if setup.grace == GraceState::Over {
        options.claim_grace = Duration::ZERO;
    }
    if let Some(bytes) = setup.memory_bytes_max {
        options.memory_bytes_max = bytes;
    }
    options
}

#[async_trait::async_trait]
impl LogFactory for Embedded {
    async fn make(&self, setup: Setup) -> Result<Arc<dyn MessageLog>, BoxError> {
        Ok(Arc::new(EmbeddedLog::with_options(options(setup))))
    }

    fn timing(&self) -> Timing {
        Timing::default()
    }
}

/// The embedded log, one test for each case.
mod embedded {
    callboard::testing::log_suite!(super::Embedded, (start_paused = true));
}

#[test]
fn the_contract_and_the_suite_name_the_same_cases() {
    let contract = include_str!("../../../../src/log/mod.rs");
    let names: std::collections::BTreeSet<_> = contract
        .lines()
        .filter_map(|line| line.strip_prefix("/// - MUST `")?.split('`').next())
        .collect();
    let cases: std::collections::BTreeSet<_> =
        log_suite::cases().iter().map(|case| case.name).collect();
    let lacking: Vec<_> = names.symmetric_difference(&cases).collect();
    assert!(lacking.is_empty(), "in the contract or in the suite only: {lacking:?}");
}

/// Several threads and the real clock, as a log on a server has them. All cases at once, each on a
/// log of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_log_passes_in_real_time_too() {
    let mut running = tokio::task::JoinSet::new();
    for case in log_suite::cases() {
        running.spawn(async { (case.name, log_suite::run_case(&InRealTime, case.name).await) });
    }
    let verdicts = running.join_all().await;
    let failed: Vec<_> = verdicts.iter().filter(|(_, verdict)| verdict.is_err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[derive(Debug)]
struct InRealTime;

#[async_trait::async_trait]
impl LogFactory for InRealTime {
    async fn make(&self, setup: Setup) -> Result<Arc<dyn MessageLog>, BoxError> {
        Embedded.make(setup).await
    }

    fn timing(&self) -> Timing {
        Timing { tick: Duration::from_millis(50), patience: Duration::from_secs(4) }
    }
}
