use callboard::prelude::*;

#[derive(Actor)]
#[actor(mailbox(capacity = "1024"))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
