use callboard::prelude::*;

#[derive(Message, Serialize, Deserialize)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Actor, Default)]
struct Counter {
    total: u64,
}

impl Counter {
    #[handle]
    fn add(&mut self, _: Add) -> u64 {
        0
    }
}

#[handlers]
impl Counter {}

fn main() {}
