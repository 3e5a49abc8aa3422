use callboard::prelude::*;

#[derive(Actor)]
#[actor(mailbox = 5)]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
