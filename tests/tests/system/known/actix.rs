//! Expected by users of actix: lifecycle, context, addresses, answers in order, supervision.

use std::collections::HashSet;

use callboard::{ActorState, FailureKind, prelude::*};
use tokio::time::Instant;

use super::{
    Add, AddSlowly, Always, Diary, Farewell, Note, Plain, Quit, Remind, Rest, Start, kind, ms,
    settle, worker, worker_that,
};

// As actix: an actor whose address is held goes on.
#[callboard::test]
async fn an_actor_lives_while_its_address_is_held(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Plain>(&diary))?;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(diary.lines(), ["started"]);
    assert_eq!(addr.state(), Some(ActorState::Running));
    Ok(())
}

// Other than actix, where an actor ends with its last address: here it lives on, unless it was
// spawned with `stop_with_last_address`.
#[callboard::test]
async fn an_actor_lives_on_without_addresses() {
    let diary = Diary::default();
    let system = System::builder().current_thread().start().await.expect("a system");
    drop(system.spawn(worker::<Plain>(&diary)).expect("it is up"));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(diary.lines(), ["started"]);
    system.shutdown().await.expect("in order");
    assert_eq!(diary.lines(), ["started", "stopped: its system shut down"]);
}

// As actix: the end of the system runs the `stopped` hook of every actor.
#[callboard::test]
async fn every_actor_hears_of_the_end_of_the_system() {
    let diary = Diary::default();
    let system = System::builder().current_thread().start().await.expect("a system");
    let addrs: Vec<_> =
        (0..10).map(|_| system.spawn(worker::<Plain>(&diary)).expect("it is up")).collect();
    for addr in &addrs {
        addr.started().await.expect("it starts");
    }
    system.shutdown().await.expect("in order");
    assert_eq!(diary.count("stopped: its system shut down"), 10);
}

// Other than actix, where `stopping` may answer that the actor goes on: a stop is final, and in the
// hook the actor is refused its own messages.
#[callboard::test]
async fn an_actor_cannot_refuse_to_stop(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker_that::<Plain>(&diary, Start::Succeeds, Farewell::Resists))?;
    addr.started().await?;
    addr.stop()?;
    assert_eq!(addr.stopped().await?, StopReason::Requested);
    assert_eq!(diary.lines(), ["started", "refused", "stopped: it was told to stop"]);
    Ok(())
}

// As actix: an actor may stop in its `started` hook.
#[callboard::test]
async fn an_actor_may_stop_while_it_starts(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker_that::<Plain>(&diary, Start::Stops, Farewell::Succeeds))?;
    assert_eq!(addr.stopped().await?, StopReason::Finished);
    assert_eq!(diary.lines(), ["started", "stopped: it stopped by itself"]);
    Ok(())
}

// As actix: what an actor tells itself is handled after what waits already.
#[callboard::test]
async fn what_an_actor_tells_itself_comes_after_what_waits(
    system: System,
) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Plain>(&diary))?;
    addr.try_tell(Remind(9)).expect("room");
    addr.try_tell(Note(1)).expect("room");
    addr.try_tell(Note(2)).expect("room");
    settle().await;
    assert_eq!(diary.lines(), ["started", "reminded", "note 1", "note 2", "note 9"]);
    Ok(())
}

// As actix under `ctx.wait`: a handler that awaits holds up the messages behind it. Here that is so
// for every async handler.
#[callboard::test]
async fn a_handler_that_awaits_holds_up_the_next(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Plain>(&diary))?;
    for _ in 0..3 {
        addr.tell(Rest(Duration::from_secs(1))).await?;
    }
    tokio::time::sleep(ms(500)).await;
    assert_eq!(diary.lines(), ["started", "rests"]);
    tokio::time::sleep(ms(1_000)).await;
    assert_eq!(diary.lines(), ["started", "rests", "rested", "rests"]);
    Ok(())
}

// As actix: handlers that do not await handle all that was sent.
#[callboard::test]
async fn plain_handlers_handle_all_that_was_sent(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Plain>(&diary))?;
    for n in 0..3 {
        addr.try_tell(Note(n)).expect("room");
    }
    settle().await;
    assert_eq!(diary.lines(), ["started", "note 0", "note 1", "note 2"]);
    Ok(())
}

