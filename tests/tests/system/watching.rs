//! Actors that hear of the end of others, and those that end with them.

use callboard::{ActorState, Embedded, prelude::*};

use crate::support::{Counter, Log, local, node, until};

/// What a test tells an actor to do.
#[derive(Message, Debug)]
enum Do {
    Watch(Addr<Mortal>),
    Unwatch(Addr<Mortal>),
    Link(Addr<Mortal>),
    Unlink(Addr<Mortal>),
    WatchYourself,
    LinkYourself,
    Panic,
    Nap(Duration),
    Note(&'static str),
}

/// Watches and is watched; notes what it hears. It is built again once.
#[derive(Actor)]
#[actor(mailbox(capacity = 2), restart(max = 1, backoff = "1ms..1ms"))]
struct Mortal {
    log: Log,
}

#[handlers]
impl Mortal {
    #[handle]
    async fn act(&mut self, action: Do, ctx: &mut Ctx<Self>) {
        match action {
            Do::Watch(other) => ctx.watch(&other).expect("it is an actor of this process"),
            Do::Unwatch(other) => ctx.unwatch(&other),
            Do::Link(other) => ctx.link(&other).expect("it is an actor of this process"),
            Do::Unlink(other) => ctx.unlink(&other),
            Do::WatchYourself => ctx.watch(&ctx.addr()).expect("it does nothing"),
            Do::LinkYourself => ctx.link(&ctx.addr()).expect("it does nothing"),
            Do::Panic => panic!("as told"),
            Do::Nap(time) => tokio::time::sleep(time).await,
            Do::Note(text) => self.log.note(text),
        }
    }

    #[handle]
    fn terminated(&mut self, Terminated { name, reason, .. }: Terminated) {
        self.log.note(format!("{name}: {reason}"));
    }
}

struct Stage {
    system: System,
    log: Log,
}

impl Stage {
    async fn new() -> Self {
        Self { system: local().await, log: Log::default() }
    }

    fn mortal(&self, name: &str) -> Addr<Mortal> {
        let log = self.log.clone();
        let factory = move || Mortal { log: log.clone() };
        self.system.actor(factory).name(name).spawn().expect("the system is up")
    }

    async fn settled(&self) -> Vec<String> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.log.take()
    }

    /// Ends an actor by failures: its first panic builds it again, its second is too many.
    async fn fail(&self, mortal: &Addr<Mortal>) {
        mortal.ask(Do::Panic).await.expect_err("it panics");
        mortal.ask(Do::Panic).await.expect_err("it panics");
        assert!(mortal.stopped().await.expect("a local actor").is_failure());
    }
}

const TOLD_TO: &str = "b: it was told to stop";

#[callboard::test]
async fn a_watcher_hears_of_the_end_once() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.mortal("a"), stage.mortal("b"));
    a.ask(Do::Watch(b.clone())).await?;
    a.ask(Do::Watch(b.clone())).await?;
    b.stop()?;
    b.stopped().await?;
    assert_eq!(stage.settled().await, [TOLD_TO]);
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_watcher_hears_of_an_actor_that_had_ended_before() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.mortal("a"), stage.mortal("b"));
    b.stop()?;
    b.stopped().await?;
    a.ask(Do::Watch(b.clone())).await?;
    assert_eq!(stage.settled().await, [TOLD_TO]);
    a.ask(Do::Watch(b)).await?;
    assert_eq!(stage.settled().await, [TOLD_TO], "watched anew, told anew");
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_restart_is_not_an_end() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.mortal("a"), stage.mortal("b"));
    a.ask(Do::Watch(b.clone())).await?;
    a.ask(Do::Link(b.clone())).await?;
    b.ask(Do::Panic).await.expect_err("it panics");
    b.ask(Do::Note("built again")).await?;
    assert_eq!(stage.settled().await, ["built again"]);
    assert_eq!(a.state(), Some(ActorState::Running));
    stage.system.shutdown().await
}

