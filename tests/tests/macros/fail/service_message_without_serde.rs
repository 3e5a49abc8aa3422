use callboard::prelude::*;

#[derive(Message)]
struct Plain;

#[derive(Actor, Default)]
struct Counter {
    total: u64,
}

#[handlers]
impl Counter {
    #[handle]
    fn plain(&mut self, _: Plain) {}
}

async fn send(counter: &ServiceRef<Counter>) {
    drop(counter.ask(Plain).await);
}

fn main() {}
