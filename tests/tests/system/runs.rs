//! Messages that come in one frame: taken and concluded together, and each handled once all the same.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

use callboard::{
    Embedded, Name, SystemEvent,
    bus::{BusEvent, keys},
    log::{AppendRequest, MessageLog as _},
    prelude::*,
};
use parking_lot::Mutex;
use serde::Deserializer;

use crate::support::{node, until};

/// Numbers as they were handled, with the instance that did.
type Seen = Arc<Mutex<Vec<(u32, u32)>>>;

#[derive(Message, Serialize, Deserialize, Debug)]
struct Note(u32);

/// As `Note`, by another handler.
#[derive(Message, Serialize, Deserialize, Debug)]
struct Other(u32);

/// Its handler awaits.
#[derive(Message, Serialize, Deserialize, Debug)]
struct Slow(u32);

/// Its number can't be decoded: that panics.
#[derive(Message, Serialize, Debug)]
#[message(reply = u32)]
struct Trap(u32);

impl<'de> Deserialize<'de> for Trap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        assert!(number != 13, "unlucky to decode");
        Ok(Self(number))
    }
}

#[derive(Actor)]
#[actor(mailbox(capacity = 100))]
struct Scribe {
    instance: u32,
    seen: Seen,
    tries: Arc<AtomicU32>,
}

#[handlers]
impl Scribe {
    #[handle]
    fn note(&mut self, Note(number): Note) {
        if number == 13 {
            self.tries.fetch_add(1, SeqCst);
            panic!("unlucky");
        }
        self.seen.lock().push((number, self.instance));
    }

    #[handle]
    fn other(&mut self, Other(number): Other) {
        self.seen.lock().push((number, self.instance));
    }

    #[handle]
    async fn slow(&mut self, Slow(number): Slow) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.seen.lock().push((number, self.instance));
    }

    #[handle]
    fn trap(&mut self, Trap(number): Trap) -> u32 {
        number
    }
}

struct Stage {
    store: Embedded,
    one: System,
    two: System,
    seen: Seen,
    /// How often the poisonous message was begun.
    tries: Arc<AtomicU32>,
    /// How many instances were made, those after a panic too.
    made: Arc<AtomicU32>,
    scribe: ServiceRef<Scribe>,
}

impl Stage {
    async fn new(instances: usize) -> Self {
        let store = Embedded::new();
        let (one, two) = (node("one", &store).await, node("two", &store).await);
        let (tries, made) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let seen = Seen::default();
        let (keep, count, number) = (seen.clone(), Arc::clone(&tries), made.clone());
        let factory = move || Scribe {
            instance: number.fetch_add(1, SeqCst),
            seen: keep.clone(),
            tries: count.clone(),
        };
        one.serve("scribe", factory).instances(instances).await.expect("served");
        let scribe = two.service("scribe");
        let stage = Self { store, one, two, seen, tries, made, scribe };
        until("it is seen", async || stage.scribe.ask(Trap(1)).await.is_ok()).await;
        stage
    }

    fn handled(&self) -> Vec<u32> {
        self.seen.lock().iter().map(|(number, _)| *number).collect()
    }

    async fn until_handled(&self, count: usize) {
        until("all are handled", async || self.seen.lock().len() >= count).await;
        // Time for one too many.
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(self.seen.lock().len(), count);
    }

    /// How many letters lie there, and that nothing is left or lost.
    async fn letters(&self) -> u64 {
        let name = |text: &str| Name::new(text).expect("a name");
        let stream = keys::service(self.one.cluster(), &name("scribe"), 0);
        let info = self.store.log().info(&stream).await.expect("it is there").expect("it exists");
        assert!(info.accounting.adds_up(), "{:?}", info.accounting);
        assert_eq!((info.accounting.held, info.length), (0, 0), "all are settled");
        info.dead_letters
    }

    async fn end(self) -> callboard::Result<()> {
        self.one.shutdown().await?;
        self.two.shutdown().await
    }
}

