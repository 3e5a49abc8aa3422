//! The core without macros: this is the shape that `#[handlers]` generates.

use std::{any::TypeId, future::Future, sync::Arc, time::Duration};

use super::*;
use crate::{
    address::Addr,
    error::{BoxError, FailureKind},
    host::{HostOptions, HostShared, HostTask},
    message::{Envelope, Message, RemoteDelivery},
    time::{Clock, Timer},
};

struct Add(u64);

impl Message for Add {
    type Reply = u64;
    type Error = std::convert::Infallible;
    type Outcome = u64;
    const NAME: &'static str = "Add";
    const VERSION: u32 = 1;
    fn into_result(outcome: u64) -> Result<u64, Self::Error> {
        Ok(outcome)
    }
}

struct Sleep(Duration);

impl Message for Sleep {
    type Reply = ();
    type Error = std::convert::Infallible;
    type Outcome = ();
    const NAME: &'static str = "Sleep";
    const VERSION: u32 = 1;
    fn into_result(outcome: ()) -> Result<(), Self::Error> {
        Ok(outcome)
    }
}

#[derive(Default)]
struct Counter {
    total: u64,
    ticks: u64,
    tick_takes: Duration,
}

impl Counter {
    fn add(&mut self, Add(n): Add) -> u64 {
        assert!(n != 13, "unlucky");
        self.total += n;
        self.total
    }

    async fn sleep(&mut self, Sleep(time): Sleep, _ctx: &mut Ctx<Self>) {
        tokio::time::sleep(time).await;
    }

    async fn tick(&mut self) {
        tokio::time::sleep(self.tick_takes).await;
        self.ticks += 1;
    }
}

const _: () = {
    #[allow(non_camel_case_types)]
    pub(super) enum CounterInbox {
        add(Packed<Add, { is_large::<Add>() }>),
        sleep(Packed<Sleep, { is_large::<Sleep>() }>),
        __Tick(u64),
        __Boxed(Box<dyn BoxedEnvelope<Counter>>),
        __Remote(RemoteDelivery),
    }

    impl Handlers for Counter {
        type Inbox = CounterInbox;

        fn __step(&mut self, inbox: CounterInbox, ctx: &mut Ctx<Self>) -> Option<CounterInbox> {
            match inbox {
                CounterInbox::add(packed) => {
                    let envelope = <Pack<{ is_large::<Add>() }> as Packing>::unpack::<Add>(packed);
                    if let Some((message, replying)) = ctx.open(envelope) {
                        let outcome = self.add(message);
                        replying.finish(ctx, outcome);
                    }
                    None
                }
                CounterInbox::__Remote(delivery) => {
                    let inbox = ctx.receive(delivery)?;
                    self.__step(inbox, ctx)
                }
                other => Some(other),
            }
        }

        async fn __handle(&mut self, inbox: CounterInbox, ctx: &mut Ctx<Self>) {
            match inbox {
                CounterInbox::sleep(packed) => {
                    let envelope =
                        <Pack<{ is_large::<Sleep>() }> as Packing>::unpack::<Sleep>(packed);
                    if let Some((message, replying)) = ctx.open(envelope) {
                        let outcome = self.sleep(message, ctx).await;
                        replying.finish(ctx, outcome);
                    }
                }
                CounterInbox::__Tick(0) => {
                    ctx.enter("tick");
                    self.tick().await;
                }
                CounterInbox::__Boxed(envelope) => envelope.handle(self, ctx).await,
                other => {
                    let unhandled = self.__step(other, ctx);
                    debug_assert!(unhandled.is_none());
                }
            }
        }

        fn __boxed(envelope: Box<dyn BoxedEnvelope<Self>>) -> CounterInbox {
            CounterInbox::__Boxed(envelope)
        }

        fn __remote(delivery: RemoteDelivery) -> CounterInbox {
            CounterInbox::__Remote(delivery)
        }

        fn __tick(index: u64) -> CounterInbox {
            CounterInbox::__Tick(index)
        }

        fn __ticks() -> &'static [Tick] {
            const { &[Tick { method: "tick", every: Duration::from_secs(30) }] }
        }

        fn __table() -> Vec<HandlerRow<Self>> {
            vec![HandlerRow::new::<Add>("add", None)]
        }
    }

    impl Handler<Add> for Counter {
        fn handle(&mut self, message: Add, _: &mut Ctx<Self>) -> impl Future<Output = u64> {
            std::future::ready(self.add(message))
        }

        fn __wrap(envelope: Envelope<Add>) -> CounterInbox {
            CounterInbox::add(<Pack<{ is_large::<Add>() }> as Packing>::pack(envelope))
        }
    }

    impl Handler<Sleep> for Counter {
        fn handle(&mut self, message: Sleep, ctx: &mut Ctx<Self>) -> impl Future<Output = ()> {
            self.sleep(message, ctx)
        }

        fn __wrap(envelope: Envelope<Sleep>) -> CounterInbox {
            CounterInbox::sleep(<Pack<{ is_large::<Sleep>() }> as Packing>::pack(envelope))
        }
    }
};

