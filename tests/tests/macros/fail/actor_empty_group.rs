use callboard::prelude::*;

#[derive(Actor)]
#[actor(restart())]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
