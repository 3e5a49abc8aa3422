//! What becomes of messages whose process is gone.

use callboard::{Embedded, prelude::*};

use crate::support::{Add, Counter, Nap, Sum, node, until};

struct Keeper {
    sum: Sum,
}

impl callboard::Actor for Keeper {
    const OPTIONS: callboard::ActorOptions = callboard::ActorOptions::new();
    const NAME: &'static str = "Keeper";
}

#[handlers]
impl Keeper {
    #[handle]
    fn add(&mut self, Add(n): Add) -> u64 {
        self.sum.add(n);
        self.sum.get()
    }

    #[handle]
    async fn nap(&mut self, Nap(time): Nap) {
        tokio::time::sleep(time).await;
    }
}

#[callboard::test]
async fn what_a_crashed_node_had_in_hand_is_handled_by_another() -> callboard::Result<()> {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let (lost, sum) = (Sum::default(), Sum::default());
    let keep = lost.clone();
    one.serve("keeper", move || Keeper { sum: keep.clone() }).await?;
    let keeper = one.service::<Keeper>("keeper");
    // Longer than the log needs to tell who is idle; the rest waits behind it, in the mailbox.
    keeper.tell(Nap(Duration::from_secs(600))).await?;
    for n in 1..=10 {
        keeper.tell(Add(n)).await?;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let keep = sum.clone();
    two.serve("keeper", move || Keeper { sum: keep.clone() }).await?;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((lost.get(), sum.get()), (0, 0), "a node that lives keeps what it has");

    one.abort().await;
    let died = tokio::time::Instant::now();
    until("the nap begins anew, and then the rest", async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sum.get() == 55
    })
    .await;
    // Its lease, seven seconds of silence, a look; then the nap.
    assert!(died.elapsed() < Duration::from_secs(620), "{:?}", died.elapsed());
    assert_eq!(lost.get(), 0);
    two.shutdown().await
}

#[callboard::test]
async fn an_ask_to_a_node_that_crashed_is_answered_before_its_deadline() -> callboard::Result<()> {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    one.serve("counter", Counter::default).await?;
    let counter = two.service::<Counter>("counter");
    until("it is found", async || counter.ask(Add(0)).await.is_ok()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let ask = tokio::task::spawn_local(async move {
        let nap = Nap(Duration::from_secs(900));
        counter.ask(nap).timeout(Duration::from_secs(1800)).await
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    one.abort().await;
    let died = tokio::time::Instant::now();
    let error = ask.await.expect("the ask ended").expect_err("nobody is there");
    assert_eq!(error.delivery(), Delivery::Unknown);
    assert!(died.elapsed() < Duration::from_secs(90), "{:?}", died.elapsed());
    two.shutdown().await
}
