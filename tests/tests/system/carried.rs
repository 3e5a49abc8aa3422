//! Addresses and service references inside messages.

use callboard::{Embedded, FailureKind, prelude::*};

use crate::support::{Add, Counter, Get, node, until};

/// "Call me back": carries an address and a service.
#[derive(Message, Serialize, Deserialize)]
#[message(reply = u64)]
struct Visit {
    who: Addr<Counter>,
    where_: ServiceRef<Counter>,
}

/// Asks for an address.
#[derive(Message, Serialize, Deserialize)]
#[message(reply = Addr<Counter>)]
struct Introduce;

struct Visitor {
    friend: Addr<Counter>,
}

impl callboard::Actor for Visitor {
    const OPTIONS: callboard::ActorOptions = callboard::ActorOptions::new();
    const NAME: &'static str = "Visitor";
}

#[handlers]
impl Visitor {
    #[handle]
    async fn visit(&mut self, Visit { who, where_ }: Visit) -> u64 {
        who.tell(Add(1)).await.expect("its address works here");
        let there = where_.ask(Get).await.expect("its service is found here");
        who.ask(Add(1)).await.expect("an answer") + there
    }

    #[handle]
    fn introduce(&mut self, _: Introduce) -> Addr<Counter> {
        self.friend.clone()
    }
}

#[callboard::test]
async fn an_address_in_a_message_works_at_the_other_end_and_home_again() -> callboard::Result<()> {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let friend = two.spawn(Counter::default)?;
    one.serve("counter", Counter::default).await?;
    two.serve("visitor", move || Visitor { friend: friend.clone() }).await?;
    let (counter, visitor) = (one.service::<Counter>("counter"), one.service::<Visitor>("visitor"));
    until("both see both", async || {
        counter.ask(Add(0)).await.is_ok() && visitor.ask(Introduce).await.is_ok()
    })
    .await;
    let me = one.spawn(Counter::default)?;

    let visited = visitor.ask(Visit { who: me.clone(), where_: counter }).await?;
    assert_eq!(visited, 2);
    assert_eq!(me.ask(Get).await?, 2);

    let friend = visitor.ask(Introduce).await?;
    assert_eq!(friend.incarnation(), Some(two.incarnation()));
    assert!(friend.inspect().is_none(), "its own process sees what it does");
    friend.tell(Add(20)).await?;
    assert_eq!(friend.ask(Add(1)).await?, 21);
    friend.try_tell(Add(1))?;
    until("it came through", async || friend.ask(Get).await.is_ok_and(|total| total == 22)).await;

    one.shutdown().await?;
    two.shutdown().await
}

#[callboard::test]
async fn an_address_whose_actor_has_ended_says_so(system: System) -> callboard::Result<()> {
    let store = Embedded::new();
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    let friend = two.spawn(Counter::default)?;
    let kept = friend.clone();
    two.serve("visitor", move || Visitor { friend: friend.clone() }).await?;
    let visitor = one.service::<Visitor>("visitor");
    until("it is visible", async || visitor.ask(Introduce).await.is_ok()).await;
    let friend = visitor.ask(Introduce).await?;
    kept.stop()?;
    kept.stopped().await?;
    let failure = friend.ask(Get).await.expect_err("it has ended");
    assert!(
        matches!(failure.failure().map(Failure::kind), Some(FailureKind::Stopped { .. })),
        "{failure}"
    );
    assert_eq!(failure.delivery(), Delivery::NotDelivered);
    drop(system);
    one.shutdown().await?;
    two.shutdown().await
}
