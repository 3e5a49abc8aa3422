//! Chameneos: creatures meet in pairs at a mall and take on each other's colour.

use tokio::sync::oneshot;

use super::{At, Done, counted, warmed_up};
use crate::{
    peer::{Address, Behaviour, Flow, Peer, Spawner},
    span::Sample,
};

/// As in the suite.
const CREATURES: usize = 100;

/// So many meetings of a hundred creatures: four messages each.
pub fn run<P: Peer>(peer: &P, meetings: u64) -> Sample {
    let spawner = peer.spawner();
    let build = async move {
        let mall = spawner.spawn(Mall::default).await;
        let mut creatures = Vec::with_capacity(CREATURES);
        for number in 0..CREATURES {
            let (colour, mall) = (Colour::ALL[number % 3], mall.clone());
            let make = move || Creature { mall: mall.clone(), me: None, colour, met: 0 };
            creatures.push(spawner.spawn(make).await);
        }
        (mall, creatures)
    };
    peer.in_task(warmed_up(meetings, build, |stage: Stage<P>, meetings| async move {
        let (mall, creatures) = stage;
        let (done, over) = oneshot::channel();
        mall.send(ToMall::Open(Box::new(Day { creatures, meetings, done })));
        counted(over, 2 * meetings, "two creatures take part in every meeting").await;
    }))
}

type Stage<P> = (At<P, Mall<<P as Peer>::Spawner>>, Vec<At<P, Creature<<P as Peer>::Spawner>>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colour {
    Blue,
    Red,
    Yellow,
}

impl Colour {
    const ALL: [Self; 3] = [Self::Blue, Self::Red, Self::Yellow];

    /// Both of a pair turn to the third colour, or stay when they are alike.
    fn mixed_with(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        let third = Self::ALL.into_iter().find(|colour| ![self, other].contains(colour));
        third.expect("there are three")
    }
}

/// Brings pairs together until it closes, then counts.
struct Mall<S: Spawner> {
    /// Meetings that are left.
    left: u64,
    waiting: Option<S::Address<Creature<S>>>,
    /// Creatures that have yet to say how often they met.
    to_count: usize,
    met: u64,
    done: Option<Done>,
}

impl<S: Spawner> Default for Mall<S> {
    fn default() -> Self {
        Self { left: 0, waiting: None, to_count: 0, met: 0, done: None }
    }
}

struct Day<S: Spawner> {
    creatures: Vec<S::Address<Creature<S>>>,
    meetings: u64,
    done: Done,
}

struct Visit<S: Spawner> {
    colour: Colour,
    from: S::Address<Creature<S>>,
}

enum ToMall<S: Spawner> {
    Open(Box<Day<S>>),
    Visit(Visit<S>),
    Met(u64),
}

impl<S: Spawner> Mall<S> {
    fn open(&mut self, day: Day<S>) {
        let Day { creatures, meetings, done } = day;
        (self.left, self.to_count, self.done) = (meetings, creatures.len(), Some(done));
        for creature in creatures {
            creature.send(ToCreature::Go(creature.clone()));
        }
    }

    fn receive(&mut self, visit: Visit<S>) {
        if self.left == 0 {
            return visit.from.send(ToCreature::Closed);
        }
        match self.waiting.take() {
            None => self.waiting = Some(visit.from),
            Some(waiting) => {
                self.left -= 1;
                waiting.send(ToCreature::Meet(visit));
            }
        }
    }

    fn count(&mut self, met: u64) {
        self.met += met;
        self.to_count -= 1;
        if self.to_count == 0 {
            let done = self.done.take().expect("it counts once a day");
            done.send(std::mem::take(&mut self.met)).expect("the workload waits");
        }
    }
}

impl<S: Spawner> Behaviour for Mall<S> {
    type Message = ToMall<S>;

    fn on(&mut self, message: ToMall<S>) -> Flow {
        match message {
            ToMall::Open(day) => self.open(*day),
            ToMall::Visit(visit) => self.receive(visit),
            ToMall::Met(met) => self.count(met),
        }
        Flow::Goes
    }
}

struct Creature<S: Spawner> {
    mall: S::Address<Mall<S>>,
    me: Option<S::Address<Self>>,
    colour: Colour,
    met: u64,
}

enum ToCreature<S: Spawner> {
    Go(S::Address<Creature<S>>),
    /// From the mall, about the other.
    Meet(Visit<S>),
    /// From the other.
    Change(Colour),
    Closed,
}

impl<S: Spawner> Creature<S> {
    fn visit(&self) {
        let from = self.me.clone().expect("it knows its address once it goes");
        self.mall.send(ToMall::Visit(Visit { colour: self.colour, from }));
    }

    fn change(&mut self, colour: Colour) {
        self.colour = colour;
        self.met += 1;
        self.visit();
    }
}

impl<S: Spawner> Behaviour for Creature<S> {
    type Message = ToCreature<S>;

    fn on(&mut self, message: ToCreature<S>) -> Flow {
        match message {
            ToCreature::Go(me) => {
                self.me = Some(me);
                self.visit();
            }
            ToCreature::Meet(Visit { colour, from }) => {
                let mixed = self.colour.mixed_with(colour);
                from.send(ToCreature::Change(mixed));
                self.change(mixed);
            }
            ToCreature::Change(colour) => self.change(colour),
            ToCreature::Closed => self.mall.send(ToMall::Met(std::mem::take(&mut self.met))),
        }
        Flow::Goes
    }
}