impl Actor for Counter {
    const OPTIONS: ActorOptions = ActorOptions::new().mailbox_capacity(4);
    const NAME: &'static str = "Counter";
}

impl Handler<&'static str> for Counter {
    async fn handle(&mut self, _: &'static str, _: &mut Ctx<Self>) -> u64 {
        self.ticks
    }
}

impl Message for &'static str {
    type Reply = u64;
    type Error = std::convert::Infallible;
    type Outcome = u64;
    const NAME: &'static str = "str";
    const VERSION: u32 = 1;
    fn into_result(outcome: u64) -> Result<u64, Self::Error> {
        Ok(outcome)
    }
}

/// Runs a test with a host on its own thread and a paused clock.
pub(super) fn with_host(test: impl AsyncFnOnce(Arc<HostShared>)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        let timer = Timer::new(tokio::runtime::Handle::current(), Clock::of_tokio());
        let host = HostShared::new(timer, HostOptions { index: 0, spin: false });
        let task = tokio::task::spawn_local(HostTask::new(host.clone()));
        test(host.clone()).await;
        host.close();
        task.await.expect("the host ends in order");
    }));
}

fn spawn(host: &Arc<HostShared>) -> Addr<Counter> {
    spawn_on(host, Counter::default, SpawnOptions::new())
}

#[test]
fn tells_are_handled_in_order_and_asks_are_answered() {
    with_host(async |host| {
        let counter = spawn(&host);
        counter.tell(Add(2)).await.expect("there is room");
        assert_eq!(counter.ask(Add(3)).await.expect("an answer"), 5);
        assert_eq!(counter.ask("ticks").await.expect("a handler outside the block"), 0);
    });
}

#[test]
fn a_panic_answers_one_asker_and_keeps_the_queue() {
    with_host(async |host| {
        let counter = spawn(&host);
        counter.ask(Sleep(Duration::from_millis(1))).await.expect("it is up");
        counter.try_tell(Add(1)).expect("room");
        let unlucky = tokio::task::spawn_local({
            let counter = counter.clone();
            async move { counter.ask(Add(13)).await }
        });
        tokio::task::yield_now().await;
        let failure = unlucky.await.expect("joined").expect_err("it panicked");
        assert_eq!(failure.failure().map(|f| f.kind().clone()), Some(FailureKind::Panicked));
        assert_eq!(counter.ask(Add(7)).await.expect("the next incarnation"), 7);
    });
}

#[test]
fn a_full_mailbox_makes_senders_wait_and_refuses_those_who_do_not() {
    with_host(async |host| {
        let counter = spawn(&host);
        for n in 0..4 {
            counter.try_tell(Add(n)).expect("room for four");
        }
        let refused = counter.try_tell(Add(4)).expect_err("the mailbox is full");
        assert_eq!(refused.into_message().0, 4);
        counter.tell(Add(10)).await.expect("room in time");
        assert_eq!(counter.ask(Add(0)).await.expect("an answer"), 16);
    });
}

#[test]
fn stopping_drains_then_refuses_with_the_message() {
    with_host(async |host| {
        let counter = spawn(&host);
        counter.try_tell(Sleep(Duration::from_secs(1))).expect("room");
        let last = counter.ask(Add(5));
        let (last, ()) = tokio::join!(last, async {
            tokio::task::yield_now().await;
            counter.stop().expect("a local actor");
        });
        assert_eq!(last.expect("accepted before the stop"), 5);
        assert_eq!(counter.stopped().await.expect("a local actor"), StopReason::Requested);
        let refused = counter.tell(Add(9)).await.expect_err("it has stopped");
        assert_eq!(refused.into_message().0, 9);
    });
}

