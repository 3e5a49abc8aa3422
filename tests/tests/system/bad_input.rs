//! What comes in wrong: each gives a clear error, and nothing is lost.

use bytes::Bytes;
use callboard::{
    Embedded, Error, FailureKind, Incarnation, Name,
    bus::keys,
    log::{Append, AppendRequest, EntryId, MessageLog, Place},
    prelude::*,
};

use crate::support::{Add, Counter, Get, Nap, node, until};

fn kind<E: std::fmt::Debug>(error: &AskError<E>) -> &FailureKind {
    error.failure().expect("a failure, not a rejection").kind()
}

#[callboard::test]
async fn an_unknown_service_is_named(system: System) {
    let nobody = system.service::<Counter>("nobody");
    let asked = nobody.ask(Get).await.expect_err("nobody serves it");
    assert!(asked.to_string().contains("no instance of the service nobody"), "{asked}");
    assert_eq!(asked.delivery(), Delivery::NotDelivered);
    let told = nobody.tell(Add(5)).await.expect_err("nobody serves it, and it is not defined");
    assert_eq!(told.into_message(), Add(5));
    let told = nobody.try_tell(Add(6)).expect_err("likewise");
    assert_eq!(told.into_message(), Add(6));
    let broadcast = nobody.broadcast(Add(1)).await.expect_err("likewise");
    assert!(broadcast.delivered().is_empty());
}

#[callboard::test]
async fn a_defined_service_stores_tells_while_nobody_serves_it(
    system: System,
) -> callboard::Result<()> {
    system.define("later", callboard::directory::ServiceDef::default()).await?;
    let later = system.service::<Counter>("later");
    later.tell(Add(5)).await?;
    later.ask(Get).await.expect_err("an ask needs somebody now");
    system.serve("later", Counter::default).await?;
    until("it was kept", async || later.ask(Get).await.is_ok_and(|total| total == 5)).await;
    Ok(())
}

/// The counter's message in a version that it does not know.
mod next_version {
    use super::*;

    #[derive(Message, Serialize, Deserialize, Debug, PartialEq)]
    #[message(name = "Add", version = 2, reply = u64)]
    pub(super) struct Add(pub u64, pub u64);

    callboard::protocol!(pub(super) CounterApi { Add });
}

#[callboard::test]
async fn an_unknown_version_is_refused_with_those_that_are_known(
    system: System,
) -> callboard::Result<()> {
    system.serve("counter", Counter::default).await?;
    let newer = system.service::<next_version::CounterApi>("counter");
    let asked = newer.ask(next_version::Add(1, 2)).await.expect_err("version 2 is unknown");
    assert!(
        matches!(kind(&asked), FailureKind::VersionUnknown { message, version: 2, known, .. }
            if message == "Add" && known == "1"),
        "{asked}"
    );
    let told = newer.tell(next_version::Add(1, 2)).await.expect_err("likewise");
    assert_eq!(told.into_message(), next_version::Add(1, 2));
    Ok(())
}

/// The counter's message with a reply that is none.
mod other_reply {
    use super::*;

    #[derive(Message, Serialize, Deserialize, Debug)]
    #[message(name = "Get", reply = String)]
    pub(super) struct Get;

    callboard::protocol!(pub(super) CounterApi { Get });
}

#[callboard::test]
async fn a_reply_that_does_not_decode_is_the_callers_error() -> callboard::Result<()> {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    one.serve("counter", Counter::default).await?;
    let right = two.service::<Counter>("counter");
    until("it is visible", async || right.ask(Add(200)).await.is_ok()).await;
    let wrong = two.service::<other_reply::CounterApi>("counter");
    let asked = wrong.ask(other_reply::Get).await.expect_err("a number is no text");
    assert!(
        matches!(kind(&asked), FailureKind::Undecodable { message, .. } if message == "the reply to Get"),
        "{asked}"
    );
    assert_eq!(asked.delivery(), Delivery::Handled);
    right.ask(Get).await?;
    one.shutdown().await?;
    two.shutdown().await
}

