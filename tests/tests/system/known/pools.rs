//! Expected by users of actix's `SyncArbiter`, ractor's factories and output ports, kameo's pools and
//! topics.

use std::collections::{BTreeMap, BTreeSet};

use callboard::{FailureKind, prelude::*};

use super::{Add, Burst, Diary, Narrow, Note, Plain, Rest, kind, ms, settle, worker};

/// Says who handled it.
#[derive(Message, Clone)]
#[message(reply = String)]
struct Who;

/// As [`Who`], after a while.
#[derive(Message)]
#[message(reply = String)]
struct WhoSlowly(Duration);

/// Fails.
#[derive(Message, Clone)]
struct Fail;

#[derive(Actor, Default)]
#[actor(restart(max = 1, within = "1h", backoff = "1ms..1ms"))]
struct Member {
    handled: u64,
}

#[handlers]
impl Member {
    #[handle]
    fn who(&mut self, _: Who, ctx: &mut Ctx<Self>) -> String {
        self.handled += 1;
        ctx.name().to_owned()
    }

    #[handle]
    async fn who_slowly(&mut self, WhoSlowly(time): WhoSlowly, ctx: &mut Ctx<Self>) -> String {
        tokio::time::sleep(time).await;
        ctx.name().to_owned()
    }

    #[handle]
    fn fail(&mut self, _: Fail) {
        panic!("it failed");
    }
}

fn pool(system: &System, size: usize, routing: Routing) -> Pool<Member> {
    system.pool(Member::default).size(size).route(routing).name("pool").spawn().expect("it is up")
}

async fn who(pool: &Pool<Member>, times: usize) -> callboard::Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for _ in 0..times {
        *counts.entry(pool.ask(Who).await?).or_default() += 1;
    }
    Ok(counts)
}

// As actix with a `SyncArbiter` and ractor's round robin: messages go to one member after the other.
#[callboard::test]
async fn a_pool_spreads_what_it_is_sent(system: System) -> callboard::Result<()> {
    let pool = pool(&system, 4, Routing::RoundRobin);
    let counts = who(&pool, 40).await?;
    assert_eq!((counts.len(), counts.into_values().collect::<BTreeSet<_>>()), (4, [10].into()));
    Ok(())
}

// As ractor's queuer: a message goes to a member that is free, if there is one.
#[callboard::test]
async fn a_pool_by_load_leaves_busy_members_alone(system: System) -> callboard::Result<()> {
    let pool = pool(&system, 3, Routing::LeastLoaded);
    let busy = pool.members()[0].clone();
    busy.tell(WhoSlowly(Duration::from_secs(60))).await?;
    busy.tell(WhoSlowly(Duration::from_secs(60))).await?;
    settle().await;
    let counts = who(&pool, 30).await?;
    assert!(!counts.contains_key(&busy.name()), "{counts:?}");
    Ok(())
}

// As ractor's key-persistent routing: the messages of a key are handled by one member, in order.
#[callboard::test]
async fn a_key_leads_to_the_same_member(system: System) -> callboard::Result<()> {
    let pool = pool(&system, 4, Routing::ByKey);
    let mut members = BTreeSet::new();
    for key in 0..40 {
        let first = pool.ask(Who).key(format!("key {key}")).await?;
        for _ in 0..5 {
            assert_eq!(pool.ask(Who).key(format!("key {key}")).await?, first);
        }
        members.insert(first);
    }
    assert_eq!(members.len(), 4, "all have some");
    Ok(())
}

// Other than ractor, where every message of such a factory carries a key: one without is refused.
#[callboard::test]
async fn a_pool_by_key_refuses_what_has_none(system: System) -> callboard::Result<()> {
    let pool = pool(&system, 4, Routing::ByKey);
    let refused = pool.ask(Who).await.expect_err("it has no key");
    assert_eq!(refused.delivery(), Delivery::NotDelivered);
    let refused = pool.tell(Fail).await.expect_err("it has no key");
    assert_eq!(refused.delivery(), Delivery::NotDelivered);
    assert!(refused.to_string().contains("key"), "{refused}");
    Ok(())
}

// As ractor: a member that failed is built again in its place and handles what comes next.
#[callboard::test]
async fn a_member_that_failed_goes_on_in_its_place(system: System) -> callboard::Result<()> {
    let pool = pool(&system, 1, Routing::RoundRobin);
    assert_eq!(kind(pool.ask(Fail).await), FailureKind::Panicked);
    assert_eq!(pool.ask(Who).await?, pool.members()[0].name());
    Ok(())
}

// As ractor and kameo: one that has ended for good is passed over; its keys move, and no others.
#[callboard::test]
async fn a_member_that_has_ended_is_passed_over(system: System) -> callboard::Result<()> {
    let pool = pool(&system, 4, Routing::RoundRobin);
    let mut before = BTreeMap::new();
    for key in 0..100 {
        before.insert(key, pool.ask(Who).key(key.to_string()).await?);
    }
    let gone = pool.members()[2].clone();
    gone.stop()?;
    gone.stopped().await?;
    assert_eq!(who(&pool, 30).await?.len(), 3);
    for (key, member) in before {
        let now = pool.ask(Who).key(key.to_string()).await?;
        assert_eq!(now == member, member != gone.name(), "key {key}");
    }
    Ok(())
}

