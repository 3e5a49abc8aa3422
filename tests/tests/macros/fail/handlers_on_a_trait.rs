use callboard::prelude::*;

#[derive(Actor, Default)]
struct Counter {
    total: u64,
}

#[handlers]
impl Counter {}

#[handlers]
impl Clone for Counter {
    fn clone(&self) -> Self {
        Self { total: self.total }
    }
}

fn main() {}