#[callboard::test]
async fn what_is_watched_outlives_a_restart_of_the_watcher() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.mortal("a"), stage.mortal("b"));
    a.ask(Do::Watch(b.clone())).await?;
    a.ask(Do::Panic).await.expect_err("it panics");
    b.stop()?;
    assert_eq!(stage.settled().await, [TOLD_TO]);
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_notice_waits_for_room_and_is_handled_after_what_came_before() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.mortal("a"), stage.mortal("b"));
    a.ask(Do::Watch(b.clone())).await?;
    a.tell(Do::Nap(Duration::from_secs(60))).await?;
    tokio::time::sleep(Duration::from_millis(1)).await;
    a.try_tell(Do::Note("one"))?;
    a.try_tell(Do::Note("two"))?;
    a.try_tell(Do::Note("too many")).expect_err("it is full");
    b.stop()?;
    b.stopped().await?;
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(stage.log.take(), ["one", "two", TOLD_TO]);
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_notice_that_waits_in_the_mailbox_is_handled_after_a_restart() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.mortal("a"), stage.mortal("b"));
    a.ask(Do::Watch(b.clone())).await?;
    a.tell(Do::Nap(Duration::from_millis(10))).await?;
    a.tell(Do::Panic).await?;
    b.stop()?;
    assert_eq!(stage.settled().await, [TOLD_TO]);
    stage.system.shutdown().await
}

#[callboard::test]
async fn after_unwatch_no_notice_comes_though_it_waits_in_the_mailbox() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.mortal("a"), stage.mortal("b"));
    a.ask(Do::Watch(b.clone())).await?;
    a.tell(Do::Nap(Duration::from_millis(10))).await?;
    a.tell(Do::Unwatch(b.clone())).await?;
    b.stop()?;
    b.stopped().await?;
    a.tell(Do::Note("and on")).await?;
    assert_eq!(stage.settled().await, ["and on"]);
    a.ask(Do::Unwatch(b)).await?;
    stage.system.shutdown().await
}

#[callboard::test]
async fn many_ends_at_once_are_all_heard_of_through_a_small_mailbox() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let a = stage.mortal("a");
    let others: Vec<_> = (0..200).map(|_| stage.mortal("b")).collect();
    for other in &others {
        a.ask(Do::Watch(other.clone())).await?;
    }
    others.iter().try_for_each(|other| other.stop())?;
    assert_eq!(stage.settled().await, [TOLD_TO; 200]);
    stage.system.shutdown().await
}

/// Drops its oldest messages, and notes what it hears.
#[derive(Actor)]
#[actor(mailbox(capacity = 2, overflow = "drop_oldest"))]
struct Forgetful {
    log: Log,
}

#[handlers]
impl Forgetful {
    #[handle]
    async fn act(&mut self, action: Do, ctx: &mut Ctx<Self>) {
        match action {
            Do::Watch(other) => ctx.watch(&other).expect("it is an actor of this process"),
            Do::Nap(time) => tokio::time::sleep(time).await,
            Do::Note(text) => self.log.note(text),
            other => panic!("{other:?}"),
        }
    }

    #[handle]
    fn terminated(&mut self, Terminated { name, reason, .. }: Terminated) {
        self.log.note(format!("{name}: {reason}"));
    }
}

#[callboard::test]
async fn a_notice_that_had_to_go_for_newer_messages_comes_again() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let b = stage.mortal("b");
    let log = stage.log.clone();
    let a = stage.system.spawn(move || Forgetful { log: log.clone() })?;
    a.ask(Do::Watch(b.clone())).await?;
    a.tell(Do::Nap(Duration::from_secs(1))).await?;
    b.stop()?;
    b.stopped().await?;
    tokio::time::sleep(Duration::from_millis(1)).await;
    for _ in 0..5 {
        a.tell(Do::Note("newer")).await?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stage.log.take(), ["newer", "newer", TOLD_TO]);
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_failure_ends_those_linked_in_both_directions_and_on() -> callboard::Result<()> {
    for first in [0, 2] {
        let stage = Stage::new().await;
        let mortals = ["a", "b", "c"].map(|name| stage.mortal(name));
        mortals[0].ask(Do::Link(mortals[1].clone())).await?;
        mortals[1].ask(Do::Link(mortals[2].clone())).await?;
        stage.fail(&mortals[first]).await;
        let reason = mortals[2 - first].stopped().await?;
        let StopReason::Linked { name, reason } = reason else { panic!("{reason}") };
        assert_eq!(name, "b");
        assert!(reason.contains("as told"), "{reason}");
        stage.system.shutdown().await?;
    }
    Ok(())
}

