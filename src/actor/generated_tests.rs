//! The same core through the macros: what they generate runs.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use super::{SpawnOptions, spawn_on, tests::with_host};
use crate::{
    __private::Access, ActorOptions, Overflow, RestartWhen, address::Addr, bus::codec::Codec,
    prelude::*,
};

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Message, Debug)]
#[message(name = "counter.get", version = 2, reply = u64, idempotent)]
struct Get;

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("overdrawn")]
struct Overdrawn;

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(error = Overdrawn, failure = Result::is_err, size = |take| take.0 as usize)]
struct Take(u64);

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(reply = u64)]
struct Later([u64; 16]);

#[derive(Message, Serialize, Deserialize, Debug)]
struct Placed;

#[derive(Message, Serialize, Deserialize, Debug)]
struct Secret;

#[derive(Message)]
#[message(reply = u64)]
struct Ticks;

#[derive(Actor, Default)]
#[actor(
    name = "teller",
    mailbox(capacity = 7, bytes = "64 KiB", overflow = "drop_oldest"),
    cpu(weight = 2, cap = "250m"),
    restart(when = "always", max = 3, within = "1m", backoff = "1ms..2s"),
    breaker(failures = 4, probe_after = "2s", tell = "refuse"),
    stop(drain = "1.5s")
)]
struct Counter {
    total: u64,
    ticks: Rc<Cell<u64>>,
    ended: Arc<AtomicBool>,
    deferred: Vec<Reply<Later>>,
}

#[handlers]
impl Counter {
    #[started]
    fn boot(&mut self) -> Result<(), std::num::ParseIntError> {
        self.total = "100".parse()?;
        Ok(())
    }

    #[handle]
    fn add(&mut self, Add(n): Add) -> u64 {
        self.total += n;
        for reply in self.deferred.drain(..) {
            reply.send(self.total);
        }
        self.total
    }

    #[handle]
    async fn get(&mut self, ctx: &mut Ctx<Self>, _: Get) -> u64 {
        tokio::task::yield_now().await;
        assert_eq!(ctx.name(), "teller");
        self.total
    }

    #[handle(remote)]
    async fn take(&mut self, Take(n): Take) -> Result<(), Overdrawn> {
        self.total = self.total.checked_sub(n).ok_or(Overdrawn)?;
        Ok(())
    }

    #[handle(defer)]
    fn later(&mut self, _: Later, reply: Reply<Later>) {
        self.deferred.push(reply);
    }

    #[handle(local)]
    fn secret(&mut self, _: Secret) {}

    #[cfg(any())]
    #[every("1ns")]
    fn never(&mut self) {
        no_such_function();
    }

    #[every("10s")]
    async fn tick(&mut self, _ctx: &mut Ctx<Self>) {
        self.ticks.set(self.ticks.get() + 1);
    }

    #[every("500ms")]
    fn tock(&mut self) {
        self.ticks.set(self.ticks.get() + 1000);
    }

    #[subscribe("orders.placed")]
    #[subscribe("orders.changed", each)]
    async fn placed(&mut self, _: Placed) {
        self.total = 0;
    }

    #[handle]
    fn ticks(&mut self, _: Ticks) -> u64 {
        self.ticks.get()
    }

    #[cfg(any())]
    #[handle]
    fn absent(&mut self, _: NoSuchMessage) {}