// As kameo: when there is nobody left, sends fail, and the message comes back.
#[callboard::test]
async fn a_pool_without_members_gives_messages_back(system: System) -> callboard::Result<()> {
    let pool = pool(&system, 2, Routing::RoundRobin);
    pool.stop();
    assert_eq!(pool.stopped().await, [StopReason::Requested, StopReason::Requested]);
    let refused = pool.ask(Who).await.expect_err("nobody is there");
    assert_eq!(refused.delivery(), Delivery::NotDelivered);
    pool.tell(Fail).await.expect_err("nobody is there");
    pool.try_tell(Fail).expect_err("nobody is there");
    Ok(())
}

// As ractor when a factory is drained: what the members had accepted is handled.
#[callboard::test]
async fn a_pool_that_stops_handles_what_it_had(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let pool = system.pool(worker::<Plain>(&diary)).size(2).spawn()?;
    for n in 0..100 {
        pool.tell(Note(n)).await?;
    }
    pool.stop();
    pool.stopped().await;
    assert_eq!((0..100).filter(|n| diary.count(&format!("note {n}")) == 1).count(), 100);
    Ok(())
}

// As kameo with a broadcast: every member is told.
#[callboard::test]
async fn a_broadcast_reaches_every_member(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let pool = system.pool(worker::<Plain>(&diary)).size(5).spawn()?;
    assert_eq!(pool.broadcast(Note(1)).await, 5);
    settle().await;
    assert_eq!(diary.count("note 1"), 5);
    Ok(())
}

// As ractor: a pool whose mailboxes are full refuses who does not wait; who waits gets room.
#[callboard::test]
async fn a_full_pool_refuses_who_does_not_wait(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let pool = system.pool(worker::<Narrow>(&diary)).size(2).spawn()?;
    for member in pool.members() {
        member.tell(Rest(ms(100))).await?;
    }
    tokio::time::sleep(ms(1)).await;
    for n in 0..8 {
        pool.try_tell(Note(n)).expect("room for four in each");
    }
    let refused = pool.try_tell(Note(8)).expect_err("both are full");
    assert!(matches!(refused.failure().kind(), FailureKind::MailboxFull { .. }));
    pool.tell(refused.into_message()).await?;
    settle().await;
    assert_eq!((0..9).filter(|n| diary.count(&format!("note {n}")) == 1).count(), 9);
    Ok(())
}

// As ractor with an output port: fifty subscribers hear every event, each in order.
#[callboard::test]
async fn fifty_subscribers_hear_every_event(system: System) -> callboard::Result<()> {
    let topic = LocalTopic::<Note>::new("notes");
    let diaries: Vec<Diary> = (0..50).map(|_| Diary::default()).collect();
    let mut subscriptions = Vec::new();
    let mut actors = Vec::new();
    for diary in &diaries {
        let actor = system.spawn(worker::<Plain>(diary))?;
        subscriptions.push(topic.subscribe(&actor));
        actors.push(actor);
    }
    for n in 0..10 {
        assert_eq!(topic.publish(Note(n)).await, 50);
    }
    settle().await;
    for diary in &diaries {
        assert_eq!(diary.lines()[1..], (0..10).map(|n| format!("note {n}")).collect::<Vec<_>>());
    }
    Ok(())
}

// As ractor and kameo: a subscriber that has ended is removed and holds up nobody.
#[callboard::test]
async fn a_subscriber_that_has_ended_is_removed(system: System) -> callboard::Result<()> {
    let topic = LocalTopic::<Note>::new("notes");
    let (one, two) = (
        system.spawn(worker::<Plain>(&Diary::default()))?,
        system.spawn(worker::<Plain>(&Diary::default()))?,
    );
    topic.subscribe(&one).keep();
    topic.subscribe(&two).keep();
    one.stop()?;
    one.stopped().await?;
    assert_eq!(topic.publish(Note(1)).await, 1);
    assert_eq!(topic.subscribers(), 1);
    Ok(())
}

// Other than ractor, where a slow subscriber misses events: a publisher that waits, waits for room;
// one that does not is told how many missed it.
#[callboard::test]
async fn a_slow_subscriber_slows_a_publisher_that_waits(system: System) -> callboard::Result<()> {
    let topic = LocalTopic::<Note>::new("notes");
    let diary = Diary::default();
    let slow = system.spawn(worker::<Narrow>(&diary))?;
    let _subscription = topic.subscribe(&slow);
    slow.tell(Rest(ms(1_000))).await?;
    tokio::time::sleep(ms(1)).await;
    for n in 0..4 {
        assert_eq!(topic.publish(Note(n)).await, 1);
    }
    let at_once = topic.try_publish(Note(4));
    assert_eq!((at_once.reached, at_once.refused), (0, 1));
    let before = tokio::time::Instant::now();
    assert_eq!(topic.publish(Note(5)).await, 1);
    assert!(before.elapsed() > ms(900));
    assert_eq!(slow.ask(Add(1)).await?, 1);
    assert_eq!((diary.count("note 4"), diary.count("note 5")), (0, 1));
    Ok(())
}

// As actix-broker and kameo: a subscriber that failed hears on after its restart.
#[callboard::test]
async fn a_subscription_outlives_a_restart(system: System) -> callboard::Result<()> {
    let topic = LocalTopic::<Note>::new("notes");
    let diary = Diary::default();
    let actor = system.spawn(worker::<Plain>(&diary))?;
    let _subscription = topic.subscribe(&actor);
    assert_eq!(kind(actor.ask(Burst).await), FailureKind::Panicked);
    assert_eq!(topic.publish(Note(1)).await, 1);
    settle().await;
    assert_eq!(diary.count("note 1"), 1);
    Ok(())
}
