use callboard::prelude::*;

#[derive(Actor)]
#[actor(name = "a", name = "b")]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