    #[stopped]
    async fn bye(&mut self, why: &StopReason) {
        assert_eq!(*why, StopReason::Requested);
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn with_counter(test: impl AsyncFnOnce(Addr<Counter>, Arc<AtomicBool>)) {
    with_host(async |host| {
        let ended = Arc::new(AtomicBool::new(false));
        let shared = ended.clone();
        let factory = move || Counter { ended: shared.clone(), ..Counter::default() };
        let counter = spawn_on(&host, factory, SpawnOptions::new());
        test(counter, ended).await;
    });
}

#[test]
fn every_kind_of_handler_and_hook_runs() {
    with_counter(async |counter, ended| {
        assert_eq!(counter.ask(Add(1)).await.expect("plain, after the started hook"), 101);
        let (later, added) = tokio::join!(counter.ask(Later([0; 16])), counter.ask(Add(2)));
        assert_eq!((later.expect("deferred"), added.expect("plain")), (103, 103));
        assert_eq!(counter.ask(Get).await.expect("async, with the context in front"), 103);
        counter.ask(Take(3)).await.expect("enough is there");
        let refused = counter.ask(Take(999)).await.expect_err("not enough");
        assert!(matches!(refused, AskError::Rejected(Overdrawn)));
        counter.ask(Placed).await.expect("a subscription is a handler");
        assert_eq!(counter.ask(Get).await.expect("an answer"), 0);
        counter.ask(Secret).await.expect("local");
        tokio::time::sleep(Duration::from_millis(10_250)).await;
        assert_eq!(counter.ask(Ticks).await.expect("an answer"), 20_001);
        counter.stop().expect("a local actor");
        assert_eq!(counter.stopped().await.expect("a local actor"), StopReason::Requested);
        assert!(ended.load(Ordering::Relaxed), "the stopped hook ran");
    });
}

#[test]
fn a_handler_can_be_called_directly() {
    with_counter(async |counter, _| {
        async fn ask<M: Message, A: Handler<M>>(
            actor: &mut A,
            ctx: &mut Ctx<A>,
            m: M,
        ) -> M::Outcome {
            actor.handle(m, ctx).await
        }
        #[derive(Message)]
        struct Run;
        impl Handler<Run> for Counter {
            async fn handle(&mut self, _: Run, ctx: &mut Ctx<Self>) {
                assert_eq!(ask(self, ctx, Add(1)).await, 101);
                assert_eq!(ask(self, ctx, Get).await, 101);
                let reply = Handler::handle(self, Later([0; 16]), ctx);
                drop(reply);
            }
        }
        counter.ask(Run).await.expect("a handler outside the block");
    });
}

#[test]
fn the_table_knows_what_can_travel() {
    let rows: Vec<_> = Counter::__table()
        .iter()
        .map(|row| (row.method, row.message, row.version, row.access()))
        .collect();
    let expected = [
        ("add", "Add", 1, Access::Remote),
        ("get", "counter.get", 2, Access::Local),
        ("take", "Take", 1, Access::Remote),
        ("later", "Later", 1, Access::Remote),
        ("secret", "Secret", 1, Access::Local),
        ("placed", "Placed", 1, Access::Remote),
        ("ticks", "Ticks", 1, Access::Local),
    ];
    assert_eq!(rows, expected);
    assert!(Counter::__table()[0].decode(Codec::Json, &[]).is_err());
    let topics: Vec<_> = Counter::__topics().iter().map(|row| (row.topic, row.each)).collect();
    assert_eq!(topics, [("orders.placed", false), ("orders.changed", true)]);
}

#[test]
fn settings_become_options() {
    let minute = Duration::from_secs(60);
    let expected = ActorOptions::new()
        .mailbox_capacity(7)
        .mailbox_bytes(65_536)
        .mailbox_overflow(Overflow::DropOldest)
        .cpu_weight(2)
        .cpu_cap(250)
        .restart_when(RestartWhen::Always)
        .restart_max(3)
        .restart_within(minute)
        .restart_backoff(Duration::from_millis(1), Duration::from_secs(2))
        .breaker_failures(4)
        .breaker_probe_after(Duration::from_secs(2), minute)
        .breaker_refuses_tells(true)
        .stop_drain(Duration::from_millis(1500));
    assert_eq!((Counter::OPTIONS, Counter::NAME), (expected, "teller"));
}

#[test]
fn messages_carry_what_they_declare() {
    assert_eq!((Get::NAME, Get::VERSION, Get::IDEMPOTENT), ("counter.get", 2, true));
    assert_eq!((Take::NAME, Take::VERSION, Take::IDEMPOTENT), ("Take", 1, false));
    assert!(Take::is_failure(&Err(Overdrawn)) && !Take::is_failure(&Ok(())));
    assert_eq!(Take(5).size_bytes(), 5);
    assert_eq!(Take::into_result(Err(Overdrawn)), Err(Overdrawn));
}

#[derive(Message, Serialize, Deserialize)]
#[message(reply = Option<T>)]
struct Put<T>(T);

#[derive(Message)]
#[message(reply = usize)]
struct Count<const N: usize>;

#[derive(Actor)]
struct Store<T, const N: usize> {
    held: [Option<T>; N],
}

#[handlers]
impl<T, const N: usize> Store<T, N>
where
    T: Serialize + serde::de::DeserializeOwned + Send + 'static,
{
    #[handle(remote)]
    fn put(&mut self, Put(value): Put<T>) -> Option<T> {
        self.held[0].replace(value)
    }

    #[handle(local)]
    async fn count(&mut self, _: Count<N>) -> usize {
        N
    }

    #[handle]
    fn add(&mut self, Add(n): Add) -> u64 {
        n
    }
}

#[test]
fn generic_actors_have_generic_handlers() {
    let access: Vec<_> = Store::<String, 3>::__table().iter().map(|row| row.access()).collect();
    assert_eq!(access, [Access::Remote, Access::Local, Access::Remote]);
    assert_eq!(Store::<u8, 1>::NAME, "Store");
}
