use callboard::prelude::*;

#[derive(Actor)]
#[actor(mailbx(capacity = 5))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
