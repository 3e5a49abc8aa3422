use callboard::prelude::*;

#[derive(Actor)]
#[actor(restart(max = 0))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
