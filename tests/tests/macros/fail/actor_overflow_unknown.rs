use callboard::prelude::*;

#[derive(Actor)]
#[actor(mailbox(overflow = "drop-oldest"))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
