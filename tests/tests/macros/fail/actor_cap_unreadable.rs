use callboard::prelude::*;

#[derive(Actor)]
#[actor(cpu(cap = "lots"))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
