//! The load of the tests under faults: jobs that fail for a while, or always, or end their process, and
//! producers that write down what was acknowledged to them.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use callboard::prelude::*;
use tokio::task::JoinHandle;

use crate::worker::{Echo, Record, Worker};

/// Between two sends of one teller.
const BREATH: Duration = Duration::from_millis(4);
/// Tellers of one producer, and who asks beside them.
const TELLERS: u64 = 5;
const ASKERS: u64 = 2;
/// Every so manieth job always fails.
const POISON_EVERY: u64 = 211;
/// For how long a job fails that does not do so for ever: less than its retries take.
const FAILS_FOR: Duration = Duration::from_millis(60);

/// Something to do once.
#[derive(Message, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[message(reply = bool, failure = has_failed)]
pub struct Job {
    /// Tells one from the other.
    pub id: u64,
    /// How long its handler waits, in microseconds.
    pub micros: u64,
    /// What becomes of it.
    pub end: End,
}

/// How the handler of a job ends.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Well.
    Good,
    /// Badly until this time, in milliseconds since 1970.
    BadUntil(u64),
    /// Badly each time.
    Bad,
    /// With its process.
    Aborts,
}

// The macro wants the outcome as it is.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn has_failed(good: &bool) -> bool {
    !good
}

impl Job {
    /// The job of this number as producers tell it.
    pub fn of_producer(id: u64) -> Self {
        let end = match id {
            _ if is_poison(id) => End::Bad,
            _ if id.is_multiple_of(13) => End::BadUntil(now_ms() + millis(FAILS_FOR)),
            _ => End::Good,
        };
        Self { id, micros: 200 + (id % 7) * 400, end }
    }

    /// How it ends if it ends now.
    pub fn is_good(&self) -> bool {
        match self.end {
            End::Good => true,
            End::BadUntil(ms) => now_ms() >= ms,
            End::Bad => false,
            End::Aborts => std::process::abort(),
        }
    }
}

/// Whether a producer's job of this number fails until it is buried.
pub fn is_poison(id: u64) -> bool {
    id % POISON_EVERY == 5
}

fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970"))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("not that long")
}

/// Tells jobs and asks without a pause, and writes down each job before it is told and after it was
/// acknowledged, and how each ask ended.
#[derive(Debug)]
pub struct Producer {
    ends: Arc<AtomicBool>,
    tellers: Vec<JoinHandle<()>>,
    askers: Vec<JoinHandle<()>>,
    tells_failed: Arc<AtomicU64>,
}

impl Producer {
    /// Begins; jobs are numbered from `first` on.
    pub fn start(service: &ServiceRef<Worker>, first: u64, record: &Record) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let (ids, tells_failed) = (Arc::new(AtomicU64::new(first)), Arc::new(AtomicU64::new(0)));
        let tellers = (0..TELLERS).map(|_| {
            let (service, ends, ids) = (service.clone(), ends.clone(), ids.clone());
            let (record, failed) = (record.clone(), tells_failed.clone());
            tokio::spawn(async move {
                while !ends.load(SeqCst) {
                    let id = ids.fetch_add(1, SeqCst);
                    record.write('t', id);
                    let tell = service.tell(Job::of_producer(id));
                    let told = if id.is_multiple_of(9) {
                        tell.delay(Duration::from_millis(100 + id % 1000)).await.map(drop)
                    } else {
                        tell.await
                    };
                    match told {
                        Ok(()) => record.write('a', id),
                        Err(error) => {
                            failed.fetch_add(1, SeqCst);
                            eprintln!("{id}: {error}");
                        }
                    }
                    tokio::time::sleep(BREATH).await;
                }
            })
        });
        let tellers = tellers.collect();
        let askers = (0..ASKERS).map(|_| {
            let (service, ends, record) = (service.clone(), ends.clone(), record.clone());
            tokio::spawn(async move {
                let mut answered = 0;
                while !ends.load(SeqCst) {
                    let ask = service.ask(Echo { n: answered, micros: 100 });
                    match ask.timeout(Duration::from_secs(3)).await {
                        Ok((n, _)) => {
                            assert_eq!(n, answered, "to each its own answer");
                            record.write('r', answered);
                            answered += 1;
                        }
                        Err(_) => record.write('x', answered),
                    }
                    tokio::time::sleep(BREATH).await;
                }
            })
        });
        let askers = askers.collect();
        Self { ends, tellers, askers, tells_failed }
    }

    /// Lets what is under way end; says how many tells failed.
    ///
    /// # Panics
    /// When an ask was answered with another's answer.
    pub async fn end(self) -> u64 {
        self.ends.store(true, SeqCst);
        for task in self.tellers.into_iter().chain(self.askers) {
            task.await.expect("answers are right");
        }
        self.tells_failed.load(SeqCst)
    }
}

/// What producers wrote down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// All that they tried to tell.
    pub tried: BTreeSet<u64>,
    /// What was acknowledged.
    pub acknowledged: BTreeSet<u64>,
    /// Asks that were answered, and that ended otherwise.
    pub asked: (u64, u64),
}

impl Told {
    /// Adds what stands in a record.
    ///
    /// # Panics
    /// When it holds something else.
    pub fn add(&mut self, path: &Path) {
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let (what, id) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            let id = id.parse().unwrap_or_else(|error| panic!("{line:?}: {error}"));
            match what {
                "t" => _ = self.tried.insert(id),
                "a" => _ = self.acknowledged.insert(id),
                "r" => self.asked.0 += 1,
                "x" => self.asked.1 += 1,
                _ => panic!("{line:?}"),
            }
        }
    }
}
