//! What an actor does beside its handlers.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{Arc, atomic::Ordering::SeqCst},
};

use callboard::prelude::*;
use futures_util::stream;

use crate::support::{Log, Sum, local, until};

#[derive(Message, Debug)]
enum Do {
    /// Spawns a task that notes a text after a time.
    Later(Duration, &'static str),
    /// Spawns one that tells the actor itself this often, waiting for room.
    TellMyself(u64),
    /// Spawns one that panics in a poll.
    Panic,
    /// Spawns one that panics when it is dropped.
    PanicInDrop,
    /// Spawns one that ends at once, with something that panics when it is dropped.
    EndWithPanic,
    Stream(Vec<u64>),
    Delay(Duration, u64),
    /// Waits until a task of its own has said that it ran.
    WaitForTask,
    Abort,
    Nap(Duration),
}

#[derive(Message, Debug)]
struct Note(u64);

#[derive(Message, Debug)]
#[message(reply = Vec<u64>)]
struct Notes;

#[derive(Actor)]
#[actor(mailbox(capacity = 2), restart(backoff = "1ms..1ms"))]
struct Worker {
    log: Log,
    dropped: Sum,
    notes: Vec<u64>,
    last: Option<TaskHandle>,
}

/// Counts its drops.
struct Counted(Sum);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.add(1);
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in a drop");
    }
}

#[handlers]
impl Worker {
    #[handle]
    async fn act(&mut self, action: Do, ctx: &mut Ctx<Self>) {
        let (log, counted) = (self.log.clone(), Counted(self.dropped.clone()));
        let me = ctx.addr();
        self.last = Some(match action {
            Do::Later(time, text) => ctx.spawn(async move {
                let _counted = counted;
                tokio::time::sleep(time).await;
                log.note(text);
            }),
            Do::TellMyself(times) => ctx.spawn(async move {
                for n in 0..times {
                    me.tell(Note(n)).await.expect("it waits for room");
                }
                log.note("all told");
            }),
            Do::Panic => ctx.spawn(async { panic!("in a task") }),
            Do::PanicInDrop => ctx.spawn(async {
                let _panics = PanicsInDrop;
                std::future::pending().await
            }),
            Do::EndWithPanic => ctx.spawn(async { drop(PanicsInDrop) }),
            Do::Stream(items) => ctx.stream(stream::iter(items.into_iter().map(Note))),
            Do::Delay(time, n) => ctx.delay(time, Note(n)),
            Do::WaitForTask => {
                let (ran, waits) = (Rc::new(Cell::new(false)), tokio::sync::oneshot::channel());
                let flag = ran.clone();
                let task = ctx.spawn(async move {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    flag.set(true);
                    waits.0.send(()).expect("the handler waits");
                });
                waits.1.await.expect("the task says so");
                assert!(ran.get());
                task
            }
            Do::Abort => {
                let task = self.last.take().expect("something was spawned");
                task.abort();
                task
            }
            Do::Nap(time) => {
                tokio::time::sleep(time).await;
                return;
            }
        });
    }

    #[handle]
    fn note(&mut self, Note(n): Note) {
        self.notes.push(n);
    }

    #[handle]
    fn notes(&mut self, _: Notes) -> Vec<u64> {
        self.notes.clone()
    }
}

struct Stage {
    system: System,
    worker: Addr<Worker>,
    log: Log,
    dropped: Sum,
    built: Sum,
}

async fn stage() -> Stage {
    let system = local().await;
    let (log, dropped, built) = (Log::default(), Sum::default(), Sum::default());
    let worker = system
        .spawn({
            let (log, dropped, built) = (log.clone(), dropped.clone(), built.clone());
            move || {
                built.add(1);
                let (log, dropped) = (log.clone(), dropped.clone());
                Worker { log, dropped, notes: Vec::new(), last: None }
            }
        })
        .expect("the system is up");
    Stage { system, worker, log, dropped, built }
}

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(3600);

