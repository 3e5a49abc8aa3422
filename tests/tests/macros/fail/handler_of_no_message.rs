use callboard::prelude::*;

struct Plain(u64);

#[derive(Actor, Default)]
struct Counter {
    total: u64,
}

#[handlers]
impl Counter {
    #[handle]
    fn add(&mut self, message: Plain) -> u64 {
        message.0
    }
}

fn main() {}
