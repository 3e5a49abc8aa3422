//! Big: every actor pings others at random, one ping under way at a time.

use std::sync::Arc;

use fastrand::Rng;
use tokio::sync::oneshot;

use super::{At, Done, counted, warmed_up};
use crate::{
    peer::{Address, Behaviour, Flow, Peer, Spawner},
    span::Sample,
};

/// As in the suite.
const ACTORS: u32 = 120;

/// So many pings and pongs together, among 120 actors.
pub fn run<P: Peer>(peer: &P, messages: u64) -> Sample {
    let spawner = peer.spawner();
    let build = async move {
        let sink = spawner.spawn(Sink::default).await;
        let mut actors = Vec::new();
        for number in 0..ACTORS {
            let sink = sink.clone();
            actors.push(spawner.spawn(move || Big::new(number, sink.clone())).await);
        }
        (sink, actors.into())
    };
    peer.in_task(warmed_up(messages, build, |stage: Stage<P>, messages| async move {
        let (sink, actors) = stage;
        let pings = messages / 2 / u64::from(ACTORS);
        let (done, over) = oneshot::channel();
        sink.send(ToSink::Start(Box::new(Run { actors, pings, done })));
        let all = pings * u64::from(ACTORS);
        counted(over, all, "every ping reaches one actor and is answered once").await;
    }))
}

type Stage<P> = (At<P, Sink<<P as Peer>::Spawner>>, Arc<[At<P, Big<<P as Peer>::Spawner>>]>);

struct Run<S: Spawner> {
    actors: Arc<[S::Address<Big<S>>]>,
    pings: u64,
    done: Done,
}

/// Knows when all have finished, and then collects what they counted.
struct Sink<S: Spawner> {
    run: Option<Run<S>>,
    to_finish: usize,
    to_report: usize,
    pinged: u64,
    ponged: u64,
}

impl<S: Spawner> Default for Sink<S> {
    fn default() -> Self {
        Self { run: None, to_finish: 0, to_report: 0, pinged: 0, ponged: 0 }
    }
}

enum ToSink<S: Spawner> {
    Start(Box<Run<S>>),
    Finished,
    Counted { pinged: u64, ponged: u64 },
}

impl<S: Spawner> Sink<S> {
    fn start(&mut self, run: Run<S>) {
        (self.to_finish, self.to_report) = (run.actors.len(), run.actors.len());
        (self.pinged, self.ponged) = (0, 0);
        for actor in run.actors.iter() {
            let others = Arc::clone(&run.actors);
            actor.send(ToBig::Start { others, pings: run.pings });
        }
        self.run = Some(run);
    }

    fn finished(&mut self) {
        self.to_finish -= 1;
        if self.to_finish == 0 {
            let run = self.run.as_ref().expect("a run is on");
            run.actors.iter().for_each(|actor| actor.send(ToBig::Report));
        }
    }

    fn counted(&mut self, pinged: u64, ponged: u64) {
        self.pinged += pinged;
        self.ponged += ponged;
        self.to_report -= 1;
        if self.to_report == 0 {
            assert_eq!(self.pinged, self.ponged, "pings received, and pongs");
            let run = self.run.take().expect("a run is on");
            run.done.send(self.ponged).expect("the workload waits");
        }
    }
}

impl<S: Spawner> Behaviour for Sink<S> {
    type Message = ToSink<S>;

    fn on(&mut self, message: ToSink<S>) -> Flow {
        match message {
            ToSink::Start(run) => self.start(*run),
            ToSink::Finished => self.finished(),
            ToSink::Counted { pinged, ponged } => self.counted(pinged, ponged),
        }
        Flow::Goes
    }
}

struct Big<S: Spawner> {
    number: u32,
    sink: S::Address<Sink<S>>,
    others: Arc<[S::Address<Self>]>,
    chance: Rng,
    /// Pings that it may still send.
    left: u64,
    /// Pings that it was sent.
    pinged: u64,
    /// Answers to its own.
    ponged: u64,
}

enum ToBig<S: Spawner> {
    Start { others: Arc<[S::Address<Big<S>>]>, pings: u64 },
    Ping { from: u32 },
    Pong,
    Report,
}

impl<S: Spawner> Big<S> {
    fn new(number: u32, sink: S::Address<Sink<S>>) -> Self {
        let chance = Rng::with_seed(u64::from(number));
        Self { number, sink, others: Arc::new([]), chance, left: 0, pinged: 0, ponged: 0 }
    }

    /// Pings another, or says that it has done so often enough.
    fn go_on(&mut self) {
        let Some(left) = self.left.checked_sub(1) else {
            return self.sink.send(ToSink::Finished);
        };
        self.left = left;
        let other = (self.number + self.chance.u32(1..ACTORS)) % ACTORS;
        self.others[other as usize].send(ToBig::Ping { from: self.number });
    }
}

impl<S: Spawner> Behaviour for Big<S> {
    type Message = ToBig<S>;

    fn on(&mut self, message: ToBig<S>) -> Flow {
        match message {
            ToBig::Start { others, pings } => {
                (self.others, self.left) = (others, pings);
                self.go_on();
            }
            ToBig::Ping { from } => {
                self.pinged += 1;
                self.others[from as usize].send(ToBig::Pong);
            }
            ToBig::Pong => {
                self.ponged += 1;
                self.go_on();
            }
            ToBig::Report => {
                let (pinged, ponged) =
                    (std::mem::take(&mut self.pinged), std::mem::take(&mut self.ponged));
                self.sink.send(ToSink::Counted { pinged, ponged });
            }
        }
        Flow::Goes
    }
}
