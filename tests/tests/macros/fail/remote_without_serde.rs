use callboard::prelude::*;

#[derive(Message)]
struct Plain;

#[derive(Actor, Default)]
struct Counter {
    total: u64,
}

#[handlers]
impl Counter {
    #[handle(remote)]
    fn add(&mut self, _: Plain) {}
}

fn main() {}
