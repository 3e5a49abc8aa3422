use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use callboard::{Embedded, prelude::*, testing::FaultyKv};

#[derive(Message, Serialize, Deserialize, Debug, PartialEq)]
#[message(reply = u64)]
pub struct Add(pub u64);

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(reply = u64)]
pub struct Get;

#[derive(Message, Serialize, Deserialize, Debug, Clone)]
pub struct Nap(pub Duration);

/// Adds up; 13 panics.
#[derive(Actor, Default)]
#[actor(mailbox(capacity = 4))]
pub struct Counter {
    total: u64,
}

#[handlers]
impl Counter {
    #[handle]
    fn add(&mut self, Add(n): Add) -> u64 {
        assert!(n != 13, "unlucky");
        self.total += n;
        self.total
    }

    #[handle]
    fn get(&mut self, _: Get) -> u64 {
        self.total
    }

    #[handle]
    async fn nap(&mut self, Nap(time): Nap) {
        tokio::time::sleep(time).await;
    }
}

/// A sum that outlives its actors.
#[derive(Clone, Default)]
pub struct Sum(Arc<AtomicU64>);

impl Sum {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, SeqCst);
    }

    pub fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

/// A system on this thread, over a store that others may share, with frames on the way even to its
/// own actors.
pub async fn node(name: &str, store: &Embedded) -> System {
    System::builder()
        .node(name)
        .embedded(store)
        .always_remote()
        .current_thread()
        .start()
        .await
        .expect("a system on an embedded store starts")
}

/// Waits, on the paused clock, until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never came true: {what}");
}

/// As [`node`], with a line to the directory's store that can be made to fail.
pub async fn connected(name: &str, store: &Embedded) -> (System, FaultyKv) {
    let line = FaultyKv::new(Arc::new(store.kv()), 1);
    let system = System::builder()
        .node(name)
        .backends(Arc::new(line.clone()), Arc::new(store.log()))
        .always_remote()
        .current_thread()
        .start()
        .await
        .expect("a system on an embedded store starts");
    (system, line)
}

/// What actors note, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<parking_lot::Mutex<Vec<String>>>);

impl Log {
    pub fn note(&self, text: impl Into<String>) {
        self.0.lock().push(text.into());
    }

    /// What was noted since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A system on this thread.
pub async fn local() -> System {
    System::builder().current_thread().start().await.expect("an embedded system starts")
}
