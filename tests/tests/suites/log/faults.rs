use std::{collections::BTreeSet, sync::Arc};

use callboard::{
    BoxError,
    log::{EmbeddedLog, MessageLog},
    testing::log_suite::{self, GraceState, LogFactory, Setup, Timing},
};

use super::{broken::Broken, fault::Fault, suite::options};

#[derive(Debug)]
struct BrokenBy(Fault);

#[async_trait::async_trait]
impl LogFactory for BrokenBy {
    async fn make(&self, mut setup: Setup) -> Result<Arc<dyn MessageLog>, BoxError> {
        match self.0 {
            Fault::NoGrace => setup.grace = GraceState::Over,
            Fault::MemoryIsEndless => setup.memory_bytes_max = None,
            _ => {}
        }
        Ok(Arc::new(Broken::new(EmbeddedLog::with_options(options(setup)), self.0)))
    }

    fn timing(&self) -> Timing {
        Timing::default()
    }
}

#[tokio::test(start_paused = true)]
async fn each_fault_fails_its_cases() {
    let mut wrong = Vec::new();
    for fault in Fault::ALL {
        for name in fault.breaks() {
            match log_suite::run_case(&BrokenBy(*fault), name).await {
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
    let cases: BTreeSet<&str> = log_suite::cases().iter().map(|case| case.name).collect();
    assert_eq!(cases, broken);
}

#[tokio::test(start_paused = true)]
async fn the_decorator_without_a_fault_passes() {
    let failed = log_suite::run_all(&BrokenBy(Fault::None)).await;
    assert!(failed.is_empty(), "{failed:#?}");
}
