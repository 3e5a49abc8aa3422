//! The test kit: what it gives, and that each of its expectations can fail.

use callboard::{
    FailureKind,
    prelude::*,
    testing::{Probe, TestSystem},
};
use futures_util::FutureExt;
use tokio::time::Instant;

use crate::support::{Add, Counter, Get, Nap};

const SECOND: Duration = Duration::from_secs(1);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[derive(Message, Debug, PartialEq)]
#[message(reply = u32)]
struct Ping(u32);

/// Without `Debug`.
#[derive(Message)]
#[message(name = "kit.secret")]
struct Secret;

/// Generic, so that nothing is known of its `Debug` where it is derived.
#[derive(Message, Debug)]
struct Of<T: 'static>(T);

/// Passes on what it is told, once more at each stop.
#[derive(Message)]
struct Pass(u32);

#[derive(Actor)]
struct Stop {
    next: Recipient<Pass>,
}

#[handlers]
impl Stop {
    #[handle(local)]
    async fn pass(&mut self, Pass(n): Pass) -> () {
        tokio::task::yield_now().await;
        self.next.tell(Pass(n + 1)).await.expect("the next one lives");
    }
}

/// Tells its own timer's ticks.
#[derive(Actor)]
struct Clock {
    ticks: u32,
    to: Recipient<Ping>,
}

#[handlers]
impl Clock {
    #[every("10ms")]
    async fn tick(&mut self) {
        self.ticks += 1;
        self.to.tell(Ping(self.ticks)).await.expect("the probe lives");
    }
}

fn clock(test: &TestSystem, probe: &Probe<Ping>) -> callboard::Addr<Clock> {
    let to = probe.recipient();
    test.spawn(move || Clock { ticks: 0, to: to.clone() }).expect("the system is up")
}

#[derive(Message)]
struct Again;

/// Never comes to rest once it is told to.
#[derive(Actor, Default)]
struct Spinner;

#[handlers]
impl Spinner {
    #[handle(local)]
    fn again(&mut self, _: Again, ctx: &mut Ctx<Self>) {
        ctx.addr().try_tell(Again).ok();
    }
}

fn spinner(test: &TestSystem) {
    test.set_polls_max(5_000);
    let spinner = test.actor(Spinner::default).name("the spinner").spawn().expect("it is up");
    spinner.try_tell(Again).expect("there is room");
}

// --- rest and time ------------------------------------------------------------------------------

