use callboard::prelude::*;

#[derive(Actor)]
#[actor(restart(backoff = "10s..1s"))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
