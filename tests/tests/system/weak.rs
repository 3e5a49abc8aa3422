//! Actors that end with their last address, and other ways to spawn.

use callboard::{ActorState, Error, prelude::*};

use crate::support::{Add, Counter, Get, Log, Nap, Sum, local};

async fn counted(system: &System) -> Addr<Counter> {
    let counter = system.actor(Counter::default).stop_with_last_address().spawn();
    let counter = counter.expect("the system is up");
    counter.started().await.expect("it starts");
    counter
}

#[callboard::test]
async fn an_actor_ends_with_its_last_address_after_a_drain() -> callboard::Result<()> {
    let system = local().await;
    let sum = Sum::default();
    let adder = system.actor({
        let sum = sum.clone();
        move || Adder(sum.clone())
    });
    let adder = adder.stop_with_last_address().spawn()?;
    let (weak, other) = (adder.downgrade(), adder.clone());
    drop(adder);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(other.state(), Some(ActorState::Running));
    for n in 1..=3 {
        other.tell(Slow(n)).await?;
    }
    drop(other);
    assert!(weak.upgrade().is_none(), "nobody finds it again while it drains");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sum.get(), 6);
    system.shutdown().await
}

#[derive(Message)]
struct Slow(u64);

#[derive(Actor)]
struct Adder(Sum);

#[handlers]
impl Adder {
    #[handle]
    async fn slow(&mut self, Slow(n): Slow, ctx: &mut Ctx<Self>) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        // An address of its own, made when no other is left.
        assert_eq!(ctx.addr().id(), ctx.id());
        self.0.add(n);
    }
}

#[derive(Message)]
struct Mind(Addr<Counter>);

#[derive(Actor)]
struct Minder(Log);

#[handlers]
impl Minder {
    #[handle]
    fn mind(&mut self, Mind(counter): Mind, ctx: &mut Ctx<Self>) {
        ctx.watch(&counter).expect("it is an actor of this process");
    }

    #[handle]
    fn terminated(&mut self, terminated: Terminated) {
        self.0.note(terminated.reason.to_string());
    }
}

#[callboard::test]
async fn a_watch_does_not_keep_an_actor_alive_and_hears_why_it_ended() -> callboard::Result<()> {
    let system = local().await;
    let (counter, log) = (counted(&system).await, Log::default());
    let minder = system.spawn({
        let log = log.clone();
        move || Minder(log.clone())
    })?;
    minder.ask(Mind(counter.clone())).await?;
    drop(counter);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(log.take(), [StopReason::Unreferenced.to_string()]);
    system.shutdown().await
}

#[callboard::test]
async fn recipients_pools_and_subscriptions_count_as_addresses() -> callboard::Result<()> {
    let system = local().await;
    let counter = counted(&system).await;
    let weak = counter.downgrade();
    let recipient: Recipient<Add> = counter.recipient();
    drop(counter);
    recipient.ask(Add(1)).await?;
    assert!(weak.upgrade().is_some());
    drop(recipient);
    assert!(weak.upgrade().is_none());

    let topic: LocalTopic<Nap> = LocalTopic::new("naps");
    let counter = counted(&system).await;
    let weak = counter.downgrade();
    let subscription = topic.subscribe(counter);
    assert_eq!(topic.publish(Nap(Duration::ZERO)).await, 1);
    assert!(weak.upgrade().is_some());
    drop(subscription);
    assert!(weak.upgrade().is_none());

    let pool = system.pool(Counter::default).size(2).stop_with_last_address().spawn()?;
    let weak = pool.members()[1].downgrade();
    pool.ask(Add(1)).await?;
    assert!(weak.upgrade().is_some());
    drop(pool);
    assert!(weak.upgrade().is_none());
    system.shutdown().await
}

/// Keeps itself busy, without an address that anybody else has.
#[derive(Actor)]
struct Busy;

#[handlers]
impl Busy {
    #[started]
    async fn started(&mut self, ctx: &mut Ctx<Self>) -> Result<(), BoxError> {
        ctx.delay(Duration::from_secs(3600), Nap(Duration::ZERO));
        ctx.stream(futures_util::stream::pending::<Nap>());
        Ok(())
    }

    #[handle]
    fn nap(&mut self, _: Nap) {}
}

#[callboard::test]
async fn streams_and_delays_of_its_own_do_not_keep_an_actor_alive() -> callboard::Result<()> {
    let system = local().await;
    let busy = system.actor(|| Busy).stop_with_last_address().spawn()?;
    busy.started().await?;
    let weak = busy.downgrade();
    drop(busy);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(weak.upgrade().is_none());
    system.shutdown().await
}

#[callboard::test]
async fn an_actor_that_is_not_told_so_outlives_its_addresses() -> callboard::Result<()> {
    let system = local().await;
    let counter = system.actor(Counter::default).name("c").spawn()?;
    counter.ask(Add(1)).await?;
    let (weak, id) = (counter.downgrade(), counter.id());
    drop(counter);
    tokio::time::sleep(Duration::from_millis(10)).await;
    let counter = weak.upgrade().expect("it lives");
    assert_eq!(counter.ask(Get).await?, 1);
    counter.stop()?;
    counter.stopped().await?;
    assert!(weak.upgrade().is_none(), "it has ended");
    assert_eq!((weak.id(), weak.name()), (id, "c"));
    system.shutdown().await
}

#[callboard::test]
async fn an_actor_without_a_factory_is_never_built_again() -> callboard::Result<()> {
    let system = local().await;
    let counter = system.spawn_once(Counter::default())?;
    assert_eq!(counter.ask(Add(2)).await?, 2);
    counter.ask(Add(13)).await.expect_err("it panics");
    let reason = counter.stopped().await?;
    assert!(
        matches!(&reason, StopReason::Failed(reason) if reason.contains("unlucky")),
        "{reason}"
    );
    system.shutdown().await
}

#[callboard::test]
async fn a_mailbox_holds_what_the_builder_says() -> callboard::Result<()> {
    let system = local().await;
    let counter = system.actor(Counter::default).mailbox(1).spawn()?;
    counter.try_tell(Add(1))?;
    counter.try_tell(Add(1)).expect_err("there is room for one");
    system.shutdown().await
}

#[derive(Message)]
#[message(reply = std::thread::ThreadId)]
struct Where;

#[derive(Actor, Default)]
struct Here;

#[handlers]
impl Here {
    #[handle]
    fn wherever(&mut self, _: Where) -> std::thread::ThreadId {
        std::thread::current().id()
    }
}

#[tokio::test]
async fn an_actor_spawned_beside_another_lives_on_its_thread() -> callboard::Result<()> {
    let system = System::builder().arbiters(3).start().await?;
    let one = system.spawn(Here::default)?;
    let other = system.spawn(Here::default)?;
    let beside = system.spawn_beside(&one, Here::default)?;
    let once = system.actor_once(Here).beside(&one).name("once").spawn()?;
    let thread = one.ask(Where).await?;
    assert_ne!(other.ask(Where).await?, thread);
    assert_eq!(beside.ask(Where).await?, thread);
    assert_eq!(once.ask(Where).await?, thread);

    let elsewhere = System::builder().arbiters(1).start().await?;
    let refused = elsewhere.spawn_beside(&one, Here::default).expect_err("it is another system's");
    assert!(matches!(refused, Error::Setting { .. }), "{refused}");
    elsewhere.shutdown().await?;
    system.shutdown().await
}