#[callboard::test]
async fn at_rest_everything_is_handled_and_no_time_has_passed(test: TestSystem) {
    let before = Instant::now();
    let probe = test.probe::<Pass>();
    let mut next = probe.recipient();
    for _ in 0..200 {
        let to = next.clone();
        next = test.spawn(move || Stop { next: to.clone() }).expect("it is up").recipient();
    }
    next.try_tell(Pass(0)).expect("there is room");
    test.quiesce().await;
    assert_eq!(probe.try_next().expect("it came through").message.0, 200);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[callboard::test]
async fn a_handler_that_awaits_a_timer_is_at_rest(test: TestSystem) {
    let counter = test.spawn(Counter::default).expect("it is up");
    counter.try_tell(Nap(SECOND)).expect("there is room");
    counter.try_tell(Add(1)).expect("there is room");
    let before = Instant::now();
    test.quiesce().await;
    assert_eq!((before.elapsed(), counter.depth()), (Duration::ZERO, Some(1)));
    test.advance(SECOND).await;
    assert_eq!((before.elapsed(), counter.depth()), (SECOND, Some(0)));
}

#[callboard::test]
async fn rest_waits_for_tasks_that_are_no_actors(test: TestSystem) {
    let probe = test.probe::<Ping>();
    let to = probe.recipient();
    tokio::spawn(async move {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        to.tell(Ping(1)).await.expect("the probe lives");
    });
    test.quiesce().await;
    assert_eq!(probe.try_next().expect("it came").message, Ping(1));
}

#[callboard::test]
async fn rest_comes_after_what_goes_through_a_service(test: TestSystem) -> callboard::Result<()> {
    test.serve("counter", Counter::default).await?;
    let counter = test.service::<Counter>("counter");
    counter.tell(Add(4)).await?;
    test.quiesce().await;
    assert_eq!(counter.ask(Get).await?, 4);
    Ok(())
}

#[callboard::test]
async fn timers_on_the_way_go_off_at_their_own_time(test: TestSystem) {
    let probe = test.probe();
    clock(&test, &probe);
    test.quiesce().await;
    let before = Instant::now();
    test.advance(SECOND).await;
    assert_eq!(before.elapsed(), SECOND);
    for n in 1..=100 {
        let tick = probe.try_next().expect("a tick every 10 ms");
        assert_eq!((tick.message, tick.at - before), (Ping(n), ms(10) * n));
    }
    assert!(probe.try_next().is_none());
}

#[callboard::test]
async fn the_clock_moves_by_exactly_what_it_is_told(test: TestSystem) {
    let probe = test.probe();
    clock(&test, &probe);
    test.quiesce().await;
    let before = Instant::now();
    for step in [300, 9_600, 50, 50, 12_345, 1, 7_654] {
        test.advance(Duration::from_micros(step)).await;
    }
    assert_eq!(before.elapsed(), ms(30));
    for n in 1..=3 {
        let tick = probe.try_next().expect("a tick every 10 ms");
        assert_eq!((tick.message, tick.at - before), (Ping(n), ms(10) * n));
    }
    test.advance(Duration::ZERO).await;
    assert_eq!(before.elapsed(), ms(30));
}

#[callboard::test]
#[should_panic(
    expected = "5000 polls at one instant of the clock and still more to do; the busiest of the last \
                1000: `the spinner` (1000)"
)]
async fn an_actor_that_never_rests_is_named(test: TestSystem) {
    let idle = test.spawn(Counter::default).expect("it is up");
    idle.try_tell(Add(1)).expect("there is room");
    spinner(&test);
    test.quiesce().await;
}

#[callboard::test]
#[should_panic(expected = "the actors never come to rest")]
async fn the_clock_does_not_move_past_an_actor_that_never_rests(test: TestSystem) {
    spinner(&test);
    test.advance(SECOND).await;
}

#[callboard::test]
#[should_panic(expected = "the actors never come to rest")]
async fn an_expectation_does_not_wait_for_ever(test: TestSystem) {
    spinner(&test);
    test.probe::<Ping>().expect(SECOND).await;
}

/// Awaits and never waits.
#[derive(Actor)]
struct Restless;

#[handlers]
impl Restless {
    #[handle(local)]
    async fn again(&mut self, _: Again) {
        loop {
            tokio::task::yield_now().await;
        }
    }
}

#[callboard::test]
#[should_panic(expected = "`Restless` (1000), and so can't be shut down")]
async fn a_system_that_never_rests_fails_the_test_at_its_end(test: TestSystem) {
    test.set_polls_max(5_000);
    let restless = test.spawn(|| Restless).expect("it is up");
    restless.try_tell(Again).expect("there is room");
}

#[callboard::test]
#[should_panic(expected = "the actors never come to rest: 5000 polls")]
async fn every_wait_is_told_of_an_actor_that_never_rests(test: TestSystem) {
    spinner(&test);
    let probe = test.probe::<Ping>();
    let patient = async {
        // The first to fail does not keep the other waiting.
        std::panic::AssertUnwindSafe(probe.expect_none_for(SECOND)).catch_unwind().await
    };
    let (first, ()) = tokio::join!(patient, test.quiesce());
    first.expect_err("it was told too");
}

// --- panics -------------------------------------------------------------------------------------

#[callboard::test]
#[should_panic(
    expected = "a handler panicked, none was expected\n  `Counter` handling `Add`: unlucky"
)]
async fn a_panic_in_a_handler_fails_the_test(test: TestSystem) {
    let counter = test.spawn(Counter::default).expect("it is up");
    counter.ask(Add(13)).await.expect_err("it panics");
}

