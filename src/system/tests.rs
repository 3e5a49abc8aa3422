//! The whole path with an actor written by hand; the macros have their own tests.

use std::{convert::Infallible, future::Future};

use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    actor::{Actor, ActorOptions, BoxedEnvelope, Ctx, Handler, HandlerRow, Handlers, WireFns},
    error::FailureKind,
    message::{Envelope, Message, RemoteDelivery},
    service::Serves,
};

#[derive(Serialize, Deserialize)]
struct Add(u64);

impl Message for Add {
    type Reply = u64;
    type Error = Infallible;
    type Outcome = u64;
    const NAME: &'static str = "Add";
    const VERSION: u32 = 1;
    fn into_result(outcome: u64) -> Result<u64, Infallible> {
        Ok(outcome)
    }
}

#[derive(Default)]
struct Counter {
    total: u64,
}

enum Inbox {
    Add(Envelope<Add>),
    Boxed(Box<dyn BoxedEnvelope<Counter>>),
    Remote(RemoteDelivery),
}

impl Handlers for Counter {
    type Inbox = Inbox;

    fn __step(&mut self, inbox: Inbox, ctx: &mut Ctx<Self>) -> Option<Inbox> {
        match inbox {
            Inbox::Add(envelope) => {
                if let Some((Add(n), replying)) = ctx.open(envelope) {
                    assert!(n != 13, "unlucky");
                    self.total += n;
                    replying.finish(ctx, self.total);
                }
                None
            }
            Inbox::Remote(delivery) => {
                let inbox = ctx.receive(delivery)?;
                self.__step(inbox, ctx)
            }
            other => Some(other),
        }
    }

    async fn __handle(&mut self, inbox: Inbox, ctx: &mut Ctx<Self>) {
        if let Inbox::Boxed(envelope) = inbox {
            envelope.handle(self, ctx).await;
        }
    }

    fn __boxed(envelope: Box<dyn BoxedEnvelope<Self>>) -> Inbox {
        Inbox::Boxed(envelope)
    }

    fn __remote(delivery: RemoteDelivery) -> Inbox {
        Inbox::Remote(delivery)
    }

    fn __tick(_: u64) -> Inbox {
        unreachable!("no timers")
    }

    fn __table() -> Vec<HandlerRow<Self>> {
        vec![HandlerRow::new::<Add>("add", Some(WireFns::new()))]
    }
}

impl Handler<Add> for Counter {
    fn handle(&mut self, Add(n): Add, _: &mut Ctx<Self>) -> impl Future<Output = u64> {
        self.total += n;
        std::future::ready(self.total)
    }

    fn __wrap(envelope: Envelope<Add>) -> Inbox {
        Inbox::Add(envelope)
    }

    fn __wire() -> Option<WireFns<Add>> {
        Some(WireFns::new())
    }
}

impl Serves<Add> for Counter {
    fn __wire() -> WireFns<Add> {
        WireFns::new()
    }
}

impl Actor for Counter {
    const OPTIONS: ActorOptions = ActorOptions::new();
    const NAME: &'static str = "Counter";
}

#[test]
fn a_service_is_served_asked_and_told() {
    entry::run_main_with_system(async |system: System| -> Result<()> {
        system.serve("counter", Counter::default).await?;
        let counter = system.service::<Counter>("counter");
        assert_eq!(counter.ask(Add(2)).await?, 2);
        counter.tell(Add(5)).await?;
        while counter.ask(Add(0)).await? != 7 {
            tokio::task::yield_now().await;
        }
        Ok(())
    })
    .expect("the whole path");
}

#[test]
fn two_systems_over_one_store_reach_each_other() {
    entry::run_test(async || {
        let store = Embedded::new();
        let start = async |name: &str| {
            let builder = System::builder().node(name).embedded(&store).current_thread();
            builder.start().await.expect("it starts")
        };
        let (one, two) = (start("one").await, start("two").await);
        one.serve("counter", Counter::default).await.expect("served");
        let counter = two.service::<Counter>("counter");
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(counter.ask(Add(2)).await.expect("an answer"), 2);
        counter.tell(Add(5)).await.expect("stored");
        counter.broadcast(Add(1)).await.expect("told");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(counter.ask(Add(0)).await.expect("an answer"), 8);
        let failure = counter.ask(Add(13)).await.expect_err("it panics");
        assert_eq!(failure.failure().map(Failure::kind), Some(&FailureKind::Panicked));
        assert_eq!(counter.ask(Add(1)).await.expect("built again"), 1);
        one.shutdown().await.expect("in order");
        two.shutdown().await.expect("in order");
    });
}

