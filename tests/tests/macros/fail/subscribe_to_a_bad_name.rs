use callboard::prelude::*;

#[derive(Message, Serialize, Deserialize)]
struct Placed;

#[derive(Actor, Default)]
struct Counter {
    total: u64,
}

#[handlers]
impl Counter {
    #[subscribe("Orders/Placed")]
    fn placed(&mut self, _: Placed) {}
}

fn main() {}