/// Ticks ten times, then stops.
#[derive(Actor)]
struct Clock {
    since: Instant,
    left: u32,
    diary: Diary,
}

#[handlers]
impl Clock {
    #[every("100ms")]
    fn tick(&mut self, ctx: &mut Ctx<Self>) {
        self.left -= 1;
        self.diary.note(format!("{}", self.since.elapsed().as_millis()));
        if self.left == 0 {
            ctx.stop();
        }
    }
}

// As actix: a timer ticks first after one period, on its grid, and ends with its actor.
#[callboard::test]
async fn a_timer_ticks_after_each_period_until_its_actor_ends(
    system: System,
) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn({
        let diary = diary.clone();
        move || Clock { since: Instant::now(), left: 10, diary: diary.clone() }
    })?;
    assert_eq!(addr.stopped().await?, StopReason::Finished);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let ticks: Vec<u64> = diary.lines().iter().map(|line| line.parse().expect("ms")).collect();
    assert_eq!(ticks.len(), 10);
    for (n, at) in (1..).zip(ticks) {
        assert!((n * 100..n * 100 + 5).contains(&at), "tick {n} came after {at} ms");
    }
    Ok(())
}

// As actix: clones of an address reach the same actor, from other threads too.
#[test]
fn clones_of_an_address_reach_one_actor_from_any_thread() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let system = System::builder().arbiters(2).start().await.expect("a system");
        let addr = system.spawn(worker::<Plain>(&Diary::default())).expect("it is up");
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let addr = addr.clone();
                tokio::spawn(async move {
                    for _ in 0..100 {
                        addr.ask(Add(1)).await.expect("an answer");
                    }
                })
            })
            .collect();
        std::thread::spawn({
            let addr = addr.clone();
            move || (0..100).for_each(|_| addr.try_tell(Note(1)).expect("room"))
        })
        .join()
        .expect("a thread without a runtime may send");
        for sender in senders {
            sender.await.expect("all were answered");
        }
        assert_eq!(addr.ask(Add(0)).await.expect("an answer"), 400);
        system.shutdown().await.expect("in order");
    });
}

// As actix: addresses are equal, and hash alike, when they lead to the same actor.
#[callboard::test]
// What an address hashes is its actor's identity, which does not change.
#[allow(clippy::mutable_key_type)]
async fn addresses_of_one_actor_are_equal_and_hash_alike(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let (one, two) = (system.spawn(worker::<Plain>(&diary))?, system.spawn(worker(&diary))?);
    assert_eq!(one, one.clone());
    assert_ne!(one, two);
    let mut known = HashSet::from([one.clone(), one.clone(), two.clone()]);
    assert_eq!(known.len(), 2);
    assert!(known.remove(&one));
    assert!(!known.contains(&one) && known.contains(&two));
    Ok(())
}

// As actix: a send to an actor that has ended fails. The message comes back with it.
#[callboard::test]
async fn a_send_to_an_actor_that_has_ended_fails(system: System) -> callboard::Result<()> {
    let addr = system.spawn(worker::<Plain>(&Diary::default()))?;
    addr.stop()?;
    addr.stopped().await?;
    assert_eq!(addr.state(), Some(ActorState::Stopped));
    assert_eq!(addr.tell(Note(7)).await.expect_err("it has ended").into_message().0, 7);
    assert_eq!(addr.try_tell(Note(8)).expect_err("it has ended").into_message().0, 8);
    let asked = addr.ask(Add(1)).await;
    assert_eq!(asked.as_ref().map_err(AskError::delivery), Err(Delivery::NotDelivered));
    assert!(matches!(kind(asked), FailureKind::Stopped { .. }));
    Ok(())
}

// As actix: an ask with a limit ends at it when the actor is busy. Here what had not begun by then
// is not handled later either.
#[callboard::test]
async fn an_ask_ends_at_its_limit_while_the_actor_is_busy(system: System) -> callboard::Result<()> {
    let addr = system.spawn(worker::<Plain>(&Diary::default()))?;
    addr.tell(Rest(Duration::from_secs(20))).await?;
    let before = Instant::now();
    let late = addr.ask(Add(1)).timeout(ms(1)).await;
    assert!(before.elapsed() < ms(10));
    assert!(matches!(kind(late), FailureKind::DeadlinePassed { .. }));
    assert_eq!(addr.ask(Add(0)).await?, 0, "the late one is not handled");
    Ok(())
}

