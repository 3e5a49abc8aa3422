use callboard::prelude::*;

#[derive(Message)]
#[message(version = 0)]
struct Add(u64);

fn main() {}