#[callboard::test]
#[should_panic(expected = "a handler panicked, none was expected")]
async fn finish_checks() {
    let test = TestSystem::start().await;
    let counter = test.spawn(Counter::default).expect("it is up");
    counter.ask(Add(13)).await.expect_err("it panics");
    test.finish().await;
}

#[callboard::test]
#[should_panic(expected = "a handler panicked, none was expected")]
async fn a_test_system_that_is_dropped_checks_too() {
    let test = TestSystem::start().await;
    let counter = test.spawn(Counter::default).expect("it is up");
    counter.ask(Add(13)).await.expect_err("it panics");
}

#[callboard::test]
#[should_panic(expected = "the test's own panic")]
async fn a_test_that_panics_itself_is_not_checked() {
    let test = TestSystem::start().await;
    test.expect_panic();
    panic!("the test's own panic");
}

#[callboard::test]
async fn an_expected_panic_does_no_harm(test: TestSystem) {
    test.expect_panic();
    let counter = test.spawn(Counter::default).expect("it is up");
    counter.ask(Add(13)).await.expect_err("it panics");
    assert_eq!(counter.ask(Add(1)).await.expect("a fresh one"), 1);
    let panics = test.panics();
    assert_eq!((panics[0].actor.as_str(), panics[0].handling.as_str()), ("Counter", "Add"));
    assert_eq!(panics[0].text, "unlucky");
}

#[callboard::test]
#[should_panic(expected = "no handler panicked, 1 was expected")]
async fn an_expected_panic_that_does_not_come_fails_the_test(test: TestSystem) {
    test.expect_panic();
}

#[callboard::test]
#[should_panic(expected = "2 handlers panicked, 3 were expected")]
async fn fewer_panics_than_expected_fail_the_test(test: TestSystem) {
    test.expect_panics(3);
    let counter = test.spawn(Counter::default).expect("it is up");
    for _ in 0..2 {
        counter.ask(Add(13)).await.expect_err("it panics");
    }
}

/// Panics in its hooks; once, as it is not built again.
#[derive(Actor)]
#[actor(restart(when = "never"))]
struct Brittle {
    starts: bool,
}

#[handlers]
impl Brittle {
    #[started]
    async fn start(&mut self) -> Result<(), BoxError> {
        assert!(self.starts, "not today");
        Ok(())
    }

    #[stopped]
    fn stop(&mut self) {
        panic!("not like this");
    }
}

#[callboard::test]
async fn panics_in_hooks_and_factories_count(test: TestSystem) {
    test.expect_panics(3);
    test.spawn(|| Brittle { starts: false }).expect("it is up");
    test.spawn(|| -> Brittle { panic!("no such thing") }).expect("it is up");
    let stops = test.spawn(|| Brittle { starts: true }).expect("it is up");
    stops.stop().expect("it lives here");
    test.quiesce().await;
    let panics: Vec<_> = test.panics().iter().map(ToString::to_string).collect();
    assert_eq!(
        panics,
        [
            "`Brittle` handling `started`: not today",
            "`Brittle` handling `started`: no such thing",
            "`Brittle` handling `stopped`: not like this",
        ]
    );
}

#[callboard::test]
async fn finishing_twice_does_no_harm(test: TestSystem) {
    test.expect_panic();
    let counter = test.spawn(Counter::default).expect("it is up");
    counter.ask(Add(13)).await.expect_err("it panics");
    test.finish().await;
    assert!(matches!(
        counter.ask(Get).await,
        Err(AskError::Failed(failure)) if matches!(failure.kind(), FailureKind::Stopped { .. })
    ));
}

// --- probes -------------------------------------------------------------------------------------

