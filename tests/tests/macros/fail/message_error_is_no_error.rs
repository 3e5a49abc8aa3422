use callboard::prelude::*;

#[derive(Message)]
#[message(error = String)]
struct Add(u64);

fn main() {}
