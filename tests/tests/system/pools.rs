//! Several actors behind one handle.

use std::collections::{BTreeMap, BTreeSet};

use callboard::{ActorId, Error, prelude::*};
use futures_util::FutureExt;

use crate::support::{Log, local, until};

#[derive(Message, Clone)]
#[message(reply = ActorId)]
struct Who;

#[derive(Message, Clone)]
#[message(reply = ActorId)]
struct Nap(Duration);

#[derive(Message, Clone)]
struct Note(&'static str);

#[derive(Actor)]
#[actor(mailbox(capacity = 2), restart(backoff = "1ms..1ms"))]
struct Worker(Log);

#[handlers]
impl Worker {
    #[handle]
    fn who(&mut self, _: Who, ctx: &mut Ctx<Self>) -> ActorId {
        ctx.id()
    }

    #[handle]
    async fn nap(&mut self, Nap(time): Nap, ctx: &mut Ctx<Self>) -> ActorId {
        tokio::time::sleep(time).await;
        ctx.id()
    }

    #[handle]
    fn note(&mut self, Note(text): Note, ctx: &mut Ctx<Self>) {
        assert_ne!(text, "panic");
        self.0.note(format!("{}: {text}", ctx.name()));
    }
}

async fn pool(size: usize, routing: Routing) -> (System, Log, Pool<Worker>) {
    let (system, log) = (local().await, Log::default());
    let factory = {
        let log = log.clone();
        move || Worker(log.clone())
    };
    let pool = system.pool(factory).size(size).route(routing).name("pool").spawn();
    (system, log, pool.expect("the system is up"))
}

fn ids(pool: &Pool<Worker>) -> Vec<ActorId> {
    pool.members().iter().map(Addr::id).collect()
}

const ALL: [Routing; 3] = [Routing::RoundRobin, Routing::LeastLoaded, Routing::ByKey];
const NAP: Duration = Duration::from_secs(10);

#[callboard::test]
async fn round_robin_asks_one_after_the_other() -> callboard::Result<()> {
    let (system, _, pool) = pool(3, Routing::RoundRobin).await;
    let mut asked = Vec::new();
    for _ in 0..6 {
        asked.push(pool.ask(Who).await?);
    }
    assert_eq!(asked, [ids(&pool), ids(&pool)].concat());
    system.shutdown().await
}

#[callboard::test]
async fn members_are_named_by_the_pool() -> callboard::Result<()> {
    let (system, log, pool) = pool(2, Routing::RoundRobin).await;
    assert_eq!((pool.name(), pool.len()), ("pool", 2));
    for _ in 0..3 {
        pool.tell(Note("x")).await?;
    }
    until("all are handled", async || pool.ask(Who).await.is_ok()).await;
    let mut noted = log.take();
    noted.sort();
    assert_eq!(noted, ["pool/0: x", "pool/0: x", "pool/1: x"]);
    system.shutdown().await
}

#[callboard::test]
async fn least_loaded_passes_over_a_member_whose_handler_awaits() -> callboard::Result<()> {
    let (system, _, pool) = pool(3, Routing::LeastLoaded).await;
    let busy = pool.members()[1].clone();
    busy.tell(Nap(NAP)).await?;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(busy.depth(), Some(0), "nothing waits there");
    let mut asked = BTreeSet::new();
    for _ in 0..12 {
        asked.insert(pool.ask(Who).await?);
    }
    assert_eq!(asked.len(), 2);
    assert!(!asked.contains(&busy.id()));
    system.shutdown().await
}

#[callboard::test]
async fn a_key_pins_to_a_member_whatever_the_routing() -> callboard::Result<()> {
    for routing in ALL {
        let (system, _, pool) = pool(4, routing).await;
        let mut members = BTreeSet::new();
        for key in 0..64 {
            let key = format!("key-{key}");
            let first = pool.ask(Who).key(&key).await?;
            assert_eq!(pool.ask(Who).key(&key).await?, first);
            assert_eq!(pool.by_key(&key).map(|member| member.id()), Some(first));
            members.insert(first);
        }
        assert_eq!(members.len(), 4, "keys spread");
        system.shutdown().await?;
    }
    Ok(())
}

#[callboard::test]
async fn when_a_member_ends_only_its_keys_move() -> callboard::Result<()> {
    let (system, _, pool) = pool(4, Routing::ByKey).await;
    let mut before = BTreeMap::new();
    for key in (0..64).map(|key| format!("key-{key}")) {
        before.insert(key.clone(), pool.ask(Who).key(key).await?);
    }
    let ended = pool.members()[2].clone();
    ended.stop()?;
    ended.stopped().await?;
    for (key, before) in before {
        let now = pool.ask(Who).key(&key).await?;
        assert_ne!(now, ended.id());
        assert!(now == before || before == ended.id(), "{key}");
    }
    system.shutdown().await
}

#[callboard::test]
async fn a_send_without_a_key_to_a_pool_that_routes_by_key_says_so() -> callboard::Result<()> {
    let (system, _, pool) = pool(2, Routing::ByKey).await;
    let told = pool.tell(Note("x")).await.expect_err("there is no key");
    let tried = pool.try_tell(Note("x")).expect_err("there is no key");
    let asked = pool.ask(Who).await.expect_err("there is no key");
    let asked = asked.failure().expect("no handler refused it").clone();
    for failure in [told.failure(), tried.failure(), &asked] {
        assert!(matches!(failure.kind(), FailureKind::KeyMissing { .. }), "{failure}");
        assert!(failure.to_string().contains(".key("), "{failure}");
    }
    assert_eq!(tried.into_message().0, "x");
    system.shutdown().await
}

#[callboard::test]
async fn members_that_have_ended_are_passed_over() -> callboard::Result<()> {
    for routing in ALL {
        let (system, log, pool) = pool(3, routing).await;
        for member in &pool.members()[..2] {
            member.stop()?;
            member.stopped().await?;
        }
        let last = pool.members()[2].id();
        for key in ["a", "b", "c", "d"] {
            assert_eq!(pool.ask(Who).key(key).await?, last);
            pool.tell(Note("told")).key(key).await?;
        }
        if routing != Routing::ByKey {
            pool.try_tell(Note("told"))?;
            assert_eq!(pool.ask(Who).await?, last);
        }
        assert_eq!(pool.broadcast(Note("to all")).await, 1);
        pool.members()[2].stop()?;
        pool.stopped().await;
        let failure = Failure::from(pool.tell(Note("late")).key("a").await.expect_err("all ended"));
        assert!(matches!(failure.kind(), FailureKind::Stopped { .. }), "{failure}");
        assert_eq!(pool.broadcast(Note("to nobody")).await, 0);
        assert!(log.take().iter().all(|noted| noted.starts_with("pool/2: to")));
        system.shutdown().await?;
    }
    Ok(())
}

#[callboard::test]
async fn a_message_whose_member_stops_while_it_waits_goes_on_to_another() -> callboard::Result<()> {
    let (system, log, pool) = pool(2, Routing::RoundRobin).await;
    let first = pool.members()[0].clone();
    first.tell(Nap(NAP)).await?;
    tokio::time::sleep(Duration::from_millis(1)).await;
    first.tell(Note("accepted")).await?;
    first.tell(Note("accepted")).await?;
    let told = pool.tell(Note("goes on"));
    let mut told = std::pin::pin!(told);
    assert!((&mut told).now_or_never().is_none(), "it is the turn of the first");
    pool.ask(Who).await?;
    let mut asked = std::pin::pin!(pool.ask(Who));
    assert!((&mut asked).now_or_never().is_none(), "and again");
    first.stop()?;
    told.await?;
    assert_eq!(asked.await?, ids(&pool)[1]);
    first.stopped().await?;
    let noted = log.take();
    assert_eq!(noted, ["pool/1: goes on", "pool/0: accepted", "pool/0: accepted"]);
    system.shutdown().await
}

#[callboard::test]
async fn try_tell_goes_on_to_a_member_that_has_room() -> callboard::Result<()> {
    let (system, log, pool) = pool(2, Routing::RoundRobin).await;
    let first = pool.members()[0].clone();
    first.tell(Nap(NAP)).await?;
    tokio::time::sleep(Duration::from_millis(1)).await;
    (0..4).try_for_each(|_| pool.try_tell(Note("x")))?;
    let full = pool.try_tell(Note("x")).expect_err("four have room, and no fifth");
    assert!(matches!(full.failure().kind(), FailureKind::MailboxFull { .. }), "{full}");
    tokio::time::sleep(NAP * 2).await;
    assert_eq!(log.take().len(), 4);
    system.shutdown().await
}

#[callboard::test]
async fn a_failed_member_is_built_again_behind_its_place() -> callboard::Result<()> {
    let (system, log, pool) = pool(2, Routing::RoundRobin).await;
    assert_eq!(pool.broadcast(Note("panic")).await, 2);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(pool.broadcast(Note("x")).await, 2);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(log.take().len(), 2);
    system.shutdown().await
}

#[callboard::test]
async fn a_pool_stops_and_says_why_each_member_ended() -> callboard::Result<()> {
    let (system, _, pool) = pool(3, Routing::LeastLoaded).await;
    pool.stop();
    assert_eq!(pool.stopped().await, vec![StopReason::Requested; 3]);
    system.shutdown().await
}

#[callboard::test]
async fn a_recipient_of_a_pool_takes_keys_and_refuses_what_only_services_do()
-> callboard::Result<()> {
    let (system, _, pool) = pool(3, Routing::ByKey).await;
    let (who, note): (Recipient<Who>, Recipient<Note>) = (pool.clone().into(), pool.recipient());
    let member = who.ask(Who).key("a").await?;
    assert_eq!(who.ask(Who).key("a").await?, member);
    note.tell(Note("x")).key("a").await?;
    let refused = note.tell(Note("x")).key("a").buffered().await.expect_err("it is no service");
    assert!(matches!(refused.failure().kind(), FailureKind::Unsupported { .. }), "{refused}");
    system.shutdown().await
}

#[callboard::test]
async fn a_pool_without_members_is_refused() -> callboard::Result<()> {
    let system = local().await;
    for size in [0, 5_000] {
        let refused = system.pool(|| Worker(Log::default())).size(size).spawn();
        assert!(matches!(refused, Err(Error::Setting { .. })));
    }
    system.shutdown().await
}

/// `Send`, and not `Sync`.
#[derive(Message, Clone)]
struct Lone(std::cell::Cell<u64>);

#[derive(Actor)]
struct Hermit;

#[handlers]
impl Hermit {
    #[handle]
    fn lone(&mut self, Lone(n): Lone) {
        assert_eq!(n.get(), 1);
    }
}

fn is_send<T: Send>(future: T) -> T {
    future
}

#[callboard::test]
async fn what_a_pool_and_a_topic_give_may_move_between_threads() -> callboard::Result<()> {
    let system = local().await;
    let pool = system.pool(|| Hermit).size(1).spawn()?;
    let lone = || Lone(std::cell::Cell::new(1));
    is_send(pool.tell(lone())).await?;
    is_send(pool.ask(lone())).await?;
    assert_eq!(is_send(pool.broadcast(lone())).await, 1);
    let topic = LocalTopic::new("lone");
    topic.subscribe(pool).keep();
    assert_eq!(is_send(topic.publish(lone())).await, 1);
    system.shutdown().await
}