#[callboard::test]
async fn a_linked_end_comes_while_a_handler_awaits_and_is_drained() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.mortal("a"), stage.mortal("b"));
    a.ask(Do::Link(b.clone())).await?;
    a.tell(Do::Nap(Duration::from_secs(5))).await?;
    a.tell(Do::Note("accepted")).await?;
    stage.fail(&b).await;
    until("it stops", async || a.state() == Some(ActorState::Stopping)).await;
    a.try_tell(Do::Note("late")).expect_err("it takes no more");
    assert!(matches!(a.stopped().await?, StopReason::Linked { .. }));
    assert_eq!(stage.log.take(), ["accepted"]);
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_normal_end_and_one_after_unlink_are_not_passed_on() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b, c) = (stage.mortal("a"), stage.mortal("b"), stage.mortal("c"));
    a.ask(Do::Link(b.clone())).await?;
    a.ask(Do::Link(c.clone())).await?;
    c.ask(Do::Unlink(a.clone())).await?;
    b.stop()?;
    b.stopped().await?;
    stage.fail(&c).await;
    a.ask(Do::Note("alive")).await?;
    assert_eq!(stage.settled().await, ["alive"]);
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_link_to_one_that_had_failed_stops_at_once() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b, c) = (stage.mortal("a"), stage.mortal("b"), stage.mortal("c"));
    stage.fail(&b).await;
    c.stop()?;
    c.stopped().await?;
    a.ask(Do::Link(c)).await?;
    a.ask(Do::Note("an end in order is none")).await?;
    a.ask(Do::Link(b)).await?;
    assert!(matches!(a.stopped().await?, StopReason::Linked { .. }));
    stage.system.shutdown().await
}

#[callboard::test]
async fn to_watch_or_link_oneself_does_nothing() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let a = stage.mortal("a");
    a.ask(Do::WatchYourself).await?;
    a.ask(Do::LinkYourself).await?;
    stage.fail(&a).await;
    assert!(matches!(a.stopped().await?, StopReason::TooManyRestarts(_)));
    stage.system.shutdown().await
}

#[callboard::test]
async fn two_that_watch_each_other_hear_of_whoever_ends_first() -> callboard::Result<()> {
    let stage = Stage::new().await;
    let (a, b) = (stage.mortal("a"), stage.mortal("b"));
    a.ask(Do::Watch(b.clone())).await?;
    b.ask(Do::Watch(a.clone())).await?;
    b.stop()?;
    b.stopped().await?;
    assert_eq!(stage.settled().await, [TOLD_TO]);
    a.stop()?;
    a.stopped().await?;
    stage.system.shutdown().await
}

#[derive(Message, Serialize, Deserialize)]
#[message(reply = Addr<Counter>)]
struct Introduce;

#[derive(Actor)]
struct Introducer(Addr<Counter>);

#[handlers]
impl Introducer {
    #[handle]
    fn introduce(&mut self, _: Introduce) -> Addr<Counter> {
        self.0.clone()
    }
}

#[derive(Message)]
#[message(reply = [Result<(), Failure>; 2])]
struct Tie(Addr<Counter>);

#[derive(Actor)]
struct Tying;

#[handlers]
impl Tying {
    #[handle]
    fn tie(&mut self, Tie(other): Tie, ctx: &mut Ctx<Self>) -> [Result<(), Failure>; 2] {
        ctx.unwatch(&other);
        ctx.unlink(&other);
        [ctx.watch(&other), ctx.link(&other)]
    }

    #[handle]
    fn terminated(&mut self, _: Terminated) {}
}

#[callboard::test]
async fn an_actor_of_another_process_can_not_be_watched_or_linked_yet() -> callboard::Result<()> {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let counter = two.spawn(Counter::default)?;
    two.serve("introducer", move || Introducer(counter.clone())).await?;
    let introducer = one.service::<Introducer>("introducer");
    until("it is visible", async || introducer.ask(Introduce).await.is_ok()).await;
    let counter = introducer.ask(Introduce).await?;
    for refused in one.spawn(|| Tying)?.ask(Tie(counter.clone())).await? {
        let failure = refused.expect_err("it lives elsewhere");
        assert!(matches!(failure.kind(), FailureKind::Unsupported { .. }), "{failure}");
        assert!(failure.to_string().contains("another process"), "{failure}");
    }
    let refused = one.spawn_beside(&counter, || Tying).expect_err("it lives elsewhere");
    assert!(refused.to_string().contains("another process"), "{refused}");
    let weak = counter.downgrade();
    assert_eq!(weak.upgrade(), Some(counter), "it is not kept alive from here anyway");
    one.shutdown().await?;
    two.shutdown().await
}
