use callboard::prelude::*;

#[derive(Message, Serialize, Deserialize)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Actor, Default)]
struct Counter {
    total: u64,
}

#[handlers]
impl Counter {
    #[handle(local)]
    fn add(&mut self, _: Add) -> u64 {
        0
    }
}

async fn send(counter: &ServiceRef<Counter>) {
    drop(counter.ask(Add(1)).await);
}

fn main() {}