async fn garbage(log: &impl MessageLog, stream: &callboard::log::StreamName) {
    let request = AppendRequest {
        stream: stream.clone(),
        producer: Incarnation::fresh(),
        lane: 1,
        first: 1,
        count: 3,
        frame: Bytes::from_static(b"\x07garbage, not a frame"),
        must_exist: true,
        backlog_max: None,
        dedup: Vec::new(),
    };
    let appended = log.append(request).await.expect("the log takes any bytes");
    assert!(matches!(appended, Append::Stored(_)));
}

#[callboard::test]
async fn garbage_in_an_inbox_or_a_stream_is_buried_and_the_readers_go_on() -> callboard::Result<()>
{
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    one.serve("counter", Counter::default).await?;
    let counter = two.service::<Counter>("counter");
    until("it is visible", async || counter.ask(Add(1)).await.is_ok()).await;

    let inbox = keys::inbox(one.cluster(), one.incarnation());
    let stream = keys::service(one.cluster(), &Name::new("counter")?, 0);
    garbage(&store.log(), &inbox).await;
    garbage(&store.log(), &stream).await;
    counter.tell(Add(10)).await?;

    until("the tell behind it is handled", async || {
        counter.ask(Get).await.is_ok_and(|total| total == 11)
    })
    .await;
    for dead in [stream, keys::dead_letters_of_nodes(one.cluster())] {
        let letters = store.log().range(&dead, Place::Dead, EntryId::MIN, EntryId::MAX, 10).await;
        assert_eq!(letters.expect("the log answers").len(), 1, "in {dead}");
    }
    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn a_full_mailbox_hands_the_message_back(system: System) -> callboard::Result<()> {
    let counter = system.spawn(Counter::default)?;
    counter.ask(Get).await?;
    counter.try_tell(Nap(Duration::from_secs(1)))?;
    tokio::task::yield_now().await;
    let refused = (0..10)
        .find_map(|n| counter.try_tell(Add(n)).err())
        .expect("a mailbox of four takes no ten messages");
    assert!(
        matches!(refused.failure().kind(), FailureKind::MailboxFull { actor, .. } if actor == "Counter"),
        "{refused}"
    );
    let Add(n) = refused.into_message();
    let handled: u64 = (0..n).sum();
    assert_eq!(counter.ask(Get).await?, handled, "what was taken was handled, and no more");
    Ok(())
}

#[callboard::test]
async fn a_full_mailbox_of_another_process_holds_tells_back_and_loses_none() -> callboard::Result<()>
{
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    one.serve("counter", Counter::default).await?;
    let counter = two.service::<Counter>("counter");
    until("it is visible", async || counter.ask(Get).await.is_ok()).await;
    counter.tell(Nap(Duration::from_secs(3))).await?;
    for _ in 0..1_000 {
        counter.tell(Add(1)).buffered().await?;
    }
    until("all are handled", async || {
        let asked = counter.ask(Get).timeout(Duration::from_secs(5)).await;
        asked.is_ok_and(|total| total == 1_000)
    })
    .await;
    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn a_send_after_the_stop_hands_the_message_back(system: System) -> callboard::Result<()> {
    let counter = system.spawn(Counter::default)?;
    counter.tell(Add(1)).await?;
    counter.stop()?;
    assert_eq!(counter.stopped().await?, StopReason::Requested);
    let told = counter.tell(Add(2)).await.expect_err("it has stopped");
    assert!(told.to_string().contains("Counter has stopped"), "{told}");
    assert_eq!(told.into_message(), Add(2));
    let asked = counter.ask(Get).await.expect_err("likewise");
    assert!(matches!(kind(&asked), FailureKind::Stopped { .. }), "{asked}");
    assert_eq!(asked.delivery(), Delivery::NotDelivered);
    Ok(())
}

#[derive(Actor)]
struct Other;

#[handlers]
impl Other {
    #[handle]
    fn get(&mut self, _: Get) -> u64 {
        0
    }
}

#[callboard::test]
async fn one_name_is_served_once_in_a_system(system: System) -> callboard::Result<()> {
    system.serve("counter", Counter::default).await?;
    let again = system.serve("counter", || Other).await.expect_err("the name is taken");
    let text = again.to_string();
    assert!(matches!(again, Error::Serve { .. }), "{text}");
    assert!(text.contains("it handles Add v1, Get v1, Nap v1, this one Get v1"), "{text}");
    let counter = system.service::<Counter>("counter");
    assert_eq!(counter.ask(Add(4)).await?, 4, "the first goes on");
    Ok(())
}

#[callboard::test]
async fn names_that_break_the_rules_are_refused_and_shown_escaped(
    system: System,
) -> callboard::Result<()> {
    for bad in ["", "a/b", "Upper", "a b", "\x1b[2J", "a{b}", &"x".repeat(200)] {
        let served = system.serve(bad, Counter::default).await.expect_err("refused");
        assert!(matches!(served, Error::Name(_)), "{served}");
        assert!(!served.to_string().contains('\x1b'), "control characters are not printed");
        let asked = system.service::<Counter>(bad).ask(Get).await.expect_err("refused");
        assert!(asked.to_string().contains("is refused"), "{asked}");
        let published = system.publish(bad, &Nap(Duration::ZERO)).await.expect_err("refused");
        assert!(published.to_string().contains("is refused"), "{published}");
    }
    let started = System::builder().node("no/slash").current_thread().start().await;
    let error = started.expect_err("a slash").to_string();
    assert!(error.contains("CALLBOARD_NODE"), "{error}");
    Ok(())
}

#[callboard::test]
async fn half_a_cluster_or_one_without_its_feature_does_not_start() {
    let half = System::builder().etcd(["http://127.0.0.1:1"]).current_thread().start().await;
    let error = half.expect_err("Redis is missing").to_string();
    assert!(error.contains("CALLBOARD_REDIS"), "{error}");
}

#[callboard::test]
async fn a_service_that_can_not_start_is_not_served(system: System) -> callboard::Result<()> {
    let failed = system.serve("broken", || Broken).await.expect_err("its start fails");
    assert!(failed.to_string().contains("no stage"), "{failed}");
    let again = system.serve("broken", Counter::default).await;
    again.expect("the name is free again");
    Ok(())
}

#[derive(Actor)]
struct Broken;

#[handlers]
impl Broken {
    #[started]
    fn start(&mut self) -> Result<(), String> {
        Err("no stage".to_owned())
    }
}

#[callboard::test]
async fn an_actor_that_can_not_start_says_so_to_whoever_asks(
    system: System,
) -> callboard::Result<()> {
    let broken = system.spawn(|| Broken)?;
    let failure = broken.started().await.expect_err("its start fails");
    assert!(matches!(failure.kind(), FailureKind::StartFailed { .. }), "{failure}");
    Ok(())
}

#[callboard::test]
async fn options_that_a_target_can_not_honour_are_refused(system: System) -> callboard::Result<()> {
    let counter = system.spawn(Counter::default)?;
    let recipient: Recipient<Add> = counter.recipient();
    let told = recipient.tell(Add(1)).key("customer").await.expect_err("an actor has no keys");
    assert!(matches!(told.failure().kind(), FailureKind::Unsupported { .. }), "{told}");
    assert_eq!(told.into_message(), Add(1));
    Ok(())
}

#[callboard::test]
async fn a_message_over_the_limit_comes_back(system: System) -> callboard::Result<()> {
    system.serve("store", || Store).await?;
    let store = system.service::<Store>("store");
    let told = store.tell(Blob(vec![7; 2 << 20])).await.expect_err("2 MiB are too many");
    assert!(matches!(told.failure().kind(), FailureKind::TooLarge { .. }), "{told}");
    assert_eq!(told.into_message().0.len(), 2 << 20);
    store.tell(Blob(vec![7; 900_000])).await?;
    Ok(())
}

#[derive(Message, Serialize, Deserialize)]
struct Blob(Vec<u8>);

#[derive(Actor)]
struct Store;

#[handlers]
impl Store {
    #[handle]
    fn blob(&mut self, Blob(_): Blob) {}
}
