//! Services that look after their own health.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
};

use callboard::{
    Embedded, FailureKind, Name,
    directory::{MaintenanceScope, Query, ServiceView},
    health::{CheckFuture, CheckOutcome, HealthCheck, HealthPolicy, HealthState},
    kv::{KeyValueStore, Op, RangeRequest, Txn},
    prelude::*,
};
use tokio::time::{Instant, sleep};

use crate::support::{Nap, Sum, node, until};

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(reply = String)]
struct Who;

#[derive(Message, Serialize, Deserialize, Debug)]
struct Plus(u64);

#[derive(Message, Serialize, Deserialize, Debug)]
struct Fail;

/// Says which node it is of.
#[derive(Actor)]
#[actor(mailbox(capacity = 4))]
struct Clerk {
    node: String,
    sum: Sum,
}

#[handlers]
impl Clerk {
    #[handle]
    fn who(&mut self, _: Who) -> String {
        self.node.clone()
    }

    #[handle]
    fn plus(&mut self, Plus(n): Plus) {
        self.sum.add(n);
    }

    #[handle]
    fn fail(&mut self, _: Fail) {
        panic!("as it was told");
    }

    #[handle]
    async fn nap(&mut self, Nap(time): Nap) {
        sleep(time).await;
    }
}

fn clerk(node: &str, sum: &Sum) -> impl Fn() -> Clerk + Send + Sync + 'static {
    let (node, sum) = (node.to_owned(), sum.clone());
    move || Clerk { node: node.clone(), sum: sum.clone() }
}

/// What a check finds, as the test says it.
#[derive(Clone, Default)]
struct Weather(Arc<AtomicU8>);

impl Weather {
    fn is(&self, letter: char) {
        self.0.store(letter as u8, SeqCst);
    }
}

impl HealthCheck for Weather {
    fn name(&self) -> &str {
        "weather"
    }

    fn check(&self) -> CheckFuture<'_> {
        let letter = self.0.load(SeqCst);
        Box::pin(async move {
            match letter {
                b'w' => CheckOutcome::Warn("clouds".into()),
                b'f' => CheckOutcome::Fail("rain".into()),
                b'!' => panic!("lightning"),
                b'~' => std::future::pending().await,
                _ => CheckOutcome::Pass,
            }
        })
    }
}

fn view(system: &System) -> Arc<ServiceView> {
    system.directory().resolve(&Name::new("clerk").expect("a name"))
}

fn states(system: &System) -> Vec<HealthState> {
    let view = view(system);
    view.instances.iter().map(|record| view.health_of(record.instance)).collect()
}

async fn will_be(system: &System, expected: &[HealthState]) -> Duration {
    let start = Instant::now();
    until(&format!("{expected:?}"), async || states(system) == expected).await;
    start.elapsed()
}

async fn answers(service: &ServiceRef<Clerk>, asks: usize) -> BTreeMap<String, usize> {
    let mut answers = BTreeMap::new();
    for _ in 0..asks {
        *answers.entry(service.ask(Who).await.expect("somebody answers")).or_default() += 1;
    }
    answers
}

use HealthState::{Critical, Degraded, Draining, Maintenance, Passing, Starting};

#[callboard::test]
async fn checks_lead_up_and_down_the_states_and_calls_follow() -> callboard::Result<()> {
    let (store, sum, weather) = (Embedded::new(), Sum::default(), Weather::default());
    let (one, two, three) =
        (node("one", &store).await, node("two", &store).await, node("three", &store).await);
    two.serve("clerk", clerk("two", &sum)).await?;
    let service = one.serve("clerk", clerk("one", &sum)).check(weather.clone()).await?;
    let asked = three.service::<Clerk>("clerk");
    until("both are seen", async || view(&three).instances.len() == 2).await;
    let state = || view(&three).health_of(view(&one).instances[one_at(&one)].instance);
    assert_eq!(state(), Passing);
    weather.is('f');
    let start = Instant::now();
    until("degraded", async || state() == Degraded).await;
    let elapsed = start.elapsed().as_secs_f64();
    assert!((3.6..=7.0).contains(&elapsed), "three looks of 2 s, a tenth more or less: {elapsed}");
    let shares = answers(&asked, 1_000).await;
    let share = shares["one"];
    assert!((120..280).contains(&share), "a quarter of the other's, so a fifth: {shares:?}");
    until("critical", async || state() == Critical).await;
    assert_eq!(answers(&asked, 100).await.keys().collect::<Vec<_>>(), ["two"]);
    let (_, record) = service.health().remove(0);
    assert_eq!((record.state, &*record.reason), (Critical, "weather: rain"));
    weather.is('p');
    until("degraded", async || state() == Degraded).await;
    until("passing", async || state() == Passing).await;
    assert_eq!(answers(&asked, 100).await.len(), 2);
    for system in [one, two, three] {
        system.shutdown().await?;
    }
    Ok(())
}

/// Where the instance of this system stands among all.
fn one_at(system: &System) -> usize {
    let view = view(system);
    let own = view.instances.iter().position(|record| record.node == *system.node());
    own.expect("it is registered")
}

