//! The public interface as it is promised, line by line; each line does what it says on the embedded
//! default.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use callboard::prelude::*;

/// A message, its reply, and optionally its domain error.
#[derive(Message, Serialize, Deserialize, Debug, Clone)]
#[message(reply = u64)] // wire name defaults to the type's name, version to 1
pub struct Add(pub u64);

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(name = "counter.get", version = 2, reply = u64)]
pub struct Get;

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(reply = (), error = Overdrawn)] // ask() then gives Result<(), AskError<Overdrawn>>
pub struct Take(pub u64);

#[derive(Debug, Serialize, Deserialize)]
pub struct Overdrawn;

impl std::fmt::Display for Overdrawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is not so much in it")
    }
}

impl std::error::Error for Overdrawn {}

#[derive(Message, Serialize, Deserialize, Debug)]
pub struct Placed {
    id: u64,
}

static PLACED: AtomicU64 = AtomicU64::new(0);
static FLUSHED: AtomicU64 = AtomicU64::new(0);
static STOPPED: AtomicU64 = AtomicU64::new(0);

#[derive(Actor, Default)]
#[actor(
    mailbox(capacity = 1024, overflow = "wait"), // wait | reject | drop_oldest
    cpu(weight = 2),
    restart(when = "failure", max = 5, within = "30s", backoff = "100ms..10s"),
    breaker(failures = 5, probe_after = "1s"),
)]
pub struct Counter {
    total: u64,
}

#[handlers]
impl Counter {
    #[started]
    async fn boot(&mut self, ctx: &mut Ctx<Self>) -> Result<(), BoxError> {
        assert!(!ctx.name().is_empty());
        Ok(())
    }
    #[handle]
    fn add(&mut self, Add(n): Add) -> u64 {
        assert!(n != 13, "unlucky");
        self.total += n;
        self.total
    }
    #[handle]
    async fn get(&mut self, _: Get, ctx: &mut Ctx<Self>) -> u64 {
        assert_eq!(ctx.addr().id(), ctx.id());
        self.total
    }
    #[handle]
    async fn take(&mut self, t: Take) -> Result<(), Overdrawn> {
        self.total = self.total.checked_sub(t.0).ok_or(Overdrawn)?;
        Ok(())
    }
    #[every("30s")]
    async fn flush(&mut self, ctx: &mut Ctx<Self>) {
        assert!(ctx.system().is_ok());
        FLUSHED.fetch_add(1, SeqCst);
    }
    #[subscribe("orders.placed")]
    async fn on_placed(&mut self, event: Placed) {
        PLACED.fetch_add(event.id, SeqCst);
    }
    #[stopped]
    async fn bye(&mut self, why: &StopReason) {
        assert_eq!(*why, StopReason::Shutdown);
        STOPPED.fetch_add(1, SeqCst);
    }
}

mod main_of_the_contract {
    use super::*;

    #[callboard::main] // also works under #[tokio::main] and in actix-web servers
    pub(super) async fn main() -> callboard::Result<()> {
        let system = System::start().await?; // embedded, unless CALLBOARD_ETCD and CALLBOARD_REDIS are set

        let counter: Addr<Counter> = system.spawn(Counter::default)?; // a factory, so that it can be restarted
        counter.tell(Add(2)).await?;
        let total = counter.ask(Get).timeout(Duration::from_secs(1)).await?;
        assert_eq!(total, 2);
        counter.try_tell(Add(1))?; // never waits; Err gives the message back

        system.serve("counter", Counter::default).instances(2).await?; // spawn, register, consume
        let anywhere: ServiceRef<Counter> = system.service("counter"); // cheap, lazy, serializable
        anywhere.ask(Get).await?;
        anywhere.tell(Add(5)).key("customer-42").await?; // resolves when the stream has it
        anywhere.broadcast(Add(1)).await?; // every instance
        let by_message: Recipient<Add> = anywhere.recipient(); // knows the message, not the actor
        system.publish("orders.placed", &Placed { id: 7 }).await?; // topic; any number of subscriber services
        assert!(by_message.ask(Add(0)).await.is_ok());
        super::check(&system, &counter, &anywhere).await?;
        system.shutdown().await // deregister, drain, settle acknowledgements, release the lease
    }
}

/// What the lines above have done: a plain form of each promise.
async fn check(
    system: &System,
    counter: &Addr<Counter>,
    anywhere: &ServiceRef<Counter>,
) -> callboard::Result<()> {
    // The tell of 5 went to one of the two instances, the broadcast of 1 to both; asks take turns.
    let view = system.directory().resolve(&callboard::Name::new("counter")?);
    assert_eq!(view.instances.len(), 2);
    eventually("the told and the broadcast are handled", async || {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..64 {
            seen.insert(anywhere.ask(Get).await.expect("an answer"));
        }
        seen == [1, 6].into()
    })
    .await;

    // The spawned actor counts as an instance of its own, the service as one subscriber.
    eventually("the event reached both subscribers", async || PLACED.load(SeqCst) == 14).await;

    // A domain error is an answer.
    let rejected = counter.ask(Take(1_000)).await.expect_err("it is not there");
    assert!(matches!(rejected, AskError::Rejected(Overdrawn)), "{rejected}");
    assert_eq!(rejected.delivery(), Delivery::Handled);

    // One child restarts, the others go on.
    let broken = counter.ask(Add(13)).await.expect_err("it panics");
    assert_eq!(broken.delivery(), Delivery::Handled);
    assert_eq!(counter.ask(Get).await?, 0, "a fresh counter behind the same address");
    assert!(anywhere.ask(Get).await? > 0, "the instances of the service are as they were");
    Ok(())
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(tokio::time::Instant::now() < until, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn the_contract_runs_as_it_is_written() {
    main_of_the_contract::main().expect("every line does what it says");
    assert_eq!(STOPPED.load(SeqCst), 3, "each counter heard that the system shuts down");
}

#[test]
fn a_builder_takes_what_the_environment_would_say() {
    let builder = System::builder()
        .cluster("shop")
        .node("n1")
        .etcd(["http://127.0.0.1:2379"])
        .redis("redis://127.0.0.1:6379");
    assert!(format!("{builder:?}").contains("shop"));
}

#[callboard::test]
async fn timers_tick(system: System) -> callboard::Result<()> {
    let before = FLUSHED.load(SeqCst);
    let counter = system.spawn(Counter::default)?;
    counter.started().await?;
    tokio::time::sleep(Duration::from_secs(95)).await;
    assert!(FLUSHED.load(SeqCst) >= before + 3);
    Ok(())
}
