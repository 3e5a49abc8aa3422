use callboard::prelude::*;

#[derive(Actor)]
#[actor(mailbox(bytes = "2 GiB"))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
