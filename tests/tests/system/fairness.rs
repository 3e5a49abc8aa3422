//! Actors that share a thread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Instant,
};

use callboard::prelude::*;

#[derive(Message)]
struct Drop;

/// Works for a while on each message and is sent more of them than it can handle.
#[derive(Actor, Default)]
struct Flooded;

#[handlers]
impl Flooded {
    #[handle]
    fn drop(&mut self, _: Drop) {
        let since = Instant::now();
        while since.elapsed() < Duration::from_micros(10) {
            std::hint::spin_loop();
        }
    }
}

/// Counts the ticks of its timer.
#[derive(Actor)]
struct Metronome {
    ticks: Arc<AtomicUsize>,
}

#[handlers]
impl Metronome {
    #[every("10ms")]
    fn tick(&mut self) {
        self.ticks.fetch_add(1, SeqCst);
    }
}

/// Sends to an actor from a thread of its own while it is on.
struct Flood {
    on: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    sender: thread::JoinHandle<()>,
}

impl Flood {
    fn of(addr: Addr<Flooded>) -> Self {
        let (on, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let sender = thread::spawn({
            let (on, ends) = (on.clone(), ends.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                runtime.expect("a runtime").block_on(async {
                    while !ends.load(SeqCst) {
                        if on.load(SeqCst) {
                            addr.tell(Drop).await.expect("it waits for room");
                        } else {
                            thread::sleep(Duration::from_millis(1));
                        }
                    }
                });
            }
        });
        Self { on, ends, sender }
    }

    fn end(self) {
        self.ends.store(true, SeqCst);
        self.sender.join().expect("all was accepted");
    }
}

/// The ticks of as many windows with the flood and of as many without, taken in turns, so that
/// what else this machine does meets both alike.
fn ticks(flooded: &Addr<Flooded>, flood: &Flood, count: &AtomicUsize) -> (usize, usize) {
    const WINDOW: Duration = Duration::from_millis(200);
    let (mut with, mut without) = (0, 0);
    for _ in 0..8 {
        let before = count.load(SeqCst);
        thread::sleep(WINDOW);
        without += count.load(SeqCst) - before;
        flood.on.store(true, SeqCst);
        thread::sleep(WINDOW / 4);
        let (before, depth) = (count.load(SeqCst), flooded.depth());
        thread::sleep(WINDOW);
        with += count.load(SeqCst) - before;
        assert!(depth > Some(64), "it is no flood: {depth:?}");
        flood.on.store(false, SeqCst);
        while flooded.depth() > Some(0) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    (with, without)
}

#[test]
fn a_timer_keeps_its_ticks_beside_a_flooded_actor() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let system = runtime.block_on(System::builder().arbiters(1).start()).expect("a system");
    let flooded = system.spawn(Flooded::default).expect("it is up");
    let count = Arc::new(AtomicUsize::new(0));
    let ticking = {
        let ticks = count.clone();
        system.spawn(move || Metronome { ticks: ticks.clone() }).expect("it is up")
    };
    runtime.block_on(ticking.started()).expect("it starts");
    let flood = Flood::of(flooded.clone());
    // A burst of other work may fall on one side alone, so there are several trials; a timer that
    // starves fails all of them.
    let mut trials = Vec::new();
    let is_fair = (0..5).any(|_| {
        let (with, without) = ticks(&flooded, &flood, &count);
        trials.push((with, without));
        without > 0 && with * 10 >= without * 9
    });
    flood.end();
    runtime.block_on(system.shutdown()).expect("in order");
    assert!(is_fair, "ticks with and without the flood: {trials:?}");
}