#[test]
fn a_handler_that_outlasts_the_drain_is_dropped() {
    with_host(async |host| {
        let counter = spawn(&host);
        let hanging =
            counter.ask(Sleep(Duration::from_secs(3600))).timeout(Duration::from_secs(60));
        let (hanging, reason) = tokio::join!(hanging, async {
            tokio::task::yield_now().await;
            counter.stop().expect("a local actor");
            counter.stopped().await
        });
        assert_eq!(reason.expect("a local actor"), StopReason::Requested);
        let failure = hanging.expect_err("it was dropped");
        assert_eq!(failure.failure().map(|f| f.kind().clone()), Some(FailureKind::Unanswered));
    });
}

#[test]
fn timers_tick_on_their_grid() {
    with_host(async |host| {
        let counter = spawn(&host);
        counter.started().await.expect("it starts");
        tokio::time::sleep(Duration::from_secs(95)).await;
        assert_eq!(counter.ask("ticks").await.expect("an answer"), 3);
    });
}

#[test]
fn an_ask_ends_at_its_deadline_and_the_message_is_not_handled_later() {
    with_host(async |host| {
        let counter = spawn(&host);
        counter.try_tell(Sleep(Duration::from_secs(10))).expect("room");
        let late = counter.ask(Add(1)).timeout(Duration::from_secs(1)).await;
        let failure = late.expect_err("the handler before it takes longer");
        assert_eq!(failure.delivery(), crate::Delivery::Unknown);
        assert_eq!(counter.ask(Add(0)).await.expect("an answer"), 0, "the late one was skipped");
    });
}

#[test]
fn too_many_panics_end_the_actor_and_its_queue_is_told() {
    with_host(async |host| {
        let counter = spawn(&host);
        for _ in 0..5 {
            counter.ask(Add(13)).await.expect_err("it panics");
        }
        let (last, waiting) = tokio::join!(counter.ask(Add(13)), counter.ask(Add(1)));
        last.expect_err("it panics once more");
        let failure = waiting.expect_err("the actor is gone");
        assert!(matches!(
            failure.failure().map(crate::Failure::kind),
            Some(FailureKind::Stopped { .. })
        ));
        let reason = counter.stopped().await.expect("a local actor");
        assert!(matches!(reason, StopReason::TooManyRestarts(_)), "{reason}");
    });
}

#[test]
fn the_row_of_a_handler_knows_its_message() {
    let rows = Counter::__table();
    assert_eq!(rows[0].type_id, TypeId::of::<Add>());
    assert_eq!(rows[0].access(), Access::Local);
}

#[test]
fn an_actor_on_a_closed_host_is_stopped() {
    with_host(async |host| {
        host.close();
        let counter = spawn(&host);
        counter.try_tell(Add(1)).expect_err("nobody is there");
        assert_eq!(counter.state(), Some(ActorState::Stopped));
    });
}

async fn boxed_error() -> Result<(), BoxError> {
    Err("no".into())
}

#[test]
fn a_prologue_that_fails_is_a_failed_start() {
    with_host(async |host| {
        let mut options = SpawnOptions::<Counter>::new();
        options.prologue = Some(Box::new(|_| Box::pin(boxed_error())));
        let counter = spawn_on(&host, Counter::default, options);
        let failure = counter.started().await.expect_err("it can't start");
        assert!(matches!(failure.kind(), FailureKind::StartFailed { .. }));
    });
}

#[test]
fn an_actor_whose_host_is_closed_under_it_tells_everybody() {
    with_host(async |host| {
        let counter = spawn(&host);
        counter.try_tell(Sleep(Duration::from_secs(3600))).expect("room");
        tokio::task::yield_now().await;
        for _ in 0..4 {
            counter.try_tell(Add(1)).expect("room for four");
        }
        let everybody = async {
            let asked = counter.ask(Add(1));
            let (asked, told, stopped, ()) =
                tokio::join!(asked, counter.tell(Add(2)), counter.stopped(), async {
                    tokio::task::yield_now().await;
                    host.close();
                });
            asked.expect_err("nobody is there");
            assert_eq!(told.expect_err("nobody is there").into_message().0, 2);
            assert_eq!(stopped.expect("a local actor"), StopReason::Shutdown);
        };
        let told = tokio::time::timeout(Duration::from_secs(1), everybody).await;
        told.expect("nobody waits for a timer");
        counter.try_tell(Add(3)).expect_err("nobody is there");
        assert_eq!(counter.depth(), Some(0));
    });
}