/// Asks another actor from its own handler.
#[derive(Actor)]
struct Client {
    busy: Addr<super::Worker<Plain>>,
}

#[derive(Message)]
#[message(reply = bool)]
struct HasAnswer;

#[handlers]
impl Client {
    #[handle]
    async fn has_answer(&mut self, _: HasAnswer) -> bool {
        self.busy.ask(Add(1)).timeout(ms(1)).await.is_ok()
    }
}

// As actix: the same when an actor asks another.
#[callboard::test]
async fn an_ask_of_an_actor_ends_at_its_limit(system: System) -> callboard::Result<()> {
    let busy = system.spawn(worker::<Plain>(&Diary::default()))?;
    let client = system.spawn({
        let busy = busy.clone();
        move || Client { busy: busy.clone() }
    })?;
    assert!(client.ask(HasAnswer).await?);
    busy.tell(Rest(Duration::from_secs(20))).await?;
    assert!(!client.ask(HasAnswer).await?);
    Ok(())
}

/// Answers in many types.
#[derive(Actor, Default)]
struct Register {
    names: Vec<String>,
}

#[derive(Message)]
#[message(reply = usize)]
struct Len;

#[derive(Message)]
#[message(reply = Vec<String>)]
struct Names;

#[derive(Message)]
#[message(reply = Option<String>)]
struct NameAt(usize);

#[derive(Message)]
#[message(reply = Result<usize, String>)]
struct Enter(&'static str);

#[handlers]
impl Register {
    #[handle]
    fn len(&mut self, _: Len) -> usize {
        self.names.len()
    }

    #[handle]
    fn names(&mut self, _: Names) -> Vec<String> {
        self.names.clone()
    }

    #[handle]
    fn name_at(&mut self, NameAt(at): NameAt) -> Option<String> {
        self.names.get(at).cloned()
    }

    #[handle]
    fn enter(&mut self, Enter(name): Enter) -> Result<usize, String> {
        if self.names.iter().any(|known| known == name) {
            return Err(format!("{name} is there already"));
        }
        self.names.push(name.to_owned());
        Ok(self.names.len())
    }
}

// As actix: numbers, lists, options and results are replies.
#[callboard::test]
async fn replies_are_of_any_type(system: System) -> callboard::Result<()> {
    let register = system.spawn(Register::default)?;
    assert_eq!(register.ask(Len).await?, 0);
    assert_eq!(register.ask(Enter("ada")).await?, Ok(1));
    assert_eq!(register.ask(Enter("ada")).await?, Err("ada is there already".to_owned()));
    assert_eq!(register.ask(Names).await?, ["ada"]);
    assert_eq!(register.ask(NameAt(0)).await?.as_deref(), Some("ada"));
    assert_eq!(register.ask(NameAt(50)).await?, None);
    Ok(())
}

// As actix with `AtomicResponse`: async handlers run one after the other, in the order of the asks.
// Here there is no other kind.
#[callboard::test]
async fn async_handlers_do_not_interleave(system: System) -> callboard::Result<()> {
    let addr = system.spawn(worker::<Plain>(&Diary::default()))?;
    let before = Instant::now();
    // The longest first: were they to interleave, the answers would come in the reverse order.
    let asks = (1..=7).rev().map(|n| addr.ask(AddSlowly(n, ms(n))));
    let totals: Vec<u64> = futures_util::future::try_join_all(asks).await?;
    assert_eq!(totals, [7, 13, 18, 22, 25, 27, 28]);
    assert!(before.elapsed() >= ms(28));
    Ok(())
}

// As actix under its supervisor: an actor that stops by itself is started again behind its address,
// with what waited. Here that is `restart(when = "always")`, and the actor is built anew.
#[callboard::test]
async fn an_actor_that_stops_itself_can_be_built_again(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Always>(&diary))?;
    addr.ask(Add(5)).await?;
    for _ in 0..2 {
        addr.tell(Quit).await?;
        addr.tell(Note(1)).await?;
        settle().await;
    }
    assert_eq!((diary.count("started"), diary.count("note 1")), (3, 2));
    assert_eq!(diary.count("stopped: it stopped by itself"), 2);
    assert_eq!(addr.ask(Add(1)).await?, 1, "it is a new one");
    Ok(())
}
