//! Two systems over one store, frames on the way.

use callboard::{Embedded, FailureKind, Name, bus::keys, log::MessageLog, prelude::*};

use crate::support::{Add, Counter, Get, Nap, Sum, node, until};

/// Notes what it is told, in order.
#[derive(Message, Serialize, Deserialize, Debug)]
struct Note(u64);

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(reply = Vec<u64>)]
struct Notes;

#[derive(Actor, Default)]
struct Notebook {
    notes: Vec<u64>,
}

#[handlers]
impl Notebook {
    #[handle]
    fn note(&mut self, Note(n): Note) {
        self.notes.push(n);
    }

    #[handle]
    fn notes(&mut self, _: Notes) -> Vec<u64> {
        self.notes.clone()
    }
}

async fn pair() -> (Embedded, System, System) {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    (store, one, two)
}

async fn end(systems: &[&System]) -> callboard::Result<()> {
    for system in systems {
        system.shutdown().await?;
    }
    Ok(())
}

#[callboard::test]
async fn tells_of_one_sender_are_handled_in_order() -> callboard::Result<()> {
    let (_, one, two) = pair().await;
    one.serve("notebook", Notebook::default).await?;
    let notebook = two.service::<Notebook>("notebook");
    until("it is visible", async || notebook.ask(Notes).await.is_ok()).await;
    for n in 0..2_000 {
        notebook.tell(Note(n)).buffered().await?;
    }
    until("all are there", async || {
        notebook.ask(Notes).await.is_ok_and(|notes| notes.len() == 2_000)
    })
    .await;
    assert_eq!(notebook.ask(Notes).await?, (0..2_000).collect::<Vec<_>>());
    end(&[&one, &two]).await
}

#[callboard::test]
async fn a_recipient_of_a_service_tells_and_asks() -> callboard::Result<()> {
    let (_, one, two) = pair().await;
    one.serve("counter", Counter::default).await?;
    let counter = two.service::<Counter>("counter");
    let recipient: Recipient<Add> = counter.recipient();
    until("it is visible", async || recipient.ask(Add(1)).await.is_ok()).await;
    recipient.tell(Add(2)).await?;
    recipient.tell(Add(3)).key("k").await?;
    recipient.try_tell(Add(4))?;
    until("all are handled", async || counter.ask(Get).await.is_ok_and(|total| total == 10)).await;
    end(&[&one, &two]).await
}

/// Counts what is published.
#[derive(Actor)]
struct Listener {
    once: Sum,
    each: Sum,
}

#[derive(Message, Serialize, Deserialize, Debug)]
struct Placed(u64);

#[derive(Message, Serialize, Deserialize, Debug)]
struct Rung(u64);

#[handlers]
impl Listener {
    #[subscribe("orders.placed")]
    fn placed(&mut self, Placed(n): Placed) {
        self.once.add(n);
    }

    #[subscribe("bell.rung", each)]
    async fn rung(&mut self, Rung(n): Rung) {
        self.each.add(n);
    }
}