#[test]
fn an_actor_whose_host_is_dropped_tells_everybody() {
    with_host(async |_| {
        let timer = Timer::new(tokio::runtime::Handle::current(), Clock::of_tokio());
        let host = HostShared::new(timer, HostOptions { index: 0, spin: false });
        let (early, late) = (spawn(&host), spawn(&host));
        early.try_tell(Add(1)).expect("room");
        let task = HostTask::new(host.clone());
        drop(task);
        for counter in [early, late] {
            assert_eq!(counter.stopped().await.expect("a local actor"), StopReason::Shutdown);
            counter.try_tell(Add(3)).expect_err("nobody is there");
        }
        host.emptied().await;
    });
}

#[test]
fn an_actor_that_comes_while_all_are_leaving_leaves_too() {
    with_host(async |host| {
        host.ask_all_to_leave();
        tokio::task::yield_now().await;
        let counter = spawn(&host);
        assert_eq!(counter.stopped().await.expect("a local actor"), StopReason::Shutdown);
        host.emptied().await;
    });
}

/// Stops the actor from within; `also_told` stops it by its address right after.
struct Quit {
    also_told: bool,
}

impl Message for Quit {
    type Reply = ();
    type Error = std::convert::Infallible;
    type Outcome = ();
    const NAME: &'static str = "Quit";
    const VERSION: u32 = 1;
    fn into_result(outcome: ()) -> Result<(), Self::Error> {
        Ok(outcome)
    }
}

impl Handler<Quit> for Counter {
    async fn handle(&mut self, Quit { also_told }: Quit, ctx: &mut Ctx<Self>) {
        ctx.stop();
        if also_told {
            ctx.addr().stop().expect("a local actor");
        }
    }
}

fn spawn_always(host: &Arc<HostShared>) -> Addr<Counter> {
    let mut options = SpawnOptions::new();
    options.options.adjust(|it| it.restart_when(RestartWhen::Always));
    spawn_on(host, Counter::default, options)
}

#[test]
fn an_actor_that_is_always_built_again_keeps_its_queue_and_is_built_again() {
    with_host(async |host| {
        let counter = spawn_always(&host);
        assert_eq!(counter.ask(Add(2)).await.expect("an answer"), 2);
        counter.ask(Quit { also_told: false }).await.expect("an answer");
        assert_eq!(counter.ask(Add(1)).await.expect("the next incarnation"), 1);
        counter.stop().expect("a local actor");
        assert_eq!(counter.stopped().await.expect("a local actor"), StopReason::Requested);
    });
}

#[test]
fn a_stop_is_not_lost_in_a_restart() {
    with_host(async |host| {
        let counter = spawn_always(&host);
        let quit = counter.ask(Quit { also_told: true });
        let (quit, last) = tokio::join!(quit, counter.ask(Add(1)));
        quit.expect("an answer");
        assert_eq!(last.expect("it was accepted before the stop"), 1);
        let stopped = tokio::time::timeout(Duration::from_secs(60), counter.stopped()).await;
        assert_eq!(stopped.expect("it stops").expect("a local actor"), StopReason::Requested);
    });
}