#[callboard::test]
async fn a_spawned_future_goes_on_while_a_handler_awaits() -> callboard::Result<()> {
    let stage = stage().await;
    stage.worker.ask(Do::Later(SHORT, "early")).await?;
    stage.worker.tell(Do::Nap(SHORT * 10)).await?;
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(stage.log.take(), ["early"]);
    stage.worker.ask(Do::WaitForTask).await?;
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_spawned_future_may_wait_for_room_in_its_own_actors_mailbox() -> callboard::Result<()> {
    let stage = stage().await;
    stage.worker.ask(Do::TellMyself(50)).await?;
    until("all are told", async || stage.log.take() == ["all told"]).await;
    assert_eq!(stage.worker.ask(Notes).await?, (0..50).collect::<Vec<_>>());
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_panic_in_a_spawned_future_fails_the_actor_as_one_in_a_handler() -> callboard::Result<()>
{
    for action in [Do::Panic, Do::EndWithPanic] {
        let stage = stage().await;
        stage.worker.ask(Do::Later(LONG, "never")).await?;
        stage.worker.tell(action).await?;
        until("it is built again", async || stage.built.get() == 2).await;
        assert_eq!(stage.dropped.get(), 2, "what was spawned went with its incarnation");
        assert_eq!(stage.worker.ask(Notes).await?, Vec::<u64>::new(), "and it goes on");
        assert!(stage.log.take().is_empty());
        stage.system.shutdown().await?;
    }
    Ok(())
}

#[callboard::test]
async fn a_future_that_panics_in_its_drop_takes_nothing_with_it() -> callboard::Result<()> {
    let stage = stage().await;
    stage.worker.ask(Do::PanicInDrop).await?;
    stage.worker.ask(Do::Later(LONG, "never")).await?;
    stage.worker.stop()?;
    assert_eq!(stage.worker.stopped().await?, StopReason::Requested);
    assert_eq!(stage.dropped.get(), 2);
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_spawned_future_goes_on_through_the_drain_and_no_longer() -> callboard::Result<()> {
    let stage = stage().await;
    stage.worker.ask(Do::Later(SHORT, "while it drains")).await?;
    stage.worker.ask(Do::Later(LONG, "never")).await?;
    stage.worker.tell(Do::Nap(SHORT * 2)).await?;
    stage.worker.stop()?;
    stage.worker.stopped().await?;
    assert_eq!(stage.log.take(), ["while it drains"]);
    assert_eq!(stage.dropped.get(), 3, "the nap's, and both of those that were spawned");
    stage.system.shutdown().await
}

#[callboard::test]
async fn an_aborted_future_is_dropped_at_its_next_turn() -> callboard::Result<()> {
    let stage = stage().await;
    stage.worker.ask(Do::Later(SHORT, "never")).await?;
    stage.worker.ask(Do::Abort).await?;
    tokio::time::sleep(SHORT * 2).await;
    assert!(stage.log.take().is_empty());
    assert_eq!(stage.dropped.get(), 2);
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_stream_comes_in_order_and_waits_for_room() -> callboard::Result<()> {
    let stage = stage().await;
    stage.worker.ask(Do::Stream((0..100).collect())).await?;
    stage.worker.tell(Do::Nap(SHORT)).await?;
    until("all came", async || stage.worker.ask(Notes).await.is_ok_and(|notes| notes.len() == 100))
        .await;
    assert_eq!(stage.worker.ask(Notes).await?, (0..100).collect::<Vec<_>>());
    stage.system.shutdown().await
}

#[callboard::test]
async fn a_delayed_message_comes_later_unless_it_is_aborted() -> callboard::Result<()> {
    let stage = stage().await;
    stage.worker.ask(Do::Delay(SHORT, 1)).await?;
    stage.worker.ask(Do::Delay(SHORT, 2)).await?;
    stage.worker.ask(Do::Abort).await?;
    assert_eq!(stage.worker.ask(Notes).await?, Vec::<u64>::new());
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(stage.worker.ask(Notes).await?, [1]);
    stage.system.shutdown().await
}

#[derive(Message)]
#[message(reply = TaskHandle)]
struct Hand(Duration);

#[derive(Actor)]
struct Handing;

#[handlers]
impl Handing {
    #[handle]
    fn hand(&mut self, Hand(time): Hand, ctx: &mut Ctx<Self>) -> TaskHandle {
        ctx.spawn(tokio::time::sleep(time))
    }
}

#[callboard::test]
async fn a_handle_says_when_its_task_has_ended_and_aborts_from_anywhere() -> callboard::Result<()> {
    let system = local().await;
    let handing = system.spawn(|| Handing)?;
    let task = handing.ask(Hand(SHORT)).await?;
    assert!(!task.is_finished());
    tokio::time::sleep(SHORT * 2).await;
    assert!(task.is_finished());

    let task = handing.ask(Hand(LONG)).await?;
    let other = task.clone();
    std::thread::spawn(move || other.abort()).join().expect("it aborts");
    until("it is dropped", async || task.is_finished()).await;

    let task = handing.ask(Hand(LONG)).await?;
    handing.stop()?;
    handing.stopped().await?;
    assert!(task.is_finished(), "it ended with its actor");
    system.shutdown().await
}

#[tokio::test]
async fn tasks_run_on_arbiters_too() -> callboard::Result<()> {
    let system = System::builder().arbiters(2).start().await?;
    let done = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    #[derive(Message)]
    struct Go(Arc<std::sync::atomic::AtomicUsize>);
    #[derive(Actor)]
    struct Runner;
    #[handlers]
    impl Runner {
        #[handle]
        fn go(&mut self, Go(done): Go, ctx: &mut Ctx<Self>) {
            for _ in 0..100 {
                let done = done.clone();
                ctx.spawn(async move {
                    tokio::task::yield_now().await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    done.fetch_add(1, SeqCst);
                });
            }
        }
    }
    let runner = system.spawn(|| Runner)?;
    runner.ask(Go(done.clone())).await?;
    while done.load(SeqCst) < 100 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    system.shutdown().await
}