#[callboard::test]
async fn who_does_not_pass_at_first_is_not_called_until_it_does() -> callboard::Result<()> {
    let (store, sum, weather) = (Embedded::new(), Sum::default(), Weather::default());
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    weather.is('f');
    let _service = one.serve("clerk", clerk("one", &sum)).check(weather.clone()).await?;
    until("it is seen", async || view(&two).instances.len() == 1).await;
    assert_eq!(states(&two), [Starting]);
    let asked = two.service::<Clerk>("clerk");
    let error = asked.ask(Who).await.expect_err("it has not started");
    let kind = error.failure().map(Failure::kind);
    assert!(matches!(kind, Some(FailureKind::NotReady { .. })), "{error}");
    assert!(error.to_string().contains("1 starting"), "{error}");
    assert_eq!(error.delivery(), Delivery::NotDelivered);
    // A stored message is not turned away for that.
    asked.tell(Plus(1)).await.expect("it is stored");
    until("it is handled", async || sum.get() == 1).await;
    weather.is('p');
    will_be(&two, &[Passing]).await;
    assert_eq!(answers(&asked, 1).await.len(), 1);
    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn a_check_that_hangs_or_panics_has_failed() -> callboard::Result<()> {
    let (store, sum, weather) = (Embedded::new(), Sum::default(), Weather::default());
    let one = node("one", &store).await;
    let policy = HealthPolicy::new().fall(1).rise(1);
    let serve = one.serve("clerk", clerk("one", &sum)).check(weather.clone()).health(policy);
    let service = serve.await?;
    for (letter, reason) in
        [('~', "weather: no answer within 1s"), ('!', "weather: the check panicked")]
    {
        weather.is(letter);
        until("critical", async || service.health()[0].1.state == Critical).await;
        assert_eq!(service.health()[0].1.reason, reason);
        weather.is('p');
        will_be(&one, &[Passing]).await;
    }
    one.shutdown().await
}

#[callboard::test]
async fn an_actor_that_is_busy_is_degraded_and_one_that_hangs_is_critical() -> callboard::Result<()>
{
    let (store, sum) = (Embedded::new(), Sum::default());
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let policy = HealthPolicy::new().hung(Duration::from_secs(20));
    let service = one.serve("clerk", clerk("one", &sum)).instances(2).health(policy).await?;
    will_be(&two, &[Passing, Passing]).await;
    service.addresses()[0].tell(Nap(Duration::from_secs(40))).await?;
    let busy = will_be(&two, &[Degraded, Passing]).await;
    assert!(busy < Duration::from_secs(10), "{busy:?}");
    let reason = service.health()[0].1.reason.clone();
    assert!(reason.contains("Nap"), "{reason}");
    let hung = will_be(&two, &[Critical, Passing]).await;
    assert!((20..=30).contains(&(busy + hung).as_secs()), "{hung:?}");
    assert_eq!(service.addresses()[0].depth(), Some(1), "one ping waits, not one for each look");
    will_be(&two, &[Passing, Passing]).await;
    // A mailbox that stays full is busy, too.
    for _ in 0..5 {
        service.addresses()[1].tell(Nap(Duration::from_secs(8))).await?;
    }
    will_be(&two, &[Passing, Degraded]).await;
    will_be(&two, &[Passing, Passing]).await;
    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn an_actor_that_is_built_again_and_again_is_degraded() -> callboard::Result<()> {
    let (store, sum) = (Embedded::new(), Sum::default());
    let one = node("one", &store).await;
    // Few enough failures for the actor to live through.
    let policy = HealthPolicy::new().fall(2);
    let service = one.serve("clerk", clerk("one", &sum)).instances(2).health(policy).await?;
    let failing = service.addresses()[0].clone();
    // Once is nothing.
    failing.tell(Fail).await?;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(states(&one), [Passing, Passing]);
    for _ in 0..3 {
        failing.tell(Fail).await?;
        sleep(Duration::from_millis(2_100)).await;
    }
    will_be(&one, &[Degraded, Passing]).await;
    let reason = service.health()[0].1.reason.clone();
    assert!(reason.contains("built again"), "{reason}");
    will_be(&one, &[Passing, Passing]).await;
    one.shutdown().await
}

#[callboard::test]
async fn what_is_taken_out_is_not_called_reads_nothing_and_comes_back() -> callboard::Result<()> {
    let (store, sum) = (Embedded::new(), Sum::default());
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let service = one.serve("clerk", clerk("one", &sum)).await?;
    let asked = two.service::<Clerk>("clerk");
    will_be(&two, &[Passing]).await;
    let scope = MaintenanceScope::node(one.node().clone());
    for by_program in [true, false] {
        let before = sum.get();
        if by_program {
            service.begin_maintenance("new disks").await?;
        } else {
            two.directory().begin_maintenance(&scope, "new disks").await.expect("it is there");
        }
        will_be(&two, &[Maintenance]).await;
        let error = asked.ask(Who).await.expect_err("it was taken out");
        assert!(error.to_string().contains("1 maintenance"), "{error}");
        sleep(Duration::from_secs(1)).await;
        for _ in 0..20 {
            asked.tell(Plus(1)).await.expect("it is stored");
        }
        sleep(Duration::from_secs(120)).await;
        assert_eq!(sum.get(), before, "nothing is read");
        if by_program {
            service.end_maintenance().await?;
        } else {
            two.directory().end_maintenance(&scope).await.expect("it is there");
        }
        will_be(&two, &[Passing]).await;
        asked.ask(Who).await.expect("it was taken in again");
        until("all are handled", async || sum.get() == before + 20).await;
    }
    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn what_is_taken_out_reads_nothing_while_its_keys_are_gone() -> callboard::Result<()> {
    let (store, sum) = (Embedded::new(), Sum::default());
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    one.serve("clerk", clerk("one", &sum)).await?;
    let asked = two.service::<Clerk>("clerk");
    will_be(&two, &[Passing]).await;
    let scope = MaintenanceScope::node(one.node().clone());
    two.directory().begin_maintenance(&scope, "new disks").await.expect("it is there");
    will_be(&one, &[Maintenance]).await;
    sleep(Duration::from_secs(1)).await;
    asked.tell(Plus(1)).await.expect("it is stored");
    let keys = store.kv().range(RangeRequest::prefix("/callboard/default/svc/")).await;
    let key = keys.expect("it is there").kvs.remove(0).key;
    store.kv().txn(Txn::new([Op::delete(key)])).await.expect("it is there");
    until("it is missed", async || view(&one).instances.is_empty()).await;
    until("it is back", async || view(&one).instances.len() == 1).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(sum.get(), 0, "nothing is read");
    two.directory().end_maintenance(&scope).await.expect("it is there");
    until("it is handled", async || sum.get() == 1).await;
    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn what_is_drained_finishes_what_it_has_and_stays_registered_until_it_stops()
-> callboard::Result<()> {
    let (store, sum) = (Embedded::new(), Sum::default());
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let service = one.serve("clerk", clerk("one", &sum)).await?;
    two.serve("clerk", clerk("two", &sum)).await?;
    until("both are seen", async || view(&two).instances.len() == 2).await;
    let asked = two.service::<Clerk>("clerk");
    let remote = service.addresses()[0].clone();
    remote.tell(Nap(Duration::from_secs(5))).await?;
    remote.tell(Plus(1)).await?;
    service.drain().await?;
    let view_of_one = || view(&two).health_of(view(&one).instances[one_at(&one)].instance);
    until("draining", async || view_of_one() == Draining).await;
    assert_eq!(answers(&asked, 50).await.keys().collect::<Vec<_>>(), ["two"]);
    service.begin_maintenance("too late").await?;
    assert_eq!(service.health()[0].1.state, Draining);
    assert_eq!(remote.ask(Who).await?, "one", "who has the address is answered");
    assert_eq!(sum.get(), 1);
    assert_eq!(view(&two).instances.len(), 2);
    service.stop().await?;
    until("it left", async || view(&two).instances.len() == 1).await;
    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn weights_of_instances_are_shares_of_asks() -> callboard::Result<()> {
    let (store, sum) = (Embedded::new(), Sum::default());
    let (one, two, three) =
        (node("one", &store).await, node("two", &store).await, node("three", &store).await);
    one.serve("clerk", clerk("one", &sum)).weight(3).await?;
    two.serve("clerk", clerk("two", &sum)).await?;
    let asked = three.service::<Clerk>("clerk");
    until("both are seen", async || view(&three).instances.len() == 2).await;
    let shares = answers(&asked, 1_000).await;
    assert!((690..810).contains(&shares["one"]), "three of four: {shares:?}");
    for system in [one, two, three] {
        system.shutdown().await?;
    }
    Ok(())
}

#[callboard::test]
async fn what_is_said_of_a_service_is_found_and_bad_words_are_refused() -> callboard::Result<()> {
    let (store, sum) = (Embedded::new(), Sum::default());
    let one = node("one", &store).await;
    let serve = || one.serve("clerk", clerk("one", &sum));
    for (refused, expected) in [
        (serve().version("1.2"), "semantic version"),
        (serve().weight(10_001), "10000"),
        (serve().capabilities(["a/b"]), "a/b"),
        (serve().labels([("zone", "x".repeat(300))]), "label zone"),
        (serve().health(HealthPolicy::new().fall(0)), "fall(0)"),
    ] {
        let error = refused.await.expect_err(expected).to_string();
        assert!(error.contains(expected) && error.contains("clerk"), "{error}");
    }
    assert!(view(&one).instances.is_empty());
    serve().version("1.2.0").capabilities(["pdf"]).labels([("zone", "eu")]).await?;
    let query = Query::new().capability("pdf").version("^1".parse().expect("a requirement"));
    assert_eq!(one.directory().find(&query.label("zone", "eu")).len(), 1);
    one.shutdown().await
}
