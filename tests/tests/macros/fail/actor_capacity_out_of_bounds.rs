use callboard::prelude::*;

#[derive(Actor)]
#[actor(mailbox(capacity = 0))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
