use callboard::prelude::*;

#[derive(Message, Serialize, Deserialize)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Message)]
#[message(name = "Add")]
struct Other;

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

    #[handle]
    fn other(&mut self, _: Other) {}
}

fn main() {}
