use callboard::prelude::*;

#[derive(Message, Serialize, Deserialize)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Message, Serialize, Deserialize)]
#[message(reply = u64)]
struct Get;

#[derive(Actor, Default)]
struct Counter {
    total: u64,
}

#[handlers]
impl Counter {
    #[handle]
    fn add(&mut self, _: Add) -> u64 {
        0
    }
}

async fn send(counter: &Addr<Counter>) {
    drop(counter.tell(Get).await);
}

fn main() {}
