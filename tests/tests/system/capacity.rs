//! Mailbox limits that change while the actor runs.

use std::time::Duration;

use callboard::{Embedded, FailureKind, prelude::*};

use crate::support::{Add, Counter, Get, Nap, node, until};

/// As large as it says.
#[derive(Message)]
#[message(size = |parcel| parcel.0)]
struct Parcel(usize);

/// Keeps the actor busy.
#[derive(Message)]
struct Rest(Duration);

#[derive(Actor, Default)]
struct Store {
    bytes: usize,
}

#[handlers]
impl Store {
    #[handle]
    fn parcel(&mut self, Parcel(bytes): Parcel) {
        self.bytes += bytes;
    }

    #[handle]
    async fn rest(&mut self, Rest(time): Rest) {
        tokio::time::sleep(time).await;
    }
}

/// A question whose answer a full mailbox gives up.
#[derive(Message)]
#[message(reply = u64)]
struct Ask(u64);

#[derive(Actor, Default)]
#[actor(mailbox(capacity = 4, overflow = "drop_oldest"))]
struct Latest {
    seen: Vec<u64>,
}

#[handlers]
impl Latest {
    #[handle]
    fn ask(&mut self, Ask(n): Ask) -> u64 {
        self.seen.push(n);
        n
    }

    #[handle]
    async fn rest(&mut self, Rest(time): Rest) {
        tokio::time::sleep(time).await;
    }
}

const NAP: Duration = Duration::from_secs(5);

fn kind<T>(result: Result<T, TellError<impl Message>>) -> Option<FailureKind> {
    result.err().map(|error| error.failure().kind().clone())
}

/// A counter, of capacity 4, that naps with an empty mailbox.
async fn napping(system: &System) -> callboard::Result<Addr<Counter>> {
    let counter = system.spawn(Counter::default)?;
    counter.tell(Nap(NAP)).await?;
    until("it naps", async || counter.depth() == Some(0)).await;
    Ok(counter)
}

#[callboard::test]
async fn a_higher_capacity_lets_a_sender_in_while_the_handler_awaits(
    system: System,
) -> callboard::Result<()> {
    let counter = napping(&system).await?;
    for _ in 0..4 {
        counter.try_tell(Add(1))?;
    }
    assert!(matches!(kind(counter.try_tell(Add(1))), Some(FailureKind::MailboxFull { .. })));
    let start = tokio::time::Instant::now();
    let (told, set) = tokio::join!(counter.tell(Add(1)), async { counter.set_capacity(5) });
    told?;
    set?;
    assert!(start.elapsed() < NAP, "it was let in before the nap was over");
    assert_eq!(counter.depth(), Some(5));
    assert_eq!(counter.ask(Get).await?, 5);
    Ok(())
}

#[callboard::test]
async fn a_lower_capacity_loses_nothing_and_holds_from_then_on(
    system: System,
) -> callboard::Result<()> {
    let counter = napping(&system).await?;
    for _ in 0..4 {
        counter.try_tell(Add(1))?;
    }
    counter.set_capacity(2)?;
    assert_eq!(counter.depth(), Some(4));
    assert!(counter.try_tell(Add(1)).is_err());
    assert_eq!(counter.ask(Get).await?, 4, "all that was accepted is handled");
    counter.tell(Nap(NAP)).await?;
    until("it naps", async || counter.depth() == Some(0)).await;
    counter.try_tell(Add(1))?;
    counter.try_tell(Add(1))?;
    assert!(counter.try_tell(Add(1)).is_err());
    Ok(())
}

#[callboard::test]
async fn a_lower_limit_in_bytes_hands_back_what_waits_and_is_too_large(
    system: System,
) -> callboard::Result<()> {
    let store = system.spawn(Store::default)?;
    store.set_capacity_bytes(10_000)?;
    store.tell(Rest(NAP)).await?;
    until("it rests", async || store.depth() == Some(0)).await;
    store.try_tell(Parcel(9_000))?;
    let start = tokio::time::Instant::now();
    let (told, set) =
        tokio::join!(store.tell(Parcel(5_000)), async { store.set_capacity_bytes(4_096) });
    set?;
    let error = told.expect_err("it never fits");
    assert_eq!(*error.failure().kind(), FailureKind::TooLarge { size: 5_000, limit: 4_096 });
    assert_eq!(error.into_message().0, 5_000);
    assert!(start.elapsed() < NAP);
    store.tell(Parcel(4_096)).await?;
    Ok(())
}

#[callboard::test]
async fn a_limit_out_of_bounds_is_refused_with_the_bounds(system: System) -> callboard::Result<()> {
    let counter = system.spawn(Counter::default)?;
    for messages in [0, (1 << 20) + 1] {
        let text = counter.set_capacity(messages).expect_err("out of bounds").to_string();
        assert!(text.contains("1 to 1048576 messages"), "{text}");
    }
    for bytes in [1023, (1 << 30) + 1] {
        let text = counter.set_capacity_bytes(bytes).expect_err("out of bounds").to_string();
        assert!(text.contains("1024 to 1073741824 bytes"), "{text}");
    }
    counter.set_capacity(1)?;
    counter.set_capacity(1 << 20)?;
    counter.set_capacity_bytes(1024)?;
    counter.set_capacity_bytes(1 << 30)?;
    counter.stop()?;
    counter.stopped().await?;
    let failure = counter.set_capacity(9).expect_err("it has ended");
    assert!(matches!(failure.kind(), FailureKind::Stopped { .. }), "{failure}");
    Ok(())
}

/// Asks for an address.
#[derive(Message, Serialize, Deserialize)]
#[message(reply = Addr<Counter>)]
struct Introduce;

#[derive(Actor)]
struct Host {
    guest: Addr<Counter>,
}

#[handlers]
impl Host {
    #[handle]
    fn introduce(&mut self, _: Introduce) -> Addr<Counter> {
        self.guest.clone()
    }
}

#[callboard::test]
async fn the_capacity_of_an_actor_elsewhere_is_not_ours_to_set() -> callboard::Result<()> {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let guest = two.spawn(Counter::default)?;
    two.serve("host", move || Host { guest: guest.clone() }).await?;
    let host = one.service::<Host>("host");
    until("it is visible", async || host.ask(Introduce).await.is_ok()).await;
    let guest = host.ask(Introduce).await?;
    for failure in [guest.set_capacity(5), guest.set_capacity_bytes(5_000)] {
        let failure = failure.expect_err("it lives in another process");
        assert!(matches!(failure.kind(), FailureKind::Unsupported { .. }), "{failure}");
    }
    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn every_asker_whose_message_made_room_is_told_so(system: System) -> callboard::Result<()> {
    let latest = system.spawn(Latest::default)?;
    latest.tell(Rest(NAP)).await?;
    until("it rests", async || latest.depth() == Some(0)).await;
    let asks = futures_util::future::join_all((0..6).map(|n| latest.ask(Ask(n))));
    let answers = asks.await;
    let displaced = answers[..2].iter().map(|answer| {
        let failure = answer.as_ref().err().and_then(|error| error.failure());
        failure.map(|failure| failure.kind().clone())
    });
    for kind in displaced {
        assert!(matches!(kind, Some(FailureKind::MailboxFull { .. })), "{kind:?}");
    }
    let handled: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
    assert_eq!(handled, [2, 3, 4, 5]);
    Ok(())
}
