//! Expected by users of all three: what an actor has beside its handlers (futures, streams, delayed
//! messages), and the addresses that keep it alive or do not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration as StdDuration,
};

use callboard::prelude::*;
use futures_util::stream;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::{Burst, Diary, Note, Plain, Rest, act, doer, ms, settle, worker};

/// True while it is held.
#[derive(Clone, Default)]
struct Held(Arc<AtomicBool>);

impl Held {
    fn hold(&self) -> Hold {
        self.0.store(true, SeqCst);
        Hold(self.clone())
    }

    fn is_held(&self) -> bool {
        self.0.load(SeqCst)
    }
}

struct Hold(Held);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.store(false, SeqCst);
    }
}

/// A handle that leaves the handler where it was made.
type Slot = Arc<Mutex<Option<TaskHandle>>>;

fn handle(slot: &Slot) -> TaskHandle {
    slot.lock().clone().expect("it was made")
}

// As actix with `notify_later` and ractor with `send_after`: a message of one's own comes when it is
// due.
#[callboard::test]
async fn a_delayed_message_comes_when_it_is_due(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let doer = system.spawn(doer(&diary))?;
    let slot = Slot::default();
    let made = slot.clone();
    doer.tell(act(move |ctx| *made.lock() = Some(ctx.delay(ms(1_000), Note(1))))).await?;
    sleep(ms(900)).await;
    assert_eq!((diary.lines(), handle(&slot).is_finished()), (Vec::new(), false));
    sleep(ms(200)).await;
    assert_eq!((diary.count("note 1"), handle(&slot).is_finished()), (1, true));
    Ok(())
}

