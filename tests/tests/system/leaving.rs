//! Who leaves in order fails no call, while others go on sending.

use callboard::{
    Embedded, FailureKind, Name, StopReason,
    bus::keys,
    directory::DirectoryEvent,
    kv::{KeyValueStore, RangeRequest},
    log::MessageLog,
    prelude::*,
};
use tokio::time::{Instant, sleep};

use crate::{
    load::{Load, Plus, Work, Worker, visible, workers},
    support::{Add, Counter, Get, Nap, Sum, connected, node, until},
};

#[callboard::test]
async fn a_service_that_stops_under_load_fails_no_call() -> callboard::Result<()> {
    let (store, sum) = (Embedded::new(), Sum::default());
    let (one, two, three) =
        (node("one", &store).await, node("two", &store).await, node("three", &store).await);
    let mut served = one.serve("worker", workers(&sum)).await?;
    two.serve("worker", workers(&sum)).await?;
    let worker = three.service::<Worker>("worker");
    visible(&worker, 2, &three).await;
    let load = Load::of(&worker, 20);
    for _ in 0..4 {
        sleep(Duration::from_millis(700)).await;
        let start = Instant::now();
        served.stop().await?;
        assert!(start.elapsed() >= Duration::from_secs(2), "it served who had not heard the bye");
        let asked = served.addresses()[0].ask(Work(0)).await.expect_err("it has stopped");
        let kind = asked.failure().map(Failure::kind);
        assert!(matches!(kind, Some(FailureKind::Stopped { .. })), "{asked}");
        served = one.serve("worker", workers(&sum)).await?;
    }
    assert!(load.end().await > 200);
    for system in [one, two, three] {
        system.shutdown().await?;
    }
    Ok(())
}

#[callboard::test]
async fn systems_that_shut_down_one_after_the_other_under_load_fail_no_call()
-> callboard::Result<()> {
    let (store, sum) = (Embedded::new(), Sum::default());
    let caller = node("caller", &store).await;
    let worker = caller.service::<Worker>("worker");
    let mut up = Vec::new();
    for n in 0..2 {
        let system = node(&format!("first-{n}"), &store).await;
        system.serve("worker", workers(&sum)).instances(2).await?;
        up.push(system);
    }
    visible(&worker, 4, &caller).await;
    let load = Load::of(&worker, 30);
    for round in 0..4 {
        sleep(Duration::from_millis(800 + round * 211)).await;
        let next = node(&format!("next-{round}"), &store).await;
        next.serve("worker", workers(&sum)).instances(2).await?;
        up.push(next);
        up.remove(0).shutdown().await?;
    }
    assert!(load.end().await > 200);
    for system in up {
        system.shutdown().await?;
    }
    caller.shutdown().await
}

#[callboard::test]
async fn tells_to_a_service_whose_instances_come_and_go_are_all_handled() -> callboard::Result<()> {
    let (store, sum) = (Embedded::new(), Sum::default());
    let (one, two, three) =
        (node("one", &store).await, node("two", &store).await, node("three", &store).await);
    let served = one.serve("worker", workers(&sum)).await?;
    two.serve("worker", workers(&sum)).await?;
    let worker = three.service::<Worker>("worker");
    visible(&worker, 2, &three).await;
    let teller = worker.clone();
    let tells = tokio::task::spawn_local(async move {
        for _ in 0..3_000 {
            teller.tell(Plus(1)).buffered().await.expect("the service is defined");
            sleep(Duration::from_millis(1)).await;
        }
    });
    sleep(Duration::from_millis(500)).await;
    served.stop().await?;
    sleep(Duration::from_millis(500)).await;
    one.serve("worker", workers(&sum)).await?;
    two.shutdown().await?;
    tells.await.expect("all are told");
    until("all are handled", async || sum.get() >= 3_000).await;
    let stream = keys::service(one.cluster(), &Name::new("worker")?, 0);
    let info = store.log().info(&stream).await.expect("an answer").expect("it exists");
    info.check().unwrap();
    assert_eq!((sum.get(), info.dead_letters), (3_000, 0), "each once");
    one.shutdown().await?;
    three.shutdown().await
}