#[callboard::test]
async fn what_comes_in_one_frame_is_handled_in_its_order_whatever_its_kinds()
-> callboard::Result<()> {
    let stage = Stage::new(1).await;
    for number in 0..500 {
        match number % 7 {
            0 => stage.scribe.tell(Other(1000 + number)).buffered().await?,
            5 if number % 3 == 0 => stage.scribe.tell(Slow(1000 + number)).buffered().await?,
            _ => stage.scribe.tell(Note(1000 + number)).buffered().await?,
        }
    }
    stage.until_handled(500).await;
    assert!(stage.handled().is_sorted(), "{:?}", stage.handled());
    assert_eq!(stage.letters().await, 0);
    let stats = stage.one.bus().stats();
    assert!(stats.frames_received < 100, "in {} frames", stats.frames_received);
    stage.end().await
}

#[callboard::test]
async fn a_panic_among_them_costs_one_message_and_none_is_handled_twice() -> callboard::Result<()> {
    let stage = Stage::new(1).await;
    let mut events = stage.one.events();
    for number in 0..60 {
        stage.scribe.tell(Note(number)).buffered().await?;
    }
    stage.until_handled(59).await;
    let mut handled = stage.handled();
    handled.sort_unstable();
    assert_eq!(handled, (0..60).filter(|number| *number != 13).collect::<Vec<_>>());
    assert_eq!((stage.tries.load(SeqCst), stage.letters().await), (5, 1));
    let told = events.next().await;
    let Some(SystemEvent::Bus(BusEvent::Buried { message, reason, .. })) = told else {
        panic!("{told:?}");
    };
    assert_eq!((&*message, &*reason), ("Note", "its handler panicked, attempt 5 of 5"));
    stage.end().await
}

#[callboard::test]
async fn a_listener_that_is_too_slow_is_told_how_much_it_missed() -> callboard::Result<()> {
    let stage = Stage::new(1).await;
    let mut events = stage.one.events();
    let stream = keys::service(stage.one.cluster(), &Name::new("scribe").expect("a name"), 0);
    for first in 1..=1100 {
        let garbage = AppendRequest {
            stream: stream.clone(),
            producer: callboard::Incarnation::from_u128(1),
            lane: 1,
            first,
            count: 1,
            frame: "garbage".into(),
            must_exist: false,
            backlog_max: None,
            dedup: Vec::new(),
        };
        stage.store.log().append(garbage).await.expect("it is stored");
    }
    until("all are buried", async || stage.one.bus().stats().entries_unreadable == 1100).await;
    assert_eq!(events.next().await, Some(SystemEvent::Missed(1100 - 1024)));
    for _ in 0..1024 {
        let told = events.next().await;
        assert!(matches!(told, Some(SystemEvent::Bus(BusEvent::Unreadable { .. }))), "{told:?}");
    }
    stage.end().await
}

#[callboard::test]
async fn instances_share_what_comes_in_one_frame() -> callboard::Result<()> {
    let stage = Stage::new(4).await;
    for number in 1000..1400 {
        stage.scribe.tell(Note(number)).buffered().await?;
    }
    stage.until_handled(400).await;
    let mut shares = BTreeMap::<u32, u32>::new();
    for (_, instance) in &*stage.seen.lock() {
        *shares.entry(*instance).or_default() += 1;
    }
    assert_eq!(shares.len(), 4, "{shares:?}");
    assert!(shares.values().all(|share| (50..=150).contains(share)), "{shares:?}");
    assert_eq!(stage.letters().await, 0);
    stage.end().await
}

#[callboard::test]
async fn a_deserialize_that_panics_costs_its_message_and_not_the_actor() -> callboard::Result<()> {
    let stage = Stage::new(1).await;
    let error = stage.scribe.ask(Trap(13)).await.expect_err("it can't be decoded");
    assert_eq!(error.failure().map(Failure::kind), Some(&FailureKind::Panicked), "{error}");
    stage.scribe.tell(Note(1)).buffered().await?;
    stage.scribe.tell(Trap(13)).buffered().await?;
    stage.scribe.tell(Note(2)).buffered().await?;
    stage.until_handled(2).await;
    assert_eq!(stage.handled(), [1, 2]);
    assert_eq!(stage.made.load(SeqCst), 1, "the actor was not built again");
    assert_eq!(stage.letters().await, 1, "after five tries");
    assert_eq!(stage.scribe.ask(Trap(7)).await?, 7);
    stage.end().await
}
