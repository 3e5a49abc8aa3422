//! What users of other actor libraries expect of an actor, from what those libraries test: one
//! module for each. Where callboard differs on purpose, the test shows what it does instead, and
//! its comment says how that differs.

mod actix;
mod kameo;
mod pools;
mod ractor;
mod tasks;
mod ties;

use std::{marker::PhantomData, sync::Arc};

use callboard::{ActorOptions, RestartWhen, prelude::*};
use parking_lot::Mutex;

/// What an actor did, in order, for whoever holds a clone.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.0.lock().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.0.lock().iter().filter(|noted| *noted == line).count()
    }
}

/// When a [`Worker`] is built again.
pub(crate) trait Policy: 'static {
    const OPTIONS: ActorOptions;
}

/// After a failure, as actors are unless they say otherwise.
pub(crate) struct Plain;
/// Also after it stopped by itself.
pub(crate) struct Always;
/// Never.
pub(crate) struct Never;
/// As [`Plain`], with room for four.
pub(crate) struct Narrow;
/// As [`Plain`], with little time to work off what waits when it is told to stop.
pub(crate) struct Hasty;

const SLOW_RESTART: ActorOptions =
    ActorOptions::new().restart_backoff(Duration::from_millis(1), Duration::from_millis(10));

impl Policy for Plain {
    const OPTIONS: ActorOptions = SLOW_RESTART;
}

impl Policy for Always {
    const OPTIONS: ActorOptions = SLOW_RESTART.restart_when(RestartWhen::Always);
}

impl Policy for Never {
    const OPTIONS: ActorOptions = SLOW_RESTART.restart_when(RestartWhen::Never);
}

impl Policy for Narrow {
    const OPTIONS: ActorOptions = SLOW_RESTART.mailbox_capacity(4);
}

impl Policy for Hasty {
    const OPTIONS: ActorOptions = SLOW_RESTART.stop_drain(Duration::from_millis(100));
}

/// What becomes of a start.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Start {
    Succeeds,
    Takes(Duration),
    Fails,
    Panics,
    NeverEnds,
    /// The hook stops the actor.
    Stops,
}

/// What becomes of the `stopped` hook.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Farewell {
    Succeeds,
    Takes(Duration),
    Panics,
    NeverEnds,
    /// It sends one more message to itself.
    Resists,
}

/// Writes down what happens to it, and adds up.
pub(crate) struct Worker<P> {
    diary: Diary,
    start: Start,
    farewell: Farewell,
    total: u64,
    policy: PhantomData<P>,
}

impl<P: Policy> Actor for Worker<P> {
    const OPTIONS: ActorOptions = P::OPTIONS;
    const NAME: &'static str = "Worker";
}

/// Noted by the worker.
#[derive(Message, Debug, Clone)]
pub(crate) struct Note(pub(crate) u64);

/// Added up; the reply is the total.
#[derive(Message, Debug)]
#[message(reply = u64)]
pub(crate) struct Add(pub(crate) u64);

/// As [`Add`], after a while.
#[derive(Message, Debug)]
#[message(reply = u64)]
pub(crate) struct AddSlowly(pub(crate) u64, pub(crate) Duration);

/// Refused by the handler.
#[derive(Message, Debug)]
#[message(reply = u64, error = Refused)]
pub(crate) struct Refuse;

#[derive(Debug)]
pub(crate) struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not today")
    }
}

impl std::error::Error for Refused {}

/// Panics.
#[derive(Message, Debug)]
#[message(reply = u64)]
pub(crate) struct Burst;

/// The worker awaits for so long.
#[derive(Message, Debug)]
pub(crate) struct Rest(pub(crate) Duration);

/// The worker stops itself.
#[derive(Message, Debug)]
pub(crate) struct Quit;

/// The worker tells itself this note.
#[derive(Message, Debug)]
pub(crate) struct Remind(pub(crate) u64);

#[handlers]
impl<P: Policy> Worker<P> {
    #[started]
    async fn start(&mut self, ctx: &mut Ctx<Self>) -> Result<(), BoxError> {
        match self.start {
            Start::Succeeds => {}
            Start::Takes(time) => tokio::time::sleep(time).await,
            Start::Fails => return Err("there is no coffee".into()),
            Start::Panics => panic!("there is no coffee"),
            Start::NeverEnds => std::future::pending().await,
            Start::Stops => ctx.stop(),
        }
        self.diary.note("started");
        Ok(())
    }

    #[handle]
    fn note(&mut self, Note(n): Note) {
        self.diary.note(format!("note {n}"));
    }

