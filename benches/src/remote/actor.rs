//! The actor that is called.

use std::sync::Arc;

use callboard::prelude::*;

use super::shared::{LETTERS, seen::Seen, text};

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
        Self { text: text() }
    }
}

impl Get {
    /// Makes one.
    pub fn fresh() -> Self {
        Self { text: text() }
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
