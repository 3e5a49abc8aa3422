use callboard::prelude::*;

#[derive(Message)]
#[message(reply = u64)]
struct Add<'a>(&'a str);

fn main() {}
