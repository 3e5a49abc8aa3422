use callboard::prelude::*;

#[derive(Actor)]
#[actor(colour = "red")]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