#[test]
fn an_actor_that_stops_by_itself_again_and_again_ends() {
    with_host(async |host| {
        let counter = spawn_always(&host);
        for _ in 0..6 {
            counter.tell(Quit { also_told: false }).await.expect("room in time");
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        let reason = counter.stopped().await.expect("a local actor");
        assert!(matches!(reason, StopReason::TooManyRestarts(_)), "{reason}");
    });
}

#[test]
fn a_first_start_that_panics_is_one_that_failed() {
    with_host(async |host| {
        let factory = || -> Counter { panic!("no good") };
        let counter = spawn_on(&host, factory, SpawnOptions::new());
        let failure = counter.started().await.expect_err("it can't start");
        let FailureKind::StartFailed { reason, .. } = failure.kind() else { panic!("{failure}") };
        assert!(reason.contains("no good"), "{reason}");
    });
}

#[test]
fn what_was_accepted_is_worked_off_when_it_is_stopped_between_two_incarnations() {
    with_host(async |host| {
        let counter = spawn(&host);
        counter.ask(Add(13)).await.expect_err("it panics");
        let (answer, ()) = tokio::join!(counter.ask(Add(5)), async {
            tokio::task::yield_now().await;
            assert_eq!(counter.state(), Some(ActorState::Restarting));
            counter.stop().expect("a local actor");
        });
        assert_eq!(answer.expect("it was accepted before the stop"), 5);
        assert_eq!(counter.stopped().await.expect("a local actor"), StopReason::Requested);
    });
}

#[test]
fn a_panic_while_it_drains_does_not_drop_what_was_accepted() {
    with_host(async |host| {
        let counter = spawn(&host);
        counter.try_tell(Sleep(Duration::from_secs(1))).expect("room");
        counter.try_tell(Add(13)).expect("room");
        let (answer, ()) = tokio::join!(counter.ask(Add(5)), async {
            tokio::task::yield_now().await;
            counter.stop().expect("a local actor");
        });
        assert_eq!(answer.expect("it was accepted before the stop"), 5);
        assert_eq!(counter.stopped().await.expect("a local actor"), StopReason::Requested);
    });
}

#[test]
fn a_timer_that_takes_longer_than_its_period_leaves_room_for_messages() {
    with_host(async |host| {
        let tick_takes = Duration::from_secs(40);
        let factory = move || Counter { tick_takes, ..Counter::default() };
        let counter = spawn_on(&host, factory, SpawnOptions::new());
        tokio::time::sleep(Duration::from_secs(31)).await;
        let answer = counter.ask(Add(1)).timeout(Duration::from_secs(120)).await;
        assert_eq!(answer.expect("between two ticks"), 1);
    });
}

#[test]
fn an_actor_stops_while_its_prologue_hangs() {
    with_host(async |host| {
        let mut options = SpawnOptions::<Counter>::new();
        options.prologue = Some(Box::new(|_| Box::pin(std::future::pending())));
        let counter = spawn_on(&host, Counter::default, options);
        tokio::task::yield_now().await;
        counter.stop().expect("a local actor");
        let stopped = tokio::time::timeout(Duration::from_secs(60), counter.stopped()).await;
        assert_eq!(stopped.expect("it stops").expect("a local actor"), StopReason::Requested);
    });
}

#[test]
fn a_prologue_that_panics_is_a_failed_start() {
    with_host(async |host| {
        let mut options = SpawnOptions::<Counter>::new();
        options.prologue = Some(Box::new(|_| panic!("no")));
        let counter = spawn_on(&host, Counter::default, options);
        let failure = counter.started().await.expect_err("it can't start");
        assert!(matches!(failure.kind(), FailureKind::StartFailed { .. }));
    });
}

#[test]
fn a_send_that_is_over_holds_nothing_while_its_future_is_kept() {
    with_host(async |host| {
        let counter = spawn(&host);
        counter.try_tell(Sleep(Duration::from_secs(100))).expect("room");
        tokio::task::yield_now().await;
        let mut unheard = Box::pin(counter.ask(Add(100)).timeout(Duration::from_secs(1)));
        unheard.as_mut().await.expect_err("the handler before it takes longer");
        for _ in 0..3 {
            counter.try_tell(Add(1)).expect("room for three more");
        }
        let mut asked = Box::pin(counter.ask(Add(100)).timeout(Duration::from_secs(1)));
        asked.as_mut().await.expect_err("no room in time");
        let mut told = Box::pin(counter.tell(Add(100)));
        told.as_mut().await.expect_err("no room in time");
        tokio::time::sleep(Duration::from_secs(100)).await;
        for _ in 0..4 {
            counter.try_tell(Add(1)).expect("room for four");
        }
        assert_eq!(counter.ask(Add(0)).await.expect("an answer"), 7);
        drop((unheard, asked, told));
    });
}

#[test]
fn an_asker_whose_message_made_room_is_told_so() {
    with_host(async |host| {
        let mut options = SpawnOptions::<Counter>::new();
        options
            .options
            .adjust(|it| it.mailbox_overflow(crate::Overflow::DropOldest).mailbox_capacity(1));
        let counter = spawn_on(&host, Counter::default, options);
        let (asked, ()) = tokio::join!(counter.ask(Add(1)), async {
            counter.try_tell(Add(2)).expect("the oldest makes room");
        });
        let failure = asked.expect_err("it made room");
        let kind = failure.failure().map(crate::Failure::kind);
        assert!(matches!(kind, Some(FailureKind::MailboxFull { .. })), "{kind:?}");
    });
}
