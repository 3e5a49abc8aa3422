use callboard::prelude::*;

#[derive(Message)]
#[message(reply)]
struct Add(u64);

fn main() {}
