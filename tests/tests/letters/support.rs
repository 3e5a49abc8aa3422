use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use callboard::{
    Embedded, Name,
    bus::{codec, frame::Frame, keys},
    letters::{LetterSummary, Selection},
    log::{EntryId, MessageLog, Place, StreamName},
    prelude::*,
    testing::TestSystem,
};
pub use callboard_tests::letters::sender;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Refused while the book says so.
#[derive(Message, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[message(error = Refused, failure = Result::is_err)]
pub struct Order(pub u64);

/// Never refused.
#[derive(Message, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Note(pub u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

#[derive(Actor)]
pub struct Orders(Book);

#[handlers]
impl Orders {
    #[handle]
    fn order(&mut self, Order(id): Order) -> Result<(), Refused> {
        self.0.note(id);
        if self.0.refuses.load(SeqCst) { Err(Refused) } else { Ok(()) }
    }

    #[handle]
    fn note(&mut self, Note(id): Note) {
        self.0.note(id);
    }
}

/// What was handled, by all instances.
#[derive(Clone, Default)]
pub struct Book {
    handled: Arc<Mutex<Vec<(Instant, u64)>>>,
    refuses: Arc<AtomicBool>,
}

impl Book {
    pub fn factory(&self) -> impl Fn() -> Orders + Clone + Send + Sync + 'static + use<> {
        let book = self.clone();
        move || Orders(book.clone())
    }

    pub fn note(&self, id: u64) {
        self.handled.lock().push((Instant::now(), id));
    }

    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, SeqCst);
    }

    pub fn ids(&self) -> Vec<u64> {
        self.handled.lock().iter().map(|(_, id)| *id).collect()
    }

    pub fn times(&self) -> Vec<(Instant, u64)> {
        self.handled.lock().clone()
    }

    pub fn sorted(&self) -> Vec<u64> {
        let mut ids = self.ids();
        ids.sort_unstable();
        ids
    }

    pub fn forget(&self) {
        self.handled.lock().clear();
    }
}

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A system of this test, over a store that others may share; all messages go through the bus.
pub async fn node(node: &str, store: &Embedded) -> TestSystem {
    let (node, store) = (node.to_owned(), store.clone());
    TestSystem::start_with(|builder| builder.node(node).embedded(&store).always_remote()).await
}

/// The same over a log of its own making.
pub async fn node_over(node: &str, store: &Embedded, log: Arc<dyn MessageLog>) -> TestSystem {
    let (node, kv) = (node.to_owned(), Arc::new(store.kv()));
    TestSystem::start_with(|builder| builder.node(node).backends(kv, log).always_remote()).await
}

/// Waits until it is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let began = std::time::Instant::now();
    while !is_so().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(began.elapsed() < Duration::from_secs(60), "it never came: {what}");
    }
}

pub fn stream(system: &System, service: &str) -> StreamName {
    keys::service(system.cluster(), &name(service), 0)
}

/// Makes dead letters of these orders.
pub async fn bury(log: &dyn MessageLog, stream: &StreamName, ids: std::ops::Range<u64>) {
    callboard_tests::letters::bury(log, stream, "Order", ids, Order).await;
}

/// All letters of a service.
pub async fn letters(system: &System, service: &str) -> Vec<LetterSummary> {
    let handle = system.dead_letters(service).unwrap();
    let (mut all, mut selection) = (Vec::new(), Selection::all());
    loop {
        let page = handle.list(selection.clone(), 500).await.unwrap();
        all.extend(page.letters);
        match page.next {
            Some(next) => selection = selection.after(next),
            None => return all,
        }
    }
}

/// The orders among the live entries of a stream, with the time at which each came there.
pub async fn live(log: &dyn MessageLog, stream: &StreamName) -> Vec<(u64, u64)> {
    let (mut orders, mut from) = (Vec::new(), EntryId::MIN);
    loop {
        let entries = log.range(stream, Place::Live, from, EntryId::MAX, 2000).await.unwrap();
        let Some(last) = entries.last() else { break };
        from = last.id.next();
        for entry in entries {
            let frame = Frame::parse(entry.frame).unwrap();
            for index in 0..frame.count() {
                let (message, body) = frame.message(index).unwrap();
                let Order(id) = codec::decode(message.codec, &body).unwrap();
                orders.push((entry.id.ms, id));
            }
        }
    }
    orders
}

/// Checks by the log's clock that no span of time saw more than the rate and one step of it.
pub fn assert_rate(times_ms: &[u64], rate: u64, step: u64) {
    for span_ms in [100, 500, 1000, 5000] {
        // Timers go off at whole milliseconds.
        let most = rate * (span_ms + 2) / 1000 + step;
        let mut first = 0;
        for (at, ms) in times_ms.iter().enumerate() {
            while ms - times_ms[first] >= span_ms {
                first += 1;
            }
            let within = (at - first + 1) as u64;
            assert!(within <= most, "{within} within {span_ms} ms before {ms}, at most {most}");
        }
    }
}
