//! Events within one process.

use callboard::{Published, prelude::*};

use crate::support::{Log, local};

#[derive(Message, Clone, Debug)]
struct Price(u64);

#[derive(Message)]
struct Nap(Duration);

#[derive(Actor)]
#[actor(mailbox(capacity = 2))]
struct Screen {
    log: Log,
}

#[handlers]
impl Screen {
    #[handle]
    fn price(&mut self, Price(price): Price, ctx: &mut Ctx<Self>) {
        self.log.note(format!("{} {price}", ctx.name()));
    }

    #[handle]
    async fn nap(&mut self, Nap(time): Nap) {
        tokio::time::sleep(time).await;
    }
}

struct Stage {
    system: System,
    log: Log,
    topic: LocalTopic<Price>,
}

impl Stage {
    async fn new() -> Self {
        let topic = LocalTopic::new("prices");
        Self { system: local().await, log: Log::default(), topic }
    }

    fn screen(&self, name: &str) -> Addr<Screen> {
        let log = self.log.clone();
        let factory = move || Screen { log: log.clone() };
        self.system.actor(factory).name(name).spawn().expect("the system is up")
    }

    async fn settled(&self) -> Vec<String> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.log.take()
    }
}

#[callboard::test]
async fn every_subscriber_hears_every_event_in_order() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.screen("a"), stage.screen("b"));
    let _subscriptions = [stage.topic.subscribe(&a), stage.topic.clone().subscribe(b.recipient())];
    for price in 0..5 {
        assert_eq!(stage.topic.publish(Price(price)).await, 2);
    }
    let noted = stage.settled().await;
    for name in ["a", "b"] {
        let own: Vec<_> = noted.iter().filter(|note| note.starts_with(name)).cloned().collect();
        assert_eq!(own, (0..5).map(|price| format!("{name} {price}")).collect::<Vec<_>>());
    }
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_subscription_ends_when_it_is_dropped_unless_it_is_kept() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.screen("a"), stage.screen("b"));
    let subscription = stage.topic.subscribe(a);
    stage.topic.subscribe(b).keep();
    drop(subscription);
    assert_eq!(stage.topic.publish(Price(1)).await, 1);
    assert_eq!(stage.settled().await, ["b 1"]);
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_subscriber_whose_actor_has_ended_is_removed() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.screen("a"), stage.screen("b"));
    let _subscriptions = [stage.topic.subscribe(&a), stage.topic.subscribe(&b)];
    a.stop()?;
    a.stopped().await?;
    assert_eq!(stage.topic.subscribers(), 2);
    assert_eq!(stage.topic.publish(Price(1)).await, 1);
    assert_eq!(stage.topic.subscribers(), 1);
    b.stop()?;
    b.stopped().await?;
    assert_eq!(stage.topic.try_publish(Price(2)), Published::default());
    assert_eq!(stage.topic.subscribers(), 0);
    stage.system.shutdown().await
}

#[callboard::test]
async fn publish_waits_for_room_and_try_publish_does_not() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.screen("a"), stage.screen("b"));
    let _subscriptions = [stage.topic.subscribe(&a), stage.topic.subscribe(&b)];
    a.tell(Nap(Duration::from_secs(5))).await?;
    tokio::time::sleep(Duration::from_millis(1)).await;
    for price in 0..2 {
        let published = stage.topic.try_publish(Price(price));
        assert_eq!(published, Published { reached: 2, refused: 0 });
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let published = stage.topic.try_publish(Price(2));
    assert_eq!(published, Published { reached: 1, refused: 1 });
    assert_eq!(stage.topic.publish(Price(3)).await, 2);
    let noted = stage.settled().await;
    let own = |name| noted.iter().filter(|note| note.starts_with(name)).count();
    assert_eq!((own("a"), own("b")), (3, 4));
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_subscriber_without_room_for_long_misses_the_event() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let a = stage.screen("a");
    let _subscription = stage.topic.subscribe(&a);
    a.tell(Nap(Duration::from_secs(60))).await?;
    tokio::time::sleep(Duration::from_millis(1)).await;
    for price in 0..2 {
        assert_eq!(stage.topic.publish(Price(price)).await, 1);
    }
    assert_eq!(stage.topic.publish(Price(2)).await, 0);
    assert_eq!(stage.topic.subscribers(), 1, "it lives");
    stage.system.shutdown().await
}

#[derive(Message)]
#[message(reply = usize)]
struct PublishHere(LocalTopic<Price>);

/// Publishes from its own handler on a topic that it is subscribed to.
#[derive(Actor, Default)]
#[actor(mailbox(capacity = 1))]
struct Echo {
    heard: usize,
}

#[handlers]
impl Echo {
    #[handle]
    async fn publish(&mut self, PublishHere(topic): PublishHere) -> usize {
        // The second finds no room, and nobody could make some meanwhile.
        topic.publish(Price(1)).await + topic.publish(Price(2)).await
    }

    #[handle]
    fn price(&mut self, _: Price) {
        self.heard += 1;
    }
}

#[callboard::test]
async fn an_actor_that_publishes_to_itself_does_not_wait_for_itself() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let echo = stage.system.spawn(Echo::default)?;
    let _subscription = stage.topic.subscribe(&echo);
    let started = tokio::time::Instant::now();
    assert_eq!(echo.ask(PublishHere(stage.topic.clone())).await?, 1);
    assert!(started.elapsed() < Duration::from_secs(1));
    stage.system.shutdown().await
}