/// Carries something.
#[derive(Message)]
struct Parcel(#[allow(dead_code)] Hold);

#[derive(Actor, Default)]
struct Sender {
    handle: Option<TaskHandle>,
}

#[derive(Message)]
struct SendLater(Held);

#[derive(Message)]
struct TakeBack;

#[handlers]
impl Sender {
    #[handle]
    fn send_later(&mut self, SendLater(held): SendLater, ctx: &mut Ctx<Self>) {
        self.handle = Some(ctx.delay(ms(50), Parcel(held.hold())));
    }

    #[handle]
    fn take_back(&mut self, _: TakeBack) {
        self.handle.take().expect("it was sent").abort();
    }

    #[handle]
    fn parcel(&mut self, _: Parcel) {
        panic!("it was taken back");
    }
}

// As actix: a message that was taken back never comes, and is dropped, not kept.
#[callboard::test]
async fn a_delayed_message_that_is_taken_back_is_dropped(system: System) -> callboard::Result<()> {
    let sender = system.spawn(Sender::default)?;
    let held = Held::default();
    sender.ask(SendLater(held.clone())).await?;
    assert!(held.is_held());
    sender.ask(TakeBack).await?;
    sleep(ms(1)).await;
    assert!(!held.is_held(), "it is dropped before it would be due");
    sleep(ms(1_000)).await;
    sender.ask(SendLater(held)).await?;
    sender.ask(TakeBack).await?;
    Ok(())
}

// As actix: what is due after the actor has stopped never comes.
#[callboard::test]
async fn a_delayed_message_of_an_actor_that_stops_never_comes(
    system: System,
) -> callboard::Result<()> {
    let diary = Diary::default();
    let doer = system.spawn(doer(&diary))?;
    doer.tell(act(|ctx| {
        ctx.delay(ms(1_000), Note(1));
        ctx.stop();
    }))
    .await?;
    assert_eq!(doer.stopped().await?, StopReason::Finished);
    sleep(ms(5_000)).await;
    assert_eq!(diary.lines(), ["stopped: it stopped by itself"]);
    Ok(())
}

// As ractor with `exit_after`: an actor can be stopped later. Here by a task of its own.
#[callboard::test]
async fn an_actor_can_stop_itself_later(system: System) -> callboard::Result<()> {
    let doer = system.spawn(doer(&Diary::default()))?;
    doer.tell(act(|ctx| {
        let me = ctx.addr();
        ctx.spawn(async move {
            sleep(ms(1_000)).await;
            me.stop().expect("a local actor");
        });
    }))
    .await?;
    let before = tokio::time::Instant::now();
    assert_eq!(doer.stopped().await?, StopReason::Requested);
    assert!((ms(1_000)..ms(1_100)).contains(&before.elapsed()));
    Ok(())
}

// As actix: to cancel what has ended already does no harm, and costs no time.
#[callboard::test]
async fn a_task_that_has_ended_can_be_aborted(system: System) -> callboard::Result<()> {
    let doer = system.spawn(doer(&Diary::default()))?;
    let slot = Slot::default();
    let made = slot.clone();
    doer.ask(act(move |ctx| *made.lock() = Some(ctx.spawn(async {})))).await?;
    settle().await;
    assert!(handle(&slot).is_finished());
    handle(&slot).abort();
    settle().await;
    doer.ask(Note(1)).await?;
    Ok(())
}

// Other than actix under `ctx.wait`: a task goes on while a handler awaits.
#[callboard::test]
async fn a_task_goes_on_while_a_handler_awaits(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let doer = system.spawn(doer(&diary))?;
    let beside = diary.clone();
    doer.tell(act(move |ctx| {
        ctx.spawn(async move {
            sleep(ms(500)).await;
            beside.note("beside");
        });
    }))
    .await?;
    doer.tell(Rest(ms(1_000))).await?;
    sleep(ms(1_500)).await;
    assert_eq!(diary.lines(), ["rests", "beside", "rested"]);
    Ok(())
}

// As kameo with `pipe_with`: what a future finds out comes back as a message, after what waits.
#[callboard::test]
async fn what_a_task_finds_out_comes_as_a_message(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let doer = system.spawn(doer(&diary))?;
    doer.tell(act(|ctx| {
        let me = ctx.addr();
        ctx.spawn(async move {
            sleep(ms(10)).await;
            me.tell(Note(42)).await.expect("it lives");
        });
    }))
    .await?;
    doer.tell(Note(1)).await?;
    settle().await;
    assert_eq!(diary.lines(), ["note 1", "note 42"]);
    Ok(())
}

// As actix: a restart drops the tasks of the incarnation before.
#[callboard::test]
async fn a_restart_drops_the_tasks(system: System) -> callboard::Result<()> {
    let doer = system.spawn(doer(&Diary::default()))?;
    let held = Held::default();
    let hold = held.hold();
    doer.tell(act(move |ctx| {
        ctx.spawn(async move {
            std::future::pending::<()>().await;
            drop(hold);
        });
    }))
    .await?;
    settle().await;
    assert!(held.is_held());
    doer.ask(Burst).await.expect_err("it panics");
    doer.ask(Note(1)).await?;
    assert!(!held.is_held());
    Ok(())
}

// As actix: so does the end.
#[callboard::test]
async fn the_end_drops_the_tasks(system: System) -> callboard::Result<()> {
    let doer = system.spawn(doer(&Diary::default()))?;
    let held = Held::default();
    let hold = held.hold();
    doer.tell(act(move |ctx| {
        ctx.spawn(async move {
            std::future::pending::<()>().await;
            drop(hold);
        });
    }))
    .await?;
    settle().await;
    doer.stop()?;
    doer.stopped().await?;
    assert!(!held.is_held());
    Ok(())
}

// As actix: the items of a stream are handled in order, beside other messages, to its end.
#[callboard::test]
async fn the_items_of_a_stream_are_handled_in_order(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let doer = system.spawn(doer(&diary))?;
    let slot = Slot::default();
    let made = slot.clone();
    doer.tell(act(move |ctx| *made.lock() = Some(ctx.stream(stream::iter((0..7).map(Note))))))
        .await?;
    settle().await;
    assert_eq!(diary.lines(), (0..7).map(|n| format!("note {n}")).collect::<Vec<_>>());
    assert!(handle(&slot).is_finished());
    Ok(())
}

// As actix: a handler that awaits holds up the items as it does other messages.
#[callboard::test]
async fn a_handler_that_awaits_holds_up_a_stream(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let doer = system.spawn(doer(&diary))?;
    doer.tell(act(|ctx| {
        ctx.stream(stream::iter([ms(1_000); 3].map(Rest)));
    }))
    .await?;
    sleep(ms(500)).await;
    assert_eq!(diary.lines(), ["rests"]);
    Ok(())
}

// As actix: a stream without end keeps nobody out, and a stop ends it.
#[callboard::test]
async fn a_stream_without_end_keeps_nobody_out(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let doer = system.spawn(doer(&diary))?;
    doer.tell(act(|ctx| {
        ctx.stream(stream::repeat(()).map_to(|| Note(1)));
    }))
    .await?;
    for n in 10..20 {
        doer.ask(Note(n)).await?;
    }
    assert!(diary.count("note 1") > 0 && diary.count("note 19") == 1);
    doer.stop()?;
    let ended = tokio::time::timeout(StdDuration::from_secs(1), doer.stopped()).await;
    assert_eq!(ended.expect("in time")?, StopReason::Requested);
    Ok(())
}

trait MapTo: stream::Stream + Sized {
    fn map_to<T>(self, make: impl Fn() -> T) -> impl stream::Stream<Item = T> {
        use futures_util::StreamExt;
        self.map(move |_| make())
    }
}

impl<S: stream::Stream> MapTo for S {}

/// Ends its own stream at the third item.
#[derive(Actor)]
struct Sated {
    diary: Diary,
    source: Option<TaskHandle>,
}

#[handlers]
impl Sated {
    #[started]
    fn start(&mut self, ctx: &mut Ctx<Self>) {
        let ticks = stream::unfold(0, |n| async move {
            sleep(ms(1)).await;
            Some((Note(n), n + 1))
        });
        self.source = Some(ctx.stream(ticks));
    }

    #[handle]
    fn note(&mut self, Note(n): Note) {
        self.diary.note(format!("note {n}"));
        if n == 2 {
            self.source.take().expect("it has one").abort();
        }
    }
}

// As actix: a handler can cancel the stream whose item it handles.
#[callboard::test]
async fn a_handler_can_end_the_stream_of_its_message(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let noted = diary.clone();
    let sated = system.spawn(move || Sated { diary: noted.clone(), source: None })?;
    settle().await;
    assert_eq!(diary.lines(), ["note 0", "note 1", "note 2"]);
    drop(sated);
    Ok(())
}

// As actix and kameo, for actors spawned so: an actor ends with its last address, after what it had
// accepted.
#[callboard::test]
async fn an_actor_can_end_with_its_last_address(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let one = system.actor(worker::<Plain>(&diary)).stop_with_last_address().spawn()?;
    one.started().await?;
    let two = one.clone();
    drop(one);
    settle().await;
    assert_eq!(diary.lines(), ["started"], "there is another one");
    two.tell(Rest(ms(10))).await?;
    two.tell(Note(1)).await?;
    drop(two);
    settle().await;
    let all = ["started", "rests", "rested", "note 1", "stopped: nobody had its address any more"];
    assert_eq!(diary.lines(), all);
    Ok(())
}

// As kameo: a recipient keeps an actor alive as an address does.
#[callboard::test]
async fn a_recipient_keeps_its_actor_alive(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.actor(worker::<Plain>(&diary)).stop_with_last_address().spawn()?;
    let recipient: Recipient<Note> = addr.recipient();
    drop(addr);
    settle().await;
    recipient.tell(Note(1)).await?;
    settle().await;
    assert_eq!(diary.lines(), ["started", "note 1"]);
    drop(recipient);
    settle().await;
    assert_eq!(diary.lines().len(), 3);
    Ok(())
}

// As actix and kameo: a weak address gives a strong one while there are others, and none after.
#[callboard::test]
async fn a_weak_address_keeps_nobody_alive(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let one = system.actor(worker::<Plain>(&diary)).stop_with_last_address().spawn()?;
    let two = system.actor(worker::<Plain>(&diary)).stop_with_last_address().spawn()?;
    let (weak, other) = (one.downgrade(), two.downgrade());
    weak.upgrade().expect("it lives").ask(Note(1)).await?;
    drop(one);
    assert_eq!(weak.upgrade(), None, "at once");
    assert_eq!(other.upgrade(), Some(two));
    settle().await;
    assert_eq!(diary.count("stopped: nobody had its address any more"), 2);
    Ok(())
}

// As actix: weak addresses are equal when they lead to the same actor, also after its end.
#[callboard::test]
async fn weak_addresses_of_one_actor_are_equal(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let one = system.actor(worker::<Plain>(&diary)).stop_with_last_address().spawn()?;
    let two = system.actor(worker::<Plain>(&diary)).stop_with_last_address().spawn()?;
    let weak = [one.downgrade(), one.downgrade(), two.downgrade()];
    let check = || {
        assert_eq!(weak[0], weak[1]);
        assert_ne!(weak[0], weak[2]);
    };
    check();
    drop(one);
    settle().await;
    check();
    drop(two);
    settle().await;
    check();
    Ok(())
}

// Other than kameo, where whatever a context runs keeps an actor: a task that holds an address does,
// a delayed message does not.
#[callboard::test]
async fn a_delayed_message_keeps_nobody_alive(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.actor(doer(&diary)).stop_with_last_address().spawn()?;
    addr.ask(act(|ctx| {
        ctx.delay(ms(10_000), Note(1));
    }))
    .await?;
    drop(addr);
    settle().await;
    assert_eq!(diary.lines(), ["stopped: nobody had its address any more"]);

    let diary = Diary::default();
    let addr = system.actor(doer(&diary)).stop_with_last_address().spawn()?;
    addr.ask(act(|ctx| {
        let me = ctx.addr();
        ctx.spawn(async move {
            sleep(ms(10_000)).await;
            me.tell(Note(1)).await.expect("it lives");
        });
    }))
    .await?;
    drop(addr);
    sleep(ms(9_000)).await;
    assert_eq!(diary.lines(), [""; 0]);
    sleep(ms(2_000)).await;
    assert_eq!(diary.lines(), ["note 1", "stopped: nobody had its address any more"]);
    Ok(())
}
