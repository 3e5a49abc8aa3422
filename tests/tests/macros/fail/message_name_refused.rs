use callboard::prelude::*;

#[derive(Message)]
#[message(name = "counter/get")]
struct Add(u64);

fn main() {}
