use callboard::prelude::*;

fn is_failure(_: &u64) -> u8 {
    1
}

#[derive(Message)]
#[message(reply = u64, failure = is_failure)]
struct Add(u64);

fn main() {}
