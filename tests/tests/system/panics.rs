//! A panic in the middle of a long queue.

use std::sync::Arc;

use callboard::{FailureKind, prelude::*};
use futures_util::future::join_all;
use parking_lot::Mutex;

/// Handled in order; one of them panics. The reply says by which incarnation.
#[derive(Message, Debug)]
#[message(reply = usize)]
struct Item(usize);

#[derive(Actor)]
#[actor(restart(backoff = "1ms..1ms"))]
struct Conveyor {
    incarnation: usize,
    handled: Arc<Mutex<Vec<usize>>>,
}

const BAD: usize = 500;

#[handlers]
impl Conveyor {
    #[handle]
    fn item(&mut self, Item(n): Item) -> usize {
        assert!(n != BAD, "this one is broken");
        self.handled.lock().push(n);
        self.incarnation
    }
}

fn conveyors(handled: &Arc<Mutex<Vec<usize>>>) -> impl Fn() -> Conveyor + Send + Sync + 'static {
    let (handled, built) = (handled.clone(), Mutex::new(0));
    move || {
        *built.lock() += 1;
        Conveyor { incarnation: *built.lock(), handled: handled.clone() }
    }
}

#[callboard::test]
async fn a_panic_amid_a_thousand_asks_costs_one_of_them(system: System) -> callboard::Result<()> {
    let handled = Arc::default();
    let conveyor = system.spawn(conveyors(&handled))?;
    let id = conveyor.id();
    let replies = join_all((0..1_000).map(|n| conveyor.ask(Item(n)))).await;
    for (n, reply) in replies.into_iter().enumerate() {
        match reply {
            Ok(incarnation) => assert_eq!(incarnation, if n < BAD { 1 } else { 2 }, "item {n}"),
            Err(error) => {
                assert_eq!(n, BAD, "{error}");
                assert_eq!(error.failure().map(Failure::kind), Some(&FailureKind::Panicked));
                assert_eq!(error.delivery(), Delivery::Handled);
            }
        }
    }
    let all_but_one: Vec<_> = (0..1_000).filter(|n| *n != BAD).collect();
    assert_eq!(*handled.lock(), all_but_one, "in order, and none twice");
    assert_eq!((conveyor.id(), conveyor.ask(Item(1_000)).await?), (id, 2), "the same address");
    Ok(())
}

/// The same on a thread of its own, with a thousand tells from another while the panic happens.
#[test]
fn a_panic_amid_tells_from_another_thread_costs_one_of_them() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let system = System::builder().arbiters(1).start().await.expect("a system");
        let handled = Arc::default();
        let conveyor = system.spawn(conveyors(&handled)).expect("it is up");
        for n in 0..1_000 {
            conveyor.tell(Item(n)).await.expect("it is accepted");
        }
        assert_eq!(conveyor.ask(Item(1_000)).await.expect("the next incarnation"), 2);
        let all_but_one: Vec<_> = (0..=1_000).filter(|n| *n != BAD).collect();
        assert_eq!(*handled.lock(), all_but_one, "in order, and none twice");
        system.shutdown().await.expect("in order");
    });
}

/// Panics when it is dropped.
#[derive(Actor)]
struct Fragile;

#[handlers]
impl Fragile {
    #[handle]
    async fn item(&mut self, _: Item) -> usize {
        std::future::pending().await
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "it breaks");
    }
}

#[tokio::test]
async fn an_actor_that_panics_while_its_system_drops_it_ends_all_the_same() {
    let system = System::builder().arbiters(1).start().await.expect("it starts");
    let fragile = system.spawn(|| Fragile).expect("it is up");
    let asks = join_all((0..3).map(|n| fragile.ask(Item(n)).timeout(Duration::from_secs(60))));
    let abort = async {
        fragile.started().await.expect("it starts");
        system.abort().await;
    };
    let (answers, ()) =
        tokio::time::timeout(Duration::from_secs(30), futures_util::future::join(asks, abort))
            .await
            .expect("all are told, long before their deadlines");
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(fragile.stopped().await.expect("a local actor"), StopReason::Shutdown);
}
