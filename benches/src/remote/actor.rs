//! The actor that is called.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use callboard::prelude::*;
use tokio::sync::Notify;

/// Letters of a message's text; one more byte says how many, so that a body has 64.
const LETTERS: usize = 63;

/// A tell of 64 bytes.
#[derive(Message, Serialize, Deserialize, Debug, Clone)]
pub struct Put {
    text: String,
}

/// An ask of 64 bytes.
#[derive(Message, Serialize, Deserialize, Debug, Clone)]
#[message(reply = u64)]
pub struct Get {
    text: String,
}

impl Put {
    /// Makes one.
    pub fn fresh() -> Self {
        Self { text: "x".repeat(LETTERS) }
    }
}

impl Get {
    /// Makes one.
    pub fn fresh() -> Self {
        Self { text: "x".repeat(LETTERS) }
    }
}

/// How many tells were handled.
#[derive(Debug, Default)]
pub struct Seen {
    count: AtomicU64,
    wanted: AtomicU64,
    reached: Notify,
}

impl Seen {
    /// Waits until so many were handled, since the process started.
    pub async fn reach(&self, count: u64) {
        self.wanted.store(count, SeqCst);
        while self.count.load(SeqCst) < count {
            self.reached.notified().await;
        }
    }

    fn one(&self) -> u64 {
        // Either the waiter finds this count, or this finds what the waiter wants.
        let count = self.count.fetch_add(1, SeqCst) + 1;
        if count == self.wanted.load(SeqCst) {
            self.reached.notify_one();
        }
        count
    }
}

/// Counts what it is told, and answers with a length.
#[derive(Actor, Debug)]
#[actor(mailbox(capacity = 1024))]
pub struct Sink {
    seen: Arc<Seen>,
}

#[handlers]
impl Sink {
    #[handle]
    fn put(&mut self, put: Put) {
        debug_assert_eq!(put.text.len(), LETTERS, "it came as it was sent");
        self.seen.one();
    }

    #[handle]
    fn get(&mut self, get: Get) -> u64 {
        get.text.len() as u64
    }
}

impl Sink {
    /// Makes sinks that count together.
    pub fn factory(seen: &Arc<Seen>) -> impl Fn() -> Self + Clone + Send + Sync + 'static {
        let seen = seen.clone();
        move || Self { seen: seen.clone() }
    }
}
