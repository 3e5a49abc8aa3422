//! The output is clean where lints are strict.
#![deny(warnings, missing_docs, unreachable_pub, missing_debug_implementations, unused_qualifications)]

use callboard::prelude::*;

/// Adds.
#[derive(Message, Serialize, Deserialize, Debug)]
#[message(reply = u64)]
pub struct Add(pub u64);

/// Private to the crate.
#[derive(Message, Debug)]
struct Hidden;

/// Counts.
#[derive(Actor, Default, Debug)]
pub struct Counter {
    total: u64,
}

#[handlers]
impl Counter {
    #[handle]
    async fn add(&mut self, message: Add) -> u64 {
        self.total += message.0;
        self.total
    }

    #[handle(local)]
    fn hidden(&mut self, _: Hidden) {}

    #[deprecated]
    #[every("1s")]
    fn old(&mut self) {}
}

callboard::protocol! {
    /// The counter from outside.
    pub CounterApi { Add }
}

/// Starts nothing.
#[callboard::main]
async fn main() {
    drop((Counter::default(), Hidden, Add(1)));
}