#[callboard::test]
async fn a_probe_takes_messages_in_order_and_answers(test: TestSystem) {
    let probe = Probe::<Ping>::new(&test);
    let (to, addr) = (probe.recipient(), probe.addr().clone());
    to.tell(Ping(1)).await.expect("there is room");
    addr.tell(Ping(2)).await.expect("there is room");
    let before = Instant::now();
    let first = probe.expect(SECOND).await;
    assert_eq!((&first.message, first.is_waiting()), (&Ping(1), false));
    assert_eq!(first.reply(0), Ping(1), "nobody waits for the answer to a tell");
    assert_eq!(probe.expect(SECOND).await.message, Ping(2));
    assert_eq!(before.elapsed(), Duration::ZERO, "what has come is not waited for");
    let (answer, ()) = tokio::join!(to.ask(Ping(3)), async {
        let asked = probe.expect(SECOND).await;
        assert!(asked.is_waiting());
        asked.reply(33);
    });
    assert_eq!(answer.expect("an answer"), 33);
}

#[callboard::test]
async fn an_ask_that_a_probe_drops_is_unanswered(test: TestSystem) {
    let probe = test.probe::<Ping>();
    let to = probe.recipient();
    let (answer, ()) = tokio::join!(to.ask(Ping(1)), async {
        drop(probe.expect(SECOND).await);
    });
    assert!(matches!(
        answer,
        Err(AskError::Failed(failure)) if matches!(failure.kind(), FailureKind::Unanswered)
    ));
}

#[callboard::test]
async fn a_probe_answers_by_itself(test: TestSystem) {
    let probe = test.probe::<Ping>();
    probe.reply_with(|Ping(n)| n * 2);
    assert_eq!(probe.recipient().ask(Ping(21)).await.expect("an answer"), 42);
    let received = probe.try_next().expect("it is kept all the same");
    assert_eq!((&received.message, received.is_waiting()), (&Ping(21), false));
}

#[callboard::test]
async fn a_recipient_outlives_its_probe(test: TestSystem) {
    let to = {
        let probe = test.probe::<Ping>();
        probe.reply_with(|_| 1);
        probe.recipient()
    };
    assert_eq!(to.ask(Ping(0)).await.expect("an answer"), 1);
}

#[callboard::test]
async fn an_expectation_may_pass_over_messages(test: TestSystem) {
    let probe = test.probe::<Ping>();
    for n in 0..4 {
        probe.recipient().tell(Ping(n)).await.expect("there is room");
    }
    assert_eq!(probe.expect_where(SECOND, |ping| ping.0 == 2).await.message, Ping(2));
    for n in [0, 1, 3] {
        assert_eq!(probe.expect(SECOND).await.message, Ping(n));
    }
}

#[callboard::test]
async fn an_expectation_is_met_up_to_its_last_instant(test: TestSystem) {
    let probe = test.probe();
    clock(&test, &probe);
    test.quiesce().await;
    probe.expect_none_for(ms(9)).await;
    let before = Instant::now();
    assert_eq!(probe.expect(ms(1)).await.message, Ping(1));
    assert_eq!(probe.expect_where(SECOND, |ping| ping.0 == 5).await.message, Ping(5));
    assert_eq!(before.elapsed(), ms(41), "no longer than it takes");
}

#[callboard::test]
#[should_panic(expected = "no Ping came within 1s (expected at tests/tests/system/kit.rs:")]
async fn a_message_that_does_not_come_fails_the_test(test: TestSystem) {
    test.probe::<Ping>().expect(SECOND).await;
}

#[callboard::test]
#[should_panic(
    expected = "no Ping as expected came within 1s; what came: Ping(0), Ping(1), Ping(2), Ping(3), \
                Ping(4), Ping(5), Ping(6), Ping(7), Ping(8), Ping(9), 2 more (expected at"
)]
async fn an_expectation_says_what_came_instead(test: TestSystem) {
    let probe = test.probe::<Ping>();
    for n in 0..12 {
        probe.recipient().tell(Ping(n)).await.expect("there is room");
    }
    probe.expect_where(SECOND, |ping| ping.0 == 12).await;
}

#[callboard::test]
#[should_panic(expected = "no kit.secret as expected came within 1s; what came: kit.secret (")]
async fn a_message_without_debug_is_named(test: TestSystem) {
    let probe = test.probe::<Secret>();
    probe.recipient().tell(Secret).await.expect("there is room");
    probe.expect_where(SECOND, |_| false).await;
}

