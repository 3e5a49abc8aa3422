use callboard::prelude::*;

#[derive(Actor)]
struct Counter;

fn main() {}