#[callboard::test]
async fn a_service_hears_an_event_once_and_with_each_every_instance() -> callboard::Result<()> {
    let (_, one, two) = pair().await;
    let (once, each) = (Sum::default(), Sum::default());
    let factory = {
        let (once, each) = (once.clone(), each.clone());
        move || Listener { once: once.clone(), each: each.clone() }
    };
    one.serve("listener", factory.clone()).instances(2).await?;
    two.serve("listener", factory.clone()).await?;
    let alone = two.spawn(factory)?;
    alone.started().await?;
    one.publish("orders.placed", &Placed(1)).await?;
    two.publish("bell.rung", &Rung(1)).await?;
    until("all have heard", async || (once.get(), each.get()) == (2, 4)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((once.get(), each.get()), (2, 4), "and nobody twice");
    end(&[&one, &two]).await
}

#[callboard::test]
async fn a_delayed_tell_comes_when_it_is_due() -> callboard::Result<()> {
    let (_, one, two) = pair().await;
    one.serve("counter", Counter::default).await?;
    let counter = two.service::<Counter>("counter");
    until("it is visible", async || counter.ask(Get).await.is_ok()).await;
    counter.tell(Add(5)).delay(Duration::from_secs(60)).await?;
    tokio::time::sleep(Duration::from_secs(55)).await;
    assert_eq!(counter.ask(Get).await?, 0);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(counter.ask(Get).await?, 5);
    end(&[&one, &two]).await
}

#[callboard::test]
async fn a_panic_in_a_remote_ask_answers_that_asker_alone() -> callboard::Result<()> {
    let (_, one, two) = pair().await;
    one.serve("counter", Counter::default).await?;
    let counter = two.service::<Counter>("counter");
    until("it is visible", async || counter.ask(Get).await.is_ok()).await;
    let (broken, kept) = tokio::join!(counter.ask(Add(13)), counter.ask(Add(5)));
    let broken = broken.expect_err("it panics");
    assert_eq!(broken.failure().map(Failure::kind), Some(&FailureKind::Panicked));
    assert_eq!(kept?, 5);
    end(&[&one, &two]).await
}

#[callboard::test]
async fn a_poisonous_tell_ends_in_the_dead_letters_and_the_rest_is_handled() -> callboard::Result<()>
{
    let (store, one, two) = pair().await;
    let sum = Sum::default();
    let factory = {
        let sum = sum.clone();
        move || Adder { sum: sum.clone() }
    };
    one.serve("adder", factory).await?;
    let adder = two.service::<Adder>("adder");
    until("it is visible", async || adder.ask(Plus(0)).await.is_ok()).await;
    for n in [1, 13, 2, 3] {
        adder.tell(Plus(n)).await?;
    }
    let stream = keys::service(one.cluster(), &Name::new("adder")?, 0);
    let info = async || {
        store.log().info(&stream).await.expect("the log answers").expect("the stream exists")
    };
    until("it is buried", async || info().await.dead_letters == 1).await;
    assert_eq!(sum.get(), 6);
    let accounting = info().await.accounting;
    info().await.check().unwrap();
    assert_eq!((accounting.handled, accounting.dead, accounting.held), (3, 1, 0));
    end(&[&one, &two]).await
}

#[derive(Message, Serialize, Deserialize, Debug)]
struct Plus(u64);

#[derive(Actor)]
#[actor(restart(max = 1000, backoff = "1ms..10ms"))]
struct Adder {
    sum: Sum,
}

#[handlers]
impl Adder {
    #[handle]
    fn plus(&mut self, Plus(n): Plus) {
        assert!(n != 13, "unlucky");
        self.sum.add(n);
    }
}

#[callboard::test]
async fn who_joins_gets_work_and_who_stops_in_order_fails_no_call() -> callboard::Result<()> {
    let (store, one, two) = pair().await;
    one.serve("counter", Counter::default).await?;
    let counter = two.service::<Counter>("counter");
    until("it is visible", async || counter.ask(Get).await.is_ok()).await;
    let calls = tokio::task::spawn_local(async move {
        let mut answered = 0;
        let until = tokio::time::Instant::now() + Duration::from_secs(10);
        while tokio::time::Instant::now() < until {
            counter.ask(Add(1)).await.expect("no call fails");
            answered += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        answered
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let three = node("three", &store).await;
    let joined = three.serve("counter", Counter::default).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(joined.addresses()[0].ask(Get).await? > 100, "it got work without configuration");
    one.shutdown().await?;
    let answered: u64 = calls.await.expect("every call was answered");
    assert!(answered > 1_000, "{answered}");
    end(&[&two, &three]).await
}

#[callboard::test]
async fn a_shutdown_handles_what_was_accepted() -> callboard::Result<()> {
    let (store, one, two) = pair().await;
    let sum = Sum::default();
    let factory = {
        let sum = sum.clone();
        move || Adder { sum: sum.clone() }
    };
    one.serve("adder", factory.clone()).await?;
    let adder = two.service::<Adder>("adder");
    until("it is visible", async || adder.ask(Plus(0)).await.is_ok()).await;
    for _ in 0..500 {
        adder.tell(Plus(1)).buffered().await?;
    }
    one.shutdown().await?;
    let handled = sum.get();
    let stream = keys::service(two.cluster(), &Name::new("adder")?, 0);
    let info = store.log().info(&stream).await.expect("an answer").expect("it exists");
    let group = info.groups.iter().find(|group| group.pending > 0);
    assert!(group.is_none(), "nothing is left in the hands of the one that shut down: {info:?}");
    two.serve("adder", factory).await?;
    until("the rest is handled by the other", async || sum.get() == 500).await;
    assert!(handled <= 500);
    two.shutdown().await
}

#[callboard::test]
async fn a_crash_leaves_the_directory_with_the_lease() -> callboard::Result<()> {
    let (_, one, two) = pair().await;
    one.serve("counter", Counter::default).await?;
    let counter = two.service::<Counter>("counter");
    until("it is visible", async || counter.ask(Get).await.is_ok()).await;
    one.abort().await;
    let name = Name::new("counter")?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(two.directory().resolve(&name).instances.len(), 1, "nobody knows yet");
    let asked = counter.ask(Get).timeout(Duration::from_millis(500)).await;
    let failure = asked.expect_err("nobody is there");
    assert!(
        matches!(failure.failure().map(Failure::kind), Some(FailureKind::DeadlinePassed { .. })),
        "{failure}"
    );
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    assert!(two.directory().resolve(&name).instances.is_empty());
    two.shutdown().await
}

#[callboard::test]
async fn a_dropped_ask_is_not_handled_if_no_handler_has_begun() -> callboard::Result<()> {
    let (_, one, two) = pair().await;
    one.serve("counter", Counter::default).await?;
    let counter = two.service::<Counter>("counter");
    until("it is visible", async || counter.ask(Get).await.is_ok()).await;
    counter.tell(Nap(Duration::from_secs(2))).await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let dropped = tokio::time::timeout(Duration::from_millis(500), counter.ask(Add(5))).await;
    dropped.expect_err("the nap is longer");
    assert_eq!(counter.ask(Get).await?, 0);
    end(&[&one, &two]).await
}

#[callboard::test]
async fn an_instance_that_fails_too_often_is_taken_out(system: System) -> callboard::Result<()> {
    let served = system.serve("counter", Counter::default).instances(2).await?;
    let bad = &served.addresses()[0];
    for _ in 0..=5 {
        bad.ask(Add(13)).await.expect_err("it panics");
    }
    assert!(matches!(bad.stopped().await?, StopReason::TooManyRestarts(_)));
    let name = Name::new("counter")?;
    until("it is taken out", async || system.directory().resolve(&name).instances.len() == 1).await;
    let counter = system.service::<Counter>("counter");
    for _ in 0..20 {
        counter.ask(Add(1)).await?;
    }
    counter.tell(Add(1)).await?;
    until("the other goes on", async || counter.ask(Get).await.is_ok_and(|total| total == 21))
        .await;
    Ok(())
}

#[callboard::test]
async fn a_stopped_service_can_be_served_again(system: System) -> callboard::Result<()> {
    let counter = system.service::<Counter>("counter");
    for _ in 0..3 {
        let served = system.serve("counter", Counter::default).await?;
        assert_eq!(counter.ask(Add(1)).await?, 1);
        served.stop().await?;
        let asked = counter.ask(Get).await.expect_err("nobody serves it");
        assert!(
            matches!(asked.failure().map(Failure::kind), Some(FailureKind::NoSuchService { .. })),
            "{asked}"
        );
    }
    Ok(())
}