#[callboard::test]
#[should_panic(expected = "what came: Of (")]
async fn a_generic_message_is_named(test: TestSystem) {
    let probe = test.probe::<Of<u8>>();
    probe.recipient().tell(Of(1)).await.expect("there is room");
    probe.expect_where(SECOND, |of| of.0 == 2).await;
}

#[callboard::test]
#[should_panic(expected = "no Ping was expected for 15ms; after 10ms came: Ping(1) (expected at")]
async fn a_message_that_was_not_to_come_fails_the_test(test: TestSystem) {
    let probe = test.probe();
    clock(&test, &probe);
    test.quiesce().await;
    probe.expect_none_for(ms(15)).await;
}

#[callboard::test]
#[should_panic(expected = "after 10ms came: Ping(1)")]
async fn a_message_at_the_last_instant_was_not_to_come_either(test: TestSystem) {
    let probe = test.probe();
    clock(&test, &probe);
    test.quiesce().await;
    probe.expect_none_for(ms(10)).await;
}

/// Panics before it tells anybody.
#[derive(Actor)]
struct Faulty;

#[handlers]
impl Faulty {}

impl Handler<Ping> for Faulty {
    async fn handle(&mut self, _: Ping, _: &mut Ctx<Self>) -> u32 {
        panic!("out of order")
    }
}

#[callboard::test]
#[should_panic(
    expected = "no Ping came within 1s; meanwhile panicked:\n  `Faulty` handling `Ping`: out of order"
)]
async fn an_expectation_tells_of_panics_that_may_explain_it(test: TestSystem) {
    let faulty = test.spawn(|| Faulty).expect("it is up");
    faulty.tell(Ping(0)).await.expect("there is room");
    test.probe::<Ping>().expect(SECOND).await;
}

// --- systems ------------------------------------------------------------------------------------

#[callboard::test]
async fn two_test_systems_share_a_store_and_rest_together() {
    let store = callboard::Embedded::new();
    let one = TestSystem::start_with(|builder| builder.embedded(&store).node("one")).await;
    let two = TestSystem::start_with(|builder| builder.embedded(&store).node("two")).await;
    one.serve("counter", Counter::default).await.expect("it is served");
    two.quiesce().await;
    let counter = two.service::<Counter>("counter");
    assert_eq!(counter.ask(Add(2)).await.expect("an answer"), 2);
    one.expect_panic();
    counter.ask(Add(13)).await.expect_err("it panics over there");
    two.finish().await;
    one.finish().await;
}

#[tokio::test]
async fn it_starts_under_a_runtime_of_tokios_too() {
    let everything = async {
        let test = TestSystem::start().await;
        let probe = test.probe();
        clock(&test, &probe);
        test.quiesce().await;
        test.advance(SECOND).await;
        assert_eq!(probe.expect_where(ms(1), |ping| ping.0 == 100).await.message, Ping(100));
        test.finish().await;
    };
    tokio::task::LocalSet::new().run_until(everything).await;
}

#[callboard::test]
#[should_panic(expected = "the test system could not start: ")]
async fn wrong_settings_fail_the_test() {
    TestSystem::start_with(|builder| builder.node("no blanks")).await;
}

/// The address of a probe serves generic actors that want one.
#[derive(Actor)]
struct Relay<A: Handlers + Send>
where
    Ping: HandledBy<A>,
{
    to: Addr<A>,
}

#[handlers]
impl<A: Handlers + Send> Relay<A>
where
    Ping: HandledBy<A>,
{
    #[handle(local)]
    async fn ping(&mut self, ping: Ping) -> u32 {
        self.to.ask(ping).await.unwrap_or(0)
    }
}

#[callboard::test]
async fn a_probe_has_an_address_for_generic_actors(test: TestSystem) {
    let probe = test.probe::<Ping>();
    probe.reply_with(|Ping(n)| n + 1);
    let to = probe.addr().clone();
    let relay = test.spawn(move || Relay { to: to.clone() }).expect("it is up");
    assert_eq!(relay.ask(Ping(1)).await.expect("an answer"), 2);
}
