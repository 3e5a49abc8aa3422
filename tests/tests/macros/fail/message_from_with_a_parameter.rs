use callboard::prelude::*;

#[derive(Message)]
#[message(name = "Put")]
struct PutV1(u64);

#[derive(Message)]
#[message(version = 2, from = PutV1)]
struct Put<T>(T);

fn main() {}
