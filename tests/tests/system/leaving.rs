//! Who leaves in order fails no call, while others go on sending.

use std::{cell::Cell, rc::Rc};

use callboard::{
    Embedded, FailureKind, Name, StopReason,
    bus::keys,
    directory::DirectoryEvent,
    kv::{KeyValueStore, RangeRequest},
    log::MessageLog,
    prelude::*,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::support::{Add, Counter, Get, Nap, Sum, connected, node, until};

/// Takes its time.
#[derive(Message, Serialize, Deserialize, Debug)]
#[message(reply = u64)]
struct Work(u64);

#[derive(Message, Serialize, Deserialize, Debug)]
struct Plus(u64);

#[derive(Actor)]
#[actor(mailbox(capacity = 64))]
struct Worker {
    sum: Sum,
}

#[handlers]
impl Worker {
    #[handle]
    async fn work(&mut self, Work(n): Work) -> u64 {
        sleep(Duration::from_millis(40)).await;
        n
    }

    #[handle]
    async fn plus(&mut self, Plus(n): Plus) {
        sleep(Duration::from_millis(2)).await;
        self.sum.add(n);
    }
}

fn workers(sum: &Sum) -> impl Fn() -> Worker + Clone + Send + Sync + 'static {
    let sum = sum.clone();
    move || Worker { sum: sum.clone() }
}

/// Callers that ask one question after the other until they are told to end.
struct Load {
    ends: Rc<Cell<bool>>,
    callers: Vec<JoinHandle<u64>>,
}

impl Load {
    fn of(service: &ServiceRef<Worker>, callers: u64) -> Self {
        let ends = Rc::new(Cell::new(false));
        let callers = (0..callers).map(|caller| {
            let (service, ends) = (service.clone(), ends.clone());
            tokio::task::spawn_local(async move {
                let mut answered = 0;
                while !ends.get() {
                    let asked = service.ask(Work(caller)).timeout(Duration::from_secs(10)).await;
                    assert_eq!(asked.expect("no call fails"), caller);
                    answered += 1;
                    sleep(Duration::from_millis(caller % 7)).await;
                }
                answered
            })
        });
        Self { callers: callers.collect(), ends }
    }

    async fn end(self) -> u64 {
        self.ends.set(true);
        let mut answered = 0;
        for caller in self.callers {
            answered += caller.await.expect("every call was answered");
        }
        answered
    }
}

async fn visible(service: &ServiceRef<Worker>, instances: usize, system: &System) {
    let name = Name::new(service.name()).expect("a name");
    until("all are visible", async || {
        system.directory().resolve(&name).instances.len() == instances
    })
    .await;
}

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
    assert!(info.accounting.adds_up(), "{:?}", info.accounting);
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
