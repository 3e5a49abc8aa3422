use callboard::prelude::*;

#[derive(Actor)]
#[actor(restart(within = "10 secs"))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
