use callboard::prelude::*;

#[derive(Actor)]
#[actor(restart(backoff = "1s"))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