/// Nobody waits for the end of these messages.
struct Ignored(Vec<u8>);

impl crate::message::DeliverySink for Ignored {
    fn conclude(&self, _: u32, _: crate::message::Conclusion) {}

    fn is_cancelled(&self, _: u32) -> bool {
        false
    }

    fn wants_reply(&self, _: u32) -> bool {
        false
    }

    fn content(&self, _: u32) -> Option<crate::message::Content<'_>> {
        let codec = crate::bus::codec::Codec::Bincode.to_byte();
        Some(crate::message::Content { codec, body: &self.0 })
    }

    fn deadline(&self, _: u32) -> Option<tokio::time::Instant> {
        None
    }
}

fn incoming(Add(n): Add) -> crate::bus::Incoming {
    let mut body = Vec::new();
    let codec = crate::bus::codec::Codec::Bincode;
    crate::bus::codec::encode(codec, &Add(n), &mut body).expect("it can be encoded");
    crate::bus::Incoming {
        kind: crate::bus::frame::Kind::Tell,
        name: "Add".into(),
        version: 1,
        topic: None,
        codec,
        body: body.clone().into(),
        target: None,
        key_hash: None,
        attempt: 1,
        deadline: None,
        sender: crate::id::Incarnation::from_u128(1),
        origin: crate::log::EntryId { ms: 1, seq: 1 },
        trace: None,
        chain: Vec::new(),
        delivery: RemoteDelivery::new(crate::message::RemoteFrame::new(Arc::new(Ignored(body))), 0),
        place: None,
    }
}

#[test]
fn room_granted_to_a_received_message_goes_with_it() {
    use crate::{bus::Offered, service::LocalActor as _, service::LocalActorOf, service::Table};
    entry::run_test_with_system(async |system: System| -> Result<()> {
        let mut options = crate::actor::SpawnOptions::<Counter>::new();
        options.options.adjust(|it| it.mailbox_capacity(1));
        let host = system.0.runtime.next_host();
        let addr = crate::actor::spawn_on(host, Counter::default, options);
        let context = system.0.node.context();
        let table = Arc::new(Table::new());
        let actor = LocalActorOf::new(addr.clone(), table, context).expect("a local actor");
        for is_offered_again in [true, false, true] {
            addr.try_tell(Add(1)).expect("room for one");
            let Offered::Full { message, room } = actor.offer(incoming(Add(10))) else {
                panic!("there is no room");
            };
            room.await;
            addr.try_tell(Add(100)).expect_err("the room is promised");
            if is_offered_again {
                assert!(matches!(actor.offer(*message), Offered::Taken));
            } else {
                let crate::bus::Incoming { delivery, place, .. } = *message;
                drop(place);
                delivery.conclude(crate::message::Conclusion::Cancelled);
            }
            addr.tell(Add(0)).await.expect("room in time");
            addr.started().await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(addr.ask(Add(0)).await.expect("an answer"), 23);
        Ok(())
    })
    .expect("in order");
}

struct ShutDown;

impl Message for ShutDown {
    type Reply = ();
    type Error = Infallible;
    type Outcome = ();
    const NAME: &'static str = "ShutDown";
    const VERSION: u32 = 1;
    fn into_result(outcome: ()) -> Result<(), Infallible> {
        Ok(outcome)
    }
}

struct Ender(System);

impl Handlers for Ender {
    type Inbox = Box<dyn BoxedEnvelope<Self>>;

    fn __step(&mut self, inbox: Self::Inbox, _: &mut Ctx<Self>) -> Option<Self::Inbox> {
        Some(inbox)
    }

    async fn __handle(&mut self, inbox: Self::Inbox, ctx: &mut Ctx<Self>) {
        inbox.handle(self, ctx).await;
    }

    fn __boxed(envelope: Box<dyn BoxedEnvelope<Self>>) -> Self::Inbox {
        envelope
    }

    fn __remote(_: RemoteDelivery) -> Self::Inbox {
        unreachable!("nothing remote")
    }

    fn __tick(_: u64) -> Self::Inbox {
        unreachable!("no timers")
    }
}

impl Actor for Ender {
    const OPTIONS: ActorOptions = ActorOptions::new();
    const NAME: &'static str = "Ender";
}

impl Handler<ShutDown> for Ender {
    async fn handle(&mut self, _: ShutDown, _: &mut Ctx<Self>) {
        self.0.shutdown().await.expect("it is dropped before that");
    }
}

async fn started() -> System {
    System::builder().current_thread().start().await.expect("it starts")
}

#[test]
fn a_shutdown_that_an_actor_asked_for_is_finished_without_it() {
    entry::run_test(async || {
        let system = started().await;
        let inner = system.clone();
        let ender = system.spawn(move || Ender(inner.clone())).expect("spawned");
        ender.try_tell(ShutDown).expect("room");
        tokio::time::sleep(Duration::from_millis(1)).await;
        let second = tokio::time::timeout(Duration::from_secs(60), system.shutdown()).await;
        second.expect("it ends").expect("in order");
        assert!(ender.stopped().await.is_ok());
        assert!(*system.0.has_ended.borrow());
    });
}

#[test]
fn a_shutdown_that_is_dropped_goes_on() {
    entry::run_test(async || {
        let system = started().await;
        let counter = system.spawn(Counter::default).expect("spawned");
        let dropped = tokio::time::timeout(Duration::ZERO, system.shutdown()).await;
        dropped.expect_err("there was no time");
        system.shutdown().await.expect("in order");
        counter.stopped().await.expect("a local actor");
        assert!(*system.0.has_ended.borrow());
    });
}

/// Runs a future on a thread that knows no runtime.
fn without_runtime<T: Send>(future: impl Future<Output = T> + Send) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let run = || {
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut future = std::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
                std::task::Poll::Ready(value) => return value,
                std::task::Poll::Pending => std::thread::park(),
            }
        }
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("no panic"))
}