    #[handle]
    fn add(&mut self, Add(n): Add) -> u64 {
        self.total += n;
        self.total
    }

    #[handle]
    async fn add_slowly(&mut self, AddSlowly(n, time): AddSlowly) -> u64 {
        tokio::time::sleep(time).await;
        self.total += n;
        self.total
    }

    #[handle]
    fn refuse(&mut self, _: Refuse) -> Result<u64, Refused> {
        Err(Refused)
    }

    #[handle]
    fn burst(&mut self, _: Burst) -> u64 {
        self.diary.note("bursts");
        panic!("burst");
    }

    #[handle]
    async fn rest(&mut self, Rest(time): Rest) {
        self.diary.note("rests");
        tokio::time::sleep(time).await;
        self.diary.note("rested");
    }

    #[handle]
    fn quit(&mut self, _: Quit, ctx: &mut Ctx<Self>) {
        ctx.stop();
    }

    #[handle]
    fn remind(&mut self, Remind(n): Remind, ctx: &mut Ctx<Self>) {
        ctx.addr().try_tell(Note(n)).expect("there is room");
        self.diary.note("reminded");
    }

    #[stopped]
    async fn bye(&mut self, why: &StopReason, ctx: &mut Ctx<Self>) {
        match self.farewell {
            Farewell::Succeeds => {}
            Farewell::Takes(time) => tokio::time::sleep(time).await,
            Farewell::Panics => panic!("no farewell"),
            Farewell::NeverEnds => std::future::pending().await,
            Farewell::Resists => {
                let told = ctx.addr().tell(Note(1)).await;
                self.diary.note(if told.is_ok() { "accepted" } else { "refused" });
            }
        }
        self.diary.note(format!("stopped: {why}"));
    }
}

/// A factory of workers that start and end well.
pub(crate) fn worker<P: Policy>(diary: &Diary) -> impl Fn() -> Worker<P> + Send + Sync + 'static {
    worker_that(diary, Start::Succeeds, Farewell::Succeeds)
}

/// A factory of workers that start and end so.
pub(crate) fn worker_that<P: Policy>(
    diary: &Diary,
    start: Start,
    farewell: Farewell,
) -> impl Fn() -> Worker<P> + Send + Sync + 'static {
    let diary = diary.clone();
    move || Worker { diary: diary.clone(), start, farewell, total: 0, policy: PhantomData }
}

/// Done by the actor that handles it, with its context.
#[derive(Message)]
pub(crate) struct Do(Deed);

type Deed = Box<dyn FnOnce(&mut Ctx<Doer>) + Send>;

pub(crate) fn act(what: impl FnOnce(&mut Ctx<Doer>) + Send + 'static) -> Do {
    Do(Box::new(what))
}

/// Does what it is told with its context, and writes down what happens to it.
#[derive(Actor)]
#[actor(restart(max = 1, within = "1h", backoff = "1ms..1ms"))]
pub(crate) struct Doer {
    diary: Diary,
}

#[handlers]
impl Doer {
    #[handle]
    fn act(&mut self, Do(what): Do, ctx: &mut Ctx<Self>) {
        what(ctx);
    }

    #[handle]
    fn note(&mut self, Note(n): Note) {
        self.diary.note(format!("note {n}"));
    }

    #[handle]
    async fn rest(&mut self, Rest(time): Rest) {
        self.diary.note("rests");
        tokio::time::sleep(time).await;
        self.diary.note("rested");
    }

    #[handle]
    fn burst(&mut self, _: Burst) -> u64 {
        panic!("burst");
    }

    #[handle]
    fn terminated(&mut self, Terminated { name, reason, .. }: Terminated) {
        self.diary.note(format!("{name}: {reason}"));
    }

    #[stopped]
    fn bye(&mut self, why: &StopReason) {
        self.diary.note(format!("stopped: {why}"));
    }
}

pub(crate) fn doer(diary: &Diary) -> impl Fn() -> Doer + Send + Sync + 'static {
    let diary = diary.clone();
    move || Doer { diary: diary.clone() }
}

/// Lets everything happen that is due within a moment of the paused clock.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The kind of a failed ask.
pub(crate) fn kind<T: std::fmt::Debug, E>(asked: Result<T, AskError<E>>) -> FailureKind {
    match asked {
        Err(AskError::Failed(failure)) => failure.kind().clone(),
        Err(AskError::Rejected(_)) => panic!("its handler rejected it"),
        Ok(reply) => panic!("it was answered: {reply:?}"),
    }
}
