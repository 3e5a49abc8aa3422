use callboard::prelude::*;

#[derive(Actor)]
#[actor(breaker(failure_rate = 120))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
