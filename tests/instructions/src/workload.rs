//! What is counted: the loops of the benchmarks, of callboard alone.

use std::hint::black_box;

use callboard::{
    ActorId, Name,
    directory::{Directory, InstanceName, InstanceRecord},
    prelude::*,
};
use tokio::sync::oneshot;

/// Tells between two looks at the receiver: fewer than its mailbox holds.
const WINDOW: u64 = 1000;
/// Actors in the ring.
const RING: usize = 64;
/// Services in the directory.
const SERVICES: u64 = 64;
/// Resolves that count as one message: so many that the start is nothing beside them.
const RESOLVES: u64 = 10;

/// One workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    /// A handler tells another actor of its thread.
    Tell,
    /// A task on the thread of an actor asks it.
    Ask,
    /// A handler asks another actor of its thread.
    AskActor,
    /// A token goes round; a message is a hop.
    Ring,
    /// A service is resolved by its handle; a message is ten resolves.
    ResolveHot,
    /// Services are looked up by their names, in turn; a message is ten look-ups.
    ResolveCold,
}

impl Workload {
    pub(crate) const ALL: [Self; 6] =
        [Self::Tell, Self::Ask, Self::AskActor, Self::Ring, Self::ResolveHot, Self::ResolveCold];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tell => "tell",
            Self::Ask => "ask",
            Self::AskActor => "ask-actor",
            Self::Ring => "ring",
            Self::ResolveHot => "resolve-hot",
            Self::ResolveCold => "resolve-cold",
        }
    }

    /// Runs it with so many messages, on one arbiter of a system that is started for it.
    pub(crate) fn run(self, messages: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let system = System::builder().node("counted").arbiters(1).start().await;
            let system = system.expect("it starts");
            self.run_in(&system, messages).await;
            system.shutdown().await.expect("it stops in order");
        });
    }

    async fn run_in(self, system: &System, messages: u64) {
        let spawn = || system.spawn(Counter::default).expect("the system is up");
        let (counter, driver) = (spawn(), spawn());
        match self {
            Self::Tell => driver.ask(Tell(counter, messages)).await.expect("an answer"),
            Self::Ask => driver.ask(AskFromTask(counter, messages)).await.expect("an answer"),
            Self::AskActor => driver.ask(Ask(counter, messages)).await.expect("an answer"),
            Self::Ring => go_round(system, messages).await,
            Self::ResolveHot => resolve_hot(system, messages * RESOLVES).await,
            Self::ResolveCold => resolve_cold(system, messages * RESOLVES).await,
        }
    }
}

async fn resolve_hot(system: &System, resolves: u64) {
    let names = fill(system.directory()).await;
    let mut handle = system.directory().handle(&names[0]);
    for _ in 0..resolves {
        black_box(black_box(&mut handle).current().instances.len());
    }
}

async fn resolve_cold(system: &System, resolves: u64) {
    let names = fill(system.directory()).await;
    // Names of the callers' own, as they have them.
    let own: Vec<Name> =
        names.iter().map(|name| Name::new(name.as_str()).expect("a name")).collect();
    for name in own.iter().cycle().take(usize::try_from(resolves).expect("so many can be counted"))
    {
        black_box(system.directory().resolve(name).instances.len());
    }
}

/// Registers an instance of each service, one after the other.
async fn fill(directory: &Directory) -> Vec<Name> {
    let mut names = Vec::new();
    for number in 0..SERVICES {
        let name = Name::new(format!("service-{number}")).expect("a name");
        let instance = InstanceName::new(directory.incarnation(), 1_000_000 + number);
        let node = directory.node().clone();
        let record = InstanceRecord::new(name.clone(), instance, node, ActorId::from_u64(number));
        directory.register(record).await.expect("it is registered");
        names.push(name);
    }
    names
}

async fn go_round(system: &System, hops: u64) {
    let spawn = || system.spawn(Member::default).expect("the system is up");
    let first = spawn();
    let mut last = first.clone();
    for _ in 1..RING {
        let member = spawn();
        last.ask(Link(member.clone())).await.expect("linked");
        last = member;
    }
    last.ask(Link(first.clone())).await.expect("linked");
    let (done, over) = oneshot::channel();
    first.tell(Pass { left: hops, done }).await.expect("the ring lives");
    over.await.expect("the token comes home");
}

#[derive(Message)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Message)]
struct Tell(Addr<Counter>, u64);

#[derive(Message)]
struct Ask(Addr<Counter>, u64);

#[derive(Message)]
struct AskFromTask(Addr<Counter>, u64);

/// Adds up what it is sent, or sends it.
#[derive(Actor, Default)]
#[actor(mailbox(capacity = 1024))]
struct Counter {
    total: u64,
}

#[handlers]
impl Counter {
    #[handle]
    fn add(&mut self, Add(n): Add) -> u64 {
        self.total += n;
        self.total
    }

    #[handle]
    async fn tell(&mut self, Tell(counter, messages): Tell) {
        for _ in 0..messages / WINDOW {
            for _ in 0..WINDOW {
                counter.tell(Add(1)).await.expect("room");
            }
            counter.ask(Add(0)).await.expect("an answer");
        }
        assert_eq!(counter.ask(Add(0)).await.expect("an answer"), messages);
    }

    #[handle]
    async fn ask(&mut self, Ask(counter, messages): Ask) {
        ask(counter, messages).await;
    }

    #[handle]
    async fn ask_from_task(&mut self, AskFromTask(counter, messages): AskFromTask) {
        let task = tokio::task::spawn_local(ask(counter, messages));
        task.await.expect("it comes to its end");
    }
}

async fn ask(counter: Addr<Counter>, messages: u64) {
    for asked in 1..=messages {
        assert_eq!(counter.ask(Add(1)).await.expect("an answer"), asked);
    }
}

#[derive(Message)]
struct Pass {
    left: u64,
    done: oneshot::Sender<()>,
}

#[derive(Message)]
struct Link(Addr<Member>);

/// An actor of the ring.
#[derive(Actor, Default)]
struct Member {
    next: Option<Addr<Self>>,
}

#[handlers]
impl Member {
    #[handle]
    fn pass(&mut self, Pass { left, done }: Pass) {
        match left.checked_sub(1) {
            Some(left) => {
                let next = self.next.as_ref().expect("the ring is closed");
                next.try_tell(Pass { left, done }).expect("the ring lives");
            }
            None => done.send(()).expect("somebody waits for the token"),
        }
    }

    #[handle]
    fn link(&mut self, Link(next): Link) {
        self.next = Some(next);
    }
}
