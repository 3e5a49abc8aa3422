//! Fork-join create: many actors, each of which gets one piece of work, does it and ends.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::warmed_up;
use crate::{
    peer::{Address, Arrivals, Behaviour, Flow, Peer, Spawner},
    span::Sample,
};

/// Spawns so many actors, sends each a piece of work and waits until all of them have ended.
pub fn run<P: Peer>(peer: &P, actors: u64) -> Sample {
    let spawner = peer.spawner();
    peer.in_task(warmed_up(actors, async { spawner }, fork_and_join))
}

async fn fork_and_join<S: Spawner>(spawner: S, actors: u64) {
    let actors = usize::try_from(actors).expect("they fit into memory");
    let (ended, join) = Arrivals::of(actors);
    let worked = Arc::new(AtomicU64::new(0));
    let mut addresses = Vec::with_capacity(actors);
    for _ in 0..actors {
        let (worked, ended) = (Arc::clone(&worked), Arc::clone(&ended));
        let make = move || Worker { worked: worked.clone(), ended: ended.clone() };
        let worker = spawner.spawn(make).await;
        worker.send(Work(37.2));
        addresses.push(worker);
    }
    join.await.expect("all end");
    let worked = worked.load(Ordering::Acquire);
    assert_eq!(worked, actors as u64, "every actor does its work once before it ends");
}

struct Worker {
    worked: Arc<AtomicU64>,
    ended: Arc<Arrivals>,
}

struct Work(f64);

impl Behaviour for Worker {
    type Message = Work;

    fn on(&mut self, Work(angle): Work) -> Flow {
        let sine = black_box(angle).sin();
        black_box(sine * sine);
        self.worked.fetch_add(1, Ordering::AcqRel);
        Flow::Ends
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.ended.one();
    }
}
