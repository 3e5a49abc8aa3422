use callboard::prelude::*;

#[derive(Message)]
#[message(replay = u64)]
struct Add(u64);

fn main() {}
