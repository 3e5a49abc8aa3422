use callboard::prelude::*;

#[derive(Actor)]
#[actor(cpu(weight = 0), stop(drian = "1s"), mailbox(overflow = wait))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