#[callboard::test]
async fn who_leaves_says_bye_and_is_told_of_as_left() -> callboard::Result<()> {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let served = one.serve("counter", Counter::default).await?;
    let counter = two.service::<Counter>("counter");
    until("it is visible", async || counter.ask(Get).await.is_ok()).await;
    let mut events = two.directory().watch(&Name::new("counter")?);
    served.stop().await?;
    let Some(DirectoryEvent::Down { left, instance }) = events.next().await else { panic!("down") };
    assert!(left);
    let key = format!("/callboard/default/bye/counter/{}", instance.instance);
    let bye = store.kv().get(&key).await.expect("an answer");
    assert!(bye.expect("it is there").lease.is_some());
    sleep(Duration::from_secs(61)).await;
    let byes = RangeRequest::prefix("/callboard/default/bye/");
    assert!(store.kv().range(byes).await.expect("an answer").kvs.is_empty());
    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn who_was_never_called_from_outside_stops_at_once() -> callboard::Result<()> {
    let store = Embedded::new();
    let one = node("one", &store).await;
    let served = one.serve("counter", Counter::default).await?;
    let start = Instant::now();
    served.stop().await?;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    one.shutdown().await
}

#[callboard::test]
async fn a_caller_that_has_not_heard_of_the_bye_is_sent_on() -> callboard::Result<()> {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let (three, line) = connected("three", &store).await;
    let served = one.serve("counter", Counter::default).await?;
    two.serve("counter", Counter::default).await?;
    let counter = three.service::<Counter>("counter");
    let name = Name::new("counter")?;
    let seen = || three.directory().resolve(&name).instances.len();
    until("both are visible", async || seen() == 2).await;
    counter.ask(Get).await?;
    line.freeze();
    // What was being waited for when it froze still comes.
    sleep(Duration::from_millis(100)).await;
    served.stop().await?;
    sleep(Duration::from_secs(1)).await;
    // The instance has ended, its process lives.
    for _ in 0..20 {
        counter.ask(Add(1)).timeout(Duration::from_secs(1)).await?;
    }
    // The process has ended as well.
    one.shutdown().await?;
    for _ in 0..20 {
        counter.ask(Add(1)).timeout(Duration::from_secs(1)).await?;
    }
    assert_eq!(seen(), 2, "it has not heard");
    assert_eq!(counter.ask(Get).await?, 40);
    line.heal();
    two.shutdown().await?;
    three.shutdown().await
}

#[callboard::test]
async fn when_everybody_has_left_a_late_caller_hears_it_at_once() -> callboard::Result<()> {
    let store = Embedded::new();
    let one = node("one", &store).await;
    let (two, line) = connected("two", &store).await;
    let served = one.serve("counter", Counter::default).await?;
    let counter = two.service::<Counter>("counter");
    until("it is visible", async || counter.ask(Get).await.is_ok()).await;
    line.freeze();
    // What was being waited for when it froze still comes.
    sleep(Duration::from_millis(100)).await;
    served.stop().await?;
    let start = Instant::now();
    let asked = counter.ask(Get).await.expect_err("nobody is there");
    assert!(start.elapsed() < Duration::from_secs(1));
    let kind = asked.failure().map(Failure::kind);
    assert!(matches!(kind, Some(FailureKind::Moved { .. })), "{asked}");
    assert_eq!(asked.delivery(), Delivery::NotDelivered);
    line.heal();
    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn a_local_ask_to_an_instance_that_stops_goes_on_to_the_next(
    system: System,
) -> callboard::Result<()> {
    let served = system.serve("counter", Counter::default).instances(2).await?;
    let counter = system.service::<Counter>("counter");
    let stopping = &served.addresses()[0];
    // It is at work, so that it drains for a while, and stands in the directory.
    stopping.tell(Nap(Duration::from_secs(3))).await?;
    sleep(Duration::from_millis(10)).await;
    stopping.stop()?;
    sleep(Duration::from_millis(10)).await;
    assert_eq!(system.directory().resolve(&Name::new("counter")?).instances.len(), 2);
    for _ in 0..50 {
        counter.ask(Add(1)).await?;
    }
    assert_eq!(served.addresses()[1].ask(Get).await?, 50);
    assert_eq!(stopping.stopped().await?, StopReason::Requested);
    Ok(())
}

#[callboard::test]
async fn local_callers_go_on_elsewhere_when_their_own_instance_stops() -> callboard::Result<()> {
    let (store, sum) = (Embedded::new(), Sum::default());
    let builder = System::builder().node("one").embedded(&store).current_thread();
    let one = builder.start().await?;
    let two = node("two", &store).await;
    let served = one.serve("worker", workers(&sum)).await?;
    two.serve("worker", workers(&sum)).await?;
    let worker = one.service::<Worker>("worker");
    visible(&worker, 2, &one).await;
    let load = Load::of(&worker, 20);
    sleep(Duration::from_millis(300)).await;
    served.addresses()[0].stop()?;
    sleep(Duration::from_millis(300)).await;
    served.stop().await?;
    let served = one.serve("worker", workers(&sum)).await?;
    sleep(Duration::from_millis(300)).await;
    served.drain().await?;
    sleep(Duration::from_millis(300)).await;
    served.stop().await?;
    sleep(Duration::from_millis(300)).await;
    assert!(load.end().await > 100);
    one.shutdown().await?;
    two.shutdown().await
}

/// Threads of their own and the real clock: what a paused one on one thread can't show.
#[test]
fn a_shutdown_under_load_from_other_threads_fails_no_call() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let (store, sum) = (Embedded::new(), Sum::default());
        let start = async |name: &str| {
            let builder = System::builder().node(name).embedded(&store).arbiters(2);
            builder.start().await.expect("it starts")
        };
        let (one, two, three) = (start("one").await, start("two").await, start("three").await);
        for system in [&one, &two] {
            system.serve("worker", workers(&sum)).instances(2).await.expect("it is served");
        }
        let worker = three.service::<Worker>("worker");
        visible(&worker, 4, &three).await;
        let ends = Instant::now() + Duration::from_secs(4);
        let callers: Vec<_> = (0..16)
            .map(|caller| {
                let worker = worker.clone();
                tokio::spawn(async move {
                    while Instant::now() < ends {
                        assert_eq!(worker.ask(Work(caller)).await.expect("no call fails"), caller);
                    }
                })
            })
            .collect();
        sleep(Duration::from_millis(500)).await;
        one.shutdown().await.expect("in order");
        for caller in callers {
            caller.await.expect("every call was answered");
        }
        two.shutdown().await.expect("in order");
        three.shutdown().await.expect("in order");
    });
}

#[callboard::test]
async fn a_broadcast_reaches_who_leaves_while_it_is_on_its_way() -> callboard::Result<()> {
    let (store, sum) = (Embedded::new(), Sum::default());
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let served = one.serve("worker", workers(&sum)).await?;
    let worker = two.service::<Worker>("worker");
    visible(&worker, 1, &two).await;
    worker.ask(Work(1)).await?;
    let (stopped, told) = tokio::join!(served.stop(), worker.broadcast(Plus(1)));
    stopped?;
    assert_eq!(told?.delivered().len(), 1);
    assert_eq!(sum.get(), 1, "handled before it ended");
    one.shutdown().await?;
    two.shutdown().await
}
