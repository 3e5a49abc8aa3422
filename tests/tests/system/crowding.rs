//! A mailbox under senders of several threads, as its actor and its depth see it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use callboard::prelude::*;

const CAPACITY: usize = 16;
const SENDERS: usize = 4;
const MESSAGES: usize = 200_000;

/// How many parcels there are, and the most that there were at a time.
#[derive(Default)]
struct Stock {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A message of 1 KiB that is counted while it lives.
#[derive(Message)]
#[message(size = |_| 1024)]
struct Parcel {
    sender: usize,
    number: usize,
    _load: Box<[u8; 1024]>,
    stock: Arc<Stock>,
}

impl Parcel {
    fn new(sender: usize, number: usize, stock: &Arc<Stock>) -> Self {
        stock.most.fetch_max(stock.now.fetch_add(1, SeqCst) + 1, SeqCst);
        Self { sender, number, _load: Box::new([0; 1024]), stock: stock.clone() }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.stock.now.fetch_sub(1, SeqCst);
    }
}

#[derive(Message)]
#[message(reply = Seen)]
struct Look;

/// What the actor saw.
#[derive(Debug, Default, Clone)]
struct Seen {
    handled: usize,
    /// The number that each sender sends next.
    next: [usize; SENDERS],
    most_waiting: usize,
    out_of_order: usize,
}

#[derive(Actor, Default)]
#[actor(mailbox(capacity = 16))]
struct Depot {
    seen: Seen,
}

#[handlers]
impl Depot {
    #[handle]
    fn parcel(&mut self, parcel: Parcel, ctx: &mut Ctx<Self>) {
        let (sender, number) = (parcel.sender, parcel.number);
        let depth = ctx.addr().depth().expect("a local actor");
        self.seen.most_waiting = self.seen.most_waiting.max(depth);
        self.seen.out_of_order += usize::from(self.seen.next[sender] != number);
        self.seen.next[sender] = number + 1;
        self.seen.handled += 1;
    }

    #[handle]
    fn look(&mut self, _: Look) -> Seen {
        self.seen.clone()
    }
}

/// A sender's share of the parcels, one after the other.
async fn send(depot: Addr<Depot>, sender: usize, stock: Arc<Stock>) {
    for number in 0..MESSAGES / SENDERS {
        let parcel = Parcel::new(sender, number, &stock);
        depot.tell(parcel).await.expect("it waits for room, and gets it");
    }
}

/// Looks at the depth until told to end; the most that it saw.
fn watch(depot: Addr<Depot>, ends: Arc<AtomicBool>) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let mut most = 0;
        while !ends.load(SeqCst) {
            most = most.max(depot.depth().expect("a local actor"));
            thread::yield_now();
        }
        most
    })
}

#[test]
fn a_mailbox_never_holds_more_than_its_capacity() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let system = System::builder().arbiters(1).start().await.expect("a system");
        let depot = system.spawn(Depot::default).expect("it is up");
        let stock = Arc::new(Stock::default());
        let ends = Arc::new(AtomicBool::new(false));
        let watching = watch(depot.clone(), ends.clone());
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (depot, stock) = (depot.clone(), stock.clone());
                thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build();
                    runtime.expect("a runtime").block_on(send(depot, sender, stock));
                })
            })
            .collect();
        for sender in senders {
            sender.join().expect("all were accepted");
        }
        let seen = depot.ask(Look).await.expect("an answer");
        ends.store(true, SeqCst);
        let most_seen = watching.join().expect("the watcher ends");
        assert_eq!((seen.handled, seen.out_of_order), (MESSAGES, 0));
        assert_eq!(seen.next, [MESSAGES / SENDERS; SENDERS]);
        // Besides those that wait: the one in hand, and one with each sender.
        let most = stock.most.load(SeqCst);
        assert!(most <= CAPACITY + 1 + SENDERS, "there were {most} at a time");
        assert_eq!(stock.now.load(SeqCst), 0);
        assert!(seen.most_waiting <= CAPACITY, "its actor saw {}", seen.most_waiting);
        assert!(most_seen <= CAPACITY, "from outside it had {most_seen}");
        assert!(most_seen > CAPACITY / 2, "it was never put to the test: {most_seen}");
        system.shutdown().await.expect("in order");
    });
}