#[test]
fn a_system_is_used_and_shut_down_where_there_is_no_runtime() {
    without_runtime(async {
        let system = System::builder().arbiters(2).start().await.expect("it starts");
        let service = system.serve("counter", Counter::default).await.expect("served");
        let counter = system.service::<Counter>("counter");
        assert_eq!(counter.ask(Add(2)).await.expect("an answer"), 2);
        counter.tell(Add(2)).await.expect("stored");
        service.drain().await.expect("in order");
        system.shutdown().await.expect("in order");
    });
}

#[test]
fn a_serve_that_is_dropped_serves_all_the_same() {
    entry::run_test_with_system(async |system: System| -> Result<()> {
        let serve = system.serve("counter", Counter::default).into_future();
        let dropped = tokio::time::timeout(Duration::ZERO, serve).await;
        assert!(dropped.is_err(), "there was no time");
        tokio::time::sleep(Duration::from_secs(1)).await;
        let counter = system.service::<Counter>("counter");
        assert_eq!(counter.ask(Add(2)).await.expect("an answer"), 2);
        system.serve("counter", Counter::default).await.expect_err("it is served");
        Ok(())
    })
    .expect("in order");
}

#[test]
fn stopping_a_service_twice_leaves_its_successor_alone() {
    entry::run_test_with_system(async |system: System| -> Result<()> {
        let first = system.serve("counter", Counter::default).await?;
        first.stop().await?;
        let _second = system.serve("counter", Counter::default).await?;
        first.stop().await?;
        system.serve("counter", Counter::default).await.expect_err("it is served");
        Ok(())
    })
    .expect("in order");
}

#[test]
fn a_service_without_instances_reads_no_more() {
    entry::run_test(async || {
        let store = Embedded::new();
        let start = async |name: &str| {
            let builder = System::builder().node(name).embedded(&store).current_thread();
            builder.start().await.expect("it starts")
        };
        let (one, two) = (start("one").await, start("two").await);
        let service = one.serve("counter", Counter::default).await.expect("served");
        let counter = service.addresses()[0].clone();
        for _ in 0..6 {
            counter.ask(Add(13)).await.expect_err("it panics");
        }
        counter.stopped().await.expect("a local actor");
        tokio::time::sleep(Duration::from_secs(1)).await;
        two.serve("counter", Counter::default).await.expect("served");
        let counter = two.service::<Counter>("counter");
        for _ in 0..10 {
            counter.tell(Add(1)).await.expect("stored");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(counter.ask(Add(0)).await.expect("an answer"), 10);
        one.shutdown().await.expect("in order");
        two.shutdown().await.expect("in order");
    });
}
